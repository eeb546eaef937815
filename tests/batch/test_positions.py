import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from rfm.batch.conversation import FRAMES_PER_SECOND, ConversationEncoder, Video
from rfm.batch.patches import VisionSpec
from rfm.batch.positions import Block, rope_positions
from rfm.model.tiny import build_tiny, tiny_spec

QWEN2_5 = VisionSpec("qwen2_5_vl", 8, 2, 2, (0.5,) * 3, (0.5,) * 3, 10**6, 10**6, tokens_per_second=2.0)


@pytest.fixture(scope="module")
def qwen3():
    return build_tiny(0)


@pytest.fixture(scope="module")
def qwen2_5(qwen3):
    ids = qwen3[1].convert_tokens_to_ids
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": len(qwen3[1]),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}}  # fmt: skip
    vision = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 32,
              "patch_size": 8, "tokens_per_second": 2, "fullatt_block_indexes": [0], "window_size": 32}  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>")
    )
    return Qwen2_5_VLForConditionalGeneration(config)


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
    pad = encoder.image_pad if as_images else encoder.video_pad
    grids = [grid for video in videos for grid in video.grids]
    expected = stock_positions(model, encoder, encoded.ids, grids, as_images)
    assert np.array_equal(rope_positions(encoded.ids == pad, encoded.blocks), expected)


def test_text_alone_counts_on():
    assert np.array_equal(rope_positions(np.zeros(5, dtype=bool), []), np.tile(np.arange(5), (3, 1)))


def test_blocks_must_cover_the_visual_tokens():
    with pytest.raises(ValueError, match="`blocks` must cover the 3 visual tokens, but cover 4"):
        rope_positions(np.array([False, True, True, True]), [Block(1, 2, 2)])
