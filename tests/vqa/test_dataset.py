import json

import pytest
from vqa_fakes import fake_dataset

from rfm.errors import DataError
from rfm.vqa.dataset import load_dataset


@pytest.fixture
def dataset(tmp_path):
    return fake_dataset(tmp_path, 6)


def test_rows_and_record_come_together(dataset, tmp_path):
    rows, config = load_dataset(dataset)
    assert len(rows) == 6
    assert config == {"datasets_root": str(tmp_path / "root")}
    (dataset / "generation_config.json").unlink()
    assert load_dataset(dataset)[1] == {}


def test_a_record_that_is_no_json(dataset):
    (dataset / "generation_config.json").write_text('{"seed": ')
    with pytest.raises(DataError, match=r"generation_config.json must be JSON, but is not .*; generate the dataset ag"):
        load_dataset(dataset)


def test_rows_that_were_cut_off(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:200])
    with pytest.raises(DataError, match=r"`dataset_path` .*vqa_0 can't be loaded: .*; generate it again"):
        load_dataset(dataset)


def test_rows_that_are_gone(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.unlink()
    with pytest.raises(DataError, match=r"`dataset_path` .*vqa_0 can't be loaded"):
        load_dataset(dataset)


def test_a_state_that_is_no_json(dataset):
    (dataset / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"`dataset_path` .*vqa_0 can't be loaded"):
        load_dataset(dataset)


def test_an_unfinished_dataset_is_no_dataset(dataset):
    (dataset / "state.json").unlink()
    with pytest.raises(DataError, match=r"must be a dataset saved to disk, but .*vqa_0 lacks state.json"):
        load_dataset(dataset)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1], "must hold an object, but holds a list"),
        ({"config": 5}, "`config` of .* must be an object, but is 5"),
        ({"config": {"data": "x"}}, '`config.data` of .* must be an object, but is "x"'),
        ({"counts": 4}, "`counts` of .* must be an object, but is 4"),
        ({"datasets_root": 5}, "`datasets_root` of .* must be a text, but is 5; generate the dataset again"),
    ],
)
def test_a_record_of_another_form(dataset, record, message):
    (dataset / "generation_config.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=message):
        load_dataset(dataset)
