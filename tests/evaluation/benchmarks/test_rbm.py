import json

import numpy as np
import pytest
from films import episode, film, write_episodes
from robot_datasets import moving_square
from worlds import make_world

from rfm.cli import run_command
from rfm.evaluation import evaluate as evaluation
from rfm.export.results_file import read_results
from rfm.frames.npz.file import write_npz
from rfm.inference.engines.engine import Engine
from rfm.inference.prediction import Prediction
from rfm.trajectories.record import Trajectory
from rfm.trajectories.store import write_processed_dataset


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two processed datasets: two tasks in three qualities each, and three tasks."""
    root = tmp_path_factory.mktemp("sets")
    make_world(root, "mw_eval", episodes=12)
    return make_world(root, "franka_eval", episodes=9, seed=2, tasks=3)


@pytest.fixture
def bench(sets, tmp_path):
    """Run the command; returns its status and what it wrote."""

    def run(*flags, model="random", path=sets):
        output = tmp_path / "results.json"
        words = [path, "--model_path", model, "--output_path", output, "--overwrite", *flags]
        status = run_command(("bench", "rbm"), [str(word) for word in words], "rfm bench rbm")
        return status, json.loads(output.read_text()) if output.is_file() else None

    return run


class Knowing(Engine):
    """Says what is right."""

    def identity(self):
        return {"engine": "knowing"}

    def answer(self, rows, max_new_tokens, *, blank_frames=False):
        return [Prediction(f"ANS: {row['answer']}") for row in rows]


def test_each_score_stands_beside_what_it_rests_on(bench):
    status, results = bench("--episodes", "2", "--prefixes", "4", "--max_frames", "5", "--draw_seed", "7")
    assert status == 0
    found = results["benchmark"]["datasets"]
    assert set(found) == {"mw_eval", "franka_eval"}
    alignment, ranking, confusion = (found["mw_eval"][name] for name in ("alignment", "ranking", "confusion"))
    assert {name: alignment[name] for name in ("rows", "episodes", "max_frames", "prefixes", "seed")} == {
        "rows": 8, "episodes": 2, "max_frames": 5, "prefixes": 4, "seed": 7
    }  # fmt: skip
    assert (ranking["rows"], ranking["episodes"], ranking["tasks"], ranking["trajectories"]) == (12, 12, 2, 12)
    assert (confusion["rows"], confusion["episodes"], confusion["tasks"]) == (4, 2, 2)
    assert all(-1 <= alignment[name] <= 1 for name in ("pearson", "spearman"))
    assert {"tau_a", "tau_a_interval", "tau_b", "pair_accuracy", "unparsed"} <= set(ranking)
    assert {"diagonal", "off_diagonal", "gap", "gap_interval"} <= set(confusion)
    means = results["benchmark"]["mean_over_datasets"]
    values = [found[key]["alignment"]["pearson"] for key in found]
    assert means["alignment"]["pearson"] == pytest.approx(np.mean(values))
    assert means["ranking"]["datasets"] == 2


def test_a_model_that_knows_is_at_the_top(bench, monkeypatch):
    monkeypatch.setattr(evaluation, "open_engine", lambda options, exam: Knowing())
    _, results = bench()
    for one in results["benchmark"]["datasets"].values():
        assert one["alignment"]["pearson"] > 0.999
        assert one["ranking"]["tau_a"] == one["ranking"]["pair_accuracy"] == 1
        assert (one["confusion"]["diagonal"], one["confusion"]["off_diagonal"]) == (100, 0)


def test_a_model_that_says_nothing_is_told_by_count(bench, monkeypatch, capsys):
    class Silent(Knowing):
        def answer(self, rows, max_new_tokens, *, blank_frames=False):
            return [Prediction("no idea") for _ in rows]

    monkeypatch.setattr(evaluation, "open_engine", lambda options, exam: Silent())
    bench("--episodes", "2", "--datasets", "mw_eval")
    shown = capsys.readouterr().out
    assert "mw_eval, alignment: 2 of 2 correlations are undefined (a constant score, or an unparsed one)" in shown
    assert "mw_eval, ranking: 12 of 12 answers are unparsed and count as the worst" in shown
    monkeypatch.undo()
    bench("--episodes", "2", "--datasets", "mw_eval", model="constant")
    assert "alignment: 2 of 2 correlations are undefined" in capsys.readouterr().out


def test_the_seed_says_which_episodes_and_the_same_gives_the_same_file(bench, tmp_path):
    flags = ("--episodes", "1", "--sets", "alignment")
    bench(*flags)
    first = (tmp_path / "results.json").read_bytes()
    bench(*flags)
    assert (tmp_path / "results.json").read_bytes() == first
    shown = {bench(*flags, "--draw_seed", str(seed))[1]["dataset_hash"] for seed in range(4)}
    assert len(shown) > 1


def test_one_dataset_and_one_set(bench, sets):
    _, results = bench("--datasets", "mw_eval", "--sets", "ranking")
    assert set(results["benchmark"]["datasets"]) == {"mw_eval"}
    assert results["sample_types"] == {"progress": 12}
    assert "reward_alignment" not in results
    _, single = bench("--sets", "ranking", path=sets / "mw_eval")
    assert single["benchmark"]["datasets"] == results["benchmark"]["datasets"]


def test_confusion_is_of_as_many_episodes_as_were_asked_for(bench, tmp_path):
    """Tasks without a success are no instructions, and do not make room for further episodes."""
    rows = [episode(tmp_path, "few", f"e{at}", film(at), task=f"do task {at % 2}") for at in range(12)]
    rows += [
        episode(tmp_path, "few", f"f{at}", film(20 + at), task=f"try {at}", quality_label="failure") for at in range(4)
    ]
    write_episodes(tmp_path, "few", rows)
    _, results = bench("--sets", "confusion", "--episodes", "3", path=tmp_path)
    found = results["benchmark"]["datasets"]["few"]["confusion"]
    assert (found["episodes"], found["rows"]) == (3, 6)


def failures(root, name, frames):
    """A dataset of two failures, whose first frames file is `frames`."""
    rows = []
    for at, path in enumerate((frames, f"{name}/frames/trajectory_1.npz")):
        (root / name / "frames").mkdir(parents=True, exist_ok=True)
        if not (root / path).exists():
            write_npz(root / path, moving_square(8))
        rows.append(
            Trajectory(
                id=str(at),
                task="push",
                data_source=name,
                frames=path,
                frames_shape=(8, 32, 48, 3),
                num_frames=8,
                quality_label="failure",
            )
        )
    write_processed_dataset(root / name, rows)
    return root


def test_a_set_that_a_dataset_cannot_give_says_why(bench, tmp_path, capsys):
    root = make_world(failures(tmp_path / "in", "bad_eval", "bad_eval/frames/trajectory_0.npz"), "mw_eval")
    status, results = bench("--episodes", "2", path=root)
    assert status == 0
    why = results["benchmark"]["datasets"]["bad_eval"]["alignment"]["why_not"]
    assert why == "of its 2 trajectories that can be used, none is successful"
    shown = capsys.readouterr().out
    assert f"bad_eval has no alignment: {why}" in shown
    assert "bad_eval has no ranking: `--eval_set ranking` needs tasks with episodes of two qualities" in shown
    assert bench(path=root / "bad_eval")[0] == 1
    assert "no question can be asked of these datasets:\nbad_eval has no alignment:" in capsys.readouterr().err


def test_frames_outside_the_named_folder_are_not_read(bench, tmp_path, capsys):
    root = failures(tmp_path / "in", "other", "other/frames/trajectory_0.npz")
    failures(root, "leads_out", "other/frames/trajectory_0.npz")
    assert bench(path=root / "leads_out")[0] == 1
    message = r"`frames` of {} must lie in {}, but `other/frames/trajectory_0.npz` leads to"
    assert message.format(root / "leads_out", root / "leads_out") in capsys.readouterr().err
    (root / "linked" / "frames").mkdir(parents=True)
    (root / "linked" / "frames" / "trajectory_0.npz").symlink_to(root / "other" / "frames" / "trajectory_0.npz")
    failures(root, "linked", "linked/frames/trajectory_0.npz")
    assert bench(path=root / "linked")[0] == 1
    assert "but `linked/frames/trajectory_0.npz` leads to" in capsys.readouterr().err


def test_it_is_shown_and_once_more_by_report(bench, tmp_path, capsys):
    bench("--episodes", "2")
    shown = capsys.readouterr().out
    assert "mean of 2 datasets" in shown
    assert "up to 8 frames a clip, as the default says; seed 0" in shown
    assert run_command(("report",), [str(tmp_path / "results.json")], "rfm report") == 0
    assert capsys.readouterr().out == shown
    read_results(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--datasets", "nope"), "`datasets` must be among franka_eval, mw_eval, but one is 'nope'"),
        (("--episodes", "0"), "`episodes` must lie between 1 and 2147483647, but is 0"),
        (("--prefixes", "0"), "`prefixes` must lie between 1 and 4096, but is 0"),
        (("--draw_seed", "-1"), "`draw_seed` must be a whole number from 0, but is -1"),
        (("--sets",), "`sets` must be among alignment, ranking, confusion, but one is 'none'"),
        (
            ("--max_samples", "3"),
            "`max_samples` must be left out: the first rows are of one set; take fewer --episodes",
        ),
    ],
)
def test_what_cannot_be_is_one_message(bench, flags, message, capsys):
    assert bench(*flags)[0] == 1
    assert message in capsys.readouterr().err


def test_a_folder_without_datasets(bench, tmp_path, capsys):
    assert bench(path=tmp_path)[0] == 1
    assert "`dataset_path` must hold processed datasets (<name>/processed_dataset), but" in capsys.readouterr().err
