"""The experiment with imitation, small; and that weights do what they are for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from simulators import simulator

from rfm.errors import ConfigError

simulator("stable_baselines3")

from examples.cloning import TEMPERATURE, cloned, weights_of  # noqa: E402
from examples.page import shown  # noqa: E402
from examples.weighted_cloning import Options, run  # noqa: E402
from rfm.ingest.metaworld.simulate import Steps  # noqa: E402


def test_policies_are_cloned_and_told_of(tmp_path):
    small = {"attempts": 3, "seeds": 2, "steps": 3, "episodes": 1, "horizon": 3}
    options = Options(str(tmp_path / "runs"), str(tmp_path / "docs"), tasks=("door-close",), **small)
    run(options)
    path = tmp_path / "docs/results/policies/cloning.json"
    told = json.loads(path.read_text())
    assert len(told["runs"]) == 2 * 3 * 2  # grounds, weightings, seeds
    for ground in ("bundled", "fresh"):
        attempts = [one for one in told["attempts"] if one["ground"] == ground]
        assert [one["quality"] for one in attempts] == ["successful", "suboptimal", "failure"]
        assert [one["true"] == 1 for one in attempts] == [True, False, False]
        assert all(0 <= one["said"] <= 1 for one in attempts)
    assert {one["seed"] for one in told["attempts"] if one["ground"] == "fresh"}.isdisjoint(
        one["seed"] for one in told["attempts"] if one["ground"] == "bundled"
    )
    page = (tmp_path / "docs/policies.md").read_text()
    assert "Gain of the model's weights over true labels: " in page
    assert page.count("| all | ") == 2
    before = path.stat().st_mtime_ns, page
    run(options)
    assert (tmp_path / "docs/policies.md").read_text() == page
    assert path.stat().st_mtime_ns > before[0]
    assert json.loads(path.read_text()) == told


def test_the_heavier_attempt_is_imitated():
    seen = np.random.default_rng(0).normal(size=(64, 39))
    up, down = (Steps(seen, np.full((64, 4), value, np.float32)) for value in (0.8, -0.8))
    for values, near in (((1, 0), 0.8), ((0, 1), -0.8), ((0, 0), 0.0)):
        clone = cloned([up, down], weights_of(values), seed=0, steps=150)
        assert np.abs(clone.act(seen[0]) - near).max() < 0.2


def test_weights_are_exponential_and_one_on_average():
    weights = weights_of([1.0, 0.5, 0.0])
    assert weights.mean() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(np.exp(0.5 / TEMPERATURE))
    assert weights_of([0.3, 0.3]).tolist() == [1, 1]


def test_a_mean_has_its_interval_over_groups():
    assert shown(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0, 0, 1, 1])) == "0.75 [0.50, 1.00]"
    assert shown(np.array([0.0, 1.0]), np.array([0, 0])) == "0.50"


def test_options_that_can_not_be():
    with pytest.raises(ConfigError, match="`attempts` must lie between 3 and 30, but is 31"):
        Options(attempts=31)
    with pytest.raises(ConfigError, match="`episodes` must be at least 1, but is 0"):
        Options(episodes=0)
    with pytest.raises(ConfigError, match="`grounds` must name some of bundled, fresh, but names none"):
        Options(grounds=())
    with pytest.raises(ConfigError, match="holds door-shut"):
        Options(tasks=("door-shut",))
