import numpy as np
import pytest
from datasets import Dataset

from rfm.audit import shortcuts
from rfm.audit.reading.questions import Questions, read_questions
from rfm.audit.shortcuts import Told, measure_shortcut

ROWS = 1200


def pairs(
    answers: np.ndarray, first: list[list[int]] | None = None, *, files: int = 60, rows: int = ROWS, seed: int = 0
) -> Questions:
    """Pairs of clips of one file each, forward unless `first` says otherwise."""
    rng = np.random.default_rng(seed)
    path = [f"{at}.npz" for at in rng.integers(0, files, rows)]
    forward = [[0, 1, 2, 3]] * rows
    columns = {
        "sample_type": ["preference"] * rows,
        "prompt": ["Which?"] * rows,
        "answer": [str(one) for one in answers],
        "data_gen_strategy": ["even" if at % 2 == 0 else "odd" for at in range(rows)],
        "first_npz_path": path,
        "second_npz_path": path,
        "first_frame_indices": first or forward,
        "second_frame_indices": forward,
    }
    return read_questions(Dataset.from_dict(columns))


def sources(questions: Questions) -> dict[str, np.ndarray]:
    return {prefix: np.zeros(len(questions), np.int64) for prefix in questions.clips}


def coin(seed: int, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 3, rows)


@pytest.mark.parametrize("seed", range(4))
def test_a_coin_is_not_told(seed):
    directions = [[0, 1, 2, 3][:: (1, -1)[at]] for at in coin(seed + 100) - 1]
    made = pairs(coin(seed), directions, seed=seed)
    told = measure_shortcut(made, "preference", sources(made)).overall
    assert told is not None
    assert told.rows == ROWS, "every row shows one trajectory, so each is held out once a halving"
    assert told.mean < 0.55 or not told.surely_off(0.5)


@pytest.mark.parametrize(("strength", "low", "high"), [(1.0, 0.98, 1.0), (0.7, 0.64, 0.76)])
def test_a_shortcut_is_told_as_often_as_it_holds(strength, low, high):
    answers = coin(1)
    tells = np.random.default_rng(2).random(ROWS) < strength
    directions = [[0, 1, 2, 3][:: 1 if (one == 1) == holds else -1] for one, holds in zip(answers, tells, strict=True)]
    made = pairs(answers, directions)
    found = measure_shortcut(made, "preference", sources(made))
    assert low <= found.overall.mean <= high
    assert found.overall.surely_off(0.5)
    assert set(found.by_strategy) == {"even", "odd"}
    assert sum(one.rows for one in found.by_strategy.values()) == found.overall.rows


def test_trajectories_are_held_out_so_that_their_answers_cannot_be_learnt_by_heart():
    """Each file has one answer and one size of its own: by heart all could be told, by what holds of others none."""
    rng = np.random.default_rng(0)
    of_file = rng.integers(1, 3, 400)
    file = rng.integers(0, 400, ROWS)
    made = pairs(of_file[file], files=400)
    columns = {f"{which}_frames_shape": [[4, int(one), int(one), 3] for one in file] for which in ("first", "second")}
    rows = {
        "sample_type": ["preference"] * ROWS,
        "prompt": [""] * ROWS,
        "answer": of_file[file].astype(str).tolist(),
        **{f"{which}_npz_path": [f"{one}.npz" for one in file] for which in ("first", "second")},
        **{f"{which}_frame_indices": [[0, 1]] * ROWS for which in ("first", "second")},
        **columns,
    }
    made = read_questions(Dataset.from_dict(rows))
    told = measure_shortcut(made, "preference", sources(made)).overall
    assert told.mean < 0.56


def test_a_row_of_two_trajectories_counts_where_both_are_held_out():
    made = pairs(coin(0))
    other = np.random.default_rng(3).permutation(made.clips["second_"].path)
    rows = {
        "sample_type": ["preference"] * ROWS,
        "prompt": [""] * ROWS,
        "answer": [str(int(one)) for one in made.answer],
        "first_npz_path": [made.paths[code] for code in made.clips["first_"].path],
        "second_npz_path": [made.paths[code] for code in other],
        "first_frame_indices": [[0, 1]] * ROWS,
        "second_frame_indices": [[0, 1]] * ROWS,
    }
    crossed = read_questions(Dataset.from_dict(rows))
    told = measure_shortcut(crossed, "preference", sources(crossed)).overall
    assert ROWS / 2 < told.rows < ROWS


def test_progress_is_told_by_its_error_beside_the_constants():
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 101, ROWS)
    for told, shown in ((False, rng.integers(2, 12, ROWS)), (True, 2 + answers // 10)):
        rows = {
            "sample_type": ["progress"] * ROWS,
            "prompt": ["How far?"] * ROWS,
            "answer": answers.astype(str).tolist(),
            "npz_path": [f"{one}.npz" for one in rng.integers(0, 80, ROWS)],
            "frame_indices": [list(range(int(one))) for one in shown],
        }
        made = read_questions(Dataset.from_dict(rows))
        found = measure_shortcut(made, "progress", sources(made)).overall
        assert found.constant == pytest.approx(np.abs(answers - np.median(answers)).mean())
        assert (found.mean < 0.9 * found.constant) == told
        assert found.surely_off(found.constant) == told


@pytest.mark.parametrize(("rows", "files"), [(40, 40), (600, 1)], ids=["few rows", "one trajectory"])
def test_too_little_is_not_measured(rows, files):
    made = pairs(coin(0, rows), rows=rows, files=files)
    found = measure_shortcut(made, "preference", sources(made))
    assert found.overall is None
    assert found.why_not.endswith("rows can be held out by trajectory; 100 are needed")


def test_no_more_than_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr(shortcuts, "MOST_ROWS", 400)
    made = pairs(coin(0))
    assert measure_shortcut(made, "preference", sources(made)).overall.rows == 400


def test_what_is_surely_off_is_off_by_more_than_chance():
    told = Told(100, 0.6, 0.05, 0.5)
    assert told.interval == pytest.approx((0.502, 0.698))
    assert not told.surely_off(0.5)
    assert told.surely_off(0.4)
