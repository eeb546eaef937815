"""Greedy answers of a checkpoint to the rows of a dataset.

In: a checkpoint (its processor, frame size and mode come from its `rfm_config.json`) and rows. Out: one `Prediction`
a row, in the rows' order: the raw text of the generated part, or the reason why the row's frames could not be read.
Reading an answer out of the text is not done here.

Rows are padded on the left and positions restart at each row's first token, so a row's answer does not depend on the
batch it is in (float rounding aside: equal scores to 1e-5). `blank_frames` shows mid-grey instead of every frame:
what is still answered then comes from the prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rfm.batch.clips import Row
from rfm.batch.collator import Batch, VQACollator
from rfm.batch.conversation import ConversationEncoder
from rfm.batch.frame_store import FrameStore
from rfm.batch.input_format import InputFormat
from rfm.console import progress_bar
from rfm.errors import ConfigError, DataError
from rfm.model.load import LoadedModel, load_model

logger = logging.getLogger(__name__)

EncodedRow = Any


@dataclass(frozen=True)
class Prediction:
    """What a model said to one row."""

    text: str
    """The generated part, without control tokens; empty where the row was unreadable."""
    tokens: tuple[int, ...] = ()
    """Generated token ids, up to and with the one that ends the turn."""
    unreadable: str | None = None
    """Why the row could not be shown to the model; None where it was."""


class Predictor:
    """A loaded model that answers rows."""

    def __init__(self, loaded: LoadedModel, datasets_root: Path, form: InputFormat | None = None) -> None:
        self.loaded = loaded
        self.form = form or loaded.form or InputFormat()
        self.datasets_root = datasets_root
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
    ) -> Predictor:
        """Load a checkpoint, adapter or stock model for answering.

        `form` is for stock models, which have no `rfm_config.json`; a trained checkpoint's own can't be overridden.
        """
        place = resolve_device(device)
        wanted = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
        loaded = load_model(path, dtype=wanted, device=place, attention=attention, trust_remote_code=trust_remote_code)
        if form is not None and loaded.form is not None and form != loaded.form:
            raise ConfigError(f"`form` must be the checkpoint's own, {loaded.form}, but is {form}; leave it out")
        return cls(loaded, Path(datasets_root), form)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.loaded.model.device
        return device

    def predict(
        self,
        rows: Sequence[Row],
        batch_size: int = 1,
        max_new_tokens: int = 10,
        *,
        blank_frames: bool = False,
        progress: bool = True,
    ) -> list[Prediction]:
        """Answer rows; a row whose frames can't be read gets a `Prediction` that says why."""
        if batch_size < 1 or max_new_tokens < 1:
            raise ConfigError(
                f"`batch_size` and `max_new_tokens` must be >= 1, but are {batch_size} and {max_new_tokens}"
            )
        collator = VQACollator(self.encoder, self.frames, with_answers=False, blank_share=float(blank_frames))
        predictions: list[Prediction] = []
        with progress_bar(disable=not progress) as bar:
            task = bar.add_task("blank frames" if blank_frames else "answering", total=len(rows))
            for chunk in _chunks(rows, batch_size):
                predictions += self._answer(collator, chunk, max_new_tokens)
                bar.advance(task, len(chunk))
        return predictions

    def _answer(self, collator: VQACollator, rows: Sequence[Row], max_new_tokens: int) -> list[Prediction]:
        outcomes = [_encode(collator, row) for row in rows]
        readable = [outcome for outcome in outcomes if not isinstance(outcome, DataError)]
        answers = iter(self._generate(collator.batch(readable), max_new_tokens) if readable else [])
        return [
            Prediction("", unreadable=str(outcome)) if isinstance(outcome, DataError) else next(answers)
            for outcome in outcomes
        ]

    @torch.inference_mode()
    def _generate(self, batch: Batch, max_new_tokens: int) -> list[Prediction]:
        inputs = {name: value.to(self.device) for name, value in batch.items()}
        end = self.encoder.im_end
        generated = self.loaded.model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=end,
            pad_token_id=self.encoder.pad,
        )
        new = generated[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._prediction(ids[: ids.index(end) + 1] if end in ids else ids) for ids in new]

    def _prediction(self, ids: list[int]) -> Prediction:
        return Prediction(self.loaded.tokenizer.decode(ids, skip_special_tokens=True), tuple(ids))


def resolve_device(device: str) -> torch.device:
    """Return the device asked for; a GPU that is not there becomes the CPU, and the log says so."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        logger.warning("`device` is %s, but torch finds no CUDA GPU here: answering on the CPU", device)
        return torch.device("cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"`device` must be cuda, cuda:N or cpu, but is {device!r}") from error


def _encode(collator: VQACollator, row: Row) -> EncodedRow | DataError:
    try:
        return collator.encode(row)
    except DataError as error:
        return error


def _chunks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield [rows[index] for index in range(start, min(start + size, len(rows)))]
