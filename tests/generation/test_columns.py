import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from catalogs import make_catalog, random_catalog

from rfm.configs.experiment_configs import DataConfig
from rfm.generation.columns import Rows, as_rows, record_batch
from rfm.sampling.sampler import Sampler
from rfm.vqa.prompts import ACTORS, BOTH, PERSON, ROBOT, prompt
from rfm.vqa.schema import CLIP_PREFIXES, SCHEMA

SPECIFIED = {
    "sample_type": pa.string(),
    "prompt": pa.string(),
    "answer": pa.string(),
    "task": pa.string(),
    "data_source": pa.string(),
    "data_gen_strategy": pa.string(),
    "resample_attempts": pa.int32(),
    "chosen_is_first": pa.bool_(),
    "npz_path": pa.string(),
    "first_npz_path": pa.string(),
    "second_npz_path": pa.string(),
    "frame_indices": pa.list_(pa.int32()),
    "first_frame_indices": pa.list_(pa.int32()),
    "second_frame_indices": pa.list_(pa.int32()),
    "frames_shape": pa.list_(pa.int32()),
    "first_frames_shape": pa.list_(pa.int32()),
    "second_frames_shape": pa.list_(pa.int32()),
    "target_progress": pa.list_(pa.float32()),
}
CLIP_COLUMNS = ("npz_path", "frame_indices", "frames_shape", "trajectory_id", "quality_label", "end_progress")


def drawn(catalog, rows=400, *, discrete=False, **data):
    settings = DataConfig(discrete_progress=discrete, **data)
    sampler = Sampler(catalog, settings, total=rows, seed=0)
    return sampler, record_batch(sampler, sampler.draw(0, rows), discrete=discrete)


@pytest.fixture(scope="module")
def everything():
    return drawn(random_catalog(3, 200), max_frames=6, sample_type_ratio=[0.4, 0.4, 0.2])


def test_the_columns_of_the_specification_have_fixed_types(everything):
    assert {name: SCHEMA.field(name).type for name in SPECIFIED} == SPECIFIED
    assert everything[1].schema == SCHEMA


def test_the_types_do_not_depend_on_what_is_drawn():
    for ratio in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        _, batch = drawn(random_catalog(3, 200), 20, sample_type_ratio=ratio)
        assert batch.schema == SCHEMA


def test_columns_of_other_sample_types_are_null(everything):
    for row in everything[1].to_pylist():
        kind = row["sample_type"]
        used = CLIP_PREFIXES[kind]
        for prefix in ("", "first_", "second_", "reference_"):
            shown = [row[f"{prefix}{name}"] for name in CLIP_COLUMNS]
            if prefix not in used:
                assert shown == [None] * len(CLIP_COLUMNS)
            else:
                assert all(value is not None for value in shown[:4])
        assert (row["chosen_is_first"] is None) == (kind != "preference")
        assert (row["target_progress"] is None) == (kind != "progress")


def test_what_every_row_has(everything):
    sampler, batch = everything
    for name in ("sample_type", "prompt", "answer", "task", "data_source", "data_gen_strategy", "resample_attempts"):
        assert batch.column(name).null_count == 0
    for row in batch.to_pylist():
        assert row["prompt"] == prompt(row["sample_type"], row["task"], actor=actor_of(row, sampler.catalog))
        assert row["data_source"] in sampler.catalog.sources.to_pylist()
    assert {row["sample_type"] for row in batch.to_pylist()} == {"preference", "progress", "similarity"}


def test_clips_are_those_of_the_catalog(everything):
    sampler, batch = everything
    catalog = sampler.catalog
    of = {catalog.ids[at].as_py(): at for at in range(len(catalog))}
    labels = {-1: None, 0: "failure", 1: "suboptimal", 2: "successful"}
    for row in batch.to_pylist():
        for prefix in CLIP_PREFIXES[row["sample_type"]]:
            at = of[row[f"{prefix}trajectory_id"]]
            indices = row[f"{prefix}frame_indices"]
            assert row[f"{prefix}npz_path"] == catalog.frames_path[at].as_py()
            assert row[f"{prefix}frames_shape"] == [len(indices), *catalog.frames_shape[at][1:].tolist()]
            assert row[f"{prefix}quality_label"] == labels[int(catalog.quality[at])]


def test_targets_go_with_the_shown_frames_and_end_in_the_answer(everything):
    for row in everything[1].to_pylist():
        if row["sample_type"] == "progress":
            assert len(row["target_progress"]) == len(row["frame_indices"])
            assert row["target_progress"][-1] == row["end_progress"]
            assert int(row["answer"]) == np.floor(round(100 * row["end_progress"], 4) + 0.5)


def test_unknown_targets_are_null_and_never_nan():
    catalog = make_catalog(frames=[8] * 6, quality=[0] * 6, partial=[0.25] * 6)
    _, batch = drawn(catalog, 10, max_frames=4, sample_type_ratio=[0, 1, 0], progress_strategy_ratio=[0, 1, 0, 0])
    assert all(row["target_progress"] == [None, None, None, 0.25] for row in batch.to_pylist())


def test_the_first_video_is_chosen_where_the_answer_is_1(everything):
    pairs = [row for row in everything[1].to_pylist() if row["sample_type"] == "preference"]
    assert {(row["answer"], row["chosen_is_first"]) for row in pairs} == {("1", True), ("2", False)}


def test_discrete_rows_ask_for_levels():
    sampler, batch = drawn(random_catalog(3, 200), 100, discrete=True, sample_type_ratio=[0, 1, 0])
    assert {row["answer"] for row in batch.to_pylist()} == set("12345")
    for row in batch.to_pylist():
        actor = actor_of(row, sampler.catalog)
        assert row["prompt"] == prompt("progress", row["task"], discrete=True, actor=actor)


@pytest.mark.parametrize("step", [1, 5, 50])
def test_scores_are_the_nearest_multiples_of_a_step(step):
    _, batch = drawn(random_catalog(3, 200), 200, sample_type_ratio=[0, 1, 0], progress_step=step)
    for row in batch.to_pylist():
        assert int(row["answer"]) % step == 0
        assert abs(int(row["answer"]) - 100 * row["end_progress"]) <= step / 2 + 1e-4


def actor_of(row, catalog):
    """Whom the clips of a row show; a similarity question has one wording for all."""
    is_robot = dict(zip(catalog.ids.to_pylist(), catalog.is_robot.tolist(), strict=True))
    clips = [row[f"{prefix}trajectory_id"] for prefix in ("", "first_", "second_")]
    robots = {is_robot[clip] for clip in clips if clip is not None}
    return BOTH if len(robots) == 2 else ROBOT if robots == {True} else PERSON


def test_a_question_says_whether_it_shows_people_or_robots():
    sampler, batch = drawn(random_catalog(3, 200), 2000, sample_type_ratio=[0.5, 0.5, 0])
    found = set()
    for row in batch.to_pylist():
        actor = actor_of(row, sampler.catalog)
        assert row["prompt"] == prompt(row["sample_type"], row["task"], actor=actor)
        found.add((row["sample_type"], actor))
    assert found == {("progress", ROBOT), ("progress", PERSON), *(("preference", actor) for actor in ACTORS)}


def rows_of(column: str | None = None, word: str | None = None) -> Rows:
    """Rows of all kinds; a word of a column of the catalog is another one, which nothing is drawn by."""
    sampler = Sampler(
        random_catalog(3, 200), DataConfig(max_frames=6, sample_type_ratio=[0.4, 0.4, 0.2]), total=300, seed=0
    )
    block = sampler.draw(0, 300)
    if column is not None:
        words = ["another" if one == word else one for one in getattr(sampler.catalog, column).to_pylist()]
        sampler.catalog = dataclasses.replace(sampler.catalog, **{column: pa.array(words)})
    return as_rows(sampler, block, discrete=False)


def test_equal_rows_have_equal_hashes():
    assert rows_of().batch() == rows_of().batch()
    assert rows_of().digest() == rows_of().digest()


@pytest.mark.parametrize("name", [name for name in SCHEMA.names if name not in ("prompt", "resample_attempts")])
def test_any_changed_cell_changes_the_hash(name):
    """Of each column the first cell that is not null becomes another row's, or null where all have the same."""
    rows = rows_of()
    before, digest = rows.batch(), rows.digest()
    for number, coded in enumerate(rows.coded):
        if name in coded.words:
            at = int(np.flatnonzero(coded.code >= 0)[0])
            others = [code for code in set(coded.code.tolist()) if code != coded.code[at]]
            code = coded.code.copy()
            code[at] = others[-1]
            rows.coded[number] = coded._replace(code=code)
    if name in rows.plain:
        cells = rows.plain[name].to_pylist()
        at = next(at for at, cell in enumerate(cells) if cell is not None)
        cells[at] = next((cell for cell in cells if cell is not None and cell != cells[at]), None)
        rows.plain[name] = pa.array(cells, SCHEMA.field(name).type)
    assert rows.batch() != before
    assert rows.digest() != digest


@pytest.mark.parametrize("column", ["ids", "frames_path", "texts", "sources"])
def test_a_word_changes_the_hash_where_a_row_has_it_and_only_there(column):
    digest = rows_of().digest()
    seen = {value for row in rows_of().batch().to_pylist() for value in row.values() if isinstance(value, str)}
    words = getattr(random_catalog(3, 200), column).to_pylist()
    shown, hidden = ([word for word in words if (word in seen) == there] for there in (True, False))
    assert all(rows_of(column, word).digest() != digest for word in (shown[0], shown[-1]))
    assert all(rows_of(column, word).digest() == digest for word in hidden[:2])
