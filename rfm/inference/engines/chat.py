"""Engines that are asked in chat messages: what OpenAI-compatible servers and vLLM have in common.

In: rows; their frames travel as base64 PNG images, or as one video of them (`as_video`), which vLLM reads. Where it is
known how the model was trained, frames have the size that they had then and travel in that mode; else they are sent as
stored, for the server to resize. Out: `Prediction`s. How requests are answered is the subclass's; one that is refused
as invalid, or whose reply is no completion, makes its row unreadable, with what came as its reason.

`scored` takes the probabilities of 1 and 2 from the most probable tokens behind `ANS:`. A score's whole digit tree
can't be had that way: progress needs `greedy` or `sample` here.
"""

from __future__ import annotations

import base64
import io
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from typing_extensions import Self

from rfm.batch.as_trained import Difference
from rfm.batch.clips import ClipReference, Row, clips_of
from rfm.batch.collator import BLANK
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import VIDEO_NAMES
from rfm.errors import ConfigError, DataError
from rfm.files.limits import within_memory
from rfm.frames.reader import read_frames
from rfm.inference.answering.decoding import GREEDY, Decoding, summarise
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction
from rfm.inference.rows import row_digest, videos_swapped
from rfm.model.trained_format import TrainedFormat
from rfm.vqa.answers import valid_answers, write_answer

METHODS = ("greedy", "sample", "scored")
TOP = 20
"""How many of the most probable tokens are asked for with `scored`: what servers grant at most."""
_ANSWER_BEGINS = re.compile(r"ANS:\s*$")

Part = dict[str, Any]
Request = dict[str, Any]
"""A body of the chat completions protocol without the model: messages, max_tokens, temperature, seed, logprobs."""
Completion = dict[str, Any]
"""`text`, and `logprobs`: of each token its text and the most probable ones' with their log-probabilities, or None."""


class Refusal(Exception):
    """A request was understood and will not be answered."""


class ChatEngine(Engine):
    """Turns rows into requests and completions into predictions."""

    def __init__(
        self,
        datasets_root: Path,
        decoding: Decoding = GREEDY,
        *,
        as_video: bool | None = None,
        trained: TrainedFormat | None = None,
    ) -> None:
        if decoding.method not in METHODS:
            raise ConfigError(
                f"`decoding` must be one of {', '.join(METHODS)} with this engine, but is {decoding.method}; "
                "--engine hf has it"
            )
        self.decoding = decoding
        self.trained = None if trained is None else trained.form
        known = trained is not None and not trained.form.use_multi_image
        self.as_video: bool = known if as_video is None else as_video
        self._spec = None if trained is None else trained.spec
        self._open(datasets_root)

    def _open(self, datasets_root: Path) -> None:
        self.datasets_root: Path = datasets_root
        self._frames: FrameStore | None = None
        if self.trained is not None and self._spec is not None:
            form = replace(self.trained, use_multi_image=not self.as_video)
            self._frames = FrameStore(datasets_root, self._spec, form)

    def under(self, datasets_root: Path) -> Self:
        """Return the same engine for frames under another root."""
        moved = super().under(datasets_root)
        moved._open(datasets_root)
        return moved

    def own_differences(self) -> list[Difference]:
        """Return whether frames travel in another mode than training showed them in."""
        if self.trained is None or self.trained.use_multi_image != self.as_video:
            return []
        was, now = ("images", "video") if self.as_video else ("video", "images")
        text = f"was trained on clips as {was} and is sent {now}"
        return [Difference("frames_as", was, now, text, f"pass --frames_as {was}")]

    @abstractmethod
    def complete(self, requests: Sequence[Request], at_once: int) -> list[Completion | Refusal]:
        """Answer requests, in their order; `at_once` of them may be under way."""

    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer one batch of rows."""
        kind = rows[0].get("sample_type")
        if self.decoding.method == "scored" and kind == "progress":
            raise ConfigError(
                "`decoding` scored must go with preference or similarity rows here, whose log-probabilities hold no "
                "score's whole digit tree; ask progress with --decoding greedy or sample, or with --engine hf"
            )
        asked: list[list[Request] | DataError] = [self._requests(row, max_new_tokens, blank_frames) for row in rows]
        flat = [request for requests in asked if isinstance(requests, list) for request in requests]
        replies = iter(self.complete(flat, len(rows)) if flat else [])
        return [
            Prediction("", unreadable=str(requests))
            if isinstance(requests, DataError)
            else self._prediction(str(kind), [next(replies) for _ in requests])
            for requests in asked
        ]

    def _requests(self, row: Row, max_new_tokens: int, blank_frames: bool) -> list[Request] | DataError:
        """Return the requests of a row: one, one a repeat, or one an order of the videos."""
        decoding = self.decoding
        shown = [row, videos_swapped(row)] if decoding.both_orders else [row]
        try:
            contents = [self.content(one, blank_frames) for one in shown]
        except DataError as error:
            return error
        bodies: list[Request] = [
            {"messages": [{"role": "user", "content": content}], "max_tokens": max_new_tokens} for content in contents
        ]
        if decoding.method == "scored":
            return [body | {"temperature": 0.0, "logprobs": True, "top_logprobs": TOP} for body in bodies]
        if decoding.method == "greedy":
            return [body | {"temperature": 0.0} for body in bodies]
        seeds = [int(row_digest(row, decoding.seed, repeat)[:7], 16) for repeat in range(decoding.num_repeats)]
        return [body | {"temperature": decoding.temperature, "seed": seed} for body in bodies for seed in seeds]

    def _prediction(self, kind: str, replies: Sequence[Completion | Refusal]) -> Prediction:
        completions = [reply for reply in replies if not isinstance(reply, Refusal)]
        for reply in replies:
            if isinstance(reply, Refusal):
                return Prediction("", unreadable=f"the server gave no answer: {reply}")
        texts = tuple(completion["text"] for completion in completions)
        if self.decoding.method == "scored":
            found = [answer_probabilities(one["logprobs"], valid_answers(kind)) for one in completions]
            return scored_prediction(kind, texts[0], found)
        return Prediction(texts[0]) if len(texts) == 1 else Prediction(summarise(kind, texts), samples=texts)

    def content(self, row: Row, blank_frames: bool) -> list[Part]:
        """Return the user's turn: the videos in order, each behind its name, then the prompt."""
        parts: list[Part] = []
        clips = clips_of(row)
        for name, clip in zip(VIDEO_NAMES[row["sample_type"]], clips, strict=True):
            parts += [{"type": "text", "text": name}] if name else []
            with within_memory(f"the clip of {clip.path}"):
                frames = self.clip(clip)
                shown = np.full_like(frames, BLANK) if blank_frames else frames
                parts += [_video_part(shown)] if self.as_video else [image_part(frame) for frame in shown]
        return [*parts, {"type": "text", "text": row["prompt"]}]

    def clip(self, reference: ClipReference) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in the size of training, or as stored where that is not known."""
        if self._frames is None:
            return read_frames(self.datasets_root, reference.path, reference.indices)
        return self._frames.clip(reference)


def answer_probabilities(tokens: Sequence[Any] | None, answers: Sequence[int]) -> list[float] | None:
    """Return the probabilities of one-token answers at the position behind `ANS:`, 0 for those not among the top.

    None where the completion has no such position, or none of the answers is among the top there.

    Raises:
        ConfigError: the completion has no log-probabilities at all.

    """
    if tokens is None:
        raise ConfigError(
            "`decoding` scored needs log-probabilities, but the server gave none; take --decoding greedy or sample"
        )
    text = ""
    for token, top in tokens:
        if _ANSWER_BEGINS.search(text) and token.strip():
            shares = [float(sum(np.exp(log) for word, log in top if word.strip() == str(one))) for one in answers]
            return shares if any(shares) else None
        text += token
    return None


def scored_prediction(kind: str, text: str, found: Sequence[list[float] | None]) -> Prediction:
    """Return the more probable answer; `found` are the probabilities in the first and, if asked, the other order.

    Where the model did not come to an answer, its text stands, for the parser to find nothing in.
    """
    if any(one is None for one in found):
        return Prediction(text)
    shares = np.array([one[::-1] if turned else one for turned, one in enumerate(found) if one is not None])
    total = shares.sum(axis=1, keepdims=True)
    mean = (shares / total).mean(axis=0)
    best = valid_answers(kind)[int(mean.argmax())]
    leftover = float(np.clip(1.0 - total, 0.0, 1.0).mean())
    return Prediction(write_answer(str(best)), probabilities=tuple(mean.tolist()), leftover=leftover)


def image_part(frame: UInt8[np.ndarray, "h w 3"]) -> Part:
    """Return a frame as a part of a message."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_encoded(frame)}"}}


def _video_part(frames: UInt8[np.ndarray, "t h w 3"]) -> Part:
    """Return frames as one video: images set apart by commas are vLLM's form of a video without a codec.

    It names them JPEG and reads any; PNG loses nothing.
    """
    images = ",".join(_encoded(frame) for frame in frames)
    return {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{images}"}}


def _encoded(frame: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
