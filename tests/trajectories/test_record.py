import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.errors import ConfigError, DataError
from rfm.trajectories.other_tasks import by_task
from rfm.trajectories.record import (
    Trajectory,
    canonical_quality,
    dataset_folder,
    is_relative_frames_path,
    normalise_task,
    quality_code,
)


def make(**changes: object) -> Trajectory:
    values: dict[str, object] = {
        "id": "a",
        "task": "open the drawer",
        "data_source": "sim",
        "frames": "sim/frames/trajectory_a.npz",
        "frames_shape": (4, 8, 8, 3),
        "num_frames": 4,
    }
    return Trajectory(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_label", "label", "code"),
    [
        ("successful", "successful", 2),
        (" Optimal ", "successful", 2),
        ("SUBOPTIMAL", "suboptimal", 1),
        ("failed", "failure", 0),
        ("Success", "successful", 2),
        ("TRUE", "successful", 2),
        ("1", "successful", 2),
        ("partial", "suboptimal", 1),
        ("fail", "failure", 0),
        ("False", "failure", 0),
        ("0.0", "failure", 0),
        (None, None, -1),
        ("", None, -1),
    ],
)
def test_quality_labels_and_synonyms(given_label: str | None, label: str | None, code: int) -> None:
    assert canonical_quality(given_label, "row 1") == label
    assert quality_code(given_label, "row 1") == code
    assert make(quality_label=given_label).quality_label == label


def test_unknown_quality_names_value_row_and_choices() -> None:
    with pytest.raises(DataError) as caught:
        canonical_quality("great", "row 7 of `sim`")
    assert str(caught.value) == (
        "`quality_label` in row 7 of `sim` must be one of `successful` (or optimal, success, succeeded, pass, passed, "
        "true, yes, 1, 1.0), `suboptimal` (or sub-optimal, partial), `failure` (or failed, fail, unsuccessful, false, "
        "no, 0, 0.0) or empty (unknown), but is `great`"
    )


def test_all_faults_of_a_row_are_reported_together() -> None:
    with pytest.raises(DataError) as caught:
        make(task=" ", partial_success=1.5, progress=(0.0, 2.0, 0.5), frames="/etc/x.npz", num_frames=3)
    assert str(caught.value) == (
        "trajectory `a`: `task` must not be empty; `partial_success` must be in [0, 1] or null, but is 1.5; "
        "`progress[1]` must be in [0, 1], but is 2.0; `frames` must be a path relative to the datasets root, without "
        "`..`, but is `/etc/x.npz`; `num_frames` must equal `frames_shape[0]` (4), but is 3"
    )


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("task", ["a", "b"], "`task` must be text, but is ['a', 'b']"),
        ("task", None, "`task` must be text, but is None"),
        ("id", "a\ud800", "`id` must be text, but is 'a\\ud800'"),
        ("data_source", 7, "`data_source` must be text, but is 7"),
        ("quality_label", True, "`quality_label` must be text or null, but is True"),
        ("task_id", {"a": 1}, "`task_id` must be text or null, but is {'a': 1}"),
        ("split", 3, "`split` must be text or null, but is 3"),
        ("is_robot", "false", "`is_robot` must be true or false, but is 'false'"),
        ("partial_success", "0.5", "`partial_success` must be in [0, 1] or null, but is '0.5'"),
        ("partial_success", True, "`partial_success` must be in [0, 1] or null, but is True"),
        ("preference_rank", float("nan"), "`preference_rank` must be a whole number or null, but is nan"),
        ("preference_rank", 2**31, "`preference_rank` must be a whole number or null, but is 2147483648"),
        ("progress", (0.0, "1", 0.5, 1.0), "`progress` must be a list of numbers, but is not"),
        ("progress", "0123", "`progress` must be a list of numbers, but is not"),
        ("lang_vector", (None,), "`lang_vector` must be a list of numbers, but is not"),
        (
            "frames",
            "sim/a\0b.npz",
            "`frames` must be a path relative to the datasets root, without `..`, but is `sim/a",
        ),
    ],
)
def test_values_of_another_kind_are_never_converted(name: str, value: object, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        make(**{name: value})
    assert fault in str(caught.value)


def test_progress_has_one_value_a_frame() -> None:
    with pytest.raises(DataError, match=r"`progress` must have one value a frame \(4\), but has 2"):
        make(progress=(0.0, 1.0))


CURVE = (0.0, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"b": CURVE}, "`progress_by_task` must be progress by task id, but is {'b': (0.0, 0.5, 0.75, 1.0)}"),
        (
            (("b", CURVE, 1),),
            "`progress_by_task` must be progress by task id, but is (('b', (0.0, 0.5, 0.75, 1.0), 1),)",
        ),
        (by_task({" ": CURVE}), "`progress_by_task` must name each task by its id, but has ' '"),
        (((None, CURVE),), "`progress_by_task` must name each task by its id, but has None"),
        (by_task({"b": CURVE, "b ": CURVE}), "`progress_by_task` must name each task once, but names `b ` twice"),
        (by_task({"drawer": CURVE}), "`progress_by_task` must name other tasks than the row's own, but names `drawer`"),
        (
            by_task({"Open, the drawer": CURVE}),
            "`progress_by_task` must name other tasks than the row's own, but names `Open, the drawer`",
        ),
        ((("b", None),), "`progress_by_task[b]` must be a list of numbers, but is None"),
        (
            by_task({"b": (0.0, "1", 0.5, 1.0)}),
            "`progress_by_task[b]` must be a list of numbers, but is (0.0, '1', 0.5",
        ),
        (by_task({"b": (0.0, 1.5, 0.5, 1.0)}), "`progress_by_task[b][1]` must be in [0, 1], but is 1.5"),
        (by_task({"b": (0.0, 0.5, float("nan"), 1.0)}), "`progress_by_task[b][2]` must be in [0, 1], but is nan"),
        (by_task({"b": (0.0, 1.0)}), "`progress_by_task[b]` must have one value a frame (4), but has 2"),
    ],
)
def test_progress_towards_other_tasks_is_checked(value: object, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        make(task_id="drawer", progress_by_task=value)
    assert fault in str(caught.value)


def test_all_faults_of_progress_towards_other_tasks_are_reported_together() -> None:
    with pytest.raises(DataError) as caught:
        make(task_id="drawer", progress_by_task=by_task({"drawer": CURVE, "b": (2.0, 0.0), "c": (0.0,) * 3}))
    assert str(caught.value) == (
        "trajectory `a`: `progress_by_task` must name other tasks than the row's own, but names `drawer`; "
        "`progress_by_task[b][0]` must be in [0, 1], but is 2.0; "
        "`progress_by_task[b]` must have one value a frame (4), but has 2; "
        "`progress_by_task[c]` must have one value a frame (4), but has 3"
    )


def test_nan_is_no_partial_success() -> None:
    with pytest.raises(DataError, match=r"`partial_success` must be in \[0, 1\] or null, but is nan"):
        make(partial_success=float("nan"))


def test_spellings_of_one_wording_are_one_task() -> None:
    assert {normalise_task(text) for text in ("Open the drawer.", " open  THE_drawer", "open-the drawer!")} == {
        "open the drawer"
    }
    assert normalise_task("don't stop") == normalise_task("Don\u2019t stop!") == "dont stop"
    assert normalise_task("???") == "???"


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise_task(normalise_task(text)) == normalise_task(text)


def test_dataset_folder() -> None:
    assert dataset_folder("org/name:split") == "org_name_split"
    for key in ("", "..", "a\\b", "a\0b", "a\ud800", "x" * 201):
        with pytest.raises(ConfigError, match="must name a folder under the datasets root"):
            dataset_folder(key)


def test_relative_frames_paths() -> None:
    assert is_relative_frames_path("a/b..c/d.npz")
    for path in ("", "/a", "../a", "a/../../b", "a\\b", "a\0b"):
        assert not is_relative_frames_path(path)
