"""One server for all tests of this folder that do it no harm, and the model that it serves, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving.served import Served, running

from rfm.scoring.remote.client import RewardClient
from rfm.scoring.reward_model import RewardModel


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    bounds = ["--max_megabytes", "8", "--max_megapixels", "4", "--max_seconds", "30", "--max_frames", "600"]
    clock = ["--receive_seconds", "2", "--decode_seconds", "20"]
    devices = ["--device", "cpu:0", "cpu:1"]  # two workers
    with running(tmp_path_factory.mktemp("server"), *bounds, *clock, *devices) as one:
        yield one


@pytest.fixture(scope="session")
def client(server: Served) -> Iterator[RewardClient]:
    with RewardClient(server.url) as one:
        yield one


@pytest.fixture(scope="session")
def direct() -> RewardModel:
    return RewardModel.from_pretrained("metaworld-small", "cpu")
