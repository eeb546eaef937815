import pytest
from datasets import Dataset

from rfm.audit.balance import ALL, Share, decile_shares, first_shares, imbalance, ratio_errors
from rfm.audit.reading.questions import read_questions
from rfm.audit.rules.contract import Settings
from rfm.errors import DataError


def questions(kinds, answers, strategies):
    rows = {"sample_type": kinds, "prompt": [""] * len(kinds), "answer": answers, "data_gen_strategy": strategies}
    return read_questions(Dataset.from_dict(rows))


def scores(*answers):
    return questions(["progress"] * len(answers), [str(one) for one in answers], ["x"] * len(answers))


def test_a_share_has_wilsons_interval():
    low, high = Share(8, 10).interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Share(0, 0).interval == (0.0, 1.0)


@pytest.mark.parametrize(("count", "rows", "off"), [(500, 1000, 0), (52, 100, 0), (700, 1000, 0.17), (0, 1000, 0.496)])
def test_imbalance_is_what_chance_does_not_explain(count, rows, off):
    assert imbalance(Share(count, rows)) == pytest.approx(off, abs=2e-3)
    assert imbalance(Share(rows - count, rows)) == pytest.approx(imbalance(Share(count, rows)))


def test_answers_are_counted_over_all_and_by_strategy():
    made = questions(["preference"] * 4 + ["progress"], ["1", "2", "1", "1", "1"], ["a", "a", "b", None, "b"])
    shares = {name: (share.count, share.rows) for name, share in first_shares(made, "preference").items()}
    assert shares == {ALL: (3, 4), "a": (1, 2), "b": (1, 1), "": (1, 1)}


@pytest.mark.parametrize(
    ("settings", "answers", "counts"),
    [
        (Settings(), [0, 0, 1, 10, 11, 95, 100], [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]),
        (Settings(progress_step=25), [0, 25, 50, 50, 100], [1, 2, 0, 1]),
        (Settings(progress_step=5), [0, 5, 10, 15, 100], [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        (Settings(discrete_progress=True), [1, 1, 2, 3, 5, 5], [1, 1, 0, 2]),
    ],
    ids=["hundred", "quarters", "fives", "discrete"],
)
def test_tenths_of_the_scale_leave_the_lowest_answer_out(settings, answers, counts):
    shares = decile_shares(scores(*answers), settings)
    assert [share.count for share in shares] == counts
    assert {share.rows for share in shares} == {sum(counts)}


KINDS = ["preference"] * 6 + ["progress"] * 4
NAMES = ["rewind"] * 3 + ["suboptimal"] * 3 + ["forward_progress"] * 2 + ["rewind"] * 2
DATA = {"sample_type_ratio": [0.6, 0.4, 0.0], "preference_strategy_ratio": {"rewind": 1, "suboptimal": 1}}


def errors(data=None, kinds=KINDS, names=NAMES, **config):
    made = questions(kinds, ["1"] * len(kinds), names)
    return ratio_errors(made, config, {**DATA, "progress_strategy_ratio": [0, 1, 0, 1], **(data or {})})


def test_shares_as_asked_are_off_by_nothing():
    off, unchecked = errors()
    assert set(off.values()) == {0.0}
    assert {"preference", "preference/rewind", "progress/forward_progress"} <= set(off)
    assert unchecked == []


def test_rows_too_many_are_counted():
    off, _ = errors(names=["rewind"] * 6 + NAMES[6:])
    assert (off["preference/rewind"], off["preference/suboptimal"]) == (3, -3)
    off, _ = errors(kinds=[*KINDS[:5], "progress", *KINDS[6:]])
    assert (off["preference"], off["progress"]) == (-1, 1)


def test_the_share_of_what_the_data_lacks_goes_to_the_others():
    off, _ = errors({"preference_strategy_ratio": [1, 1, 1, 1]},
                    unsupported={"preference/different_task": "…", "preference/reverse_progress": "…"})  # fmt: skip
    assert off["preference/rewind"] == 0


def test_equal_shares_are_those_of_the_recorded_strategies():
    counts = {"preference": {"strategies": {"rewind": 3, "suboptimal": 3}}}
    assert errors({"preference_strategy_ratio": None}, counts=counts)[0]["preference/rewind"] == 0
    counts = {"preference": {"strategies": {"rewind": 4, "suboptimal": 3}}}
    off, _ = errors({"preference_strategy_ratio": None}, counts=counts)
    assert off["preference/rewind as recorded"] == -1
    _, unchecked = errors({"preference_strategy_ratio": None})
    assert unchecked == ["data.preference_strategy_ratio does not name its strategies"]


@pytest.mark.parametrize("config", [{}, {"eval_set": "prefixes"}])
def test_no_ratios_are_asked_for(config):
    data = DATA if config else {}
    off, unchecked = ratio_errors(scores(1, 2), config, data)
    assert off == {}
    assert unchecked == ["the dataset's configuration asks for no ratios"]


@pytest.mark.parametrize("wrong", [{"progress_step": "x"}, {"progress_step": 2.5}, {"discrete_progress": None}])
def test_settings_of_another_type_are_named(wrong):
    with pytest.raises(DataError, match=r"`data\.\w+` of generation_config.json must be of type (int|bool), but is"):
        Settings(**wrong)
