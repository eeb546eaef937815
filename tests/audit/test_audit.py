"""The whole audit: a generated dataset passes, and each fault of the original recipe is found by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audit.faulty import Row, edit_config, flipped, is_pair, paint, rejected, rewrite, shown
from datasets import load_from_disk
from worlds import make_world

from rfm.audit import shortcuts
from rfm.audit.options import AuditOptions
from rfm.audit.run import audit
from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.frames.npz import write_npz
from rfm.frames.reader import read_frames
from rfm.vqa.generate import GenerateOptions, generate

ROWS = 1200
EXTRA = tuple(
    f"{prefix}{name}"
    for prefix in ("", "first_", "second_", "reference_")
    for name in ("trajectory_id", "quality_label", "end_progress")
)
"""Columns that other people's datasets do not have."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "SPLITS", 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    for seed, (key, episodes) in enumerate((("toy_train", 60), ("toy_eval", 30), ("toy_other", 60))):
        make_world(root, key, episodes=episodes, frames=32, seed=seed)
        paint(root, key, seed)
    return root


def draw(world: Path, output: Path, *overrides: str, rows: int = ROWS, **changes) -> Path:
    where = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.eval_datasets=[toy_eval]")
    # equal shares of progress strategies are told from the direction alone, to 0.85 of the best constant's error
    mixture = "data.progress_strategy_ratio=[1,3,1,1]"
    return generate(
        GenerateOptions(
            output_path=str(output),
            num_samples=rows,
            num_workers=1,
            config_overrides=(*where, "data.max_frames=8", mixture, *overrides),
            **changes,
        )
    )


@pytest.fixture(scope="module")
def clean(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("clean") / "vqa", "data.sample_type_ratio=[0.5,0.5,0]")


@pytest.fixture(scope="module")
def held_out(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("held_out") / "vqa", partition="eval", rows=300)


class Result:
    """What an audit wrote, by name."""

    def __init__(self, status: int, file: Path):
        self.status = status
        self.found = json.loads(file.read_text())
        everything = [*self.found["datasets"], *self.found["comparisons"]]
        self.checks = {check["name"]: check for one in everything for check in one["checks"]}
        self.broken = {
            rule["rule"]: rule["broken"] for one in self.found["datasets"] for rule in one["rules"] if rule["broken"]
        }

    @property
    def failed(self) -> list[str]:
        return [name.rpartition(": ")[2] for name in self.found["failed"]]


def look(*datasets: Path, **options) -> Result:
    file = datasets[0].parent / "found.json"
    status = audit(AuditOptions(tuple(map(str, datasets)), output_path=str(file), **options))
    return Result(status, file)


def test_a_generated_dataset_passes(clean):
    found = look(clean)
    assert (found.status, found.failed, found.broken) == (0, [], {})
    assert found.found["passed"] is True
    assert {check["verdict"] for check in found.checks.values()} == {"ok"}
    assert all(rule["not_checked"] == 0 for rule in found.found["datasets"][0]["rules"])
    assert {rule["rule"] for rule in found.found["datasets"][0]["rules"] if rule["checked"]} >= {
        "the chosen end has more progress",
        "the chosen episode is of better quality",
        "the instruction is the chosen clip's",
        "the answer is the progress at the end",
        "a wrong instruction is answered 0",
    }


def test_every_sample_type_passes(world, tmp_path):
    found = look(draw(world, tmp_path / "vqa", "data.sample_type_ratio=[0.3,0.3,0.4]"))
    assert (found.failed, found.broken) == ([], {})
    assert "similarity told blindly" in found.checks


@pytest.mark.parametrize(
    "override",
    [
        "data.progress_step=5",
        "data.progress_step=25",
        "data.discrete_progress=true",
        "data.progress_pred_type=absolute_first_frame",
        "data.progress_pred_type=relative_first_frame",
    ],
)
def test_labels_are_judged_by_the_settings_they_were_made_with(world, tmp_path, override):
    found = look(draw(world, tmp_path / "vqa", override, "data.sample_type_ratio=[0.2,0.8,0]", rows=400))
    assert found.broken == {}
    assert found.checks["contradictions"]["verdict"] == "ok"


def test_of_an_evaluation_set_the_spread_of_scores_is_reported_but_not_judged(world, tmp_path):
    found = look(draw(world, tmp_path / "vqa", "data.progress_strategy_ratio=null", eval_mode=True), max_duplicates=1)
    assert (found.failed, found.broken) == ([], {})
    assert found.checks["progress told blindly"]["verdict"] == "reported"
    assert found.checks["least used tenth of scores"]["verdict"] == "reported"
    assert found.checks["preference told blindly"]["verdict"] == "ok"


def test_a_success_cut_off_is_read_where_the_dataset_says(world, tmp_path):
    plain = rewritten_without_records(world, tmp_path / "plain")
    (tmp_path / "cutoffs.csv").write_text("toy_train,0.6\n")
    override = f"data.dataset_success_cutoff_file={tmp_path / 'cutoffs.csv'}"
    vqa = draw(plain, tmp_path / "vqa", override, rows=300)
    assert look(vqa).broken == {}
    (tmp_path / "cutoffs.csv").write_text("toy_train,0.9\n")
    assert "the answer is the progress at the end" in look(vqa).broken
    (tmp_path / "cutoffs.csv").unlink()
    lost = look(vqa)
    assert lost.broken == {}
    assert lost.checks["contradictions"]["verdict"] == "partly checked"


def rewritten_without_records(world: Path, root: Path) -> Path:
    """The training trajectories without recorded progress: that of successful ones comes from time."""
    from rfm.trajectories.record import Trajectory
    from rfm.trajectories.store import read_columns, write_processed_dataset

    shutil.copytree(world / "toy_train" / "frames", root / "toy_train" / "frames")
    names = ("id", "task", "task_id", "data_source", "frames", "num_frames", "quality_label")
    rows = read_columns(world / "toy_train", names).to_pylist()
    made = [Trajectory(**row, frames_shape=(row["num_frames"], 32, 32, 3)) for row in rows]
    write_processed_dataset(root / "toy_train", made)
    return root


# The faults of the original recipe, one by one.


def coin_flips(rows: list[Row]) -> list[Row]:
    coin = np.random.default_rng(0).random(len(rows)) < 0.5
    return [flipped(row) if flip and is_pair(row) else row for row, flip in zip(rows, coin, strict=True)]


def true_instruction_put_back(rows: list[Row]) -> list[Row]:
    own = {row["npz_path"]: row for row in rows if row["data_gen_strategy"] == "forward_progress"}
    wrong = [row["data_gen_strategy"] == "different_task_instruction" and row["npz_path"] in own for row in rows]
    return [
        row | {name: own[row["npz_path"]][name] for name in ("task", "prompt")} if bad else row
        for row, bad in zip(rows, wrong, strict=True)
    ]


def another_frame(rows: list[Row]) -> list[Row]:
    return [
        shown(row, "first_", [*row["first_frame_indices"], row["first_frame_indices"][-1]])
        if is_pair(row) and at % 3 == 0
        else row
        for at, row in enumerate(rows)
    ]


def a_frame_twice(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        frames = row["second_frame_indices"]
        return shown(row, "second_", [*frames[:1], *frames[:1], *frames[2:]])

    def straight(row: Row) -> bool:
        frames = row["second_frame_indices"]
        return frames == sorted(set(frames))

    return [corrupt(row) if is_pair(row) and straight(row) else row for row in rows]


def shape_of_the_whole(rows: list[Row]) -> list[Row]:
    return [row if is_pair(row) else row | {"frames_shape": [32, 32, 32, 3]} for row in rows]


def stops_early(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        for prefix in ("first_", "second_"):
            row = shown(row, prefix, [frame - 1 for frame in row[f"{prefix}frame_indices"]])
        return row

    early = [row["data_gen_strategy"] == "suboptimal" and row["first_frame_indices"][0] > 0 for row in rows]
    return [corrupt(row) if bad else row for row, bad in zip(rows, early, strict=True)]


def other_start(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        frames = row["first_frame_indices"]
        return shown(row, "first_", [frames[0] + 1, *frames[1:]])

    able = [
        row["data_gen_strategy"] == "rewind"
        and is_pair(row)
        and row["first_frame_indices"][1] > row["first_frame_indices"][0] + 1
        for row in rows
    ]
    return [corrupt(row) if bad else row for row, bad in zip(rows, able, strict=True)]


def time_as_answer(rows: list[Row]) -> list[Row]:
    def corrupt(row: Row) -> Row:
        return row | {"answer": str(int(100 * (row["frame_indices"][-1] + 1) / 32 + 0.5))}

    return [
        corrupt(row) if row["data_gen_strategy"] in ("forward_progress", "rewind") and not is_pair(row) else row
        for row in rows
    ]


def wrong_instruction_scored(rows: list[Row]) -> list[Row]:
    return [row | {"answer": "40"} if row["data_gen_strategy"] == "different_task_instruction" else row for row in rows]


def wrong_instruction_backwards(rows: list[Row]) -> list[Row]:
    return [
        shown(row, "", row["frame_indices"][::-1]) if row["data_gen_strategy"] == "different_task_instruction" else row
        for row in rows
    ]


def coin_and_column_apart(rows: list[Row]) -> list[Row]:
    return [row | {"chosen_is_first": not row["chosen_is_first"]} if is_pair(row) else row for row in rows]


def words_for_numbers(rows: list[Row]) -> list[Row]:
    return [row | {"answer": "one"} if is_pair(row) and at % 50 == 0 else row for at, row in enumerate(rows)]


ONE_ANSWER = "the same question has one answer"
MORE_PROGRESS, BETTER, OF_THE_CHOSEN = (
    "the chosen end has more progress",
    "the chosen episode is of better quality",
    "the instruction is the chosen clip's",
)


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (coin_flips, {MORE_PROGRESS, BETTER, OF_THE_CHOSEN}),
        (true_instruction_put_back, {"a right instruction is not answered 0"}),
        (another_frame, {"equally many shown frames"}),
        (a_frame_twice, {"equally many distinct frames"}),
        (shape_of_the_whole, {"frames_shape is that of the shown frames"}),
        (stops_early, {"compared episodes are shown to their ends"}),
        (other_start, {"clips of one episode start together"}),
        (time_as_answer, {"the answer is the progress at the end"}),
        (wrong_instruction_scored, {"a wrong instruction is answered 0"}),
        (wrong_instruction_backwards, {"a wrong instruction is shown forwards"}),
        (coin_and_column_apart, {"chosen_is_first is the answer"}),
        (words_for_numbers, {"a pair's answer is 1 or 2"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_label_is_found_by_its_rule(clean, tmp_path, fault, rules):
    drop = ("target_progress", "end_progress")  # they would contradict the changed answers too
    found = look(rewrite(clean, tmp_path / "vqa", fault, drop=drop))
    assert set(found.broken) - {ONE_ANSWER} == rules
    assert found.status == 1
    blind = {f"{kind} told blindly" for kind in ("preference", "progress")} | {"least used tenth of scores"}
    assert set(found.failed) - blind == {"contradictions"}
    assert all(rule in found.checks["contradictions"]["note"] for rule in rules)


def itself_as_reference(rows: list[Row]) -> list[Row]:
    names = ("npz_path", "frame_indices", "frames_shape", "trajectory_id")
    return [
        row | {f"reference_{name}": row[f"first_{name}"] for name in names} if at % 9 == 0 else row
        for at, row in enumerate(rows)
    ]


def no_reference(rows: list[Row]) -> list[Row]:
    return [row | {"reference_npz_path": None} if at % 9 == 0 else row for at, row in enumerate(rows)]


def reference_of_another_task(rows: list[Row]) -> list[Row]:
    names = ("npz_path", "frame_indices", "frames_shape", "trajectory_id")
    other = {row["task"]: row for row in rows}
    assert len(other) == 2
    return [
        row | {f"reference_{name}": other[task][f"reference_{name}"] for name in names}
        for row in rows
        for task in other
        if task != row["task"]
    ]


@pytest.fixture(scope="module")
def similar(world, tmp_path_factory) -> Path:
    return draw(world, tmp_path_factory.mktemp("similar") / "vqa", "data.sample_type_ratio=[0,0,1]", rows=600)


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        (list, set()),
        (coin_flips, {MORE_PROGRESS, BETTER}),
        (itself_as_reference, {"the reference is another episode"}),
        (no_reference, {"a similarity question has a reference"}),
        (reference_of_another_task, {"the nearer clip has the reference's task"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_similarity_questions_have_rules_of_their_own(similar, tmp_path, fault, rules):
    found = look(rewrite(similar, tmp_path / "vqa", fault, drop=("chosen_is_first",)))
    assert set(found.broken) - {ONE_ANSWER} == rules


def direction_tells(rows: list[Row]) -> list[Row]:
    """Only pairs whose rejected clip is the one that turns back, as the original recipe drew them."""

    def turns(frames: list[int]) -> bool:
        return min(np.diff(frames)) < 0

    return [
        row
        for row in rows
        if turns(row[f"{rejected(row)}frame_indices"])
        and not turns(row[f"{'first_' if rejected(row) == 'second_' else 'second_'}frame_indices"])
    ]


@pytest.fixture(scope="module")
def rewinds(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rewinds") / "vqa"
    return draw(world, path, "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={rewind:1}", rows=3000)


def test_a_direction_that_tells_the_answer_is_found(rewinds, tmp_path):
    assert look(rewinds, max_duplicates=1).failed == []
    path = rewrite(rewinds, tmp_path / "vqa", direction_tells, config=False)
    found = look(path, datasets_root=str(root_of(rewinds)), max_duplicates=1)
    assert found.failed == ["preference told blindly"]
    assert found.checks["preference told blindly"]["measured"] > 0.95
    assert found.broken == {}


def root_of(path: Path) -> Path:
    return Path(json.loads((path / "generation_config.json").read_text())["datasets_root"])


@pytest.fixture(scope="module")
def two_tasks(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("two_tasks") / "vqa"
    return draw(world, path, "data.sample_type_ratio=[1,0,0]", "data.preference_strategy_ratio={different_task:1}")


def rejected_from_elsewhere(rows: list[Row]) -> list[Row]:
    """The same episodes' likes from another source, but only on the rejected side."""

    def corrupt(row: Row) -> Row:
        prefix = rejected(row)
        change = {
            name: row[name].replace("toy_train", "toy_other")
            for name in (f"{prefix}npz_path", f"{prefix}trajectory_id")
        }
        return row | change

    return [corrupt(row) for row in rows]


def smaller_where_rejected(rows: list[Row]) -> list[Row]:
    return [
        row | {f"{rejected(row)}frames_shape": [len(row[f"{rejected(row)}frame_indices"]), 24, 24, 3]} for row in rows
    ]


@pytest.mark.parametrize(
    ("fault", "also"),
    [(rejected_from_elsewhere, []), (smaller_where_rejected, ["contradictions"])],
    ids=["source", "size"],
)
def test_a_source_or_size_that_tells_the_answer_is_found(two_tasks, tmp_path, fault, also):
    assert look(two_tasks).failed == []
    found = look(rewrite(two_tasks, tmp_path / "vqa", fault))
    assert found.failed == [*also, "preference told blindly"]
    assert found.checks["preference told blindly"]["measured"] > 0.95
    assert set(found.broken) == ({"frames_shape is that of the shown frames"} if also else set())


def test_words_that_tell_the_answer_are_found(two_tasks, tmp_path):
    def hint(rows: list[Row]) -> list[Row]:
        return [row | {"prompt": f"{('Well', 'Now')[row['answer'] == '1']}. {row['prompt']}"} for row in rows]

    assert look(rewrite(two_tasks, tmp_path / "vqa", hint)).failed == ["preference told blindly"]


def test_progress_that_the_number_of_frames_tells_is_found(clean, tmp_path):
    def longer_when_further(rows: list[Row]) -> list[Row]:
        def corrupt(row: Row) -> Row:
            return shown(row, "", [row["frame_indices"][0]] * (1 + int(row["answer"]) // 10) + row["frame_indices"])

        return [row if is_pair(row) else corrupt(row) for row in rows]

    found = look(rewrite(clean, tmp_path / "vqa", longer_when_further, drop=("target_progress",)))
    assert found.failed == ["progress told blindly"]
    assert found.checks["progress told blindly"]["measured"] < 0.3
    assert found.broken == {}


def test_repeated_rows_are_found(clean, tmp_path):
    path = rewrite(clean, tmp_path / "vqa", lambda rows: rows + rows[:240])
    found = look(edit_config(path, config={}, counts={}))
    assert found.failed == ["duplicate rows"]
    assert found.checks["duplicate rows"]["measured"] >= 240 / (ROWS + 240)


def test_one_question_with_two_answers_is_found(clean, tmp_path):
    def both(rows: list[Row]) -> list[Row]:
        return rows + [flipped(row) for row in rows if is_pair(row)][:20]

    path = edit_config(rewrite(clean, tmp_path / "vqa", both), config={}, counts={}, datasets_root=None)
    found = look(path)
    assert found.broken == {ONE_ANSWER: 20}, "seen without any trajectory"


def test_one_answer_more_often_than_the_other_is_found(clean, tmp_path):
    def mostly_first(rows: list[Row]) -> list[Row]:
        return [row for row in rows if not is_pair(row) or row["answer"] == "1"]

    path = edit_config(rewrite(clean, tmp_path / "vqa", mostly_first), config={}, counts={})
    assert "preference imbalance" in look(path).failed


def test_shares_that_are_not_those_asked_for_are_found(clean, tmp_path):
    path = rewrite(clean, tmp_path / "vqa", lambda rows: rows[:-7])
    found = look(path)
    assert found.failed == ["rows off the ratios"]
    assert 1 <= found.checks["rows off the ratios"]["measured"] <= 7
    assert look(path, max_ratio_error=7).failed == []


def test_scores_that_leave_a_tenth_of_the_scale_empty_are_found(clean, tmp_path):
    def low_scores(rows: list[Row]) -> list[Row]:
        return [row for row in rows if is_pair(row) or int(row["answer"]) <= 80]

    path = edit_config(rewrite(clean, tmp_path / "vqa", low_scores), config={}, counts={})
    found = look(path)
    assert "least used tenth of scores" in found.failed
    assert found.checks["least used tenth of scores"]["measured"] == 0


@pytest.fixture
def own_world(clean, tmp_path) -> tuple[Path, Path]:
    """A copy of the world that may be damaged, and the dataset that shows it."""
    root = tmp_path / "world"
    shutil.copytree(root_of(clean), root)
    path = rewrite(clean, tmp_path / "vqa")
    return root, edit_config(path, datasets_root=str(root))


def test_missing_files_are_found(own_world):
    root, path = own_world
    for file in sorted((root / "toy_train" / "frames").iterdir())[:3]:
        file.unlink()
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("missing file: ")
    assert "3 of 60 files (5.0%)" in found.checks["unreadable rows"]["note"]
    rows = found.checks["unreadable rows"]["measured"]
    assert look(path, max_unreadable=rows).failed == []


def test_a_truncated_file_is_found(own_world):
    root, path = own_world
    file = root / "toy_train" / "frames" / "trajectory_toy_train_000.npz"
    file.write_bytes(file.read_bytes()[:-1000])
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("unreadable file: ")
    assert list(found.found["datasets"][0]["files"]["reasons"]) == ["toy_train/frames/trajectory_toy_train_000.npz"]


def test_frames_beyond_a_files_end_are_found(own_world):
    root, path = own_world
    file = root / "toy_train" / "frames" / "trajectory_toy_train_006.npz"
    frames = read_frames(root, "toy_train/frames/trajectory_toy_train_006.npz", range(20))
    write_npz(file, frames)
    found = look(path)
    assert found.failed == ["unreadable rows"]
    assert found.checks["unreadable rows"]["note"].startswith("frame index outside the file: ")


def test_a_path_that_leaves_the_root_is_unreadable(clean, tmp_path):
    def astray(rows: list[Row]) -> list[Row]:
        return [row | {"npz_path": "../secret.npz"} if not is_pair(row) else row for row in rows]

    found = look(rewrite(clean, tmp_path / "vqa", astray))
    assert "unreadable rows" in found.failed
    assert "must lie under the datasets root" in found.checks["unreadable rows"]["note"]


def test_datasets_of_other_trajectories_share_nothing(clean, held_out):
    found = look(clean, held_out, min_progress_error=0.5)
    assert found.failed == []
    assert found.checks["shared trajectories"]["measured"] == 0
    assert found.checks["look-alike episodes"]["verdict"] == "ok"
    assert found.checks["shared instructions"]["verdict"] == "reported"
    assert look(clean, held_out, min_progress_error=0.5, max_task_overlap=1).failed == ["shared instructions"]


def test_training_rows_in_a_test_set_are_found(clean, held_out, tmp_path):
    train = load_from_disk(str(clean)).to_list()
    mixed = rewrite(held_out, tmp_path / "vqa", lambda rows: rows + train[:10])
    found = look(clean, edit_config(mixed, config={}, counts={}), min_progress_error=0.5)
    assert found.failed == ["shared trajectories"]
    assert found.found["comparisons"][0]["shared_rows"] == 10
    shared = found.found["comparisons"][0]["shared_trajectories"]
    assert look(clean, mixed, min_progress_error=0.5, max_overlap=len(shared), max_ratio_error=20).failed == []


def test_a_training_episode_under_another_name_in_a_test_set_is_found(own_world, held_out, tmp_path):
    root, path = own_world
    frames = read_frames(root, "toy_train/frames/trajectory_toy_train_000.npz", range(32))
    noise = np.random.default_rng(0).integers(-2, 3, frames.shape)
    write_npz(root / "toy_eval" / "frames" / "trajectory_toy_eval_000.npz", (frames + noise).astype(np.uint8))
    found = look(
        path, edit_config(rewrite(held_out, tmp_path / "held_out"), datasets_root=str(root)), min_progress_error=0.5
    )
    assert found.failed == ["look-alike episodes"]
    twins = [f"toy_{part}/frames/trajectory_toy_{part}_000.npz" for part in ("train", "eval")]
    assert found.found["comparisons"][0]["look_alikes"] == [twins]
    options = {"min_progress_error": 0.5, "max_hashed_episodes": 0}
    assert look(path, held_out, **options).checks["look-alike episodes"]["verdict"] == "not checked"


# Other people's datasets.


def test_a_dataset_without_our_columns_is_judged_by_what_it_has(clean, tmp_path):
    plain = (*EXTRA, "data_source", "task", "target_progress", "chosen_is_first", "resample_attempts")
    root = str(root_of(clean))
    path = rewrite(clean, tmp_path / "vqa", config=False, drop=plain)
    found = look(path, datasets_root=root)
    assert (found.failed, found.broken) == ([], {})
    assert found.checks["rows off the ratios"]["verdict"] == "not checked"
    assert look(path, datasets_root=root, strict=True).failed == ["rows off the ratios"]
    flips = look(rewrite(clean, tmp_path / "flips", coin_flips, config=False, drop=plain), datasets_root=root)
    assert set(flips.broken) - {ONE_ANSWER} == {MORE_PROGRESS, BETTER, OF_THE_CHOSEN}


def test_a_dataset_of_nothing_but_questions_passes_for_nothing(clean, tmp_path):
    keep = {"sample_type", "prompt", "answer"}
    drop = tuple(name for name in load_from_disk(str(clean)).column_names if name not in keep)
    found = look(rewrite(clean, tmp_path / "vqa", config=False, drop=drop))
    assert found.checks["unreadable rows"]["verdict"] == "not checked"
    assert found.checks["preference told blindly"]["verdict"] == "not checked"
    assert set(found.broken) == {
        "a pair has two clips",
        "a progress question has a clip",
        ONE_ANSWER,
    }


def test_what_needs_trajectories_is_not_checked_without_them(clean, tmp_path):
    root = tmp_path / "frames only"
    shutil.copytree(root_of(clean) / "toy_train" / "frames", root / "toy_train" / "frames")
    found = look(clean, datasets_root=str(root))
    assert found.status == 0
    assert found.checks["contradictions"]["verdict"] == "partly checked"
    assert (
        f"not checked: up to 600 rows a rule: `datasets_root` must hold trajectory datasets, but {root} has none"
        in (found.checks["contradictions"]["note"])
    )
    assert found.checks["unreadable rows"]["verdict"] == "ok"
    rules = {rule["rule"]: rule for rule in found.found["datasets"][0]["rules"]}
    assert rules[MORE_PROGRESS]["checked"] == 0
    assert look(clean, datasets_root=str(root), strict=True).failed == ["contradictions"]


def test_a_sample_says_what_it_did_not_look_at(clean):
    found = look(clean, max_rows=300)
    assert found.found["datasets"][0]["rows_looked_at"] == 300
    assert found.checks["rows off the ratios"]["verdict"] == "not checked"
    assert found.checks["duplicate rows"]["verdict"] == "partly checked"
    assert "900 rows beyond the sample of --max_rows" in found.checks["duplicate rows"]["note"]


# The command.


def test_the_command_prints_tables_of_at_most_80_columns_and_fails_past_a_limit(clean, capsys, caplog, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(("audit",), [str(clean)], "rfm audit") == 0
    assert run_command(("audit",), [str(clean), "--max_duplicates", "0"], "rfm audit") == 1
    shown = capsys.readouterr().err
    assert "contradictions                      0       <= 0   ok" in shown
    assert "FAILED" in shown
    assert max(map(len, shown.splitlines()[1:])) <= 80
    assert caplog.messages[-1] == f"the audit fails:\n  {clean}: duplicate rows"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"max_rows": 0}, "`max_rows` must be at least 1, but is 0"),
        ({"max_contradictions": -1}, "`max_contradictions` must be at least 0, but is -1"),
        ({"max_shortcut_accuracy": 55}, "`max_shortcut_accuracy` must be between 0 and 1, but is 55"),
        ({"datasets": ("a", "b", "a")}, "`datasets` must all be different, but a is given more than once"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options_are_named(change, text):
    with pytest.raises(ConfigError) as caught:
        AuditOptions(**{"datasets": ("a",), **change})
    assert str(caught.value) == text


def test_wrong_inputs_are_named_before_any_work(clean, tmp_path):
    with pytest.raises(DataError, match="`dataset_path` must be a folder made by `rfm generate`"):
        audit(AuditOptions((str(tmp_path / "none"),)))
    with pytest.raises(DataError, match="`datasets_root` must be a folder, but is"):
        audit(AuditOptions((str(clean),), datasets_root=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="`output_path` must be a file in a folder that exists, but is"):
        audit(AuditOptions((str(clean),), output_path=str(tmp_path / "none" / "found.json")))


def test_it_needs_no_torch():
    code = "import sys, rfm.audit.run, rfm.audit.statistics_command\nsys.exit(int('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
