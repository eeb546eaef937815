"""What a dataset from elsewhere can make us do: nothing but read its rows, and the frames under its root."""

import http.server
import json
import os
import threading

import pyarrow as pa
import pytest
from datasets import Value
from robot_datasets import SHARED
from vqa_fakes import fake_dataset, row, write_dataset, write_frames

from rfm.cli import run_command
from rfm.errors import DataError
from rfm.frames.reader import read_frames
from rfm.vqa.dataset import frames_root, load_dataset

HOSTILE = SHARED / "found" / "hostile"
COMMANDS = {
    ("evaluate",): ["--model_path", "constant", "--dataset_path", "DATASET", "--output_path", "results.json"],
    ("export", "rows"): ["DATASET", "--output", "rows", "--format", "trl"],
    ("check-collator",): ["--dataset_path", "DATASET", "--num_samples", "2"],
    ("train",): ["--dataset_path", "DATASET", "--model_name", "tiny", "--output_dir", "run", "--max_steps", "1"],
    ("audit",): ["DATASET"],
    ("stats",): ["DATASET"],
}


@pytest.fixture
def requests(monkeypatch):
    """Paths asked of a server on this machine, at `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

    seen = Requests()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_port}/picture.png"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield seen
        server.shutdown()


class Requests(list):
    url = ""


@pytest.fixture
def dataset(tmp_path):
    return fake_dataset(tmp_path, 6, episodes=2)


def with_media(dataset, **columns):
    """Add columns to the dataset: what they are said to be, and the value of every row. (`save_to_disk` fetches it.)"""
    table, features = load_dataset(dataset)[0].data.table, json.loads((dataset / "dataset_info.json").read_text())
    for name, (feature, value) in columns.items():
        features["features"][name] = feature
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = table.append_column(name, pa.array([value] * len(table), kind))
    described(dataset, table, features["features"])


def described(dataset, table, features):
    """Replace the dataset's table, and what its features are said to be."""
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (arrow,) = dataset.glob("*.arrow")
    arrow.unlink()  # the old one is mapped
    with pa.OSFile(str(arrow), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    (dataset / "dataset_info.json").write_text(json.dumps({"features": features}))


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_media_beside_the_columns_of_the_format_are_not_opened(name, dataset, requests, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "waits.png")  # whoever opens it waits for ever
    with_media(
        dataset,
        fetched=({"_type": "Image"}, {"bytes": None, "path": requests.url}),
        waits=({"_type": "Image"}, {"bytes": None, "path": str(tmp_path / "waits.png")}),
        postscript=({"_type": "Image"}, {"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"}),
        sound=({"_type": "Audio"}, {"bytes": None, "path": requests.url}),
        film=({"_type": "Video"}, {"bytes": None, "path": requests.url}),
    )
    words = [word.replace("DATASET", str(dataset)) for word in COMMANDS[name]]
    status = run_command(name, words, "rfm")
    assert status == (1 if name == ("audit",) else 0), capsys.readouterr().err  # random labels break rules
    assert requests == []


def test_a_column_of_the_format_that_is_said_to_hold_pictures(dataset, requests, tmp_path):
    """The files say what to decode, and their description says it again: neither is listened to."""
    table, info = load_dataset(dataset)[0].data.table, json.loads((dataset / "dataset_info.json").read_text())
    prompts = pa.array([requests.url] * len(table))
    table = table.set_column(table.column_names.index("prompt"), "prompt", prompts)
    described(dataset, table, {**info["features"], "prompt": {"_type": "Image"}})
    rows, _ = load_dataset(dataset)
    assert rows[0]["prompt"] == requests.url
    assert rows.features["prompt"] == Value("string")
    assert requests == []


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the shared inputs are not here")
def test_the_datasets_that_were_found(tmp_path):
    assert "evil" not in load_dataset(HOSTILE / "ssrf_dataset" / "ds")[0].column_names
    with pytest.raises(DataError, match=r"`filename` in .*state.json must name a file in that folder, but is 'sub/"):
        load_dataset(HOSTILE / "state_json_segfault" / "ds")


@pytest.mark.parametrize(
    "name",
    [
        "sub/data.arrow",
        "../vqa_1/data.arrow",
        "/dev/zero",
        "..",
        "",
        "a\0b",
        "sub\\data.arrow",
        5,
        None,
        ["data.arrow"],
    ],
)
def test_data_files_lie_in_the_folder_itself(dataset, name):
    state = json.loads((dataset / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (dataset / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"`filename` in .*vqa_0/state.json must name a file in that folder, but is "):
        load_dataset(dataset)


def test_a_data_file_that_is_none(dataset):
    (arrow,) = dataset.glob("*.arrow")
    arrow.unlink()
    os.mkfifo(arrow)
    with pytest.raises(
        DataError, match=r"\.arrow must be a readable arrow stream, but is no file; copy the file again"
    ):
        load_dataset(dataset)


def test_columns_other_than_those_described(dataset):
    info = json.loads((dataset / "dataset_info.json").read_text())
    info["features"]["tasc"] = info["features"].pop("task")
    (dataset / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"\.arrow must have the columns .* that dataset_info.json describes, but has"):
        load_dataset(dataset)


def rows_of(tmp_path, path, root):
    made = write_dataset(tmp_path / "vqa", root, [row("progress", "5", "how far?", clip=(path, [0, 1]))])
    rows, config = load_dataset(made)
    return made, config, rows


@pytest.mark.parametrize(
    "path", ["home/me/private.npz", "/etc/x.npz", "toy/frames/../../private.npz", "private.npz", "../a.npz"]
)
def test_a_root_that_the_dataset_names_itself_opens_nothing_but_datasets(tmp_path, path):
    made, config, rows = rows_of(tmp_path, path, "/")
    with pytest.raises(
        DataError,
        match=r"`datasets_root` of .*generation_config.json must be a datasets root, with frames in <dataset>/frames/, "
        r"but `npz_path` names .*; if you trust the rows to read files under /, name it by --datasets_root",
    ):
        frames_root(None, made, config, rows)
    assert str(frames_root("/", made, config, rows)) == "/", "what the user names is trusted"


@pytest.mark.parametrize("path", ["toy/frames/a\0b.npz", "/a\0b.npz", "a\0/../b.npz"])
def test_a_path_that_no_file_can_have_costs_its_row_alone(tmp_path, path):
    made, config, rows = rows_of(tmp_path, path, tmp_path)
    assert frames_root(None, made, config, rows) == tmp_path
    with pytest.raises(
        DataError, match=r"^frames path '.*\\x00.*' must be the name of a file, but no file can have it$"
    ):
        read_frames(tmp_path, path, [0])


def test_a_folder_of_a_path_that_no_file_can_have(tmp_path):
    made, config, rows = rows_of(tmp_path, f"{'x' * 300}/y.npz", tmp_path)
    with pytest.raises(DataError, match="must be a datasets root, with frames in <dataset>/frames/, but `npz_path`"):
        frames_root(None, made, config, rows)


def test_roots_that_are_ones(tmp_path, monkeypatch):
    (path, _) = write_frames(tmp_path / "root", 2)
    made, config, rows = rows_of(tmp_path, path, tmp_path / "root")
    assert frames_root(None, made, config, rows) == tmp_path / "root"
    (tmp_path / "root" / "theirs" / "processed_dataset").mkdir(parents=True)
    made, config, rows = rows_of(tmp_path / "other", "theirs/trajectory_0.npz", tmp_path / "root")
    assert frames_root(None, made, config, rows) == tmp_path / "root", "frames beside the rows of a dataset"
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", "/")
    made, config, rows = rows_of(tmp_path / "more", "anything.npz", tmp_path / "root")
    assert str(frames_root(None, made, config, rows)) == "/"
