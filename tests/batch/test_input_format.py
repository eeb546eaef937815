import pytest

from rfm.batch.input_format import InputFormat
from rfm.errors import DataError


def test_it_comes_back_from_disk(tmp_path):
    for form in (InputFormat(224, 256, "bicubic", use_multi_image=True), InputFormat(min_pixels=10, max_pixels=50_176)):
        form.save(tmp_path)
        assert InputFormat.load(tmp_path) == form


def test_a_stock_model_has_none(tmp_path):
    assert InputFormat.load(tmp_path) is None


def test_another_conversation_format_is_refused(tmp_path):
    InputFormat().save(tmp_path)
    path = tmp_path / "rfm_config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(DataError, match="`format_version` of the checkpoint must be 1, but is 99"):
        InputFormat.load(tmp_path)


def test_one_side_alone_is_refused():
    with pytest.raises(DataError, match="must both be given or both be null, but are 32 and None"):
        InputFormat(resized_height=32)


def test_a_size_and_a_budget_exclude_each_other():
    with pytest.raises(
        DataError, match=r"`data.max_pixels` must be null with `data.resized_height`, but are None and 9"
    ):
        InputFormat(32, 32, max_pixels=9)
