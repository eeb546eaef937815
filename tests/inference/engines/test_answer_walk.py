"""All answers' probabilities from one-token requests, against the products of the whole tree."""

import numpy as np
import pytest

from rfm.errors import ConfigError
from rfm.inference.engines.answer_walk import END, LEAST, AnswerWalk
from rfm.vqa.answers import valid_answers

SCORES = valid_answers("progress")
TOKENS = [*"0123456789", END]


class Model:
    """Any digit, or the end of the turn, may follow what was begun; `sharpness` says how alike they are.

    All else has `elsewhere`, which no answer gets.
    """

    def __init__(self, seed, sharpness, elsewhere=0.0):
        self.rng, self.sharpness, self.elsewhere = np.random.default_rng(seed), sharpness, elsewhere
        self.known = {}

    def shares(self, begun):
        if begun not in self.known:
            logits = self.sharpness * self.rng.normal(size=len(TOKENS))
            shares = np.exp(logits - logits.max())
            self.known[begun] = dict(zip(TOKENS, (1 - self.elsewhere) * shares / shares.sum(), strict=True))
        return self.known[begun]

    def probability(self, answer):
        steps = [self.shares(answer[:at])[digit] for at, digit in enumerate(answer)]
        return float(np.prod([*steps, self.shares(answer)[END]]))


def walked(model, answers):
    walk = AnswerWalk(answers)
    while pending := walk.pending():
        for begun in pending:
            walk.take(begun, model.shares(begun))
    return walk


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sharpness", [0.1, 2, 5])
@pytest.mark.parametrize("elsewhere", [0.0, 0.1, 0.9999])
def test_no_probability_is_off_by_more_than_what_was_not_followed(seed, sharpness, elsewhere):
    model = Model(seed, sharpness, elsewhere)
    walk = walked(model, SCORES)
    asked = len(model.known)
    true = np.array([model.probability(str(answer)) for answer in SCORES])
    off = np.abs(walk.distribution().probabilities[0] - true / true.sum()).max()
    assert off <= 2 * LEAST
    assert asked < 112 or sharpness < 1


def test_two_videos_take_one_request():
    model = Model(0, 2)
    found = walked(model, (1, 2)).distribution().probabilities[0]
    assert len(model.known) == 1
    shares = model.shares("")
    assert found == pytest.approx(np.array([shares["1"], shares["2"]]) / (shares["1"] + shares["2"]))


def test_what_the_server_did_not_give_is_no_answer():
    walk = AnswerWalk(SCORES)
    walk.take("", {"Video": 1.0})
    assert walk.distribution() is None


def test_numbers_of_several_digits_in_a_token_are_refused():
    with pytest.raises(ConfigError, match="must go with a model that writes numbers digit by digit for progress, but"):
        AnswerWalk(SCORES).take("", {"42": 0.9})
