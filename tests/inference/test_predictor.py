import logging
import shutil

import pytest
import torch
from checkpoints import random_checkpoint
from vqa_fakes import fake_dataset, row

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.errors import ConfigError
from rfm.inference.answering.decoding import Decoding
from rfm.inference.answering.generation import RowNoise
from rfm.inference.predictor import Predictor, resolve_device
from rfm.inference.rows import videos_swapped
from rfm.model.load import load_model
from rfm.model.weights.fingerprint import folder_fingerprint, model_fingerprint
from rfm.training.dataset import open_training_set
from rfm.vqa.answers import parse_answer


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
    with pytest.raises(ConfigError, match="`device` must be auto, cuda, cuda:N, mps or cpu, but is 'gpu'"):
        resolve_device("gpu")


METHODS = {
    "greedy": Decoding(),
    "beam": Decoding("beam", num_beams=3),
    "sample": Decoding("sample", num_repeats=3),
    "constrained": Decoding("constrained"),
    "scored": Decoding("scored"),
    "both orders": Decoding("scored", both_orders=True),
}


def by(predictor, decoding):
    return Predictor(predictor.loaded, predictor.datasets_root, predictor.form, decoding)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_depends_on_the_batch(predictor, dataset, method):
    rows = open_training_set(dataset).rows
    made = by(predictor, METHODS[method])
    one, eight = (made.predict(rows, size, 7, progress=False) for size in (1, 8))
    assert [(each.text, each.tokens, each.samples) for each in one] == [
        (each.text, each.tokens, each.samples) for each in eight
    ]
    for alone, together in zip(one, eight, strict=True):
        assert (alone.probabilities or (0,)) == pytest.approx(together.probabilities or (0,), abs=1e-5)
    assert len({each.text for each in one}) > 1


@pytest.mark.parametrize("method", ["constrained", "scored", "both orders"])
def test_only_valid_answers_arise_even_of_a_model_that_learnt_none(predictor, dataset, method):
    rows = open_training_set(dataset).rows
    said = by(predictor, METHODS[method]).predict(rows, 4, 7, progress=False)
    assert all(parse_answer(kind, one.text) is not None for kind, one in zip(rows["sample_type"], said, strict=True))
    greedy = predictor.predict(rows, 4, 7, progress=False)
    assert all(parse_answer(kind, one.text) is None for kind, one in zip(rows["sample_type"], greedy, strict=True))


def test_discrete_progress_has_five_answers(predictor, dataset):
    rows = open_training_set(dataset).rows.filter(lambda one: one["sample_type"] == "progress")
    for method in ("constrained", "scored"):
        said = by(predictor, Decoding(method, discrete=True)).predict(rows, 4, 7, progress=False)
        assert {one.text for one in said} <= {f"ANS: {level}" for level in range(1, 6)}
    assert all(len(one.probabilities) == 5 for one in said)


def log_probabilities(predictor, one, tokens):
    """Of whatever comes after a row's prompt and generated tokens, by one forward of all of them."""
    batch = VQACollator(predictor.encoder, predictor.frames, with_answers=False)([one])
    steps = torch.arange(1, len(tokens) + 1)
    batch["input_ids"] = torch.cat([batch["input_ids"], torch.tensor([tokens], dtype=torch.int64)], dim=1)
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    batch["position_ids"] = torch.cat([batch["position_ids"], batch["position_ids"][:, :, -1:] + steps], dim=2)
    with torch.no_grad():
        return predictor.loaded.model(**batch, logits_to_keep=1).logits[0, -1].log_softmax(dim=0)


def test_beams_equal_a_search_by_hand(predictor, dataset):
    rows = list(open_training_set(dataset).rows.select(range(6)))
    said = by(predictor, METHODS["beam"]).predict(rows, 6, 2, progress=False)
    for one, found in zip(rows, said, strict=True):
        first, tokens = log_probabilities(predictor, one, []).topk(3)
        second = torch.stack([log_probabilities(predictor, one, [token]) for token in tokens.tolist()])
        best, token = divmod((first[:, None] + second).argmax().item(), second.shape[1])
        assert found.tokens == (tokens[best].item(), token)
    single = by(predictor, Decoding("beam", num_beams=1)).predict(rows, 6, 4, progress=False)
    assert [one.tokens for one in single] == [one.tokens for one in predictor.predict(rows, 6, 4, progress=False)]
    assert [one.tokens[:2] for one in single] != [one.tokens for one in said]


def test_draws_follow_the_models_probabilities(predictor, dataset):
    logs = log_probabilities(predictor, open_training_set(dataset).rows[0], [])
    expected = (logs / 0.5).softmax(dim=0)
    drawn = RowNoise(range(4000), 0.5)(None, logs.expand(4000, -1)).argmax(dim=1)
    share = torch.bincount(drawn, minlength=len(expected)) / 4000
    assert (share - expected).abs().max() < 0.03
    assert expected.max() > 0.1


def test_draws_are_the_seeds_and_repeats_differ(predictor, dataset):
    rows = list(open_training_set(dataset).rows.select(range(4)))
    first, again, other = (
        by(predictor, Decoding("sample", num_repeats=3, seed=seed)).predict(rows, 4, 3, progress=False)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert [one.samples for one in first] != [one.samples for one in other]
    assert all(len(set(one.samples)) > 1 for one in first)
    alone = by(predictor, Decoding("sample", num_repeats=1, seed=1)).predict(rows, 4, 3, progress=False)
    assert [one.text for one in alone] == [one.samples[0] for one in first]
    assert all(one.samples == () for one in alone)


def test_both_orders_do_not_care_which_video_comes_first(predictor, dataset):
    rows = [one for one in open_training_set(dataset).rows if one["sample_type"] == "preference"]
    turned = [videos_swapped(one) for one in rows]
    once, twice = by(predictor, METHODS["scored"]), by(predictor, METHODS["both orders"])
    plain, mirrored = once.predict(rows, 4, progress=False), once.predict(turned, 4, progress=False)
    both, both_turned = twice.predict(rows, 4, progress=False), twice.predict(turned, 4, progress=False)
    for one, two, average, opposite in zip(plain, mirrored, both, both_turned, strict=True):
        expected = (one.probabilities[0] + two.probabilities[1]) / 2
        assert average.probabilities == pytest.approx((expected, 1 - expected), abs=1e-6)
        assert opposite.probabilities == pytest.approx(average.probabilities[::-1], abs=1e-6)
        assert average.leftover == pytest.approx((one.leftover + two.leftover) / 2, abs=1e-6)


def test_an_unreadable_row_says_so_with_every_method(predictor, dataset):
    good = dict(open_training_set(dataset).rows[1])
    rows = [row("preference", "1", "which?", first=("gone.npz", [0, 1]), second=("gone.npz", [0, 1])), good]
    for decoding in METHODS.values():
        lost, kept = by(predictor, decoding).predict(rows, 2, 7, progress=False)
        assert "gone.npz" in lost.unreadable
        assert kept.unreadable is None


def test_a_checkpoint_is_known_by_its_content(tmp_path):
    first, same, other = (tmp_path / name for name in ("first", "same", "other"))
    random_checkpoint(first)
    shutil.copytree(first, same)
    random_checkpoint(other, images=True)
    (same / "trainer_state.json").write_text("{}")
    assert model_fingerprint(str(first)) == model_fingerprint(str(same)) != model_fingerprint(str(other))
    assert model_fingerprint("tiny") == "tiny"
    assert model_fingerprint("Qwen/Qwen3-VL-4B-Instruct") == "Qwen/Qwen3-VL-4B-Instruct@unknown"


def test_a_checkpoint_that_was_trained_anew_in_its_place_is_another_one(tmp_path):
    random_checkpoint(tmp_path)
    before = model_fingerprint(str(tmp_path))
    random_checkpoint(tmp_path, seed=2)
    assert model_fingerprint(str(tmp_path)) == folder_fingerprint(tmp_path) != before


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
