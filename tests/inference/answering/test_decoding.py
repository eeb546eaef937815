import pytest

from rfm.errors import ConfigError
from rfm.inference.answering.decoding import Decoding, summarise


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "best"}, "`decoding` must be one of greedy, beam, sample, constrained, scored, but is 'best'"),
        ({"num_beams": 0}, "`num_beams` must be at least 1, but is 0"),
        ({"num_repeats": 0}, "`num_repeats` must be at least 1, but is 0"),
        ({"temperature": 0.0}, "`temperature` must be above 0, but is 0.0; for no chance take greedy"),
        ({"temperature": float("nan")}, "`temperature` must be above 0, but is nan; for no chance take greedy"),
        ({"both_orders": True}, "`both_orders` must go with --decoding scored, but goes with greedy"),
    ],
)
def test_wrong_settings_are_named(changes, text):
    with pytest.raises(ConfigError) as caught:
        Decoding(**changes)
    assert str(caught.value) == text


def test_constrained_answers_must_have_room():
    Decoding("greedy").check_length(1)
    Decoding("constrained").check_length(7)
    with pytest.raises(ConfigError) as caught:
        Decoding("constrained").check_length(6)
    assert str(caught.value) == (
        "`max_new_tokens` must be at least 7 (ANS: 100 and the end of the turn) with --decoding constrained, but is 6"
    )


def test_settings_hold_what_the_method_uses_and_nothing_else():
    assert Decoding(seed=3, num_beams=9).settings(10) == {"method": "greedy", "max_new_tokens": 10}
    assert Decoding("beam", num_beams=9).settings(5) == {"method": "beam", "max_new_tokens": 5, "num_beams": 9}
    assert Decoding("scored", both_orders=True).settings(5) == {
        "method": "scored",
        "both_orders": True,
        "discrete": False,
    }


@pytest.mark.parametrize(
    ("kind", "completions", "answer"),
    [
        ("progress", ["ANS: 10", "ANS: 21", "what?"], "ANS: 16"),
        ("progress", ["ANS: 7"], "ANS: 7"),
        ("progress", ["well", "ANS: 101"], "well"),
        ("preference", ["ANS: 2", "ANS: 2", "ANS: 1"], "ANS: 2"),
        ("preference", ["ANS: 2", "ANS: 1"], "ANS: 1"),
        ("preference", ["ANS: 3", "ANS: 2"], "ANS: 2"),
    ],
)
def test_several_completions_make_one_answer(kind, completions, answer):
    assert summarise(kind, completions) == answer
