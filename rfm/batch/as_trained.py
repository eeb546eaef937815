"""Is a model asked as it was trained? What differs, and the way out.

In: the format that a checkpoint records and how somebody puts his questions. Out: `Difference`s. Answers to questions
that are put otherwise are worth less, by any amount: a model of 4 frames a clip that had an accuracy of 0.92 had 0.44
when it was shown 16. What either side does not know makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rfm.batch.input_format import InputFormat
from rfm.vqa.presentation import Presentation


class Difference(NamedTuple):
    """A field of the format whose value in training is not the one asked with."""

    name: str
    trained: Any
    asked: Any
    text: str
    """Both values in words."""
    way_out: str


def differences(trained: InputFormat, shown: Presentation, *, way_out: str | None = None) -> Iterator[Difference]:
    """Yield what differs between training and the questions that are put now; `way_out` is of the number of frames."""
    frames = _frames(trained.max_frames, shown)
    if trained.max_frames is not None and frames is not None:
        yield Difference(
            "max_frames",
            trained.max_frames,
            frames,
            f"was trained on {_up_to(trained.max_frames)} a clip and is shown {_up_to(frames)}",
            way_out or f"generate with data.max_frames={trained.max_frames}",
        )
    for name, was, now in (
        ("frame_choice", trained.frame_choice, shown.frame_choice),
        ("prompt_version", trained.prompt_version, shown.prompt_version),
    ):
        if None not in (was, now) and was != now:
            yield Difference(
                name, was, now, f"was trained with `{name}` {was} and is asked with {now}", "generate the dataset again"
            )
    was, now = trained.discrete_progress, shown.discrete_progress
    if was is not None and now is not None and was != now:
        yield Difference(
            "discrete_progress",
            was,
            now,
            f"was trained on scores from {_scale(was)} and is asked for {_scale(now)}",
            f"generate with data.discrete_progress={str(was).lower()}",
        )


def warning(found: Sequence[Difference]) -> str:
    """Return one sentence that names both values of each difference, and the ways out."""
    texts = ", ".join(one.text for one in found)
    ways = "; ".join(dict.fromkeys(one.way_out for one in found))
    return f"the checkpoint {texts}: its answers are worth less; {ways}"


def report(found: Sequence[Difference]) -> dict[str, dict[str, Any]]:
    """Return the differences for a results file."""
    return {one.name: {"trained": one.trained, "asked": one.asked} for one in found}


def _frames(trained: int | None, shown: Presentation) -> int | None:
    """Return how many frames are shown where that is another number, else None.

    Fewer are the same where clips show all frames that there are.
    """
    if trained is None or shown.max_frames is None:
        return None
    if shown.max_frames > trained:
        return shown.max_frames
    return shown.limit if shown.limit is not None and shown.limit < trained else None


def _up_to(frames: int) -> str:
    return "1 frame" if frames == 1 else f"up to {frames} frames"


def _scale(discrete: bool) -> str:
    return "1 to 5" if discrete else "0 to 100"
