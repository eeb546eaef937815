"""An unfinished dataset that was tampered with is refused, with the way out; overwriting starts anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.files.ownership import Workplace
from rfm.generation.store import DatasetWriter, Journal

PLAN = {"plan": "p", "sizes": [], "rows": 0, "chunk_hashes": ["h"]}


def unfinished(folder: Path, journal: str) -> Workplace:
    partial = folder / ".vqa.partial"
    partial.mkdir()
    (partial / "journal.json").write_text(journal)
    return Workplace(folder / "vqa", partial)


def opened(work: Workplace, *, overwrite: bool = False) -> DatasetWriter:
    return DatasetWriter(work, plan="p", shard_rows=10, overwrite=overwrite)


def test_an_unfinished_run_is_gone_on_with(tmp_path):
    assert opened(unfinished(tmp_path, json.dumps(PLAN))).journal == Journal(**PLAN)


FAULTS = ({"more": 1}, {"rows": -1}, {"sizes": ["2"]}, {"chunk_hashes": 3}, {"plan": None})


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "{}", *(json.dumps(PLAN | fault) for fault in FAULTS)])
def test_a_damaged_journal_is_named(tmp_path, text):
    work = unfinished(tmp_path, text)
    with pytest.raises(DataError, match=r"journal\.json must be the journal .* is damaged; remove .*partial to"):
        opened(work)
    assert opened(work, overwrite=True).journal == Journal("p")
