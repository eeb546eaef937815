"""What the pipeline does with any source: sizes, cut-offs, interruptions, memory."""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from power_cuts import killed_at, power_cut_at

from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import npz_frames_shape
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import Video
from rfm.ingest.episode import Episode, IngestOptions
from rfm.ingest.pipeline import ingest
from rfm.ingest.reading import rejected


@dataclass(frozen=True)
class Drawn:
    """Frames drawn when asked: a square that walks for `moving` of `total` frames and then stands still."""

    seed: int
    total: int = 40
    moving: int = 40
    size: tuple[int, int] = (48, 64)

    def read(self, options: IngestOptions) -> Video:
        chosen = evenly_spaced(self.total, options.max_frames)
        frames = np.full((len(chosen), *self.size, 3), 20 + self.seed % 50, np.uint8)
        for frame, at in zip(frames, np.minimum(chosen, self.moving - 1), strict=True):
            left = int(at) * (self.size[1] - 8) // self.total
            frame[10:30, left : left + 8] = 220
        return Video(frames, chosen, self.total, 10.0)

    def identity(self) -> str:
        return repr(self)


def episodes(count: int, **changes) -> list[Episode]:
    return [
        Episode(f"e{number:03d}", "walk", "drawn", Drawn(number, **changes), quality_label="successful")
        for number in range(count)
    ]


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_shorter_side_is_brought_down_and_never_up(tmp_path):
    ingest(episodes(1), tmp_path / "small", IngestOptions(shortest_side=24))
    assert npz_frames_shape(tmp_path / "small" / "drawn" / "frames" / "trajectory_e000.npz") == (40, 24, 32, 3)
    ingest(episodes(1), tmp_path / "large", IngestOptions(shortest_side=100))
    assert npz_frames_shape(tmp_path / "large" / "drawn" / "frames" / "trajectory_e000.npz") == (40, 48, 64, 3)
    with pytest.raises(ConfigError, match="`shortest_side` must not be given together with `height` and `width`"):
        IngestOptions(shortest_side=24, height=1, width=1)


def test_a_rejection_named_by_a_file_that_is_no_unicode_is_written(tmp_path):
    summary = ingest([*episodes(1), rejected("a\udcff", "drawn", "a\udcff is gone")], tmp_path, IngestOptions())
    assert summary.num_trajectories == 1
    (line,) = (tmp_path / "drawn" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"id": "a\\udcff", "reason": "a\\udcff is gone"}


def info(folder: Path) -> dict:
    return json.loads((folder / "drawn" / "dataset_info.json").read_text())


def test_idle_tails_become_a_suggested_cutoff_of_the_source(tmp_path):
    ingest(episodes(5, moving=30), tmp_path / "idle", IngestOptions(form="jpeg"))
    assert info(tmp_path / "idle")["suggested_success_cutoff"]["drawn"] == pytest.approx(0.75, abs=0.03)
    ingest(episodes(5), tmp_path / "busy", IngestOptions())
    assert "suggested_success_cutoff" not in info(tmp_path / "busy")


RUN = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
from test_pipeline import episodes
from rfm.ingest import pipeline, stored
from rfm.ingest.episode import IngestOptions

def run():
    pipeline.ingest(episodes({count}), Path({output!r}), IngestOptions(form="jpeg", num_workers={workers}))

def killed(after):
    write, left = stored.write_npz, [after]
    def dying(*arguments):
        write(*arguments)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    stored.write_npz = dying
    run()

if __name__ == "__main__":
    for kill in range({kills}):
        child = os.fork()
        if not child:
            killed(3)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        times = {{p.name: p.stat().st_mtime_ns for p in Path({output!r}).glob("[.d]*/frames/*")}}
        print(len(times))
    run()
    if {kills}:
        now = {{p.name: p.stat().st_mtime_ns for p in Path({output!r}).glob("[.d]*/frames/*")}}
        assert times.items() <= now.items()
"""


def run_apart(folder: Path, **values) -> list[int]:
    """Ingest in a process of its own; return how many files there were after each kill."""
    here = Path(__file__).parent
    script = folder / "run.py"
    script.write_text(RUN.format(tests=str(here.parent), here=str(here), output=str(folder / "apart"), **values))
    run = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [int(line) for line in run.stdout.split()]


def test_killed_ten_times_it_gives_the_same_bytes_and_nothing_twice(tmp_path):
    ingest(episodes(40), tmp_path / "whole", IngestOptions(form="jpeg"))
    assert run_apart(tmp_path, count=40, workers=1, kills=10) == [3 * kills for kills in range(1, 11)]
    assert content(tmp_path / "apart") == content(tmp_path / "whole")


def test_workers_change_no_byte(tmp_path):
    ingest(episodes(12), tmp_path / "one", IngestOptions(form="jpeg"))
    run_apart(tmp_path, count=12, workers=2, kills=0)
    assert content(tmp_path / "apart") == content(tmp_path / "one")


def test_the_bar_shows_count_rate_and_time_left(tmp_path, capsys):
    ingest(episodes(3), tmp_path, IngestOptions(max_frames=2))
    assert re.search(r"ingest .* 3/3 [\d,.]+/s 0:00:\d\d left 0:00:00", capsys.readouterr().err)


@pytest.mark.parametrize("overwrite", [False, True])
def test_recordings_in_a_folder_called_frames_are_never_deleted(tmp_path, overwrite):
    recording = tmp_path / "drawn" / "frames" / "ep1.mp4"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"precious")
    with pytest.raises(
        ConfigError,
        match=r"`output` must be free or a trajectory dataset, but .*drawn holds frames/ep1",
    ):
        ingest(episodes(1), tmp_path, IngestOptions(overwrite=overwrite))
    assert recording.read_bytes() == b"precious"


def test_after_a_run_that_rejected_everything_the_same_command_starts_anew(tmp_path):
    broken = [Episode("e000", "walk", "drawn", Drawn(0), progress=(0.5,))]
    assert ingest(broken, tmp_path, IngestOptions()).num_trajectories == 0
    assert ingest(episodes(1), tmp_path, IngestOptions()).num_trajectories == 1
    assert not (tmp_path / "drawn" / "rejected.jsonl").exists()
    whole = content(tmp_path)
    with pytest.raises(DataError, match=r"must have an episode to replace another, but all 1 are rejected, the f"):
        ingest(broken, tmp_path, IngestOptions(overwrite=True))
    assert {name: text for name, text in content(tmp_path).items() if name in whole} == whole
    with pytest.raises(ConfigError, match=r"`output` .*drawn exists; add --overwrite to replace it"):
        ingest(episodes(2), tmp_path, IngestOptions())
    assert ingest(episodes(2), tmp_path, IngestOptions(overwrite=True)).num_trajectories == 2


@pytest.mark.parametrize("step", range(0, 12, 2))
def test_after_a_power_cut_what_was_not_flushed_is_made_again(tmp_path, step):
    ingest(episodes(3), tmp_path / "whole", IngestOptions())
    (tmp_path / "cut").mkdir()
    assert power_cut_at(step, tmp_path / "cut", ingest, episodes(3), tmp_path / "cut", IngestOptions()) in (0, -9)
    ingest(episodes(3), tmp_path / "cut", IngestOptions())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("cut", [0, 0.5])
def test_frames_that_were_cut_are_made_again(tmp_path, cut):
    ingest(episodes(3), tmp_path / "whole", IngestOptions())
    (tmp_path / "cut").mkdir()
    assert killed_at(7, ingest, episodes(3), tmp_path / "cut", IngestOptions()) == -9
    frames = next((tmp_path / "cut" / ".drawn.partial" / "frames").glob("*.npz"))
    os.truncate(frames, int(frames.stat().st_size * cut))
    ingest(episodes(3), tmp_path / "cut", IngestOptions())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_the_same_ingest_again_is_complete(tmp_path):
    first = ingest(episodes(3), tmp_path, IngestOptions())
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert ingest(episodes(3), tmp_path, IngestOptions(num_workers=1)) == first
    assert times == {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    relabelled = [replace(episode, quality_label="failure") for episode in episodes(3)]
    with pytest.raises(ConfigError, match=r"drawn exists; add --overwrite to replace it"):
        ingest(relabelled, tmp_path, IngestOptions())


def test_an_overwriting_ingest_that_is_killed_leaves_what_was_there(tmp_path):
    ingest(episodes(3), tmp_path, IngestOptions())
    before, after = content(tmp_path / "drawn"), None
    step, code = 0, -9
    while code:
        code = killed_at(step, ingest, episodes(2), tmp_path, IngestOptions(overwrite=True))
        after = content(tmp_path / "drawn")
        assert after == before or "frames/trajectory_e002.npz" not in after
        step += 3
    assert len(after) < len(before)


def test_the_umask_is_honoured(tmp_path):
    before = os.umask(0o077)
    try:
        ingest(episodes(2), tmp_path, IngestOptions())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")} == {0o600, 0o700}
