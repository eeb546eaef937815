import json

import pytest
from datasets import Dataset, DatasetDict
from vqa_fakes import FEATURES, fake_dataset, row, write_dataset

from rfm.errors import DataError
from rfm.training.dataset import open_training_set
from rfm.trajectories.catalog import ROOT_VARIABLE


def test_rows_keep_what_inputs_are_made_of(tmp_path):
    rows = open_training_set(fake_dataset(tmp_path, 6)).rows
    assert len(rows) == 6
    assert "task" not in rows.column_names
    assert {"prompt", "answer", "first_npz_path", "frame_indices"} <= set(rows.column_names)


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(DataError, match=r"`dataset_path` must be a folder made by `rfm generate`, but .*none is none"):
        open_training_set(tmp_path / "none")
    with pytest.raises(
        DataError, match=r"must be a dataset saved to disk, but .* lacks dataset_info.json and state.json"
    ):
        open_training_set(tmp_path)


def test_datasets_that_are_not_questions(tmp_path):
    Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "texts"))
    with pytest.raises(DataError, match=r"must have the columns sample_type, prompt, answer, but .*texts has text$"):
        open_training_set(tmp_path / "texts")
    Dataset.from_list([dict.fromkeys(FEATURES)], features=FEATURES).select([]).save_to_disk(str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"must have rows, but .* has none"):
        open_training_set(tmp_path / "empty")
    DatasetDict(train=Dataset.from_dict({"text": ["a"]})).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(DataError, match=r"must be one dataset, but .* holds 1: .*splits/train; name one of them"):
        open_training_set(tmp_path / "splits")


def test_a_dataset_from_before_the_schema_fix(tmp_path):
    old = [
        row("preference", "1", "which?", first=("a.npz", [0]), second=("b.npz", [0])),
        row("progress", "5", "how far?"),
    ]
    with pytest.raises(
        DataError, match=r"npz_filepath is None or empty: `npz_path` .*row 1, .* regenerate it with `rfm generate`"
    ):
        open_training_set(write_dataset(tmp_path / "old", tmp_path, old))


def test_the_root_is_option_then_environment_then_record(tmp_path, monkeypatch):
    dataset = fake_dataset(tmp_path, 2)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert open_training_set(dataset).root == tmp_path / "root"
    (tmp_path / "from_variable").mkdir()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "from_variable"))
    assert open_training_set(dataset).root == tmp_path / "from_variable"
    assert open_training_set(dataset, str(tmp_path)).root == tmp_path
    with pytest.raises(
        DataError,
        match=r"`datasets_root` must be a folder, but is .*nowhere; name the one with the frames by --datasets_root",
    ):
        open_training_set(dataset, str(tmp_path / "nowhere"))


def test_no_root_at_all(tmp_path, monkeypatch):
    dataset = fake_dataset(tmp_path, 2)
    (dataset / "generation_config.json").write_text(json.dumps({}))
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    with pytest.raises(DataError, match=r"`datasets_root` must be known, but is not given, .* by --datasets_root"):
        open_training_set(dataset)
