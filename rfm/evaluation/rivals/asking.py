"""Free questions to an engine: frames between texts, and how probable "True" is. Local checkpoints and chat servers.

What the engines themselves are made for is the questions of a dataset; the prompting baselines need these two besides.
A question that can't be asked, since its frames can't be read or the server refuses it, gets the reason.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from rfm.batch.clips import ClipReference, Row
from rfm.batch.collator import BLANK, EncodedRow, VQACollator
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import patchify_images
from rfm.batch.tokens.conversation import Video
from rfm.errors import ConfigError, DataError
from rfm.evaluation.rivals.gvl import FrameQuestion
from rfm.inference.answering.decoding import GREEDY
from rfm.inference.answering.generation import generate
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.engines.engine import Engine
from rfm.inference.engines.messages import TOP, Completion, Part, Refusal, Request, image_part, text_part
from rfm.inference.predictor import Predictor

TRUE, FALSE = "True", "False"

Answer = TypeVar("Answer", str, "Verdict")


class Verdict(NamedTuple):
    """How probable the two words are as the first of the answer."""

    log_true: float
    log_false: float

    @property
    def share(self) -> float:
        """P(True) / (P(True) + P(False))."""
        return float(1.0 / (1.0 + np.exp(np.clip(self.log_false - self.log_true, -700.0, 700.0))))


class Asker(ABC):
    """Asks free questions."""

    @abstractmethod
    def complete(self, questions: Sequence[FrameQuestion], *, blank: bool) -> list[str | DataError]:
        """Return what the model writes after each question."""

    @abstractmethod
    def verdicts(self, rows: Sequence[Row], *, blank: bool) -> list[Verdict | DataError]:
        """Return how probable True and False are as answers to progress rows, whose prompts ask for one of them."""


def asker_of(engine: Engine) -> Asker:
    """Return what asks an engine free questions."""
    if isinstance(engine, Predictor):
        return LocalAsker(engine)
    if isinstance(engine, ChatEngine):
        return ServerAsker(engine)
    raise ConfigError("`prompting` must go with a model, but `model_path` names a baseline that needs none")


class LocalAsker(Asker):
    """Asks a checkpoint of this process."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        spec = predictor.encoder.spec
        form = dataclasses.replace(predictor.form, use_multi_image=True)
        self._images = FrameStore(predictor.datasets_root, spec, form)
        tokenizer = predictor.loaded.tokenizer
        self._words = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in (TRUE, FALSE)]
        if self._words[0] == self._words[1]:
            raise ConfigError("the tokenizer must tell True and False apart by their first token, but does not")

    def complete(self, questions: Sequence[FrameQuestion], *, blank: bool) -> list[str | DataError]:
        """Generate greedily, one question at a time: their lengths differ by the number of frames."""
        return [_attempt(partial(self._generated, question, blank)) for question in questions]

    def _generated(self, question: FrameQuestion, blank: bool) -> str:
        predictor = self.predictor
        frames = self._images.clip(ClipReference(question.path, tuple(question.frames.tolist())))
        frames = np.full_like(frames, BLANK) if blank else frames
        patches, grids = patchify_images(frames, predictor.encoder.spec)
        videos = [Video(text, 1, (grid,), True) for text, grid in zip(question.texts, grids, strict=True)]
        collator = VQACollator(predictor.encoder, self._images, with_answers=False)
        encoded = EncodedRow(predictor.encoder.encode(videos, question.request, None), [patches], list(grids))
        batch = collator.batch([encoded])
        on_device = {name: value.to(predictor.device) for name, value in batch.items()}
        [ids] = generate(
            predictor.loaded.model,
            on_device,
            predictor.encoder,
            GREEDY,
            question.max_new_tokens,
            sample_type="progress",
        )
        return str(predictor.loaded.tokenizer.decode(ids, skip_special_tokens=True))

    def verdicts(self, rows: Sequence[Row], *, blank: bool) -> list[Verdict | DataError]:
        """Take the probabilities at the first position of the answer, one pass for all rows."""
        predictor = self.predictor
        collator = VQACollator(predictor.encoder, predictor.frames, with_answers=False, blank_share=float(blank))
        encoded: list[Any] = [_attempt(partial(collator.encode, row)) for row in rows]
        readable = [one for one in encoded if not isinstance(one, DataError)]
        found = iter(self._first_tokens(collator, readable) if readable else [])
        return [one if isinstance(one, DataError) else next(found) for one in encoded]

    def _first_tokens(self, collator: VQACollator, encoded: Sequence[Any]) -> list[Verdict]:
        batch = {name: value.to(self.predictor.device) for name, value in collator.batch(encoded).items()}
        with torch.inference_mode():
            logits = self.predictor.loaded.model(**batch, logits_to_keep=1, use_cache=False).logits[:, -1].float()
        logs = torch.log_softmax(logits, dim=-1)[:, self._words].tolist()
        return [Verdict(*pair) for pair in logs]


class ServerAsker(Asker):
    """Asks a chat server."""

    def __init__(self, engine: ChatEngine) -> None:
        self.engine = engine

    def complete(self, questions: Sequence[FrameQuestion], *, blank: bool) -> list[str | DataError]:
        """Send all questions at once."""
        contents = [_attempt(partial(self._frames, question, blank)) for question in questions]
        return self._asked(contents, [question.max_new_tokens for question in questions], {}, _text)

    def verdicts(self, rows: Sequence[Row], *, blank: bool) -> list[Verdict | DataError]:
        """Read the two words among the most probable first tokens; one that is not there is as probable as the last."""
        contents = [_attempt(partial(self.engine.content, row, blank)) for row in rows]
        return self._asked(contents, [1] * len(rows), {"logprobs": True, "top_logprobs": TOP}, _verdict)

    def _frames(self, question: FrameQuestion, blank: bool) -> list[Part]:
        frames = self.engine.clip(ClipReference(question.path, tuple(question.frames.tolist())))
        parts: list[Part] = []
        for text, frame in zip(question.texts, np.full_like(frames, BLANK) if blank else frames, strict=True):
            parts += [text_part(text), image_part(frame)]
        return [*parts, text_part(question.request)]

    def _asked(
        self,
        contents: Sequence[list[Part] | DataError],
        lengths: Sequence[int],
        extra: Request,
        read: Callable[[Completion], Answer],
    ) -> list[Answer | DataError]:
        requests: list[Request] = [
            self.engine.request(content, length) | extra
            for content, length in zip(contents, lengths, strict=True)
            if not isinstance(content, DataError)
        ]
        replies = iter(self.engine.complete(requests, len(requests)) if requests else [])
        out: list[Answer | DataError] = []
        for content in contents:
            if isinstance(content, DataError):
                out.append(content)
                continue
            reply = next(replies)
            out.append(DataError(f"the server gave no answer: {reply}") if isinstance(reply, Refusal) else read(reply))
        return out


def _attempt(make: Callable[[], Any]) -> Any:
    """Return what is made, or the `DataError` that says why it can't be."""
    try:
        return make()
    except DataError as error:
        return error


def _text(completion: Completion) -> str:
    return str(completion["text"])


def _verdict(completion: Completion) -> Verdict:
    if not completion["logprobs"]:
        raise ConfigError(
            "`prompting` topreward needs log-probabilities, but the server gave none; take --prompting gvl, another "
            "server, or --engine hf"
        )
    _, top = completion["logprobs"][0]
    logs = {word.strip(): log for word, log in reversed(top)}
    least = min(log for _, log in top)
    return Verdict(logs.get(TRUE, least), logs.get(FALSE, least))
