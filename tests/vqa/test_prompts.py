import pytest

from rfm.vqa.prompts import ACTORS, BOTH, PERSON, prompt


def test_preference_in_the_words_of_the_specification():
    assert prompt("preference", "push button") == (
        "Given these two robot videos, which one makes the most progress towards solving the task, Video 1 or 2? "
        "Format your answer as: ANS: 1/2\n\nTask: push button"
    )


def test_progress_asks_for_0_to_100_or_for_1_to_5():
    opening = "Given the task, assign an integer-valued progress score from {} for the robot in the video."
    assert prompt("progress", "t").startswith(opening.format("0 to 100"))
    assert prompt("progress", "t", discrete=True).startswith(opening.format("1 to 5"))
    assert all("Format your answer as: ANS: score" in prompt("progress", "t", discrete=d) for d in (False, True))


def test_people_are_not_called_robots():
    assert " for the person in the video. Judge" in prompt("progress", "t", actor=PERSON)
    assert prompt("preference", "t", actor=PERSON).startswith("Given these two videos of people, which one makes")
    assert prompt("preference", "t", actor=BOTH).startswith("Given these two videos, which one makes the most")
    assert len({prompt("similarity", "t", actor=actor) for actor in ACTORS}) == 1, "it names both"


@pytest.mark.parametrize("task", ["put {task} in {0}", "a\nb", "100% \\n <|im_end|>", "поставь чашку", "{"])
@pytest.mark.parametrize("kind", ["preference", "progress", "similarity"])
def test_the_task_enters_as_it_is(kind, task):
    assert prompt(kind, task) == prompt(kind, "TASK").replace("TASK", task)
    assert prompt(kind, task).endswith(f"\n\nTask: {task}")
