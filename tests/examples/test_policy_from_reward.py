"""The experiment with policies, small: it learns, keeps its runs, and writes its page from them."""

from __future__ import annotations

import json

import pytest
from simulators import simulator

from rfm.errors import ConfigError

simulator("stable_baselines3")

from examples import policy_from_reward  # noqa: E402
from examples.agent import REWARDS  # noqa: E402
from examples.kept import digest_of_weights, kept  # noqa: E402
from examples.policy_from_reward import Options, run  # noqa: E402

SMALL = {"steps": 420, "seeds": 1, "judged": 2, "episodes": 1, "last_episodes": 1, "every": 20}


def test_policies_learn_are_kept_and_told_of(tmp_path, monkeypatch):
    options = Options(
        str(tmp_path / "runs"), str(tmp_path / "docs"), task="door-close", rewards=("model", "none"), **SMALL
    )
    run(options)
    told = json.loads((tmp_path / "docs/results/policies/rewards.json").read_text())
    assert told["weights"] == digest_of_weights("metaworld-small")
    assert [(one["reward"], one["seed"]) for one in told["runs"]] == [("model", 0), ("none", 0)]
    for one in told["runs"]:
        assert [point["steps"] for point in one["curve"]] == [0, 210, 420]
        (end,) = one["ends"]
        assert {*end} == {"success", "ever", "done", "predicted"}
        assert 0 <= end["predicted"] <= 1
    page = (tmp_path / "docs/policies.md").read_text()
    assert f"weights `{told['weights']}`" in page
    assert "| the reward model | " in page
    assert "| the simulator, densely |" not in page
    assert (tmp_path / "docs/results/policies/rewards.png").stat().st_size > 1000

    monkeypatch.setattr(policy_from_reward, "learned", None)  # what is there is not learned again
    (tmp_path / "runs/door-close/none_0_ends.json").unlink()
    run(options)
    assert json.loads((tmp_path / "docs/results/policies/rewards.json").read_text())["runs"][0] == told["runs"][0]
    again = json.loads((tmp_path / "docs/results/policies/rewards.json").read_text())["runs"][1]
    assert again["ends"] == told["runs"][1]["ends"]


def test_a_run_is_made_again_for_other_settings_only(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"value": len(made)}

    path = tmp_path / "run.json"
    assert kept(path, {"steps": (1, 2)}, make)["value"] == 1
    assert kept(path, {"steps": (1, 2)}, make)["value"] == 1
    assert kept(path, {"steps": (1, 3)}, make)["value"] == 2


def test_options_that_can_not_be():
    with pytest.raises(ConfigError, match="`seeds` must be at least 1, but is 0"):
        Options(seeds=0)
    with pytest.raises(ConfigError, match="`steps` must be at least `judged`, 8, but is 7"):
        Options(steps=7)
    with pytest.raises(ConfigError, match="`rewards` must name some of model, dense, sparse, none, but names none"):
        Options(rewards=())
    with pytest.raises(ConfigError, match=r"`model` must be a checkpoint folder with model\.safetensors, .*'nowhere'"):
        run(Options(model="nowhere"))
    assert Options().rewards == REWARDS
