"""Batches against what the stock processors answered; `make_stock_values.py` asked them, see there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from qwen_stock import qwen_tokenizer
from stock_cases import BUDGETS, CASES, COUNTS, FPS, LARGEST, PROMPT, SIZES, SPECS
from vqa_fakes import row
from walked_positions import walked_positions

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import normalise, target_size
from rfm.batch.tokens.conversation import FRAMES_PER_SECOND, ConversationEncoder
from rfm.batch.tokens.positions import video_blocks
from rfm.frames.npz.file import write_npz

STOCK = Path(__file__).parent / "stock"


def stock(name: str) -> dict[str, np.ndarray]:
    with np.load(STOCK / f"{name}.npz") as values:
        return dict(values)


def ours(case, folder: Path):
    """The batch that a dataset row of the same question gives."""
    clips = {}
    for name, frames in zip(("first", "second"), case.frames(), strict=False):
        write_npz(folder / f"{name}.npz", frames)
        clips[name] = (f"{name}.npz", list(range(len(frames))))
    if len(case.clips) == 1:
        clips = {"clip": clips["first"]}
    spec = SPECS[case.family]
    form = InputFormat(
        resize_filter="bicubic", use_multi_image=case.images, min_pixels=case.min_pixels, max_pixels=case.max_pixels
    )
    encoder = ConversationEncoder(qwen_tokenizer(), spec)
    collator = VQACollator(encoder, FrameStore(folder, spec, form), with_answers=False)
    return encoder, collator([row("progress" if "clip" in clips else "preference", "1", PROMPT, **clips)])


def positions(case, encoder, expected) -> np.ndarray:
    """The stock processor's, but behind videos of Qwen2.5-VL, where it no longer counts as released weights know it."""
    if case.images or case.family == "qwen3_vl":
        return expected["position_ids"]
    pads, grids = (encoder.image_pad, encoder.video_pad), expected["grids"].tolist()
    step = encoder.spec.tokens_per_second * float(expected["second_per_grid"][0])
    return walked_positions(expected["input_ids"].tolist(), pads, grids, encoder.spec.merge_size, step)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batches_equal_those_of_the_stock_processor(tmp_path, case):
    expected, (encoder, batch) = stock(case.name), ours(case, tmp_path)
    assert batch["input_ids"][0].tolist() == expected["input_ids"].tolist()
    assert np.array_equal(batch["position_ids"][:, 0], positions(case, encoder, expected))
    assert batch["image_grid_thw" if case.images else "video_grid_thw"].tolist() == expected["grids"].tolist()
    patches = batch["pixel_values" if case.images else "pixel_values_videos"]
    pixels, stock_pixels = normalise(patches, encoder.spec), torch.from_numpy(expected["pixels"])
    if not case.resized:
        assert torch.equal(pixels, stock_pixels)
        return
    # Pillow's bicubic filter and torchvision's round differently: by at most two of 255 levels, seldom by any
    levels = (pixels - stock_pixels).view(len(pixels), 3, -1) * torch.tensor(encoder.spec.std).view(1, 3, 1) * 255
    assert levels.abs().max() < 2.01
    assert (levels.abs() > 0.5).float().mean() < 0.03


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_released_template_differs_by_the_outer_pair_alone(case):
    """Qwen3-VL's nests the tags of a video from transformers 5.10 on; every other conversation is the same."""
    values, tokenizer = stock(case.name), qwen_tokenizer()
    released, cured = (tokenizer.decode(values[name]) for name in ("released_ids", "input_ids"))
    if case.family == "qwen3_vl" and not case.images:
        assert released.count("<|vision_start|><0.2 seconds>") == len(case.clips)
        assert released.count("<|vision_end|><|vision_end|>") == len(case.clips)
        released = released.replace("<|vision_start|><0.2", "<0.2").replace(2 * "<|vision_end|>", "<|vision_end|>")
    assert released == cured


@pytest.mark.parametrize("family", SPECS)
def test_target_sizes_equal_the_stock_ones(family):
    expected, spec = stock("target_sizes")[family], SPECS[family]
    for place in np.ndindex(*expected.shape[:3]):
        (height, width), count, (least, most) = SIZES[place[0]], COUNTS[place[1]], BUDGETS[place[2]]
        got = target_size(count, height, width, spec, min_pixels=least, max_pixels=most)
        if min(height, width) >= spec.side:  # where not, the stock enlarges the other side too
            assert got == tuple(expected[place]), (SIZES[place[0]], count, BUDGETS[place[2]])
        assert np.prod(got) * (count if family == "qwen3_vl" else 1) <= LARGEST * 1.1


def test_seconds_a_grid_are_those_that_positions_step_by():
    asked = [case for case in CASES if case.family == "qwen2_5_vl" and not case.images]
    spec = SPECS["qwen2_5_vl"]
    for case in asked:
        values = stock(case.name)
        assert values["second_per_grid"].tolist() == [spec.temporal_patch_size / FRAMES_PER_SECOND] * len(case.clips)
        (block,) = video_blocks((2, 4, 4), spec, float(values["second_per_grid"][0]))
        assert block.time_step == spec.tokens_per_second * spec.temporal_patch_size / FRAMES_PER_SECOND
    assert FPS == FRAMES_PER_SECOND
    assert len(asked) > 4


def test_the_cases_cover_what_they_should():
    for family in SPECS:
        of_family = [case for case in CASES if case.family == family]
        assert {len(case.clips) for case in of_family} == {1, 2}
        assert {case.images for case in of_family} == {False, True}
        assert {clip[0] % 2 for case in of_family for clip in case.clips} == {0, 1}
        assert {case.resized for case in of_family} == {False, True}
    assert {file.stem for file in STOCK.glob("*.npz")} == {case.name for case in CASES} | {"target_sizes"}
