"""Engines that are asked in chat messages: what OpenAI-compatible servers and vLLM have in common.

In: rows; their frames travel without loss, as images or as one video of them (`as_video`), which vLLM reads. Where it
is known how the model was trained, frames have the size that they had then and travel in that mode; else they are sent
as stored, for the server to resize. Out: `Prediction`s. How requests are answered is the subclass's; one that is
refused as invalid, or whose reply is no completion, makes its row unreadable, with what came as its reason.

`scored` gives the same probabilities as `--engine hf` where the server goes on with a begun answer, as vLLM does. Of
other servers it reads those of 1 and 2 where the completion comes to them; progress needs `greedy` or `sample` there.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
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
from rfm.inference.engines.answer_walk import AnswerWalk, begun_text, shares_of
from rfm.inference.engines.engine import Engine
from rfm.inference.engines.messages import (
    NEUTRAL,
    TOP,
    Completion,
    Part,
    Refusal,
    Request,
    begun,
    image_part,
    text_part,
    video_part,
)
from rfm.inference.engines.replies import first_tokens, read_distribution, scored_prediction
from rfm.inference.journal import Journal
from rfm.inference.prediction import Prediction
from rfm.inference.rows import row_digest, videos_swapped
from rfm.model.trained_format import TrainedFormat
from rfm.vqa.answers import valid_answers

METHODS = ("greedy", "sample", "scored")


class ChatEngine(Engine):
    """Turns rows into requests and completions into predictions; `cache` keeps replies for good, None keeps none."""

    cache: Journal | None = None

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
        self._of_answers = () if trained is None else trained.of_answers
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

    def anew(self, frames: FrameStore) -> Self:
        """Return the same engine for the clips of another store, which asks even what was answered before."""
        other = copy.copy(self)
        other._frames, other.cache = frames, None
        return other

    def own_differences(self) -> list[Difference]:
        """Return whether frames travel in another mode than training showed them in."""
        if self.trained is None or self.trained.use_multi_image != self.as_video:
            return []
        was, now = ("images", "video") if self.as_video else ("video", "images")
        text = f"was trained on clips as {was} and is sent {now}"
        return [Difference("frames_as", was, now, text, f"pass --frames_as {was}")]

    @property
    @abstractmethod
    def is_vllm(self) -> bool:
        """Whether vLLM answers, which goes on with begun answers and has settings of its own."""

    @abstractmethod
    def complete(self, requests: Sequence[Request], at_once: int) -> list[Completion | Refusal]:
        """Answer requests, in their order; `at_once` of them may be under way."""

    def answer(self, rows: Sequence[Row], max_new_tokens: int, *, blank_frames: bool = False) -> list[Prediction]:
        """Answer one batch of rows."""
        kind = str(rows[0].get("sample_type"))
        scored = self.decoding.method == "scored"
        walks = scored and self.is_vllm
        if scored and kind == "progress" and not walks:
            raise ConfigError(
                "`decoding` scored must go with preference or similarity rows here, since progress needs a server that "
                "goes on with begun answers, as vLLM does; ask progress with --decoding greedy or sample, or with "
                "--engine hf"
            )
        asked = [self._requests(row, max_new_tokens, blank_frames) for row in rows]
        readable = [requests for requests in asked if isinstance(requests, list)]
        said = iter(self._walked(kind, readable) if walks else self._completed(kind, readable))
        return [
            Prediction("", unreadable=str(requests)) if isinstance(requests, DataError) else next(said)
            for requests in asked
        ]

    def _completed(self, kind: str, asked: Sequence[list[Request]]) -> list[Prediction]:
        flat = [request for requests in asked for request in requests]
        replies = iter(self.complete(flat, len(asked)) if flat else [])
        return [self._prediction(kind, [next(replies) for _ in requests]) for requests in asked]

    def _walked(self, kind: str, asked: Sequence[list[Request]]) -> list[Prediction]:
        """Walk the answers' tree for each row and order of its videos, all of them a level at a time."""
        answers = valid_answers(kind, discrete=self.decoding.discrete)
        flat = [request for requests in asked for request in requests]
        walks, refused = [AnswerWalk(answers) for _ in flat], dict[int, Refusal]()
        while steps := [(at, text) for at, walk in enumerate(walks) if at not in refused for text in walk.pending()]:
            replies = self.complete(
                [begun(flat[at], begun_text(text), self._of_answers) for at, text in steps], len(asked)
            )
            for (at, text), reply in zip(steps, replies, strict=True):
                if isinstance(reply, Refusal):
                    refused[at] = reply
                else:
                    walks[at].take(text, shares_of(first_tokens(reply["logprobs"])))
        numbers, said = iter(range(len(flat))), []
        for requests in asked:
            mine = [next(numbers) for _ in requests]
            why = next((refused[at] for at in mine if at in refused), None)
            found = [walks[at].distribution() for at in mine]
            said.append(scored_prediction(kind, "", found) if why is None else _unanswered(why))
        return said

    def _requests(self, row: Row, max_new_tokens: int, blank_frames: bool) -> list[Request] | DataError:
        """Return the requests of a row: one, one a repeat, or one an order of the videos."""
        decoding = self.decoding
        shown = [row, videos_swapped(row)] if decoding.averages_orders(row["sample_type"]) else [row]
        try:
            contents = [self.content(one, blank_frames) for one in shown]
        except DataError as error:
            return error
        bodies = [self.request(content, max_new_tokens) for content in contents]
        if decoding.method == "scored":
            return [body | {"logprobs": True, "top_logprobs": TOP} for body in bodies]
        if decoding.method == "greedy":
            return bodies
        seeds = [int(row_digest(row, decoding.seed, repeat)[:7], 16) for repeat in range(decoding.num_repeats)]
        drawn = {"temperature": decoding.temperature, "top_p": 1.0}
        return [body | drawn | {"seed": seed} for body in bodies for seed in seeds]

    def request(self, content: Sequence[Part], max_new_tokens: int) -> Request:
        """Return the request for the most probable completion of a question."""
        messages = [{"role": "user", "content": list(content)}]
        own = NEUTRAL if self.is_vllm else {}
        return {"messages": messages, "max_tokens": max_new_tokens, "temperature": 0.0, **own}

    def _prediction(self, kind: str, replies: Sequence[Completion | Refusal]) -> Prediction:
        completions = [reply for reply in replies if not isinstance(reply, Refusal)]
        for reply in replies:
            if isinstance(reply, Refusal):
                return _unanswered(reply)
        texts = tuple(completion["text"] for completion in completions)
        if self.decoding.method == "scored":
            found = [read_distribution(one["logprobs"], valid_answers(kind)) for one in completions]
            return scored_prediction(kind, texts[0], found)
        return Prediction(texts[0]) if len(texts) == 1 else Prediction(summarise(kind, texts), samples=texts)

    def content(self, row: Row, blank_frames: bool) -> list[Part]:
        """Return the user's turn: the videos in order, each behind its name, then the prompt."""
        parts: list[Part] = []
        clips = clips_of(row)
        for name, clip in zip(VIDEO_NAMES[row["sample_type"]], clips, strict=True):
            parts += [text_part(name)] if name else []
            with within_memory(f"the clip of {clip.path}"):
                frames = self.clip(clip)
                shown = np.full_like(frames, BLANK) if blank_frames else frames
                parts += [video_part(shown)] if self.as_video else [image_part(frame) for frame in shown]
        return [*parts, text_part(row["prompt"])]

    def clip(self, reference: ClipReference) -> UInt8[np.ndarray, "t h w 3"]:
        """Return frames in the size of training, or as stored where that is not known."""
        if self._frames is None:
            return read_frames(self.datasets_root, reference.path, reference.indices)
        return self._frames.clip(reference)


def _unanswered(refusal: Refusal) -> Prediction:
    return Prediction("", unreadable=f"the server gave no answer: {refusal}")
