import numpy as np
import pyarrow as pa
from catalogs import random_catalog

from rfm.configs.experiment_configs import DataConfig, ExperimentConfig
from rfm.generation import drawing
from rfm.generation.drawing import Plan, draw_chunks


def test_a_worker_that_shares_no_memory_draws_the_same(monkeypatch) -> None:
    monkeypatch.setattr(drawing, "CHUNK", 64)
    monkeypatch.setattr(drawing, "_worker", None)
    plan = Plan(random_catalog(1, 100), ExperimentConfig(data=DataConfig(max_frames=4)), 3, 200)
    drawing._start_worker(plan, None)
    drawn = [drawing._work(number) for number in range(4)]
    expected = list(draw_chunks(plan, plan.drawer(), 0, 200))
    assert [(rows, digest) for rows, digest in drawn] == [(chunk.rows.serialize(), chunk.digest) for chunk in expected]


def test_chunks_are_whole_whatever_rows_are_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(drawing, "CHUNK", 64)
    plan = Plan(random_catalog(1, 100), ExperimentConfig(data=DataConfig(max_frames=4)), 3, 200)
    chunks = list(draw_chunks(plan, plan.drawer(), 70, 130))
    assert [(chunk.number, chunk.rows.num_rows) for chunk in chunks] == [(1, 64), (2, 64)]
    assert list(draw_chunks(plan, plan.drawer(), 200, 200)) == []
    whole = pa.Table.from_batches(chunk.rows for chunk in draw_chunks(plan, plan.drawer(), 0, 200))
    assert whole.slice(64, 128).to_pylist() == pa.Table.from_batches(chunk.rows for chunk in chunks).to_pylist()
    assert np.unique(whole["sample_type"].to_pylist()).tolist() == ["preference", "progress"]
