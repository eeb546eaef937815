import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from vqa_fakes import fake_dataset

from rfm.errors import DataError
from rfm.generation.generate import generate
from rfm.generation.options import GenerateOptions
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset
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
    with pytest.raises(
        DataError, match=r"generation_config.json must be JSON, but is not: .*; generate the dataset ag"
    ):
        load_dataset(dataset)


@pytest.mark.parametrize("name", ["", "toy", "toy/processed_dataset"])
def test_trajectories_are_no_questions_yet(tmp_path, name):
    one = Trajectory(
        id="a", task="open", data_source="toy", frames="toy/a.npz", frames_shape=(2, 8, 8, 3), num_frames=2
    )
    write_processed_dataset(tmp_path / "toy", [one])
    with pytest.raises(
        DataError, match=r"must be questions .* but .* holds trajectories; draw questions from them first: rfm generate"
    ):
        load_dataset(tmp_path / name)


def test_rows_that_were_cut_off(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:200])
    with pytest.raises(DataError, match=r"vqa_0/data-.*\.arrow must be a readable arrow stream, but .*; copy the file"):
        load_dataset(dataset)


def test_rows_that_are_gone(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.unlink()
    with pytest.raises(
        DataError, match=r"vqa_0/data-.*\.arrow must be a readable arrow stream, but is not there; copy"
    ):
        load_dataset(dataset)


def test_a_state_that_is_no_json(dataset):
    (dataset / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"vqa_0/state.json must be JSON, but is not: .*; copy the file again"):
        load_dataset(dataset)


def test_an_unfinished_dataset_is_no_dataset(dataset):
    (dataset / "state.json").unlink()
    with pytest.raises(DataError, match=r"must be a dataset saved to disk, but .*vqa_0 lacks state.json"):
        load_dataset(dataset)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1], "must hold a JSON object, but holds a list; generate the dataset again"),
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


@pytest.mark.parametrize(("value", "said"), [(2**30, "out of bounds"), (-7, "non-monotonic offset")])
def test_damaged_offsets_are_named_before_anything_follows_them(dataset, value, said):
    (arrow,) = dataset.glob("*.arrow")
    whole, offsets = arrow.read_bytes(), np.array([0, 4, 8, 12, 16], np.int32).tobytes()  # of 4 shown frames a row
    damaged = np.array([0, 4, value, 12, 16], np.int32).tobytes()
    arrow.write_bytes(whole.replace(offsets, damaged))
    with pytest.raises(DataError, match=rf"`\w+` in .*\.arrow must be a sound arrow column, but is damaged .*{said}"):
        load_dataset(dataset)


def test_text_that_is_not_utf_8_is_named(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes().replace(b"pushpush", b"pushp\xffsh"))
    with pytest.raises(DataError, match=r"`task` in .*\.arrow .* is damaged .*[Ii]nvalid UTF8"):
        load_dataset(dataset)


def test_no_damage_to_a_file_ends_the_process(dataset, tmp_path):
    program = Path(__file__).with_name("damage.py")
    command = [sys.executable, str(program), str(dataset), str(tmp_path / "damaged"), "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused, given = map(int, done.stdout.split())
    assert refused > 100, "an offset, a length or a description was damaged"
    assert given > 10, "what was damaged has no meaning, or is a value"


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("prompt", pa.array([1] * 6), "`prompt` of .* must hold texts, but is int64; save it as string"),
        ("prompt", pa.nulls(6), "`prompt` of .* must hold texts, but is null; save it as string"),
        ("npz_path", pa.array([["a"]] * 6), "`npz_path` of .* must hold texts, but is list"),
        ("answer", pa.array([True] * 6), "`answer` of .* must hold texts or numbers, but is bool"),
        ("frame_indices", pa.array([1] * 6), "`frame_indices` of .* must hold lists of integers, but is int64"),
        ("frame_indices", pa.array([["1"]] * 6), "`frame_indices` of .* must hold lists of integers, but is list"),
        ("target_progress", pa.array(["1"] * 6), "`target_progress` of .* must hold lists of numbers, but is string"),
        ("chosen_is_first", pa.array([1] * 6), "`chosen_is_first` of .* must hold true or false, but is int64"),
        ("end_progress", pa.array(["1"] * 6), "`end_progress` of .* must hold numbers, but is string"),
    ],
)
def test_a_column_of_another_kind(dataset, tmp_path, column, values, message):
    table = load_dataset(dataset)[0].data.table
    kept = table.drop_columns([column]) if column in table.column_names else table
    Dataset(kept.append_column(column, values).replace_schema_metadata()).save_to_disk(str(tmp_path / "other"))
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "other")


def test_columns_of_other_makers_that_hold_the_same(dataset, tmp_path):
    table = load_dataset(dataset)[0].data.table
    others = {
        "answer": pa.array([1] * 6),
        "data_source": pa.nulls(6),
        "frame_indices": pa.array([[1, 2]] * 6),
        "end_progress": pa.array([0.5] * 6),
        "difficulty": pa.array([[{"a": 1}]] * 6),
    }
    for name, values in others.items():
        kept = table.drop_columns([name]) if name in table.column_names else table
        table = kept.append_column(name, values)
    Dataset(table.replace_schema_metadata()).with_format("numpy", columns=["answer"]).save_to_disk(str(tmp_path / "o"))
    rows, _ = load_dataset(tmp_path / "o")
    assert rows[0]["frame_indices"] == [1, 2], "as Python values, whatever form they were saved with"
    assert "difficulty" not in rows.column_names, "only columns of the format are read"


def test_rows_lost_between_two_batches_are_said(tmp_path, caplog):
    generate(GenerateOptions(output_path=str(tmp_path / "vqa"), num_samples=40, num_workers=1))
    table = load_dataset(tmp_path / "vqa")[0].data.table
    assert "copy it again" not in caplog.text
    (arrow,) = (tmp_path / "vqa").glob("*.arrow")
    with pa.OSFile(str(tmp_path / "cut"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.slice(0, 30))
    (tmp_path / "cut").replace(arrow)
    assert len(load_dataset(tmp_path / "vqa")[0]) == 30
    assert "has 30 rows, but its generation_config.json records 40: copy it again" in caplog.text


def test_a_file_listed_twice(dataset):
    state = json.loads((dataset / "state.json").read_text())
    state["_data_files"] *= 2
    (dataset / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"state.json must list each of the dataset's files once, but lists one twice"):
        load_dataset(dataset)
