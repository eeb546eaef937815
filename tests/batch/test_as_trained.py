import pytest

from rfm.batch.as_trained import differences, report, warning
from rfm.batch.input_format import InputFormat
from rfm.frames.spacing import EVENLY
from rfm.vqa.presentation import Presentation

TRAINED = InputFormat(32, 32, max_frames=4, frame_choice=EVENLY, prompt_version=1, discrete_progress=False)


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        (Presentation(4, 4), None),
        (Presentation(16, 16), 16),
        (Presentation(5, None), 5),
        (Presentation(2, 2), 2),
        (Presentation(3, 2), 2),
        (Presentation(3, None), None),  # short clips, shown whole as in training
        (Presentation(3, 16), None),
        (Presentation(None, None), None),
    ],
)
def test_frames_differ_where_training_would_have_shown_another_number(shown, asked):
    found = list(differences(TRAINED, shown))
    assert report(found) == ({} if asked is None else {"max_frames": {"trained": 4, "asked": asked}})
    assert not list(differences(InputFormat(32, 32), shown)), "what is not known makes no difference"


def test_one_warning_names_both_values_and_the_way_out():
    assert warning(list(differences(TRAINED, Presentation(16, 16)))) == (
        "the checkpoint was trained on up to 4 frames a clip and is shown up to 16 frames: its answers are worth less; "
        "generate with data.max_frames=4"
    )


def test_every_difference_is_in_one_warning():
    found = list(differences(TRAINED, Presentation(2, 2, "from_the_start", 2, True)))
    assert warning(found) == (
        "the checkpoint was trained on up to 4 frames a clip and is shown up to 2 frames, was trained with "
        "`frame_choice` evenly_spaced and is asked with from_the_start, was trained with `prompt_version` 1 and is "
        "asked with 2, was trained on scores from 0 to 100 and is asked for 1 to 5: its answers are worth less; "
        "generate with data.max_frames=4; generate the dataset again; generate with data.discrete_progress=false"
    )
    assert report(found)["discrete_progress"] == {"trained": False, "asked": True}
