"""Whatever answers rows: a local checkpoint, a server, vLLM; one interface.

An engine answers one batch; asking many rows is written here once, for all engines. Rows are sorted by sample type and
length, longest first (what does not fit into memory fails at once, and little is padding), cut into batches, and the
answers come back in the rows' own order. The batches are a function of rows and batch size alone. Several processes
take turns at them, and a batch that an interrupted run finished is read from its journal: so neither the number of
processes nor an interruption changes what is computed.

How rows are put is compared with how the model was trained, and a difference is one warning: by `compare` where a
dataset's record is known, else with the rows that are asked first.
"""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from rfm.batch.as_trained import Difference, differences, warning
from rfm.batch.clips import Row
from rfm.batch.input_format import FILE_NAME, InputFormat
from rfm.console import progress_bar
from rfm.errors import ConfigError
from rfm.inference.answering.decoding import GREEDY, Decoding
from rfm.inference.journal import Journal
from rfm.inference.prediction import Prediction
from rfm.inference.ranks import ALONE, Ranks
from rfm.inference.rows import row_digest, row_length
from rfm.vqa.presentation import Presentation, presentation

logger = logging.getLogger(__name__)

Batches = list[list[int]]


class Engine(ABC):
    """Answers rows; `journal` keeps finished answers, `ranks` are the processes that share the rows."""

    decoding: Decoding = GREEDY
    journal: Journal | None = None
    ranks: Ranks = ALONE
    asked_about: str | None = None
    """A hash of what is asked about: answers that are saved are those about the same."""
    datasets_root: Path | None = None
    """The folder that frame paths are relative to; None for engines that look at no frames."""
    trained: InputFormat | None = None
    """How the model's training made inputs; None where there was none that is known."""
    compared: bool = False
    """Whether it was looked at already if the model is asked as it was trained."""
    guard: Callable[[], None] | None = None
    """What has to be passed before the first row is asked; None where there is nothing, or it was passed."""

    def own_differences(self) -> list[Difference]:
        """Return what this way of asking does otherwise than training did, whatever the dataset."""
        return []

    def compare(self, shown: Presentation, *, way_out: str | None = None) -> list[Difference] | None:
        """Warn where the model is asked otherwise than it was trained; None where that is not known.

        What was said here is not said again while rows are answered.
        """
        self.compared = True
        if self.trained is None:
            return None
        found = [*differences(self.trained, shown, way_out=way_out), *self.own_differences()]
        if found:
            logger.warning("%s", warning(found))
        elif self.trained.max_frames is None:
            logger.warning(
                "%s of the checkpoint does not say how many frames a clip it was trained on: whether it is asked as it "
                "was trained is not known", FILE_NAME,
            )  # fmt: skip
        return found or (None if self.trained.max_frames is None else [])

    def under(self, datasets_root: Path) -> Self:
        """Return the same engine for rows of a dataset whose frames lie under another root."""
        moved = copy.copy(self)
        moved.datasets_root = datasets_root
        return moved

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what tells this model from others, for saved answers: JSON-able."""

    @abstractmethod
    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer one batch of rows of one sample type, in their order; an unreadable row gets its reason."""

    def predict(
        self,
        rows: Sequence[Row],
        batch_size: int = 1,
        max_new_tokens: int = 10,
        *,
        blank_frames: bool = False,
        progress: bool = True,
        label: str = "answering",
    ) -> list[Prediction]:
        """Answer rows, in their order, in every process; a row whose frames can't be read says why.

        `label` stands before the bar.
        """
        if batch_size < 1 or max_new_tokens < 1:
            raise ConfigError(
                f"`batch_size` and `max_new_tokens` must be >= 1, but are {batch_size} and {max_new_tokens}"
            )
        self.decoding.check_length(max_new_tokens)
        if not self.compared:
            self.compare(presentation(rows, {}))
        batches = length_batches(rows, batch_size)
        keys = self._keys(rows, max_new_tokens, blank_frames)
        said = self._saved(batches, keys)
        known = self.ranks.gather(said)  # another process may have read more, or less
        mine = [batch for batch in batches if any(index not in known for index in batch)]
        mine = mine[self.ranks.rank :: self.ranks.size]
        if mine and self.guard is not None:
            self.guard()
            self.guard = None
        with progress_bar(disable=not progress or not self.ranks.first) as bar:
            task = bar.add_task(label, total=sum(map(len, mine)))
            for batch in mine:
                answers = self.answer([rows[index] for index in batch], max_new_tokens, blank_frames=blank_frames)
                new = {index: one.to_json() for index, one in zip(batch, answers, strict=True)}
                if self.journal is not None:
                    self.journal.add({keys[index]: one for index, one in new.items()})
                said |= new
                bar.advance(task, len(batch))
        everything = self.ranks.gather(said)
        return [Prediction.from_json(everything[index]) for index in range(len(rows))]

    def _keys(self, rows: Sequence[Row], max_new_tokens: int, blank_frames: bool) -> list[str]:
        """Return under what each row's answer is saved; nothing where there is no journal."""
        if self.journal is None:
            return []
        settings = (
            self.identity()
            | self.decoding.settings(max_new_tokens)
            | {
                "blank_frames": blank_frames,
                "asked_about": self.asked_about,
                "datasets_root": str(self.datasets_root),  # the same path may be another episode under another root
            }
        )
        return [row_digest(rows[index], settings) for index in range(len(rows))]

    def _saved(self, batches: Batches, keys: Sequence[str]) -> dict[int, Any]:
        """Return the answers of batches that an earlier run finished; half a batch is asked as a whole again."""
        found: dict[int, Any] = {}
        if self.journal is not None and len(self.journal):
            for batch in batches:
                answers = {index: self.journal.get(keys[index]) for index in batch}
                found |= answers if all(one is not None for one in answers.values()) else {}
        return found


def length_batches(rows: Sequence[Row], batch_size: int) -> Batches:
    """Return positions of rows of one sample type and similar length, the longest first."""
    kinds: dict[Any, list[tuple[tuple[int, int], int]]] = {}
    for index in range(len(rows)):
        row = rows[index]
        kinds.setdefault(row.get("sample_type"), []).append((row_length(row), index))
    batches = []
    for lengths in kinds.values():
        order = [index for _, index in sorted(lengths, key=lambda item: (item[0], -item[1]), reverse=True)]
        batches += [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return batches
