import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor, smart_resize

from rfm.batch.pictures.patches import VisionSpec, check_size, normalise, patchify, patchify_images, target_size
from rfm.errors import ConfigError, DataError

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def spec(family="qwen3_vl", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), video=10**7, image=10**6):
    return VisionSpec(family, 8, 2, 2, mean, std, video, image)


def frames(count, height=32, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
@pytest.mark.parametrize("std", [((0.5,) * 3, (0.5,) * 3), (CLIP_MEAN, CLIP_STD)])
def test_patches_equal_the_stock_video_processor(count, std):
    clip, made_for = frames(count), spec(mean=std[0], std=std[1])
    patches, grid = patchify(clip, made_for)
    mean, deviation = (torch.tensor(values).mul(255.0).view(3, 1, 1) for values in std)
    pixels = (torch.from_numpy(clip).permute(0, 3, 1, 2).float() - mean) / deviation
    expected, *stock_grid = Qwen3VLVideoProcessor.patchify(None, pixels[None], 8, 2, 2)
    assert tuple(stock_grid) == grid
    assert torch.equal(normalise(torch.from_numpy(patches), made_for), expected[0])


def test_one_frame_is_repeated():
    clip = frames(1)
    once, grid = patchify(clip, spec())
    twice, _ = patchify(np.repeat(clip, 2, axis=0), spec())
    assert grid == (1, 4, 6)
    assert np.array_equal(once, twice)


def test_images_equal_the_stock_image_processor():
    clip = frames(3)
    made_for = spec(mean=CLIP_MEAN, std=CLIP_STD)
    stock = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD)
    )
    expected = stock(list(clip), do_resize=False, return_tensors="pt")
    patches, grids = patchify_images(clip, made_for)
    assert [list(grid) for grid in grids] == expected["image_grid_thw"].tolist()
    torch.testing.assert_close(
        normalise(torch.from_numpy(patches), made_for), expected["pixel_values"], rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (240, 320), (720, 1280), (8, 100)])
@pytest.mark.parametrize("count", [2, 4, 16, 17])
def test_sizes_shrink_as_the_stock_does(size, count):
    made_for = spec(video=count * 100 * 100)
    expected = smart_resize(count, *size, temporal_factor=2, factor=16, min_pixels=1, max_pixels=count * 100 * 100)
    got = target_size(count, *size, made_for)
    if min(size) >= 16:  # of smaller ones the stock enlarges the other side too
        assert got == expected
    assert got[0] % 16 == 0
    assert got[1] % 16 == 0


def test_small_frames_are_enlarged_where_it_is_asked_for_alone():
    assert target_size(4, 32, 32, spec()) == (32, 32)
    assert target_size(4, 32, 32, spec(), min_pixels=64 * 64) == (64, 64)
    assert target_size(4, 32, 32, spec(video=4 * 48 * 48), min_pixels=64 * 64) == (48, 48)  # the model's budget holds


def test_frames_of_one_budget_have_one_size_whatever_their_number():
    for family in ("qwen3_vl", "qwen2_5_vl"):
        sizes = {target_size(count, 240, 320, spec(family), max_pixels=64 * 64) for count in range(2, 40)}
        assert sizes == {(48, 64)}


def test_the_budget_of_qwen2_5_is_one_of_a_frame():
    budget = 100 * 100
    assert target_size(16, 96, 96, spec("qwen2_5_vl", video=budget)) == (96, 96)
    assert target_size(16, 96, 96, spec("qwen3_vl", video=budget))[0] < 96
    assert target_size(16, 96, 96, spec("qwen3_vl", video=1, image=budget), as_images=True) == (96, 96)


def test_sizes_that_are_no_multiples_are_refused():
    with pytest.raises(
        ConfigError, match=r"`data.resized_width` must be a positive multiple of 16 .* but is 40; .* is 48"
    ):
        check_size(32, 40, spec())
    with pytest.raises(DataError, match=r"`frames` must be .* multiples of 16, but is \(2, 30, 32, 3\)"):
        patchify(frames(2, 30, 32), spec())
