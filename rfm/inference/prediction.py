"""What an engine said to one row, and how it is saved. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rfm.inference.answering.distribution import Distribution
from rfm.vqa.answers import write_answer


@dataclass(frozen=True)
class Prediction:
    """What a model said to one row."""

    text: str
    """The generated part, without control tokens; empty where the row was unreadable."""
    tokens: tuple[int, ...] = ()
    """Generated token ids, up to and with the one that ends the turn; empty where none were generated."""
    unreadable: str | None = None
    """Why the row could not be shown to the model; None where it was."""
    probabilities: tuple[float, ...] | None = None
    """Of the row's valid answers (`rfm.vqa.answers.valid_answers`), summing to 1; None unless they were scored."""
    leftover: float | None = None
    """The probability of everything that is no valid answer; None unless answers were scored."""
    samples: tuple[str, ...] = ()
    """Every completion, where several were drawn and `text` sums them up."""
    score: float | None = None
    """Of progress, from 0 to 100, where it is known more finely than `text` says."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are not at their default."""
        values = {
            "text": self.text,
            "tokens": list(self.tokens),
            "unreadable": self.unreadable,
            "probabilities": None if self.probabilities is None else list(self.probabilities),
            "leftover": self.leftover,
            "samples": list(self.samples),
            "score": self.score,
        }
        return {name: value for name, value in values.items() if name == "text" or value not in (None, [])}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Prediction:
        """Read what `to_json` gave."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


def scored_predictions(scores: Distribution, sample_type: str) -> list[Prediction]:
    """Return an answer a row: the median of a score, of least expected error, or the more probable of two videos."""
    best = scores.median() if sample_type == "progress" else scores.mode()
    return [
        Prediction(write_answer(str(int(answer))), probabilities=tuple(row.tolist()), leftover=float(rest))
        for answer, row, rest in zip(best, scores.probabilities, scores.leftover, strict=True)
    ]
