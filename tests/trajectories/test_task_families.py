import numpy as np
import pyarrow as pa
import pytest

from rfm.trajectories.task_groups import task_families


def families(*rows: tuple[str, int]) -> list[int]:
    texts, code = np.unique([text for text, _ in rows], return_inverse=True)
    found = task_families(
        pa.array(texts.tolist()), code.astype(np.int32), np.array([task for _, task in rows], np.int32)
    )
    return found.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("open drawer", "Open the drawer."),
        ("pick up apples", "pick up an apple"),
        ("open the drawer", "open the drawer"),
    ],
)
def test_tasks_that_a_text_means_both_of_are_one_family(one, other):
    first, second, third = families((one, 0), (other, 1), ("close the window", 2))
    assert first == second != third


@pytest.mark.parametrize(("one", "other"), [("press", "pres"), ("bus", "bu"), ("the", "a"), ("iris", "iri")])
def test_other_words_stay_apart(one, other):
    first, second = families((one, 0), (other, 1))
    assert first != second


def test_families_are_chains():
    assert len(set(families(("a b", 0), ("b c", 0), ("b c", 1), ("c d", 1), ("c d", 2)))) == 1


def test_wordings_of_one_task_are_its_family():
    assert len(set(families(("open it", 3), ("pull it open", 3)))) == 1
