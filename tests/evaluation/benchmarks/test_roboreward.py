import json
import os
import shutil
import signal
from pathlib import Path

import kills
import pytest
from checkpoints import random_checkpoint
from forked import started
from robot_datasets import SHARED, moving_square, write_roboreward

from rfm.cli import run_command
from rfm.evaluation import evaluate as evaluation
from rfm.evaluation.benchmarks import roboreward
from rfm.evaluation.benchmarks.roboreward import Release
from rfm.evaluation.rivals.baselines import Baseline
from rfm.export.results_file import read_results
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction

LINES = [
    ("bridge/a.mp4", "put the cup down", 5),
    ("bridge/a_1.mp4", "put the spoon down", 2),
    ("bridge/b_attempt_1_score_3.mp4", "fold it", 3),
    ("droid/c.mp4", "open the drawer", 5),
    ("droid/f_attempt_2_score_1.mp4", "lift", 1),
    ("robo_arena/d_left.mp4", "stack", 4),
    ("robo_arena/e_left.mp4", "stack", 1),
]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Seven lines of three subsets about six distinct videos; the first two show the same bytes."""
    folder = tmp_path_factory.mktemp("RoboReward")
    films = {name: moving_square(5 + at, max(at, 1), 32, 32) for at, (name, _, _) in enumerate(LINES)}
    films["bridge/a.mp4"] = films["bridge/a_1.mp4"]
    write_roboreward(folder / "test", LINES, films)
    return folder


@pytest.fixture
def bench(benchmark, tmp_path):
    """Run the command; returns its status and what it wrote."""

    def run(*flags, model="constant", path=benchmark):
        output = tmp_path / "results.json"
        words = [path, "--model_path", model, "--output_path", output, "--overwrite", "--device", "cpu", *flags]
        status = run_command(("bench", "roboreward"), [str(word) for word in words], "rfm bench roboreward")
        return status, json.loads(output.read_text()) if output.is_file() else None

    return run


class Scripted(Engine):
    """Says `answers[file]`, "no idea" where there is none."""

    def __init__(self, **answers):
        self.answers = answers

    def identity(self):
        return {"engine": "scripted"}

    def answer(self, rows, max_new_tokens, *, blank_frames=False):
        return [Prediction(self.answers.get(Path(row["npz_path"]).stem, "no idea")) for row in rows]


def test_levels_over_subsets_over_rows_and_by_where_rows_come_from(bench):
    status, results = bench()  # always 50, level 3: off by 2, 1, 0 / 2, 2 / 1, 2
    assert status == 0
    levels = results["five_levels"]
    assert levels["micro_mae"] == pytest.approx(10 / 7)
    assert levels["macro_mae"] == pytest.approx((1 + 2 + 1.5) / 3)
    assert {name: one["micro_mae"] for name, one in levels["by_source"].items()} == {
        "bridge": 1, "droid": 2, "robo_arena": 1.5
    }  # fmt: skip
    assert {name: (one["count"], one["micro_mae"]) for name, one in levels["by_strategy"].items()} == {
        "counterfactual": (1, 1), "natural": (2, 1.5), "original": (2, 2), "temporal": (2, 1)
    }  # fmt: skip
    assert results["benchmark"]["rule"] == "level = 1 + floor(4 s / 100 + 0.5) of a score s from 0 to 100"


def test_intervals_resample_distinct_videos_and_coverage_counts_them(bench):
    _, results = bench()
    assert (results["progress"]["count"], results["progress"]["episodes"]) == (7, 6)
    groups = [one["trajectory"] for one in results["predictions"]]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 6
    assert results["benchmark"]["coverage"] == {
        "lines": 7, "judged": 7, "released_lines": 2831, "subsets": 3, "released_subsets": 23, "files": 7, "videos": 6
    }  # fmt: skip


def test_unparsed_answers_are_four_levels_off_and_are_left_out(bench, monkeypatch):
    engine = Scripted(a="ANS: 100", a_1="ANS: 0", c="ANS: 50", d_left="ANS: 100")
    monkeypatch.setattr(evaluation, "open_engine", lambda options, exam: engine)
    _, results = bench()
    levels = results["five_levels"]
    assert levels["micro_mae"] == pytest.approx((0 + 1 + 4 + 2 + 4 + 1 + 4) / 7)
    assert levels["answered_micro_mae"] == pytest.approx((0 + 1 + 2 + 1) / 4)
    assert levels["answered_macro_mae"] == pytest.approx((0.5 + 2 + 1) / 3)
    assert (levels["unparsed"], levels["by_strategy"]["temporal"]["answered_micro_mae"]) == (3, None)


def test_the_list_of_the_release_is_known_by_its_hash(bench, benchmark, monkeypatch, caplog):
    digest = bench()[1]["benchmark"]["metadata_sha256"]
    assert "test/metadata.jsonl is not that of the released test split" in caplog.text
    caplog.clear()
    monkeypatch.setattr(roboreward, "RELEASE", Release(digest, 7, 3))
    assert bench()[1]["benchmark"]["as_released"] is True
    assert "released" not in caplog.text


def test_a_missing_video_is_counted_and_fails_the_run_unless_it_is_put_up_with(bench, tmp_path, capsys):
    write_roboreward(tmp_path / "in", [("s/a.mp4", "t", 5), ("s/gone.mp4", "t", 1)], {"s/a.mp4": moving_square(4)})
    status, results = bench(path=tmp_path / "in")
    assert status == 1
    assert "1 rows can't be read or judged, more than `max_unreadable` = 0, for example:" in capsys.readouterr().err
    assert results["benchmark"]["coverage"]["judged"] == 1
    assert bench("--max_unreadable", "1", path=tmp_path / "in")[0] == 0


def test_a_model_is_asked_as_it_was_trained(bench, tmp_path):
    four = random_checkpoint(tmp_path / "four", max_frames=4, discrete_progress=True, prompt_version=1)
    _, results = bench("--decoding", "scored", model=four)
    known = results["benchmark"]
    assert (known["max_frames"], known["max_frames_from"], known["asked_for"]) == (4, "the checkpoint", "1 to 5")
    assert results["input_mismatch"] == {}
    assert results["trained_on_share"] is None
    assert all(len(one["probabilities"]) == 5 for one in results["predictions"])
    assert bench("--max_frames", "3")[1]["benchmark"]["max_frames_from"] == "--max_frames"
    assert bench()[1]["benchmark"]["max_frames"] == 16


def test_roborewards_own_question(bench, tmp_path):
    model = random_checkpoint(tmp_path / "model")
    words = tmp_path / "words.txt"
    words.write_text("From 1 to 5, how far? {task}")
    status, results = bench("--prompting", "roboreward", "--prompt_file", words, model=model)
    assert status == 0
    assert results["decoding"]["prompting"] == "roboreward"
    assert results["decoding"]["prompt_is_published"] is False
    assert all("samples" in one for one in results["predictions"])


def test_another_instruction_is_one_that_no_line_asks_about_these_bytes(bench, monkeypatch):
    asked = []

    class Listening(Scripted):
        def answer(self, rows, max_new_tokens, *, blank_frames=False):
            asked.extend((row["npz_path"], row["task"]) for row in rows)
            return super().answer(rows, max_new_tokens)

    monkeypatch.setattr(evaluation, "open_engine", lambda options, exam: Listening())
    bench("--controls", "other_instruction")
    own = {(name, task) for name, task, _ in LINES}
    others = {task for name, task in asked if name.startswith("bridge/a") and (name, task) not in own}
    assert others
    assert not others & {"put the cup down", "put the spoon down"}


def test_it_is_shown_with_its_coverage_and_once_more_by_report(bench, tmp_path, capsys):
    bench()
    shown = capsys.readouterr().out
    assert "7 of 7 lines were judged (2831 are released), 3 of 23 subsets, 6 distinct videos in 7 files" in shown
    assert "level = 1 + floor(4 s / 100 + 0.5) of a score s from 0 to 100; up to 16 frames a clip" in shown
    assert run_command(("report",), [str(tmp_path / "results.json")], "rfm report") == 0
    assert capsys.readouterr().out == shown
    read_results(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--max_frames", "1"), "`max_frames` must lie between 2 and 4096, but is 1"),
        (("--datasets_root", "."), "`datasets_root` must go with --calibrate_on: a benchmark's frames lie in its own"),
        (("--split", "val"), "a RoboReward dataset must have a metadata.jsonl in each split, but there is no"),
        (("--prompting", "roboreward"), "`prompting` must go with a model, but `model_path` names a baseline"),
    ],
)
def test_what_cannot_be_is_one_message(bench, flags, message, capsys):
    assert bench(*flags)[0] == 1
    assert message in capsys.readouterr().err


def test_a_killed_run_goes_on_and_not_with_answers_about_other_bytes(tmp_path, monkeypatch, caplog):
    here, output = tmp_path / "copy", tmp_path / "results.json"
    films = {name: moving_square(5 + at, at, 32, 32) for at, (name, _, _) in enumerate(LINES)}
    write_roboreward(here / "test", LINES, films)
    words = [str(here), "--model_path", "frame_difference", "--output_path", str(output), "--batch_size", "2"]
    process = started(kills.answer_until, 3, Baseline, ("bench", "roboreward"), words)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    saved = Path(f"{output}.answers")
    shutil.copytree(saved, tmp_path / "kept")
    asked, answer = [], Baseline.answer
    monkeypatch.setattr(Baseline, "answer", lambda *args, **options: asked.append(1) or answer(*args, **options))
    with caplog.at_level("INFO", logger="rfm"):
        assert run_command(("bench", "roboreward"), words, "rfm bench roboreward") == 0
    assert "going on: 4 answers of an interrupted run are in" in caplog.text
    assert (len(asked), saved.exists()) == (2, False)  # of four batches two were finished
    shutil.copytree(tmp_path / "kept", saved)
    write_roboreward(here / "test", LINES, {**films, "droid/c.mp4": moving_square(8, 50, 32, 32)})
    assert run_command(("bench", "roboreward"), [*words, "--overwrite"], "rfm bench roboreward") == 0
    assert len(asked) == 2 + 4


def test_a_download_in_the_hugging_face_cache_is_read_through_its_links(bench, benchmark, tmp_path):
    home = tmp_path / "hub" / "datasets--teetone--RoboReward"
    snapshot = home / "snapshots" / "469b9af"
    files = sorted(path for path in (benchmark / "test").rglob("*") if path.is_file())
    (home / "blobs").mkdir(parents=True)
    for at, file in enumerate(files):
        link = snapshot / file.relative_to(benchmark)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, home / "blobs" / f"blob{at}")
        link.symlink_to(os.path.relpath(home / "blobs" / f"blob{at}", link.parent))
    status, results = bench("--model_path", "frame_difference", path=snapshot)
    assert (status, results["progress"]["count"]) == (0, 7)


def test_a_list_that_a_link_fetches_from_elsewhere_is_not_read(bench, benchmark, tmp_path, capsys):
    (tmp_path / "in" / "test").mkdir(parents=True)
    (tmp_path / "in" / "test" / "metadata.jsonl").symlink_to(benchmark / "test" / "metadata.jsonl")
    assert bench(path=tmp_path / "in")[0] == 1
    assert "the list of videos must lie in the dataset's folder" in capsys.readouterr().err


def test_real_clips(bench, tmp_path):
    clips = sorted((SHARED / "real_clips").glob("*.mp4"))
    if not clips:
        pytest.skip("the shared real clips are not here")
    folder = tmp_path / "in" / "s"
    folder.mkdir(parents=True)
    lines = []
    for clip in clips:
        (folder / clip.name).write_bytes(clip.read_bytes())
        lines.append({"file_name": f"s/{clip.name}", "task": clip.stem, "reward": 5})
    (tmp_path / "in" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, results = bench("--baselines", "frame_difference", path=tmp_path / "in")
    assert (status, results["progress"]["count"], results["unreadable"]["count"]) == (0, len(clips), 0)
