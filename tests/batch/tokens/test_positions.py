import numpy as np
import pytest
import torch
from tiny_qwen2_5 import SPEC as QWEN2_5
from tiny_qwen2_5 import build_tiny_qwen2_5

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


@pytest.mark.parametrize("as_images", [False, True])
@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("shapes", [[(1, 4, 4)], [(2, 4, 8), (2, 8, 4)], [(3, 2, 2), (1, 6, 4), (5, 4, 4)]])
def test_positions_equal_get_rope_index(qwen3, qwen2_5, family, shapes, as_images):
    model, spec = (qwen3[0], tiny_spec()) if family == "qwen3_vl" else (qwen2_5, QWEN2_5)
    encoder = ConversationEncoder(qwen3[1], spec)
    videos = []
    for index, (time, height, width) in enumerate(shapes):
        grids = ((1, height, width),) * time if as_images else ((time, height, width),)
        videos.append(Video(f"Video {index}:", 2 * time, grids, as_images))
    encoded = encoder.encode(videos, "which one?", "1")
    grids = [grid for video in videos for grid in video.grids]
    expected = stock_positions(model, encoder, encoded.ids, grids, as_images)
    assert np.array_equal(encoded.positions, expected)


def test_text_alone_counts_on():
    assert np.array_equal(rope_positions(np.zeros(5, dtype=bool), []), np.tile(np.arange(5), (3, 1)))


def test_blocks_must_cover_the_visual_tokens():
    with pytest.raises(ValueError, match="`blocks` must cover the 3 visual tokens, but cover 4"):
        rope_positions(np.array([False, True, True, True]), [Block(1, 2, 2)])
