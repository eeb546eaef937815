import numpy as np
import pytest
from catalogs import make_catalog

from rfm.audit.reading.asking import (
    CONTRADICTED,
    ELSEWHERE,
    OWN,
    RECORDED,
    SAME_FILE,
    SAME_SCENE,
    SAME_TEXT,
    SCORED,
    UNKNOWN,
    Asking,
)
from rfm.audit.reading.questions import Words
from rfm.trajectories.catalog import Catalog


def words(*texts: str) -> Words:
    return Words(texts, np.arange(len(texts), dtype=np.int32))


def relations(catalog: Catalog, text: str) -> list[int]:
    """What the text is to each trajectory of the catalog."""
    asking, rows = Asking(catalog), np.arange(len(catalog))
    said = np.full(len(catalog), asking.instruction(words(text))[0])
    return asking.asked(said, rows).relation.tolist()


def test_instructions_are_compared_by_their_meaning():
    catalog = make_catalog(frames=[9, 9], tasks=[0, 1], texts=["Open the drawer", "shut a door"])
    told = Words(("open drawers", "Shut door!", "dance"), np.array([0, 1, 2, -1], np.int32))
    assert Asking(catalog).instruction(told).tolist() == [0, 1, UNKNOWN, UNKNOWN]
    assert relations(catalog, "open a drawer.") == [OWN, ELSEWHERE]
    assert relations(catalog, "dance") == [UNKNOWN, UNKNOWN]
    asked = Asking(catalog).asked(np.array([0, 0]), np.array([UNKNOWN, 0]))
    assert asked.relation.tolist() == [UNKNOWN, OWN]
    assert asked.wrong.tolist() == [False, False]


def test_one_text_under_several_task_ids_is_one_text():
    catalog = make_catalog(frames=[9] * 4, tasks=[0, 1, 1, 2], texts=["open it", "open it", "pull it", "shut it"])
    assert relations(catalog, "open it") == [OWN, OWN, OWN, ELSEWHERE]
    assert relations(catalog, "pull it") == [SAME_TEXT, OWN, OWN, ELSEWHERE], "by way of the shared text"


def test_what_other_rows_say_of_a_video_leaves_the_answer_open():
    files = make_catalog(frames=[9] * 4, tasks=[0, 1, 0, 2], files=[0, 0, 1, 2])
    assert relations(files, "do task 1") == [SAME_FILE, OWN, ELSEWHERE, ELSEWHERE]
    groups = make_catalog(frames=[9] * 5, tasks=[0, 1, 2, 3, 2], groups=[0, 0, 1, 1, -1])
    assert relations(groups, "do task 1") == [SCORED, OWN, ELSEWHERE, ELSEWHERE, ELSEWHERE]


def test_within_a_scene_the_record_answers_or_nothing_does():
    catalog = make_catalog(
        frames=[2] * 4,
        tasks=[0, 1, 2, 0],
        scenes=[0, 0, 1, -1],
        towards={(0, 1): [0.1, 0.2], (2, 1): [0.3, 0.4]},
    )
    assert relations(catalog, "do task 1") == [RECORDED, OWN, RECORDED, ELSEWHERE]
    assert relations(catalog, "do task 0") == [OWN, SAME_SCENE, ELSEWHERE, OWN]
    asked = Asking(catalog).asked(np.array([1, 1, 0]), np.array([2, 0, 1]))
    assert asked.record.tolist() == [1, 0, UNKNOWN]


def test_a_task_belongs_where_progress_towards_it_is_recorded():
    catalog = make_catalog(frames=[2] * 3, tasks=[0, 0, 1], scenes=[0, 0, 1], towards={(0, 1): [0.1, 0.2]})
    assert relations(catalog, "do task 1") == [RECORDED, SAME_SCENE, OWN]
    catalog = make_catalog(frames=[2] * 4, tasks=[0, 0, 1, 2], towards={(0, 1): [0.1, 0.2]})
    assert relations(catalog, "do task 1") == [RECORDED, SAME_SCENE, OWN, ELSEWHERE]


@pytest.mark.parametrize(("other", "relation"), [([0.1, 0.2], RECORDED), ([0.1, 0.9], CONTRADICTED)])
def test_two_records_of_one_text_must_agree(other, relation):
    catalog = make_catalog(
        frames=[2] * 3,
        tasks=[0, 1, 2],
        texts=["open it", "shut it", "shut it"],
        towards={(0, 1): [0.1, 0.2], (0, 2): other},
    )
    assert relations(catalog, "shut it") == [relation, OWN, OWN]


def test_kinds_of_instructions_fit_by_the_scenes():
    catalog = make_catalog(frames=[2] * 5, tasks=[0, 1, 2, 3, 3], scenes=[0, 0, 1, 1, -1], towards={(0, 1): [0.1, 0.2]})
    said = words("do task 0", "do task 1", "do task 2", "do task 3")
    instruction, at = Asking(catalog).instruction(said), np.zeros(4, int)
    asked = Asking(catalog).asked(instruction, at)
    fits = {
        kind: Asking(catalog).kind_fits(Words((kind,), np.zeros(4, np.int32)), asked, instruction, at).tolist()
        for kind in ("own", "same_scene", "other_scene", "unknown_scene", "nonsense")
    }
    assert fits == {
        "own": [True, False, False, False],
        "same_scene": [False, True, False, False],
        "other_scene": [False, False, True, True],
        "unknown_scene": [False, False, False, True],
        "nonsense": [False] * 4,
    }
