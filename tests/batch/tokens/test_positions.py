import numpy as np
import pytest
import torch
from tiny_qwen2_5 import SPEC as QWEN2_5
from tiny_qwen2_5 import build_tiny_qwen2_5
from walked_positions import walked_positions

from rfm.batch.tokens.conversation import FRAMES_PER_SECOND, ConversationEncoder, Video
from rfm.batch.tokens.positions import Block, rope_positions
from rfm.model.tiny import build_tiny, tiny_spec


@pytest.fixture(scope="module")
def qwen3():
    return build_tiny(0)


@pytest.fixture(scope="module")
def qwen2_5(qwen3):
    return build_tiny_qwen2_5(qwen3[1])


def stock_positions(model, encoder, ids, grids, as_images):
    kinds = torch.from_numpy(np.where(ids == encoder.image_pad, 1, np.where(ids == encoder.video_pad, 2, 0)))[None]
    name = "image_grid_thw" if as_images else "video_grid_thw"
    seconds = torch.full((len(grids),), encoder.spec.temporal_patch_size / FRAMES_PER_SECOND)
    positions, _ = model.model.get_rope_index(
        torch.from_numpy(ids)[None], kinds, **{name: torch.tensor(grids)}, second_per_grid_ts=seconds
    )
    return positions[:, 0].numpy()


def encoded_clips(tokenizer, spec, shapes, as_images):
    """A question about clips of (temporal patches, rows, columns), and the grids in the order of its text."""
    encoder = ConversationEncoder(tokenizer, spec)
    videos = []
    for index, (time, height, width) in enumerate(shapes):
        grids = ((1, height, width),) * time if as_images else ((time, height, width),)
        videos.append(Video(f"Video {index}:", 2 * time, grids, as_images))
    grids = [grid for video in videos for grid in video.grids]
    return encoder, encoder.encode(videos, "which one?", "1"), grids


SHAPES = [[(1, 4, 4)], [(2, 4, 8), (2, 8, 4)], [(3, 2, 2), (1, 6, 4), (5, 4, 4)], [(8, 16, 16), (16, 4, 4)]]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(
    ("family", "as_images"), [("qwen3_vl", False), ("qwen3_vl", True), ("qwen2_5_vl", True), ("qwen2_5_vl", False)]
)
def test_positions_are_those_that_released_weights_were_trained_with(qwen3, family, shapes, as_images):
    spec = tiny_spec() if family == "qwen3_vl" else QWEN2_5
    encoder, encoded, grids = encoded_clips(qwen3[1], spec, shapes, as_images)
    if family == "qwen3_vl" and not as_images:  # a block for each temporal patch, its time written before it
        grids = [(1, *grid[1:]) for grid in grids for _ in range(grid[0])]
    step = spec.tokens_per_second * spec.temporal_patch_size / FRAMES_PER_SECOND
    pads = (encoder.image_pad, encoder.video_pad)
    expected = walked_positions(encoded.ids.tolist(), pads, grids, spec.merge_size, step)
    assert np.array_equal(encoded.positions, expected)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(("family", "as_images"), [("qwen3_vl", False), ("qwen3_vl", True), ("qwen2_5_vl", True)])
def test_positions_equal_get_rope_index_but_for_videos_of_qwen2_5(qwen3, qwen2_5, family, shapes, as_images):
    model, spec = (qwen3[0], tiny_spec()) if family == "qwen3_vl" else (qwen2_5, QWEN2_5)
    encoder, encoded, grids = encoded_clips(qwen3[1], spec, shapes, as_images)
    assert np.array_equal(encoded.positions, stock_positions(model, encoder, encoded.ids, grids, as_images))


def test_the_text_behind_a_video_of_qwen2_5_stands_behind_its_last_time_step(qwen3, qwen2_5):
    """16 frames of 224 x 224 in the released geometry: +15, where the stock function of today says +8."""
    encoder, encoded, grids = encoded_clips(qwen3[1], QWEN2_5, [(8, 16, 16)], False)
    visual = np.flatnonzero(encoded.ids == encoder.video_pad)
    start, end = visual[0], visual[-1] + 1
    first = encoded.positions[0, start]
    assert encoded.positions[:, end].tolist() == [first + 15] * 3
    assert encoded.positions[0, end - 1] == first + 14
    stock = stock_positions(qwen2_5, encoder, encoded.ids, grids, False)
    assert np.array_equal(stock[:, :end], encoded.positions[:, :end])
    assert stock[:, end].tolist() == [first + 8] * 3


def test_text_alone_counts_on():
    assert np.array_equal(rope_positions(np.zeros(5, dtype=bool), []), np.tile(np.arange(5), (3, 1)))


def test_blocks_must_cover_the_visual_tokens():
    with pytest.raises(ValueError, match="`blocks` must cover the 3 visual tokens, but cover 4"):
        rope_positions(np.array([False, True, True, True]), [Block(1, 2, 2)])
