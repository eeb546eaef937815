"""One question as a chat: token ids built from parts, with the answer's length known by construction.

The user turn holds the videos in order and then the prompt; the assistant turn is exactly `ANS: <answer><|im_end|>`:

    progress    <video><prompt>
    preference  Video 1:<video>Video 2:<video><prompt>
    similarity  Reference video:<video>Video 1:<video>Video 2:<video><prompt>

A video of Qwen3-VL is `<t seconds><|vision_start|>pads<|vision_end|>` for each temporal patch, not nested in an outer
pair (transformers 4.57 to 5.0, which the released checkpoints were trained with); of Qwen2.5-VL it is one run of pads
in one pair. In multi-image mode each frame is an image in its own pair. Qwen2.5-VL opens with its default system
turn. The result equals the stock chat template followed by the stock tokenizer, except that text from the dataset can
never become a control token: `<|im_end|>` inside a prompt is spelled out in plain tokens.

Timestamps count shown frames at `FRAMES_PER_SECOND` from 0. Real frame numbers would print the label into the prompt.

Cost: one tokenizer call for each text that was not seen before; texts repeat, and so do the shapes of clips, so caches
answer most, and a row of 970 tokens takes 20 microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from rfm.batch.pictures.patches import Grid, VisionSpec
from rfm.batch.tokens.positions import Block, image_blocks, rope_positions, video_blocks
from rfm.errors import DataError

FORMAT_VERSION = 2
"""Of the conversation above; a checkpoint records it and is refused by code that writes another."""
OLDER_VERSIONS = (1,)
"""Version 1 had other positions behind videos of Qwen2.5-VL; all else was the same."""

FRAMES_PER_SECOND = 2.0
ANSWER_PREFIX = "ANS: "
CACHED_HEADS = 512
"""Conversations up to the prompt, of which there is one for each combination of frame counts and sizes: 32 KB each."""
SYSTEM_TURN = "You are a helpful assistant."

VIDEO_NAMES: dict[str, tuple[str, ...]] = {
    "progress": ("",),
    "preference": ("Video 1:", "Video 2:"),
    "similarity": ("Reference video:", "Video 1:", "Video 2:"),
}


class Video(NamedTuple):
    """One clip of a question as the conversation sees it: the text before it, its grids and its number of frames."""

    name: str
    frames: int
    """Shown frames, before the last one is repeated."""
    grids: tuple[Grid, ...]
    """One grid of a video, or one grid an image."""
    as_images: bool


class Encoded(NamedTuple):
    """Token ids of one conversation; the last `answer_tokens` of them carry loss (0 when it ends in the question)."""

    ids: Int64[np.ndarray, "length"]
    positions: Int64[np.ndarray, "3 length"]
    """Time, height and width, as `rfm.batch.tokens.positions` counts them."""
    answer_tokens: int


class ConversationEncoder:
    """Encodes questions for one tokenizer and model family."""

    def __init__(
        self,
        tokenizer: Any,
        spec: VisionSpec,
        cached_texts: int = 20_000,
        frames_per_second: float = FRAMES_PER_SECOND,
    ) -> None:
        self.spec, self.frames_per_second = spec, frames_per_second
        self._tokenizer = tokenizer
        self._cached_texts = cached_texts
        self.im_start, self.im_end = self._special("<|im_start|>"), self._special("<|im_end|>")
        self.vision_start, self.vision_end = self._special("<|vision_start|>"), self._special("<|vision_end|>")
        self.image_pad, self.video_pad = self._special("<|image_pad|>"), self._special("<|video_pad|>")
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.im_end
        self.text_ids = lru_cache(maxsize=cached_texts)(self._tokenize)
        self._head = lru_cache(maxsize=CACHED_HEADS)(self._encode_videos)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "tokenizer": self._tokenizer,
            "spec": self.spec,
            "cached_texts": self._cached_texts,
            "frames_per_second": self.frames_per_second,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a cache bound to the instance can't be pickled

    def _special(self, token: str) -> int:
        token_id = self._tokenizer.convert_tokens_to_ids(token)
        if not isinstance(token_id, int) or token_id == self._tokenizer.unk_token_id:
            raise DataError(f"The tokenizer must know {token!r}, but does not: it is not one of a Qwen-VL model")
        return token_id

    def _tokenize(self, text: str) -> tuple[int, ...]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return tuple(encoded["input_ids"])

    def encode(self, videos: Sequence[Video], prompt: str, answer: str | None) -> Encoded:
        """Encode one question; `answer=None` ends it where the model has to go on."""
        ids, positions, text = self._head(tuple(videos))
        tail = [*self.text_ids(text + prompt), self.im_end, *self.text_ids("\n"), self.im_start]
        tail += self.text_ids("assistant\n")
        answer_ids = [] if answer is None else self.answer_ids(answer)
        tail += answer_ids
        length, following = len(ids), int(positions[0, -1]) + 1  # a head ends in a control token
        whole = np.empty((4, length + len(tail)), dtype=np.int64)
        whole[0, :length], whole[0, length:] = ids, tail
        whole[1:, :length], whole[1:, length:] = positions, np.arange(following, following + len(tail))
        return Encoded(whole[0], whole[1:], len(answer_ids))

    def _encode_videos(
        self, videos: tuple[Video, ...]
    ) -> tuple[Int64[np.ndarray, "length"], Int64[np.ndarray, "3 length"], str]:
        """Return ids and positions of everything up to the last visual token's end, and the text pending behind it."""
        ids = [*self._system(), self.im_start]
        blocks: list[Block] = []
        text = "user\n"
        for video in videos:
            text = self._add_video(ids, blocks, text + video.name, video)
        array = np.array(ids, dtype=np.int64)
        visual = (array == self.image_pad) | (array == self.video_pad)
        return array, rope_positions(visual, blocks), text

    def answer_ids(self, answer: str) -> list[int]:
        """Return the ids of the assistant's turn: exactly these carry loss."""
        return [*self.text_ids(ANSWER_PREFIX + answer), self.im_end]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, control tokens included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def _system(self) -> list[int]:
        if self.spec.family == "qwen3_vl":
            return []
        return [self.im_start, *self.text_ids(f"system\n{SYSTEM_TURN}"), self.im_end, *self.text_ids("\n")]

    def _add_video(self, ids: list[int], blocks: list[Block], text: str, video: Video) -> str:
        """Append a clip after the pending text; return the text that is pending behind it.

        Text is tokenised in whole runs from one control token to the next, as the stock tokenizer does.
        """
        pad, grids = (self.image_pad, video.grids) if video.as_images else (self.video_pad, self._runs(video.grids[0]))
        timed = not video.as_images and self.spec.family == "qwen3_vl"
        for index, grid in enumerate(grids):
            stamp = f"<{self._seconds(index, video.frames):.1f} seconds>" if timed else ""
            ids += [*self.text_ids(text + stamp), self.vision_start, *[pad] * self.spec.tokens(grid), self.vision_end]
            text = ""
        blocks += (
            image_blocks(video.grids, self.spec)
            if video.as_images
            else video_blocks(video.grids[0], self.spec, self.spec.temporal_patch_size / self.frames_per_second)
        )
        return text

    def _runs(self, grid: Grid) -> tuple[Grid, ...]:
        return ((1, grid[1], grid[2]),) * grid[0] if self.spec.family == "qwen3_vl" else (grid,)

    def _seconds(self, patch: int, frames: int) -> float:
        """Return the mean time of a temporal patch's first and last frame; a repeated frame keeps its time."""
        first = patch * self.spec.temporal_patch_size
        last = min(first + self.spec.temporal_patch_size, frames) - 1
        return (first / self.frames_per_second + last / self.frames_per_second) / 2
