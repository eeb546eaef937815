"""More ways to say what the tasks are: some to learn from, some to be asked only of a model that never saw them.

`usual` are the three of the task itself, `many` those and further ones, `held_out` the others. Held-out wordings say
the same with words that training has, in other places, mostly; a model whose vocabulary came from training texts can't
know a word that was in none.
"""

from collections.abc import Mapping

from rfm.errors import ConfigError
from rfm.ingest.metaworld.task import Task

WORDINGS = ("usual", "many", "held_out")

_FURTHER: Mapping[str, tuple[str, ...]] = {
    "door-open": ("open the safe door", "swing the door open", "pull the door of the box open", "open up the door"),
    "door-close": ("close the safe door", "swing the door shut", "push the door of the box closed", "shut the door"),
    "drawer-open": (
        "open the green drawer",
        "pull the drawer out",
        "slide the green drawer open",
        "open up the drawer",
    ),
    "drawer-close": ("close the green drawer", "push the drawer in", "slide the green drawer shut", "shut the drawer"),
    "window-open": ("open the window by its handle", "push the window open", "slide the window to the right"),
    "window-close": ("close the window by its handle", "push the window shut", "slide the window to the left"),
    "button-press": ("press the red button from the front", "push the front button in", "press the red button inwards"),
    "button-press-topdown": ("press the red button from above", "push the top button down", "press the button down"),
    "handle-press": ("press the red handle down", "push the handle down", "lower the red handle"),
    "faucet-open": ("open the tap", "turn the faucet handle to the right", "turn on the tap"),
    "faucet-close": ("close the tap", "turn the faucet handle to the left", "turn off the tap"),
    "lever-pull": ("pull up the lever", "raise the lever", "lift the blue lever up"),
    "plate-slide": ("push the plate into the net", "slide the black puck into the goal", "push the plate forward"),
    "plate-slide-side": (
        "push the plate to the left",
        "slide the puck left into the net",
        "move the plate to the left",
    ),
    "handle-pull": ("pull the red handle up", "lift the handle", "raise the red handle of the machine"),
    "reach": ("reach for the red mark", "move the gripper to the red mark", "touch the red ball in the air"),
    "reach-wall": ("reach over the wall", "move the gripper to the red ball behind the wall", "reach for the mark"),
    "push": ("push the puck to the green ball", "slide the puck to the green mark", "push the red puck forward"),
    "push-wall": ("push the puck behind the wall", "slide the puck around the wall", "move the puck around the wall"),
    "push-back": ("pull the brown block back", "drag the block to the green mark", "pull the block towards the robot"),
    "pick-place": ("lift the red puck to the blue mark", "pick up the puck", "bring the puck up to the blue ball"),
    "pick-place-wall": (
        "lift the puck over the wall",
        "carry the puck over the wall",
        "pick the puck up over the wall",
    ),
    "hand-insert": ("lower the brown block into the hole", "place the block in the hole", "put the block in the hole"),
    "pick-out-of-hole": ("lift the puck out of the hole", "take the red puck out", "pick up the puck from the hole"),
    "sweep-into": (
        "sweep the brown block into the hole",
        "slide the block into the hole",
        "push the block to the hole",
    ),
    "bin-picking": ("put the green block into the blue bin", "move the block to the blue bin", "carry the block over"),
    "box-close": ("close the box", "put the lid onto the wooden box", "cover the box with the lid"),
    "button-press-wall": ("press the red button behind the wall", "push the button in behind the wall"),
    "button-press-topdown-wall": ("press the top button behind the wall", "push the button down behind the wall"),
    "coffee-pull": ("pull the mug back", "drag the mug away from the machine", "pull the white mug away"),
    "coffee-push": (
        "push the mug to the machine",
        "slide the white mug under the machine",
        "push the white mug forward",
    ),
    "dial-turn": ("turn the black dial", "rotate the black knob", "turn the knob around"),
    "door-lock": ("lock the safe", "turn the lock down", "lock the safe door"),
    "door-unlock": ("unlock the safe", "turn the lock up", "unlock the safe door"),
    "handle-press-side": ("press the red bar down", "push the sideways handle down", "lower the sideways handle"),
    "handle-pull-side": ("pull the red bar up", "lift the sideways handle", "raise the sideways handle"),
    "peg-unplug-side": ("unplug the peg", "pull the grey peg out", "pull the plug out of the wall"),
    "plate-slide-back": ("slide the plate back", "pull the plate out of the net", "pull the puck out of the goal"),
    "plate-slide-back-side": (
        "slide the plate to the right",
        "pull the plate to the right",
        "slide the puck out sideways",
    ),
    "shelf-place": ("put the block on the shelf", "place the blue block on the shelf", "lift the block onto the shelf"),
    "soccer": ("push the football into the goal", "roll the ball into the goal", "kick the football into the net"),
}
_HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "door-open": ("pull the safe open", "open the box by its door"),
    "door-close": ("push the door shut", "shut the safe door"),
    "drawer-open": ("pull open the green drawer", "slide the drawer open"),
    "drawer-close": ("slide the drawer shut", "shut the green drawer"),
    "window-open": ("push the window to the right", "slide open the window"),
    "window-close": ("push the window to the left", "shut the window"),
    "button-press": ("push the button in from the front", "press the button on the front of the box"),
    "button-press-topdown": ("push the button down from above", "press down the red button"),
    "handle-press": ("press down the handle of the machine", "push down the red handle"),
    "faucet-open": ("swing the tap open", "turn the handle of the faucet right"),
    "faucet-close": ("swing the tap closed", "turn the handle of the faucet left"),
    "lever-pull": ("lift up the lever", "pull the blue knob up"),
    "plate-slide": ("slide the plate into the net", "move the black puck into the goal"),
    "plate-slide-side": ("slide the black puck to the left", "push the plate left into the goal"),
    "handle-pull": ("lift up the red handle", "pull up the handle of the machine"),
    "reach": ("touch the red mark", "move to the red ball"),
    "reach-wall": ("touch the red mark behind the wall", "bring the hand over the wall"),
    "push": ("move the red puck to the green ball", "shove the red puck forward"),
    "push-wall": ("push the red puck behind the wall", "shove the red puck behind the wall"),
    "push-back": ("pull the brown block to the mark", "drag the brown block back"),
    "pick-place": ("carry the puck to the blue ball", "lift up the red puck"),
    "pick-place-wall": ("bring the red puck over the wall", "lift the red puck over the wall to the mark"),
    "hand-insert": ("insert the block in the hole", "put the brown block in"),
    "pick-out-of-hole": ("pick the red puck out", "bring the puck out of the hole"),
    "sweep-into": ("push the brown block into the hole", "sweep the block to the hole"),
    "bin-picking": ("pick up the block and put it into the blue bin", "move the green block over"),
    "box-close": ("put the lid on the wooden box", "shut the box with its lid"),
    "button-press-wall": ("press the front button behind the wall", "push the red button behind the wall"),
    "button-press-topdown-wall": ("press down the button behind the wall", "push the top button behind the wall"),
    "coffee-pull": ("pull the white mug back", "drag the white mug to the green mark"),
    "coffee-push": ("slide the mug under the machine", "push the white mug to the coffee machine"),
    "dial-turn": ("rotate the dial on the table", "turn the knob"),
    "door-lock": ("turn the lock to lock the safe", "rotate the lock down"),
    "door-unlock": ("turn the lock to unlock the safe", "rotate the lock up"),
    "handle-press-side": ("press the bar down from the side", "lower the red bar"),
    "handle-pull-side": ("pull the bar up from the side", "raise the red bar"),
    "peg-unplug-side": ("pull out the peg sideways", "unplug the plug"),
    "plate-slide-back": ("move the plate out of the net", "slide the black puck out of the goal"),
    "plate-slide-back-side": ("slide the black puck to the right", "move the plate out to the right"),
    "shelf-place": ("put the blue block up on the shelf", "lift the block to the shelf"),
    "soccer": ("roll the ball into the net", "push the ball into the blue goal"),
}


def wording(task: Task, which: str, turn: int) -> str:
    """The task's instruction of that kind whose turn it is, one after the other."""
    texts = wordings_of(task, which)
    return texts[turn % len(texts)]


def wordings_of(task: Task, which: str) -> tuple[str, ...]:
    """The task's instructions of that kind. Raises ConfigError on a kind that is none of `WORDINGS`."""
    if which not in WORDINGS:
        raise ConfigError(f"`wordings` must be among {', '.join(WORDINGS)}, but is {which!r}")
    if which == "held_out":
        return _HELD_OUT[task.name]
    return task.wordings if which == "usual" else task.wordings + _FURTHER[task.name]
