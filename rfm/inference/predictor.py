"""A checkpoint that answers rows, by any method of `rfm.inference.answering.decoding`.

In: a checkpoint (its processor, frame size and mode come from its `rfm_config.json`) and rows. Out: one `Prediction`
a row, in the rows' order: the raw text of the generated part, or the reason why the row's frames could not be read.
Reading an answer out of the text is not done here.

Rows are padded on the left and positions restart at each row's first token, so a row's answer does not depend on the
batch it is in (float rounding aside: equal scores to 1e-5). `blank_frames` shows mid-grey instead of every frame:
what is still answered then comes from the prompt.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from typing_extensions import Self

from rfm.batch.clips import Row
from rfm.batch.collator import Batch, VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.files.limits import within_memory
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.decoding import GREEDY, Decoding, summarise
from rfm.inference.answering.distribution import Distribution
from rfm.inference.answering.generation import generate
from rfm.inference.answering.scored import answer_distribution
from rfm.inference.answering.shared import shared_distribution
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction, scored_predictions
from rfm.inference.rows import row_digest, videos_swapped
from rfm.model.device import resolve_device
from rfm.model.load import LoadedModel, load_model
from rfm.model.weights.fingerprint import model_fingerprint

__all__ = ["Prediction", "Predictor", "resolve_device"]

logger = logging.getLogger(__name__)

EncodedRow = Any


class Predictor(Engine):
    """A loaded model that answers rows."""

    def __init__(
        self,
        loaded: LoadedModel,
        datasets_root: Path,
        form: InputFormat | None = None,
        decoding: Decoding = GREEDY,
    ) -> None:
        self.loaded = loaded
        self.trained = loaded.form
        self.form = form or loaded.form or InputFormat()
        self.datasets_root: Path = datasets_root
        self.decoding = decoding
        self.encoder = ConversationEncoder(loaded.tokenizer, loaded.spec)
        self.frames = FrameStore(datasets_root, loaded.spec, self.form)
        loaded.model.eval()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cuda",
        *,
        datasets_root: str | Path,
        dtype: torch.dtype | None = None,
        form: InputFormat | None = None,
        attention: str | None = None,
        trust_remote_code: bool = False,
        base_model: str | None = None,
        decoding: Decoding = GREEDY,
    ) -> Predictor:
        """Load a checkpoint, adapter or stock model for answering.

        `base_model` takes the place of the base that an adapter records. `form` is for stock models, which have no
        `rfm_config.json`; a trained checkpoint's own can't be overridden.
        """
        place = resolve_device(device)
        wanted = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
        loaded = load_model(
            path,
            dtype=wanted,
            device=place,
            attention=attention,
            trust_remote_code=trust_remote_code,
            base_model=base_model,
        )
        if form is not None and loaded.form is not None and not form.shows_frames_as(loaded.form):
            raise ConfigError(f"`form` must be the checkpoint's own, {loaded.form}, but is {form}; leave it out")
        return cls(loaded, Path(datasets_root), form, decoding)

    def under(self, datasets_root: Path) -> Self:
        """Return the same engine for frames under another root."""
        return super().under(datasets_root).over(FrameStore(datasets_root, self.loaded.spec, self.form))

    def over(self, frames: FrameStore) -> Self:
        """Return the same engine for the clips of another store."""
        other = copy.copy(self)
        other.frames = frames
        return other

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.loaded.model.device
        return device

    def identity(self) -> dict[str, Any]:
        """Return the checkpoint's fingerprint and what else its answers depend on."""
        return {
            "engine": "hf",
            "model": model_fingerprint(self.loaded.name, self.loaded.base),
            "precision": str(self.loaded.model.dtype),
            "form": repr(self.form),
        }

    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer one batch of rows of one sample type."""
        collator = VQACollator(self.encoder, self.frames, with_answers=False, blank_share=float(blank_frames))
        outcomes = [_encode(collator, row) for row in rows]
        readable = [row for row, outcome in zip(rows, outcomes, strict=True) if not isinstance(outcome, DataError)]
        shown = [outcome for outcome in outcomes if not isinstance(outcome, DataError)]
        answers = iter(self._answer_within(collator, shown, readable, max_new_tokens))
        return [
            Prediction("", unreadable=str(outcome)) if isinstance(outcome, DataError) else next(answers)
            for outcome in outcomes
        ]

    def predict_shared(self, rows: Sequence[Row], batch_size: int) -> list[Prediction]:
        """Answer progress rows that begin alike, as `answer` scores them, with what they share computed once."""
        if batch_size < 1:
            raise ConfigError(f"`batch_size` must be >= 1, but is {batch_size}")
        kind = "progress"
        tree = answer_tree(self.encoder, kind, discrete=self.decoding.discrete)
        with within_memory(f"{len(rows)} questions about {rows[0]['npz_path']}"):
            scores = shared_distribution(self.loaded.model, self.encoder, self.frames, rows, tree, batch_size)
        return scored_predictions(scores, kind)

    def _answer_within(
        self, collator: VQACollator, shown: Sequence[EncodedRow], rows: Sequence[Row], max_new_tokens: int
    ) -> list[Prediction]:
        """Answer what fits in memory: together, or else one by one; a row that does not fit by itself is unreadable."""
        if not shown:
            return []
        try:
            return self._answer(collator, shown, rows, max_new_tokens)
        except MemoryError:
            if len(shown) == 1:
                return [Prediction("", unreadable="the row must fit in this machine's memory, but does not")]
        alone = zip(shown, rows, strict=True)
        return [self._answer_within(collator, [one], [row], max_new_tokens)[0] for one, row in alone]

    def _answer(
        self, collator: VQACollator, shown: Sequence[EncodedRow], rows: Sequence[Row], max_new_tokens: int
    ) -> list[Prediction]:
        batch = self._on_device(collator.batch(shown))
        kind = rows[0]["sample_type"]
        if self.decoding.method == "scored":
            scores = self._scores(batch, kind)
            if self.decoding.averages_orders(kind):
                turned = [collator.encode(videos_swapped(row)) for row in rows]
                scores = scores.averaged_with(self._scores(self._on_device(collator.batch(turned)), kind).reversed())
            return scored_predictions(scores, kind)
        if self.decoding.method == "sample":
            return self._samples(batch, rows, kind, max_new_tokens)
        return self._generate(batch, kind, max_new_tokens)

    def _scores(self, batch: Batch, kind: str) -> Distribution:
        tree = answer_tree(self.encoder, kind, discrete=self.decoding.discrete)
        return answer_distribution(self.loaded.model, batch, tree)

    def _samples(self, batch: Batch, rows: Sequence[Row], kind: str, max_new_tokens: int) -> list[Prediction]:
        drawn = []
        for repeat in range(self.decoding.num_repeats):
            seeds = [int(row_digest(row, self.decoding.seed, repeat)[:15], 16) for row in rows]
            drawn.append(self._generate(batch, kind, max_new_tokens, seeds))
        if len(drawn) == 1:
            return drawn[0]
        texts = [tuple(one.text for one in of_row) for of_row in zip(*drawn, strict=True)]
        return [Prediction(summarise(kind, of_row), samples=of_row) for of_row in texts]

    def _generate(self, batch: Batch, kind: str, max_new_tokens: int, seeds: Sequence[int] = ()) -> list[Prediction]:
        model, decoding = self.loaded.model, self.decoding
        new = generate(model, batch, self.encoder, decoding, max_new_tokens, sample_type=kind, seeds=seeds)
        return [Prediction(self.loaded.tokenizer.decode(ids, skip_special_tokens=True), tuple(ids)) for ids in new]

    def _on_device(self, batch: Batch) -> Batch:
        return {name: value.to(self.device) for name, value in batch.items()}


def _encode(collator: VQACollator, row: Row) -> EncodedRow | DataError:
    try:
        return collator.encode(row)
    except DataError as error:
        return error
