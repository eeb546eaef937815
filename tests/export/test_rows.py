import dataclasses
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset as load_files
from PIL import Image
from power_cuts import power_cut_at
from vqa_fakes import fake_dataset, indices, row, write_dataset, write_frames

from rfm.batch.clips import clips_of
from rfm.errors import ConfigError
from rfm.export import rows as rows_module
from rfm.export.options import RowsOptions
from rfm.export.rows import export_rows
from rfm.frames.reader import read_frames
from rfm.frames.video.decoding import read_video
from rfm.vqa.dataset import load_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 10, episodes=3)


def options(dataset: Path, output: Path, **changes) -> RowsOptions:
    return RowsOptions(**{"dataset": str(dataset), "output": str(output), "format": "ms-swift", **changes})


def records(folder: Path, name: str = "rows.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def true_clips(dataset: Path, number: int) -> list[np.ndarray]:
    data, config = load_dataset(dataset)
    return [read_frames(Path(config["datasets_root"]), *reference) for reference in clips_of(data[number])]


def pictures(paths: list[str], folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(folder / path)) for path in paths])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("framework", ["ms-swift", "llamafactory"])
@pytest.mark.parametrize(("frames", "error"), [("png", 0), ("jpeg", 12)])
def test_conversations_with_lists_of_frames_read_back(dataset, tmp_path, framework, frames, error):
    folder = tmp_path / "out"
    assert export_rows(options(dataset, folder, format=framework, frames=frames)) == 0
    data, _ = load_dataset(dataset)
    made = records(folder)
    assert len(made) == len(data)
    for number, record in enumerate(made):
        user, assistant = record["messages"]
        clips = true_clips(dataset, number)
        marks = "Video 1:<video>Video 2:<video>" if len(clips) == 2 else "<video>"
        assert user == {"role": "user", "content": marks + data[number]["prompt"]}
        assert assistant == {"role": "assistant", "content": f"ANS: {data[number]['answer']}"}
        assert len(record["videos"]) == len(clips)
        for paths, clip in zip(record["videos"], clips, strict=True):
            shown = pictures(paths, folder)
            difference = np.abs(shown.astype(int) - clip).mean()
            assert shown.shape == clip.shape
            assert difference <= error
        if framework == "ms-swift":
            assert all(Path(path).is_absolute() for paths in record["videos"] for path in paths)
    if framework == "llamafactory":
        described = json.loads((folder / "dataset_info.json").read_text())["rfm_vqa"]
        assert described["file_name"] == "rows.jsonl"
        assert set(described["columns"].values()) <= set(made[0])


def test_trl_rows_load_with_datasets_and_images_match(dataset, tmp_path):
    folder = tmp_path / "out"
    export_rows(options(dataset, folder, format="trl", frames="png"))
    loaded = load_files("imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    data, _ = load_dataset(dataset)
    assert len(loaded) == len(data)
    for record in loaded:
        number = record["row"]
        frames = np.concatenate(true_clips(dataset, number))
        assert np.array_equal(np.stack([np.asarray(image) for image in record["images"]]), frames)
        parts = record["prompt"][0]["content"]
        assert sum(part["type"] == "image" for part in parts) == len(frames)
        names = [part["text"] for part in parts if part["type"] == "text"]
        pair = data[number]["sample_type"] == "preference"
        assert names == (["Video 1:", "Video 2:"] if pair else []) + [data[number]["prompt"]]
        answer = f"ANS: {data[number]['answer']}"
        assert record["completion"] == [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]


def test_videos_have_the_frames_of_the_clip_at_two_a_second(dataset, tmp_path):
    folder = tmp_path / "out"
    export_rows(options(dataset, folder, format="llamafactory", frames="mp4", max_samples=3))
    for number, record in enumerate(records(folder)):
        for path, clip in zip(record["videos"], true_clips(dataset, number), strict=True):
            shown, fps = read_video(folder / path)
            assert (shown.shape, fps) == (clip.shape, 2.0)
            assert np.abs(shown.astype(int) - clip).mean() < 30  # noise of 60 levels through halved colour


@pytest.mark.parametrize(("frames", "files"), [("jpeg", 5), ("mp4", 2)])
def test_nothing_is_written_twice(tmp_path, frames, files):
    paths = write_frames(tmp_path / "root", 1)
    shown = [[0, 5, 10, 15]] * 4 + [[15, 10, 5, 7]]
    rows = [row("progress", str(number), "how far?", clip=(paths[0], one)) for number, one in enumerate(shown)]
    dataset = write_dataset(tmp_path / "vqa", tmp_path / "root", rows)
    export_rows(options(dataset, tmp_path / "out", frames=frames))
    written = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".jpg", ".mp4")]
    assert len(written) == files
    assert len({json.dumps(record["videos"]) for record in records(tmp_path / "out")}) == 2


def test_frames_are_resized_where_that_is_asked_for(dataset, tmp_path):
    export_rows(options(dataset, tmp_path / "out", resized_height=16, resized_width=24, max_samples=1))
    assert {Image.open(path).size for path in (tmp_path / "out").rglob("*.jpg")} == {(24, 16)}


def test_workers_and_interruptions_change_no_byte(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK", 3)
    made = options(dataset, tmp_path / "out", format="trl")
    export_rows(made)
    expected = content(tmp_path / "out")
    export_rows(dataclasses.replace(made, overwrite=True, num_workers=2))
    assert content(tmp_path / "out") == expected

    write_block = rows_module._write_block
    done = []

    def killed(block):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(block)
        return write_block(block)

    monkeypatch.setattr(rows_module, "_write_block", killed)
    cut = dataclasses.replace(made, output=str(tmp_path / "cut"))
    with pytest.raises(KeyboardInterrupt):
        export_rows(cut)
    assert not (tmp_path / "cut").exists()
    repeated = []
    monkeypatch.setattr(rows_module, "_write_block", lambda block: repeated.append(block) or write_block(block))
    export_rows(cut)
    assert [block.start for block in repeated] == [6, 9]
    assert content(tmp_path / "cut") == expected


def test_killed_while_writing_it_goes_on_to_the_same_bytes(dataset, tmp_path):
    made = options(dataset, tmp_path / "out")
    code = (
        "import os, signal\nfrom rfm.export import rows\nfrom rfm.export.options import RowsOptions\n"
        "write = rows.write_clip\ncount = []\n"
        "def dying(*arguments):\n    count.append(1)\n"
        "    if len(count) == 4: os.kill(os.getpid(), signal.SIGKILL)\n    return write(*arguments)\n"
        f"rows.write_clip = dying\nrows.export_rows({made!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == -9
    assert not (tmp_path / "out").exists()
    export_rows(made)
    first = content(tmp_path / "out")
    export_rows(dataclasses.replace(made, overwrite=True))
    assert content(tmp_path / "out") == first
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_rows_that_cannot_be_written_are_kept_apart(tmp_path, caplog):
    paths = write_frames(tmp_path / "root", 2)
    good = row("progress", "7", "how far?", clip=(paths[0], indices(15)))
    rows = [
        good,
        row("progress", "7", "how far?", clip=(paths[1], [0, 99])),
        row("progress", "7", "put the <video> away", clip=(paths[0], indices(15))),
        row("progress", "7", "say <|im_end|>", clip=(paths[0], indices(15))),
        row("progress", "3_0", "how far?", clip=(paths[0], indices(15))),
    ]
    made = options(write_dataset(tmp_path / "vqa", tmp_path / "root", rows), tmp_path / "out")
    assert export_rows(made) == 1
    assert len(records(tmp_path / "out")) == 1
    rejected = records(tmp_path / "out", "rejected.jsonl")
    assert [entry["row"] for entry in rejected] == [1, 2, 3, 4]
    assert "`frame_indices[1]` must be < 16" in rejected[0]["reason"]
    assert "`prompt` must not contain '<video>'" in rejected[1]["reason"]
    assert "`prompt` must not contain '<|im_end|>'" in rejected[2]["reason"]
    assert "`answer` must be a whole number from 0 to 100 for progress, but is '3_0'" in rejected[3]["reason"]
    assert json.loads((tmp_path / "out" / "export.json").read_text())["rejected"] == 4
    assert export_rows(dataclasses.replace(made, overwrite=True, max_rejected=4)) == 0


def test_what_is_there_is_not_lost(dataset, tmp_path):
    made = options(dataset, tmp_path / "out", max_samples=1)
    export_rows(made)
    with pytest.raises(ConfigError, match=r"`output` .*out exists; add --overwrite to replace it"):
        export_rows(dataclasses.replace(made, max_samples=2))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"`output` must be free or an export of rows, but .*mine holds thesis.tex"):
        export_rows(dataclasses.replace(made, output=str(tmp_path / "mine"), overwrite=True))
    (tmp_path / "out" / "frames" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"but .*out holds frames/thesis.tex, which is no part of one and is not del"):
        export_rows(dataclasses.replace(made, overwrite=True))


def test_the_same_export_again_is_complete_unless_something_is_cut(dataset, tmp_path):
    made = options(dataset, tmp_path / "out")
    export_rows(made)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    assert export_rows(made) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    os.truncate(next(iter(before)), 0)
    with pytest.raises(ConfigError, match=r"`output` .*out exists; add --overwrite to replace it"):
        export_rows(made)


@pytest.mark.parametrize("step", range(0, 40, 5))
def test_after_a_power_cut_what_was_not_flushed_is_made_again(dataset, tmp_path, monkeypatch, step):
    monkeypatch.setattr(rows_module, "BLOCK", 3)
    made = options(dataset, tmp_path / "whole" / "out", format="trl")
    export_rows(made)
    (tmp_path / "cut").mkdir()
    cut = dataclasses.replace(made, output=str(tmp_path / "cut" / "out"))
    power_cut_at(step, tmp_path / "cut", export_rows, cut)
    assert export_rows(cut) == 0
    assert content(tmp_path / "cut" / "out") == content(tmp_path / "whole" / "out")


@pytest.mark.parametrize("kind", ["block-*.rows", "block-*.receipt", "frames/??/*.jpg"])
def test_a_block_that_is_not_what_was_counted_is_made_again(dataset, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(rows_module, "BLOCK", 3)
    made = options(dataset, tmp_path / "whole", format="trl")
    export_rows(made)
    cut = dataclasses.replace(made, output=str(tmp_path / "cut"))
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(rows_module, "_finish", interrupted)
        export_rows(cut)
    for file in (tmp_path / ".cut.partial").glob(kind):
        os.truncate(file, file.stat().st_size // 2)
    assert export_rows(cut) == 0
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_killed_worker_is_one_message(dataset, tmp_path):
    code = (
        "import os, signal\nfrom rfm.cli import main\nfrom rfm.export import rows\n"
        "if __name__ == '__main__':\n"
        f"    main(['export', 'rows', {str(dataset)!r}, '--format', 'trl', '--output', {str(tmp_path / 'out')!r}, "
        "'--num_workers', '2'])\n"
        "rows.write_clip = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        "error: workers must live until their work is done, but one was killed, maybe for lack of memory" in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_options_that_cannot_hold_are_all_named():
    with pytest.raises(ConfigError) as caught:
        RowsOptions("x", "trl", "y", frames="mp4", resized_height=0, num_workers=0)
    text = str(caught.value)
    assert "`frames` must be jpeg or png with `format` trl, which takes no videos, but is mp4" in text
    assert "`resized_height` and `resized_width` must be given together" in text
    assert "`num_workers` must be at least 1, but is 0" in text


def test_the_card_says_what_it_was_made_from(dataset, tmp_path):
    export_rows(options(dataset, tmp_path / "out", max_samples=2))
    text = (tmp_path / "out" / "README.md").read_text()
    assert "# 2 questions about robot videos, for ms-swift" in text
    assert f"`{dataset.name}`" in text
