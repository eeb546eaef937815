"""`tiny` starts from random weights, and flags that leave them so are warned about."""

import logging

import pytest
from runs import tiny_run
from vqa_fakes import fake_dataset

from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 8, episodes=4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lora_rank": 2}, "everything but the adapters stays as random as it is"),
        ({"freeze_vision_tower": True}, "the vision tower stays as random as it is"),
        ({"learning_rate": 2e-5}, "hardly move at the default --learning_rate 2e-05, meant for released ones"),
        ({}, None),
        ({"optim": "muon", "learning_rate": 1e-3}, None),
    ],
)
def test_what_leaves_random_weights_random_is_warned_about(dataset, tmp_path, caplog, changes, said):
    with caplog.at_level(logging.WARNING, logger="rfm"):
        train(tiny_run(dataset, tmp_path, **{"max_steps": 1, "save_strategy": "no", **changes}))
    assert ("starts from random weights" in caplog.text) == (said is not None)
    if said is not None:
        assert said in caplog.text
        assert "--optim muon --learning_rate 1e-3" in caplog.text
