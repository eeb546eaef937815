"""What the wrappers and `relabel` have in common: their options, and what counts as a score."""

from __future__ import annotations

from dataclasses import MISSING, fields
from inspect import Parameter, signature

import numpy as np
import pytest

from rfm.errors import DataError
from rfm.rl import RewardWrapper, VectorRewardWrapper, relabel
from rfm.rl.payment import Rules, checked_scores

OPTIONS = {field.name: field.default for field in fields(Rules)}


def options_of(call: object) -> dict[str, object]:
    keywords = [one for one in signature(call).parameters.values() if one.kind is Parameter.KEYWORD_ONLY]
    return {one.name: one.default for one in keywords}


@pytest.mark.parametrize("wrapper", [RewardWrapper, VectorRewardWrapper])
def test_the_wrappers_have_the_options_of_the_rules_in_their_order(wrapper):
    """They are written out, so that editors complete them; what the wrappers hand on goes by position."""
    assert MISSING not in OPTIONS.values()
    assert list(options_of(wrapper).items()) == list(OPTIONS.items())


def test_relabel_has_those_that_pay_recorded_steps():
    own = ("terminated", "truncated")
    found = {name: default for name, default in options_of(relabel).items() if name not in own}
    assert found == {name: OPTIONS[name] for name in ("every", "mode", "gamma", "weight")}


def test_scores_lie_between_0_and_1_but_for_rounding():
    assert checked_scores([0.0, 1 + 1e-7, -1e-7]).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(DataError, match=r"^a score must be a number between 0 and 1, but the model said 1\.1$"):
        checked_scores(np.array([0.5, 1.1, np.nan]))
