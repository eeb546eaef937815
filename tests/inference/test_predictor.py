import logging

import pytest
import torch
from vqa_fakes import fake_dataset, row

from rfm.batch.input_format import InputFormat
from rfm.errors import ConfigError
from rfm.inference.predictor import Predictor, resolve_device
from rfm.model.load import load_model
from rfm.training.dataset import open_training_set


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 11, episodes=3)


@pytest.fixture(scope="module")
def predictor(dataset):
    loaded = load_model("tiny", seed=5)
    with torch.no_grad():  # wide weights make random answers differ from row to row
        for parameter in loaded.model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    return Predictor(loaded, dataset.parent / "root", InputFormat(32, 32))


def test_answers_do_not_depend_on_the_batch_size(predictor, dataset):
    rows = open_training_set(dataset).rows
    one, eight = (predictor.predict(rows, size, 6, progress=False) for size in (1, 8))
    assert one == eight
    assert len({prediction.tokens for prediction in one}) > 1


def test_only_the_generated_part_comes_back(predictor, dataset):
    predictions = predictor.predict(open_training_set(dataset).rows, 4, 3, progress=False)
    assert all(1 <= len(prediction.tokens) <= 3 for prediction in predictions)
    assert all("Task:" not in prediction.text for prediction in predictions)


def test_generation_equals_greedy_choice_by_hand(predictor, dataset):
    from rfm.batch.collator import VQACollator

    batch = VQACollator(predictor.encoder, predictor.frames, with_answers=False)([open_training_set(dataset).rows[0]])
    with torch.no_grad():
        first = predictor.loaded.model(**batch).logits[0, -1].argmax().item()
    assert predictor.predict(open_training_set(dataset).rows.select([0]), progress=False)[0].tokens[0] == first


def test_blank_frames_hide_the_video(predictor, dataset):
    one = open_training_set(dataset).rows[0]
    twin = {**one, "npz_path": "fake/frames/trajectory_2.npz", "frame_indices": [9] * len(one["frame_indices"] or [])}
    rows = [one, {**twin, "first_npz_path": twin["npz_path"], "second_npz_path": twin["npz_path"]}]
    blank = predictor.predict(rows, 2, blank_frames=True, progress=False)
    assert blank[0] == blank[1]


def test_an_unreadable_row_is_an_outcome_of_its_own(predictor, dataset):
    rows = [
        *open_training_set(dataset).rows.select(range(2)),
        row("progress", "5", "how far?", clip=("gone.npz", [0, 1])),
    ]
    predictions = predictor.predict([rows[0], rows[2], rows[1]], 3, progress=False)
    assert "gone.npz" in predictions[1].unreadable
    assert predictions[1].text == ""
    assert [predictions[0], predictions[2]] == predictor.predict(rows[:2], 2, progress=False)


def test_a_missing_gpu_becomes_the_cpu_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert resolve_device("cuda") == torch.device("cpu")
    assert "`device` is cuda, but torch finds no CUDA GPU here: answering on the CPU" in caplog.text
    with pytest.raises(ConfigError, match="`device` must be cuda, cuda:N or cpu, but is 'gpu'"):
        resolve_device("gpu")


def test_wrong_sizes_are_refused(predictor, dataset):
    with pytest.raises(ConfigError, match="`batch_size` and `max_new_tokens` must be >= 1, but are 0 and 10"):
        predictor.predict(open_training_set(dataset).rows, 0)


def test_a_checkpoints_own_format_stands(predictor, dataset, tmp_path):
    predictor.loaded.model.save_pretrained(str(tmp_path))
    predictor.loaded.save_processor(tmp_path, predictor.form)
    root = dataset.parent / "root"
    again = Predictor.from_checkpoint(tmp_path, "cpu", datasets_root=root)
    assert again.form == predictor.form
    rows = open_training_set(dataset).rows.select(range(3))
    assert again.predict(rows, 3, progress=False) == predictor.predict(rows, 3, progress=False)
    with pytest.raises(ConfigError, match="`form` must be the checkpoint's own"):
        Predictor.from_checkpoint(tmp_path, "cpu", datasets_root=root, form=InputFormat(64, 64))
