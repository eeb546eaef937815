"""Arrow files of strangers that are small on disk and large in memory: one message, before memory is taken."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bombs import run_within, swell
from vqa_fakes import fake_dataset
from worlds import make_world

from rfm.errors import DataError
from rfm.ingest.reading import opened_parquet
from rfm.trajectories.arrow_files import check_sound, open_table
from rfm.trajectories.arrow_messages import declarations

ROOM = 600
"""Megabytes: what the commands take for small datasets."""
UNPACKED = 64 * 2**26
"""Bytes of the column that `swell` makes; offsets and the other columns add some kB."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = make_world(tmp_path_factory.mktemp("world"), "toy_train", episodes=6)
    swell(arrow_file(root / "toy_train" / "processed_dataset"), "task")
    return root


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    dataset = fake_dataset(tmp_path_factory.mktemp("data"), 6, episodes=2)
    swell(arrow_file(dataset), "prompt", codec="lz4")
    return dataset


def arrow_file(saved):
    (file,) = saved.glob("*.arrow")
    return file


def too_large(file):
    size = file.stat().st_size
    return f"must take at most {2**28 + 100 * size} bytes unpacked ({size} packed), but takes {UNPACKED // 10**7}"


def refused(*words):
    status, said = run_within(ROOM, *words)
    assert status == 1, said
    assert "Traceback" not in said
    return " ".join(said.split())


def test_trajectories(world, tmp_path):
    overrides = [f"data.datasets_root={world}", "data.train_datasets=[toy_train]"]
    said = refused("generate", "--output_path", tmp_path / "vqa", "--config_overrides", *overrides)
    assert too_large(arrow_file(world / "toy_train" / "processed_dataset")) in said


def test_recordings_that_are_an_arrow_file(world, tmp_path):
    said = refused("ingest", "rbm", world / "toy_train", "--output", tmp_path / "out")
    assert too_large(arrow_file(world / "toy_train" / "processed_dataset")) in said


def test_questions(questions):
    assert too_large(arrow_file(questions)) in refused("stats", questions)


def test_a_size_that_is_only_declared(tmp_path):
    file = arrow_file(fake_dataset(tmp_path, 6, episodes=2))
    swell(file, "prompt", times=1, size=1_234_567)
    before, sized, after = file.read_bytes().rpartition((1_234_567).to_bytes(8, "little"))
    assert sized
    assert len(open_table(file)) == 1
    file.write_bytes(before + (2**45).to_bytes(8, "little") + after)
    with pytest.raises(DataError, match=r"must take at most \d+ bytes unpacked \(\d+ packed\), but takes 35184372\d+"):
        open_table(file)
    file.write_bytes(before + (-(2**45)).to_bytes(8, "little", signed=True) + after)
    with pytest.raises(DataError, match="must be a readable arrow stream"):
        open_table(file)


def test_rows_that_take_no_space(tmp_path):
    file = tmp_path / "a.arrow"
    columns = pa.record_batch({"scene_id": pa.nulls(10**9)})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, columns.schema) as writer:
        writer.write_batch(columns)
    with pytest.raises(DataError, match=r"must have at most \d+ rows for its size, but declares 1000000000"):
        open_table(file)


def repeated(rows, size, **columns):
    """A table of rows that all have one text of that size, which it holds once."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["a" * size]))
    return pa.table({"id": [str(at) for at in range(rows)], "task": text, "frames": ["a.mp4"] * rows, **columns})


def test_a_text_of_many_rows_that_a_parquet_file_holds_once(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(repeated(3000, 2**22), file, compression="zstd", store_schema=False)
    size = file.stat().st_size
    with pytest.raises(DataError, match=rf"`task` in .* \({size} packed\), but takes {3000 * 2**22}"):
        opened_parquet(file)
    for table in (repeated(3000, 2**8), pa.table({"task": ["a" * 2**20] * 3})):
        pq.write_table(table, file, store_schema=False)
        assert opened_parquet(file).metadata.num_rows == len(table)


@pytest.mark.parametrize("within", ["texts", "lists"])
def test_a_text_of_many_rows_that_an_arrow_file_holds_once(tmp_path, within):
    table, file = repeated(3000, 2**24), tmp_path / "a.arrow"
    if within == "lists":
        offsets = pa.array(range(3001), pa.int32())
        table = table.set_column(1, "task", pa.ListArray.from_arrays(offsets, table["task"].combine_chunks()))
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=rf"`task` in .* unpacked \(\d+ packed\), but takes {3000 * 2**24}"):
        check_sound(file, open_table(file))


@pytest.mark.skipif(not hasattr(pa, "string_view"), reason="this pyarrow has no views")
def test_rows_that_lie_in_one_another(tmp_path):
    texts, file = pa.array(["a" * 100], pa.string_view()), tmp_path / "a.arrow"
    table = pa.table({"task": texts})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=r"`task` in .* must hold the values of its rows one after another, but is str"):
        check_sound(file, open_table(file))


@pytest.mark.parametrize("codec", ["zstd", "lz4", None])
def test_what_is_declared(tmp_path, codec):
    words = pa.array(["open"] * 40 + ["close"] * 60).dictionary_encode()
    table = pa.table({"task": words, "n": pa.array(range(100), pa.int64()), "none": pa.nulls(100)})
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink:
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
    dictionary, batch = declarations(pa.memory_map(str(tmp_path / "a")))
    assert (dictionary.rows, batch.rows) == (2, 100)
    packed = dictionary.packed + batch.packed
    assert 0 < packed < (tmp_path / "a").stat().st_size
    # offsets and letters of two words are no smaller packed, so they may be plain; indices and numbers are packed
    assert (batch.unpacked == 4 * 100 + 8 * 100) == (codec is not None)
