import logging

import pytest
from runs import losses, tiny_run
from vqa_fakes import fake_dataset

from rfm.batch.bad_rows import left_out
from rfm.errors import DataError
from rfm.training.run import train


@pytest.fixture
def dataset(tmp_path):
    """Twelve rows of eight episodes, of which one is gone and one is cut."""
    made = fake_dataset(tmp_path / "data", 12)
    frames = sorted((tmp_path / "data" / "root").rglob("*.npz"))
    frames[0].unlink()
    frames[1].write_bytes(frames[1].read_bytes()[:-900])
    return made


@pytest.mark.parametrize("options", [{"dataloader_num_workers": 2}, {"packing": True, "max_tokens": 600}])
def test_skipped_rows_are_logged_and_reported_at_the_end(dataset, tmp_path, caplog, options):
    run = tiny_run(dataset, tmp_path / "out", on_bad_row="skip", max_steps=-1, num_train_epochs=2, **options)
    with caplog.at_level(logging.INFO, logger="rfm"):
        train(run)
    found = left_out(tmp_path / "out" / "bad_rows.jsonl")
    assert 2 <= len(found) <= 8
    assert all("trajectory_0" in entry.reason or "trajectory_1" in entry.reason for entry in found)
    assert all(loss == loss for loss in losses(tmp_path / "out"))
    lines = [record.getMessage() for record in caplog.records if record.name == "rfm.training.monitoring.bad_rows"]
    assert " rows left out so far, the last is row " in lines[0]
    assert f"{len(found)} of 12 rows could not be read and were not trained on" in lines[-1]


def test_the_default_stops_with_row_and_file(dataset, tmp_path):
    with pytest.raises(
        DataError, match=r"^row \d+: .*trajectory_[01].npz must .*; repair its file, or leave such rows out"
    ):
        train(tiny_run(dataset, tmp_path / "out", dataloader_num_workers=1, max_steps=-1))
