import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st
from worlds import make_world

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.generation import drawing
from rfm.generation.generate import GenerateOptions, generate
from rfm.generation.verify import compare


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(drawing, "CHUNK", 128)


@pytest.fixture
def world(tmp_path):
    make_world(tmp_path / "world", "toy_train")
    return make_world(tmp_path / "world", "toy_eval", seed=1)


def made(world: Path, output: Path, *more: str, **changes) -> Path:
    overrides = (
        f"data.datasets_root={world}",
        "data.train_datasets=[toy_train]",
        "data.eval_datasets=[toy_eval]",
        "data.max_frames=4",
        *more,
    )
    options = GenerateOptions(str(output), num_samples=300, config_overrides=overrides)
    return generate(dataclasses.replace(options, **changes))


def verify(path: Path, *overrides: str) -> Path:
    return generate(GenerateOptions("", verify=str(path), config_overrides=overrides))


def edit(path: Path, **changes) -> None:
    file = path / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [{}, {"eval_mode": True}, {"eval_set": "prefixes", "num_samples": 20}, {"eval_set": "quality"},
     {"partition": "eval", "discrete_progress": True, "seed": 5}, {"save_batch_size": 70}],
    ids=str,
)  # fmt: skip
def test_what_was_generated_is_drawn_again(world, tmp_path, caplog, changes):
    caplog.set_level("INFO")
    path = made(world, tmp_path / "vqa", **changes)
    assert verify(path) == path
    assert "rows and 1 sources are the same" in caplog.text


def test_a_ratio_by_name_is_read_back(world, tmp_path):
    verify(made(world, tmp_path / "vqa", "data.progress_strategy_ratio={forward_progress:1,rewind:2}"))


def test_the_first_row_that_differs_is_named(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    rows = load_from_disk(str(path))
    answers = rows["answer"][:]
    answers[211], answers[250] = "101", "102"
    changed = rows.remove_columns("answer").add_column("answer", answers).select_columns(rows.column_names)
    changed.save_to_disk(str(tmp_path / "changed"))
    shutil.copy(path / "generation_config.json", tmp_path / "changed")
    with pytest.raises(DataError, match=r"\nrow 211, `answer`: '101' there, '\d+' drawn again$"):
        verify(tmp_path / "changed")


def test_other_settings_are_found_out(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    edit(path, seed=43)
    with pytest.raises(DataError, match=r"^`verify` .*vqa is not what drawing again gives:\nrow 0, `"):
        verify(path)
    edit(path, seed=42, num_samples=299)
    with pytest.raises(DataError, match=r"\n300 rows there, 299 drawn again$"):
        verify(path)
    edit(path, num_samples=300, content_hash="0" * 64)
    with pytest.raises(DataError, match=r"\nall rows are the same, but they do not have the `content_hash`"):
        verify(path)
    edit(path, hash_version=1)
    expected = r"\nits content hash is of version 1, this package has version 2\nall rows are the same nevertheless$"
    with pytest.raises(DataError, match=expected):
        verify(path)


def test_sources_that_changed_are_named(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    make_world(world, "toy_train", seed=9)
    with pytest.raises(DataError, match=r"\nsource toy_train has changed since: sha256 \w{64} then, \w{64} now\nrow "):
        verify(path)


def test_rows_may_be_the_same_from_a_changed_source(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    edit(path, source_hashes={"toy_train": "0"}, prompt_version=0)
    expected = (
        r"has changed since: .*\nprompts are of version 0, this package has version 1\nall rows are the same neverthel"
    )
    with pytest.raises(DataError, match=expected):
        verify(path)


def test_a_cache_beside_the_rows_of_a_source_changes_nothing(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    (world / "toy_train" / "processed_dataset" / "cache-0123456789abcdef.arrow").write_bytes(b"of datasets.map")
    assert verify(path) == path


def test_sources_at_another_place(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    world.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="must name a folder of processed datasets"):
        verify(path)
    verify(path, f"data.datasets_root={tmp_path / 'moved'}")


def test_a_dataset_of_another_maker(world, tmp_path):
    path = made(world, tmp_path / "vqa")
    (path / "generation_config.json").unlink()
    with pytest.raises(DataError, match=r"must have config, .* in generation_config.json, but has not; only"):
        verify(path)


def test_other_flags_have_no_place_beside_it(tmp_path):
    with pytest.raises(ConfigError, match=r"`verify` and `output_path`, `seed`, `data.max_frames=8` must not be"):
        GenerateOptions("vqa", seed=1, verify="vqa", config_overrides=("data.max_frames=8", "data.datasets_root=x"))


def test_the_command(world, tmp_path, capsys):
    path = made(world, tmp_path / "vqa")
    assert run_command(("generate",), ["--verify", str(path)], "rfm generate") == 0
    edit(path, seed=43)
    assert run_command(("generate",), [f"--verify={path}"], "rfm generate") == 1
    with pytest.raises(SystemExit):
        run_command(("generate",), ["--seed", "1"], "rfm generate")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
def test_the_first_difference_of_two_tables(values, data):
    there = pa.table({"a": values, "b": [[value] for value in values]})
    assert compare(there, there, 0) is None
    places = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))
    changed = [[value + 1 if row in places else value] for row, value in enumerate(values)]
    first = min(places)
    assert compare(there, pa.table({"a": values, "b": changed}), 100) == (
        f"row {100 + first}, `b`: [{values[first]}] there, [{values[first] + 1}] drawn again"
    )
