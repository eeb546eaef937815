import re

from rich.console import Console

from rfm.evaluation.reports.tables import mismatch_lines, strategy_table, summary_table, thin_lines, unparsed_lines


def progress(mae, **more):
    numbers = {"count": 3, "mae": mae, "rmse": 2 * mae, "mae_interval": (mae - 1, mae + 1), "unparsed": 0}
    return {**numbers, **more}


RESULTS = {
    "total_samples": 3,
    "dataset_path": "held_out",
    "progress": progress(5.0, by_strategy={"rewind": progress(6.0)}),
    "controls": {"blank": {"progress": progress(25.0)}},
    "best_constant": {"progress": {"answer": 50, **progress(24.0, by_strategy={"rewind": progress(26.0)})}},
}


def lines(table):
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table)
    below = re.split(r"─\s*\n", capture.get())[1]
    return [re.split(r"\s{2,}", line.strip()) for line in below.splitlines() if line.strip()]


def test_the_model_stands_beside_its_controls_and_the_best_constant():
    assert lines(summary_table(RESULTS)) == [
        ["model", "5.0 [4.0, 6.0]", "10.0"],
        ["blank frames", "25.0 [24.0, 26.0]", "50.0"],
        ["best constant", "24.0 [23.0, 25.0]", "48.0"],
    ]


def test_each_strategy_has_a_row():
    assert lines(strategy_table(RESULTS)) == [["progress/rewind", "3", "6.0 [5.0, 7.0]", "26.0"]]


def test_long_names_fit_into_80_columns():
    name, count = "different_task_instruction", 123_456
    long = progress(47.25, by_strategy={name: progress(47.25, count=count)}, count=count)
    assert lines(strategy_table({**RESULTS, "progress": long, "best_constant": {"progress": long}})) == [
        [f"progress/{name}", "123456", "47.2 [46.2, 48.2]", "47.2"]
    ]


def test_what_is_not_there_is_not_made_up():
    nothing = {"total_samples": 1, "dataset_path": "d", "controls": {}, "best_constant": {}}
    assert lines(summary_table(nothing)) == [["model"], ["best constant"]]
    one = {"count": 1, "accuracy": 1.0, "accuracy_interval": None}
    single = {**nothing, "preference": one, "best_constant": {"preference": {**one, "accuracy": None}}}
    assert lines(summary_table(single)) == [["model", "1.000"], ["best constant", "-"]]


def test_a_model_that_is_asked_otherwise_than_trained_is_told():
    mismatch = {"max_frames": {"trained": 4, "asked": 16}, "prompting": {"trained": None, "asked": "gvl"}}
    assert list(mismatch_lines({**RESULTS, "input_mismatch": mismatch})) == [
        "asked otherwise than trained: max_frames was 4 in training and is 16 here",
        "asked otherwise than trained: prompting was the dataset's own in training and is gvl here",
    ]
    assert list(mismatch_lines({**RESULTS, "input_mismatch": None})) == list(mismatch_lines(RESULTS)) == []


def test_answers_that_are_none_are_told():
    [line] = unparsed_lines({**RESULTS, "progress": progress(5.0, unparsed=2)})
    assert line.startswith("progress: 2 of 3 answers are not of the form `ANS: …` and count as wrong; `predictions`")
    assert list(unparsed_lines(RESULTS)) == []


def test_figures_of_one_episode_have_no_interval_and_say_so():
    one = progress(5.0, mae_interval=None, rmse_interval=None, episodes=1)
    results = {**RESULTS, "progress": one}
    assert lines(summary_table(results))[0] == ["model", "5.0 (one episode)", "10.0"]
    [line] = thin_lines(results)
    assert line == (
        "progress: all questions are about one episode, so there is no interval, and another may give anything"
    )


def test_figures_of_few_episodes_say_so_and_name_the_way_out():
    [line] = thin_lines({**RESULTS, "progress": progress(5.0, episodes=4)})
    assert line.startswith("progress: all questions are about 4 episodes, too few for the interval to be trusted")
    assert list(thin_lines({**RESULTS, "progress": progress(5.0, episodes=10)})) == []


def test_a_floor_that_was_not_measured_says_why():
    floor = {"progress": {"why_not": "two trajectories are too few to hold one out"}}
    [line] = thin_lines({**RESULTS, "controls": {"floor": floor}})
    assert line == "progress: the non-visual floor is not measured: two trajectories are too few to hold one out"


def test_names_of_data_are_no_markup():
    odd = progress(6.0, by_strategy={"[/red]": progress(6.0)})
    results = {**RESULTS, "dataset_path": "[/b]", "progress": odd, "best_constant": {"progress": odd}}
    assert lines(strategy_table(results)) == [["progress/[/red]", "3", "6.0 [5.0, 7.0]", "6.0"]]
    assert str(summary_table(results).title) == "3 samples of [/b]"
