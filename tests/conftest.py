"""What all tests share: no network, none of this machine's datasets, no deadlines."""

from __future__ import annotations

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


@pytest.fixture(autouse=True)
def no_datasets_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
