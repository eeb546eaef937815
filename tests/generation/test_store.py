"""An unfinished dataset that was tampered with is refused, with the way out; overwriting starts anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rfm.errors import DataError
from rfm.generation.store import DatasetWriter, Journal

PLAN = {"plan": "p", "shards": 2, "rows": 20, "chunk_hashes": ["h"]}


def unfinished(folder: Path, journal: str, shards: int = 2) -> Path:
    partial = folder / ".vqa.partial"
    partial.mkdir()
    (partial / "journal.json").write_text(journal)
    for number in range(shards):
        (partial / f"shard-{number:05d}.arrow").write_bytes(b"")
    return folder / "vqa"


def opened(output: Path, *, overwrite: bool = False) -> DatasetWriter:
    return DatasetWriter(output, plan="p", shard_rows=10, overwrite=overwrite)


def test_an_unfinished_run_is_gone_on_with(tmp_path):
    assert opened(unfinished(tmp_path, json.dumps(PLAN))).journal == Journal(**PLAN)


FAULTS = ({"more": 1}, {"rows": -1}, {"shards": "2"}, {"chunk_hashes": 3}, {"plan": None})


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "{}", *(json.dumps(PLAN | fault) for fault in FAULTS)])
def test_a_damaged_journal_is_named(tmp_path, text):
    output = unfinished(tmp_path, text)
    with pytest.raises(DataError, match=r"journal\.json must be the journal .* is damaged; remove .*partial to"):
        opened(output)
    assert opened(output, overwrite=True).journal == Journal("p")


def test_a_shard_that_has_gone_is_named(tmp_path):
    with pytest.raises(DataError, match=r"must hold the 2 shards of its journal, but lacks shard-00001\.arrow; add"):
        opened(unfinished(tmp_path, json.dumps(PLAN), shards=1))
