import json

import pytest

from rfm.batch.input_format import InputFormat
from rfm.errors import DataError
from rfm.vqa.presentation import Presentation


def test_it_comes_back_from_disk(tmp_path):
    asked = {"max_frames": 4, "frame_choice": "evenly_spaced", "prompt_version": 1, "discrete_progress": False}
    for form in (
        InputFormat(224, 256, "bicubic", use_multi_image=True),
        InputFormat(min_pixels=10, max_pixels=50_176),
        InputFormat(32, 32, **asked),
    ):
        form.save(tmp_path)
        assert InputFormat.load(tmp_path) == form


def test_a_stock_model_has_none(tmp_path):
    assert InputFormat.load(tmp_path) is None


def test_another_conversation_format_is_refused(tmp_path):
    InputFormat().save(tmp_path)
    path = tmp_path / "rfm_config.json"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(DataError, match="`format_version` of the checkpoint must be 2, but is 99"):
        InputFormat.load(tmp_path)


def test_one_side_alone_is_refused():
    with pytest.raises(DataError, match="must both be given or both be null, but are 32 and None"):
        InputFormat(resized_height=32)


def test_a_size_and_a_budget_exclude_each_other():
    with pytest.raises(
        DataError, match=r"`data.max_pixels` must be null with `data.resized_height`, but are None and 9"
    ):
        InputFormat(32, 32, max_pixels=9)


def written(folder, **values):
    (folder / "rfm_config.json").write_text(json.dumps(values))
    return folder


def test_a_file_of_an_older_version_leaves_open_what_it_does_not_say(tmp_path):
    """As version 1 wrote it."""
    old = {"resized_height": 32, "resized_width": 32, "resize_filter": "box", "use_multi_image": False,
           "min_pixels": None, "max_pixels": None, "format_version": 1}  # fmt: skip
    form = InputFormat.load(written(tmp_path, **old))
    assert (form.resized_height, form.format_version) == (32, 1)
    assert [form.max_frames, form.frame_choice, form.prompt_version, form.discrete_progress] == [None] * 4


def test_version_1_is_another_conversation_for_videos_of_qwen2_5_alone():
    old = InputFormat(format_version=1)
    old.check_family("qwen3_vl")
    InputFormat(format_version=1, use_multi_image=True).check_family("qwen2_5_vl")
    InputFormat().check_family("qwen2_5_vl")
    with pytest.raises(
        DataError, match="must be 2, but is 1: it was trained with other positions behind videos of Qwen"
    ):
        old.check_family("qwen2_5_vl")
    assert old.put_as(Presentation(max_frames=4)) == InputFormat(max_frames=4)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"max_frames": "4"}, "`max_frames` must be null or a whole number from 1 to 4096, but is '4'"),
        ({"max_frames": 0}, "`max_frames` must be null or a whole number from 1 to 4096, but is 0"),
        ({"max_frames": 4097}, "`max_frames` must be null or a whole number from 1 to 4096, but is 4097"),
        ({"max_frames": True}, "`max_frames` must be null or a whole number from 1 to 4096, but is True"),
        (
            {"resized_height": 32.0, "resized_width": 32},
            "`resized_height` must be null or a whole number from 1 to 16384",
        ),
        (
            {"resized_height": 10**9, "resized_width": 32},
            "`resized_height` must be null or a whole number from 1 to 16384",
        ),
        ({"max_pixels": [9]}, r"`max_pixels` must be null or a whole number from 1 to 268435456, but is \[9\]"),
        ({"use_multi_image": "no"}, "`use_multi_image` must be true or false, but is 'no'"),
        ({"use_multi_image": None}, "`use_multi_image` must be true or false, but is None"),
        ({"discrete_progress": 1}, "`discrete_progress` must be true or false, or null, but is 1"),
        ({"frame_choice": 3}, "`frame_choice` must be a text or null, but is 3"),
        (
            {"resize_filter": "nearest"},
            "`resize_filter` must be one of box, bilinear, bicubic, lanczos, but is 'nearest'",
        ),
        ({"format_version": [1]}, r"`format_version` of the checkpoint must be 2, but is \[1\]"),
        ({"more": 1}, "must hold only .* but also holds"),
    ],
)
def test_what_a_stranger_wrote_is_one_message_with_its_file(tmp_path, values, fault):
    with pytest.raises(DataError, match=rf"rfm_config.json.*{fault}"):
        InputFormat.load(written(tmp_path, **values))
