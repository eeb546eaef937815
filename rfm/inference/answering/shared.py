"""Exact answer probabilities of rows that begin alike, as prefixes of a video do: what is shared is computed once.

In: progress rows about clips of one store. Out: their `Distribution`, the same as each row's alone to the rounding of
float32 (tested to 1e-4).

Shared exactly: the vision tower, since each temporal patch (two frames; one in multi-image mode) goes through it once,
however many rows show it; and the language model up to where rows differ (`rfm.batch.shared_rows`). Not shared: the
last temporal patch of a prefix with an odd number of frames, which shows its frame twice, and the text of the question,
which stands behind the video. Clips that show other frames as they grow share the tower's part alone; which do is a
matter of how frames are chosen (`rfm.frames.spacing`).

Cost: a pass over the trunk, then, `batch_size` rows at a time, one over what is left of them and one over the answers.
Of a curve that nests, what is left is the text of each question and the 101 tokens of its answers: three times as fast
as separate answers for 32 points (`benchmarks/curves.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from rfm.batch.clips import Row, clips_of
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import image_grid, patchify, patchify_images, video_grid
from rfm.batch.shared_rows import Part, SharedRows, shared_rows
from rfm.batch.tokens.conversation import VIDEO_NAMES, ConversationEncoder, Encoded, Video
from rfm.inference.answering.answer_tree import AnswerTree
from rfm.inference.answering.distribution import Distribution
from rfm.inference.answering.scored import branch_log_probabilities, evaluating, masked_attention
from rfm.model.kernels.encoded_pictures import EncodedPictures
from rfm.model.stock.kv_cache import cache_in, with_cache

ON_CPU, OF_CACHE = 4, 2**21
"""Rows that go through the language model together on a CPU, or as many as have so many bytes of activations: beyond
the caches, 16 rows of an eighth of Qwen3-VL-4B are a third slower; of `tiny` they are faster."""


class _Picture(NamedTuple):
    """What a temporal patch shows, and in which size."""

    path: str
    frames: tuple[int, ...]
    size: tuple[int, int]


def shared_distribution(
    model: Any,
    encoder: ConversationEncoder,
    frames: FrameStore,
    rows: Sequence[Row],
    tree: AnswerTree,
    batch_size: int,
) -> Distribution:
    """Return the probabilities of the tree's answers for progress rows; DataError where frames can't be read."""
    asked = _Asked(encoder, frames, rows, tree)
    with evaluating(model):
        logs = _log_probabilities(model, asked, tree, batch_size)
    return Distribution.from_logs(np.array(tree.answers, np.float64), logs.cpu().numpy().astype(np.float64))


class _Asked:
    """Rows as conversations of numbered pictures."""

    def __init__(self, encoder: ConversationEncoder, frames: FrameStore, rows: Sequence[Row], tree: AnswerTree):
        self._encoder, self._frames, self._images = encoder, frames, frames.form.use_multi_image
        numbers: dict[_Picture, int] = {}
        encoded, shown, tokens = [], [], []
        for row in rows:
            conversation, pictures, each = self._row(row, tree)
            encoded.append(conversation)
            shown.append([numbers.setdefault(picture, len(numbers)) for picture in pictures])
            tokens.append(each)
        self.pictures = list(numbers)
        self.rows = shared_rows(encoded, shown, (encoder.image_pad, encoder.video_pad), tokens)

    def _row(self, row: Row, tree: AnswerTree) -> tuple[Encoded, list[_Picture], int]:
        """Return the conversation with the answer's prefix behind it, what it shows, and the tokens of a picture."""
        [clip] = clips_of(row)
        spec, count = self._encoder.spec, len(clip.indices)
        size = self._frames.size(count, *self._frames.stored_size(clip.path))
        grid = (image_grid if self._images else video_grid)(count, *size, spec)
        grids = ((1, *grid[1:]),) * count if self._images else (grid,)
        [name] = VIDEO_NAMES["progress"]
        said = self._encoder.encode([Video(name, count, grids, self._images)], row["prompt"], None)
        step = 1 if self._images else spec.temporal_patch_size
        padded = [*clip.indices, *[clip.indices[-1]] * (-count % step)]
        pictures = [_Picture(clip.path, tuple(padded[at : at + step]), size) for at in range(0, len(padded), step)]
        return _with_prefix(said, tree), pictures, spec.tokens((1, *grid[1:]))

    def encoded(self, model: Any) -> EncodedPictures:
        """Send each picture through the tower."""
        spec = self._encoder.spec
        patches = [torch.from_numpy(self._patches(picture)) for picture in self.pictures]
        sizes = [(height // spec.patch_size, width // spec.patch_size) for _, _, (height, width) in self.pictures]
        return EncodedPictures(model, patches, sizes)

    def _patches(self, picture: _Picture) -> np.ndarray:
        clip = self._frames.in_size(picture.path, picture.frames, picture.size)
        return (patchify_images if self._images else patchify)(clip, self._encoder.spec)[0]

    def inputs(self, parts: Sequence[Part], device: torch.device) -> dict[str, Any]:
        """Return padded tokens of parts; their pictures are named by numbers."""
        length = max(len(part.ids) for part in parts)
        ids = np.full((len(parts), length), self._encoder.pad, np.int64)
        positions = np.zeros((3, len(parts), length), np.int64)
        for at, part in enumerate(parts):
            ids[at, length - len(part.ids) :], positions[:, at, length - len(part.ids) :] = part.ids, part.positions
        inputs = {"input_ids": torch.from_numpy(ids), "position_ids": torch.from_numpy(positions)}
        numbers = [number for part in parts for number in part.pictures]
        if numbers:
            images = self._images
            inputs["pixel_values" if images else "pixel_values_videos"] = torch.tensor(numbers)
            inputs["image_grid_thw" if images else "video_grid_thw"] = torch.ones((len(numbers), 3), dtype=torch.int64)
        return {name: value.to(device) for name, value in inputs.items()}


def _with_prefix(said: Encoded, tree: AnswerTree) -> Encoded:
    prefix = np.array(tree.prefix, np.int64)
    positions = said.positions[:, -1:] + np.arange(1, len(prefix) + 1)
    return Encoded(np.concatenate([said.ids, prefix]), np.concatenate([said.positions, positions], axis=1), 0)


def _log_probabilities(
    model: Any, asked: _Asked, tree: AnswerTree, batch_size: int
) -> Float[torch.Tensor, "b answers"]:
    device = next(model.parameters()).device
    rows = asked.rows
    encoded = asked.encoded(model)
    found: list[torch.Tensor | None] = [None] * len(rows.rests)
    with encoded.in_place_of_pixels(), masked_attention(model):
        trunk = _trunk(model, asked, device)
        # side by side are rows alike in length, and of those neighbours, which see the same of the trunk
        order = sorted(range(len(rows.rests)), key=lambda row: -len(rows.rests[row].ids))
        together = min(batch_size, _most_on_cpu(model, tree)) if device.type == "cpu" else batch_size
        for start in range(0, len(order), together):
            chosen = order[start : start + together]
            for row, logs in zip(chosen, _rest(model, asked, chosen, trunk, tree, device), strict=True):
                found[row] = logs
    return torch.stack([logs for logs in found if logs is not None])


def _most_on_cpu(model: Any, tree: AnswerTree) -> int:
    widest: int = model.get_decoder().config.intermediate_size * model.dtype.itemsize
    return max(ON_CPU, OF_CACHE // (widest * max(tree.nodes, 1)))


def _trunk(model: Any, asked: _Asked, device: torch.device) -> Any:
    """Return the cache of what rows share; None where they share nothing."""
    rows = asked.rows
    if not len(rows.trunk.ids):
        return None
    inputs = asked.inputs([rows.trunk], device)
    if rows.branches:
        inputs["attention_mask"] = _as_scores(torch.from_numpy(rows.sees)[None, None].to(device), model.dtype)
    else:
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return cache_in(model(**inputs, logits_to_keep=1, use_cache=True))


def _rest(
    model: Any, asked: _Asked, chosen: Sequence[int], trunk: Any, tree: AnswerTree, device: torch.device
) -> Float[torch.Tensor, "k answers"]:
    """Return the log-probabilities of some rows, from the trunk's cache on."""
    rows: SharedRows = asked.rows
    parts = [rows.rests[row] for row in chosen]
    inputs = asked.inputs(parts, device)
    length = inputs["input_ids"].shape[1]
    own = np.array([np.arange(length) >= length - len(part.ids) for part in parts])
    of_trunk = rows.seen[list(chosen)]
    needed = np.flatnonzero(of_trunk.any(axis=0))
    both = np.concatenate([of_trunk[:, needed], own], axis=1)
    seen = torch.from_numpy(both.astype(np.int64)).to(device)
    cached = {}
    if len(needed):
        cached = with_cache(model, _repeated(trunk, torch.from_numpy(needed).to(device), len(chosen)))
    out = model(**inputs, **cached, attention_mask=seen, logits_to_keep=1, use_cache=True)
    last = inputs["position_ids"][:, :, -1:]
    return branch_log_probabilities(model, out.logits, cache_in(out), seen, last, tree)


def _repeated(trunk: Any, needed: Int64[torch.Tensor, " m"], rows: int) -> Any:
    """Return a cache of some of the trunk's tokens for so many rows."""
    cache = copy.copy(trunk)
    cache.layers = [copy.copy(layer) for layer in trunk.layers]
    for layer in cache.layers:
        layer.keys = layer.keys[:, :, needed].expand(rows, -1, -1, -1)
        layer.values = layer.values[:, :, needed].expand(rows, -1, -1, -1)
    return cache


def _as_scores(sees: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return 0 where a token is seen, and the least number elsewhere."""
    return torch.zeros_like(sees, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)
