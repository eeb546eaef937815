"""How an answer is got out of a model: the method and its settings. No torch.

greedy       the most probable token, one after the other
beam         the most probable of `num_beams` strings that are followed side by side
sample       drawn at a temperature, `num_repeats` times; the answers' mean (progress) or majority
constrained  greedy among the tokens that lead to a valid answer
scored       the probabilities of all valid answers; of progress the median, of two videos the more probable
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rfm.errors import ConfigError
from rfm.vqa.answers import parse_answer, write_answer

METHODS = ("greedy", "beam", "sample", "constrained", "scored")
LONGEST_ANSWER = 7
"""Tokens of `ANS: 100` and the end of the turn."""

MOST_BEAMS = 256
"""More than twice the valid answers of a question; each beam keeps its own cache."""


@dataclass(frozen=True)
class Decoding:
    """Settings; those that the method has no use for are ignored, and kept out of `settings`."""

    method: str = "greedy"
    num_beams: int = 4
    temperature: float = 1.0
    num_repeats: int = 4
    both_orders: bool = False
    """Ask about the videos in either order and average; with `scored`."""
    seed: int = 0
    discrete: bool = False
    """Progress is asked for on the levels 1 to 5."""

    def __post_init__(self) -> None:
        faults = []
        if self.method not in METHODS:
            faults.append(f"`decoding` must be one of {', '.join(METHODS)}, but is {self.method!r}")
        for name in ("num_beams", "num_repeats"):
            if getattr(self, name) < 1:
                faults.append(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        if self.num_beams > MOST_BEAMS:
            faults.append(f"`num_beams` must be at most {MOST_BEAMS}, but is {self.num_beams}")
        if not self.temperature > 0:
            faults.append(f"`temperature` must be above 0, but is {self.temperature}; for no chance take greedy")
        if self.both_orders and self.method != "scored":
            faults.append(f"`both_orders` must go with --decoding scored, but goes with {self.method}")
        if faults:
            raise ConfigError("\n".join(faults))

    def averages_orders(self, sample_type: str) -> bool:
        """Whether a row's answer is the mean over both orders of its videos; a question about one has no order."""
        return self.both_orders and sample_type != "progress"

    def check_length(self, max_new_tokens: int) -> None:
        """Refuse a length that cuts valid answers off although only they can be generated."""
        if self.method == "constrained" and max_new_tokens < LONGEST_ANSWER:
            raise ConfigError(
                f"`max_new_tokens` must be at least {LONGEST_ANSWER} (ANS: 100 and the end of the turn) with "
                f"--decoding constrained, but is {max_new_tokens}"
            )

    def settings(self, max_new_tokens: int) -> dict[str, object]:
        """Return what the answers depend on, for results files and saved answers."""
        own: dict[str, dict[str, object]] = {
            "greedy": {},
            "beam": {"num_beams": self.num_beams},
            "sample": {"temperature": self.temperature, "num_repeats": self.num_repeats, "seed": self.seed},
            "constrained": {"discrete": self.discrete},
            "scored": {"both_orders": self.both_orders, "discrete": self.discrete},
        }
        length = {} if self.method == "scored" else {"max_new_tokens": max_new_tokens}
        return {"method": self.method, **length, **own[self.method]}


GREEDY = Decoding()


def summarise(sample_type: str, completions: Sequence[str]) -> str:
    """Return one answer for several: the mean of the parsed scores, rounded, or what most say (the lower of equals).

    Where none can be parsed, the first completion stands for all.
    """
    parsed = [answer for text in completions if (answer := parse_answer(sample_type, text)) is not None]
    if not parsed:
        return completions[0]
    if sample_type == "progress":
        return write_answer(str(int(sum(parsed) / len(parsed) + 0.5)))
    return write_answer(str(max(Counter(sorted(parsed)).items(), key=lambda item: item[1])[0]))
