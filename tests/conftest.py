"""What all tests share: no network, none of this machine's datasets, no deadlines, no waiting for its disk."""

from __future__ import annotations

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small are slower on several threads

import pytest
from hypothesis import settings

from rfm.trajectories.catalog import ROOT_VARIABLE

# the same examples in every run, so that a check that passed passes again; `--hypothesis-profile=explore` draws others
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")

# no test cuts the power: those that pretend to note what is flushed, and need not wait until it is
os.fsync = os.fstat


def pytest_collection_finish() -> None:
    """Leave out of every later collection of garbage what was imported by now, which is a second's work each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_datasets_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
