"""Documents that somebody wrote to do harm, before the commands that read them: one message, soon, no traceback."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from robot_datasets import moving_square, write_lerobot, write_roboarena, write_roboreward, write_video
from vqa_fakes import fake_dataset
from worlds import make_world

from rfm.cli import run_command

ESCAPES = "\x1b]0;owned\x07\x1b[2J"
CONTENTS = {
    "empty": b"",
    "binary": b"\x93NUMPY\x00\xff\xfe" * 99,
    "UTF-16": '{"a": 1}\n'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}\n'.encode("utf-16-le"),
    "latin-1": b'{"task": "\xe9t\xe9"}\n',
    "NUL": b'{"task": "a\x00b"}\n',
    "million lists": b"[" * 1_000_000,
    "million objects": b'{"a":' * 200_000,
    "million YAML lists": b"- " * 100_000,
    "million digits": b'{"a": ' + b"7" * 1_000_000 + b"}\n",
    "10^400": b'{"a": 1e400}\n',
    "NaN": b'{"a": NaN}\n',
    "half a pair": b'{"a": "\\ud800"}\n',
    "twice": b'{"a": 1, "a": 2}\n',
    "a number": b"7\n",
    "a list": b"[1, [2]]\n",
    "null": b"null\n",
    "tags": b"a: !!python/object/apply:os.system [exit]\n",
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"b%d: &a [%s]\n" % (n, b"*a," * 9) for n in range(9)),
    "escapes": json.dumps({"task": ESCAPES, ESCAPES: ESCAPES}).encode() + b"\n",
    "CR only": b'path,task\ra.mp4,"b\rc.mp4,d\r',
    "one quote": b'path,task,episode,quality_label\n"a.mp4,b\n' * 9,
}
FILES = ("folder", "pipe", "device", "circle")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """One small input of each kind; a test works on a copy."""
    root = tmp_path_factory.mktemp("inputs")
    frames = moving_square(3)
    write_video(root / "videos" / "a.mp4", frames)
    (root / "videos" / "manifest.jsonl").write_text('{"path": "a.mp4", "task": "open"}\n')
    (root / "videos" / "list.csv").write_text("path,task\na.mp4,open\n")
    write_lerobot(root / "lerobot", [frames], "v2.1")
    (root / "lerobot" / "labels.csv").write_text("episode,quality_label\n0,successful\n")
    write_roboreward(root / "roboreward" / "train", [("s/a.mp4", "open", 5)], {"s/a.mp4": frames})
    write_roboarena(
        root / "arena", "one", {"A": {"policy_name": "p", "partial_success": 0.5}}, {"A/x_left.mp4": frames}
    )
    make_world(root / "world", "toy", episodes=4)
    (root / "world" / "side.json").write_text("{}")
    fake_dataset(root / "vqa", 4, episodes=2)
    return root


LEROBOT = (("ingest", "lerobot"), ["lerobot", "--output", "out"])
VQA = ["vqa/vqa_0"]
GENERATE = ["--output_path", "out", "--num_samples", "4", "--config_overrides", "data.datasets_root=world"]
CASES = {
    "videos/manifest.jsonl": (("ingest", "videos"), ["videos", "--output", "out"]),
    "videos/list.csv": (("ingest", "videos"), ["videos", "--manifest", "videos/list.csv", "--output", "out"]),
    "lerobot/meta/info.json": LEROBOT,
    "lerobot/meta/tasks.jsonl": LEROBOT,
    "lerobot/meta/episodes.jsonl": LEROBOT,
    "lerobot/labels.csv": (LEROBOT[0], [*LEROBOT[1], "--labels", "lerobot/labels.csv"]),
    "roboreward/train/metadata.jsonl": (("ingest", "roboreward"), ["roboreward", "--output", "out"]),
    "arena/evaluation_sessions/one/metadata.yaml": (("ingest", "roboarena"), ["arena", "--output", "out"]),
    "vqa/vqa_0/generation_config.json": (("stats",), VQA),
    "vqa/vqa_0/state.json": (("stats",), VQA),
    "vqa/vqa_0/dataset_info.json": (("audit",), VQA),
    "world/toy/processed_dataset/state.json": (("validate",), ["world"]),
    "world/side.json": (
        ("generate",),
        [*GENERATE, "data.train_datasets=[toy]", "data.split_file=world/side.json", "--partition", "train"],
    ),
    "world/cutoffs.csv": (
        ("generate",),
        [*GENERATE, "data.train_datasets=[toy]", "data.dataset_success_cutoff_file=world/cutoffs.csv"],
    ),
    "results.json": (("report",), ["results.json"]),
    "first.json": (("compare",), ["first.json", "first.json"]),
}
HARMLESS = {("vqa/vqa_0/generation_config.json", "escapes"), ("world/cutoffs.csv", "empty")}
"""What says nothing that is wrong."""


def put(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if name in CONTENTS:
        path.write_bytes(CONTENTS[name])
    elif name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if name == "device" else path.name)


def cleared(path: Path) -> None:
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree("out", ignore_errors=True)


@pytest.mark.parametrize("file", CASES)
def test_a_document_that_can_do_harm_is_one_message(inputs, tmp_path, monkeypatch, capsys, caplog, file):
    top = file.split("/")[0]
    if (inputs / top).is_dir():
        shutil.copytree(inputs / top, tmp_path / top)
    monkeypatch.chdir(tmp_path)
    command, words = CASES[file]
    for name in (*CONTENTS, *FILES):
        put(Path(file), name)
        signal.alarm(60)  # a pipe or a device that is read never comes to an end
        try:
            status = run_command(command, words, f"rfm {' '.join(command)}")
        finally:
            signal.alarm(0)
        shown = "".join(capsys.readouterr())
        said = shown + caplog.text
        assert "Traceback" not in said, (file, name)
        assert not any(mark in shown for mark in ("\x1b]", "\x1b[2J", "\x07")), (file, name)
        if status == 0:
            assert (file, name) in HARMLESS, (file, name, said)
        else:
            assert status == 1, (file, name)
            assert "error: " in said or "rejected" in said or "fault" in said, (file, name, said)
        caplog.clear()
        cleared(Path(file))
