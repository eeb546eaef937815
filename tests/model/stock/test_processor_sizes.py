"""What servers read of a checkpoint: its preprocessing files name the sizes of its training."""

import json

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec, target_size
from rfm.model.load import load_model
from rfm.model.stock.preprocessing import read_spec
from rfm.model.stock.processor_sizes import image_size, video_size, with_sizes
from rfm.model.tiny import tiny_spec

QWEN2_5 = VisionSpec("qwen2_5_vl", 14, 2, 2, (0.5,) * 3, (0.5,) * 3, 28 * 28 * 768, 28 * 28 * 1280)


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", seed=1)


def saved(tiny, folder, form):
    tiny.model.save_pretrained(str(folder))
    tiny.save_processor(folder, form)
    return folder


@pytest.mark.parametrize(
    ("form", "stored", "shown"),
    [
        (InputFormat(64, 64), (224, 224), (64, 64)),
        (InputFormat(64, 64), (64, 64), (64, 64)),
        (InputFormat(32, 48), (32, 48), (32, 48)),
        (InputFormat(32, 32), (16, 16), (32, 32)),
        (InputFormat(), (32, 48), (32, 48)),  # small frames are not enlarged
        (InputFormat(), (16, 16), (16, 16)),
        (InputFormat(max_pixels=2304), (96, 96), (48, 48)),
        (InputFormat(min_pixels=2304), (16, 16), (48, 48)),
    ],
)
def test_the_stock_image_processor_makes_the_size_of_training(tiny, tmp_path, form, stored, shown):
    folder = saved(tiny, tmp_path, form)
    try:
        processor = AutoImageProcessor.from_pretrained(folder)
    except ImportError as error:  # transformers 5.17
        pytest.skip(f"the stock image processor needs torchvision here: {error}")
    made = processor(Image.fromarray(np.zeros((*stored, 3), np.uint8)))
    assert np.array(made["image_grid_thw"]).tolist() == [[1, shown[0] // 8, shown[1] // 8]]


@pytest.mark.parametrize("frames", [2, 3, 4, 7, 8])
@pytest.mark.parametrize(
    ("form", "size"),
    [
        (InputFormat(64, 64, max_frames=8), (64, 64)),
        (InputFormat(max_frames=8), (96, 80)),
        (InputFormat(64, 64), (64, 64)),
    ],
)
def test_the_stock_video_processor_leaves_frames_of_that_size_alone(frames, form, size):
    spec = tiny_spec()
    limits = video_size(form, spec)
    bounds = {"min_pixels": limits["shortest_edge"], "max_pixels": limits["longest_edge"]}
    got = smart_resize(frames, *size, temporal_factor=2, factor=spec.side, **bounds)
    assert tuple(got) == size == target_size(frames, *size, spec)


def test_the_stock_video_processor_reduces_full_clips_to_it():
    limits = video_size(InputFormat(64, 64, max_frames=8), tiny_spec())
    bounds = {"min_pixels": limits["shortest_edge"], "max_pixels": limits["longest_edge"]}
    assert smart_resize(8, 224, 224, temporal_factor=2, factor=16, **bounds) == (64, 64)


def test_budgets_are_those_of_frames_where_the_family_counts_frames():
    assert video_size(InputFormat(56, 56, max_frames=4), QWEN2_5) == {"shortest_edge": 3136, "longest_edge": 3136}
    assert video_size(InputFormat(max_pixels=50_176), QWEN2_5) == {"shortest_edge": 784, "longest_edge": 50_176}
    assert image_size(InputFormat(max_pixels=10**8), QWEN2_5)["longest_edge"] == 28 * 28 * 1280
    spec = tiny_spec()
    assert video_size(InputFormat(max_pixels=2304, max_frames=5), spec)["longest_edge"] == 6 * 2304
    assert video_size(InputFormat(min_pixels=2304, max_frames=5), spec)["shortest_edge"] == 2 * 2304
    assert video_size(InputFormat(max_pixels=2304), spec)["longest_edge"] == spec.max_video_pixels


def test_the_models_own_budgets_are_kept_for_who_trains_on(tiny, tmp_path):
    folder = saved(tiny, tmp_path, InputFormat(32, 32, max_frames=4))
    stored = json.loads((folder / "preprocessor_config.json").read_text())
    assert stored["size"] == {"shortest_edge": 1024, "longest_edge": 1024}
    again = load_model(folder)
    assert again.spec == tiny.spec == read_spec(str(folder), again.model.config)
    other = saved(again, tmp_path / "other", InputFormat(64, 64))
    assert load_model(other).spec == tiny.spec
    assert json.loads((other / "preprocessor_config.json").read_text())["size"]["longest_edge"] == 4096


def test_released_files_of_every_layout_get_the_size():
    released = {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "image_processor_type": "Qwen2VLImageProcessor",
    }
    both = {
        "image_processor": {"size": {"shortest_edge": 1, "longest_edge": 2}},
        "video_processor": {"do_rescale": True},
    }
    files = {
        "preprocessor_config.json": json.dumps(released),
        "processor_config.json": json.dumps(both),
        "chat_template.jinja": "x",
    }
    found = with_sizes(files, InputFormat(56, 56, max_frames=4), QWEN2_5)
    size = {"shortest_edge": 3136, "longest_edge": 3136}
    image, video = (json.loads(found[f"{name}preprocessor_config.json"]) for name in ("", "video_"))
    assert image == {"patch_size": 14, "image_processor_type": "Qwen2VLImageProcessor", "size": size}
    assert video == {"patch_size": 14, "video_processor_type": "Qwen2VLVideoProcessor", "size": size}
    assert json.loads(found["processor_config.json"]) == {
        "image_processor": {"size": size}, "video_processor": {"do_rescale": True, "size": size},
    }  # fmt: skip
    assert found["chat_template.jinja"] == "x"
    assert files["preprocessor_config.json"] == json.dumps(released), "what was given stays"
