import dataclasses
import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from runs import logged, losses, tiny_run
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerState
from vqa_fakes import FEATURES, fake_dataset, preference_row, progress_row, similarity_row, write_dataset, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.scored import answer_distribution
from rfm.inference.predictor import Predictor
from rfm.training.dataset import open_training_set
from rfm.training.run import train

EVERY = {"eval_strategy": "steps", "eval_steps": 2, "save_steps": 2}


def mixed(folder, rows=14, **extra):
    """All three sample types, in no order; prompts of unequal length."""
    paths, rng = write_frames(folder / "root", 4), np.random.default_rng(3)
    makers = (preference_row, progress_row, similarity_row)
    made = [makers[number % 3](paths, rng) for number in range(rows)]
    for number, one in enumerate(made):
        one["prompt"] += " again" * (number % 4)
    return write_dataset(folder / "vqa", folder / "root", made)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return mixed(tmp_path_factory.mktemp("data"))


def scored_by_hand(final, dataset):
    """The metrics of a checkpoint from prompts alone, one row at a time."""
    data = open_training_set(dataset)
    predictor = Predictor.from_checkpoint(final, "cpu", datasets_root=data.root)
    encoder = ConversationEncoder(predictor.loaded.tokenizer, predictor.loaded.spec)
    collator = VQACollator(encoder, predictor.frames, with_answers=False)
    right, error = {"preference": [], "similarity": []}, []
    for one in data.rows:
        kind = one["sample_type"]
        scores = answer_distribution(predictor.loaded.model, collator([one]), answer_tree(encoder, kind))
        if kind == "progress":
            error.append(scores.median()[0] - float(one["answer"]))
        else:
            right[kind].append(scores.mode()[0] == float(one["answer"]))
    return {
        "preference_accuracy": np.mean(right["preference"]),
        "similarity_accuracy": np.mean(right["similarity"]),
        "progress_mae": np.abs(error).mean(),
        "progress_rmse": np.sqrt(np.square(error).mean()),
    }


@pytest.mark.parametrize("answer", ["nan", "3_0", "٣٠", "0x1e"])
def test_a_held_out_answer_that_is_none_stops_the_run_before_its_first_step(dataset, tmp_path, answer):
    rng, paths = np.random.default_rng(0), write_frames(tmp_path / "root", 2)
    rows = [progress_row(paths, rng), preference_row(paths, rng), {**progress_row(paths, rng), "answer": answer}]
    held_out = write_dataset(tmp_path / "held_out", tmp_path / "root", rows)
    options = tiny_run(held_out, tmp_path / "run", eval_dataset_path=str(held_out))
    with pytest.raises(DataError) as caught:
        train(options)
    assert str(caught.value) == (
        f"`answer` must be a whole number from 0 to 100 for progress, but is {answer!r} (row 2 of "
        "`eval_dataset_path`); `rfm audit` finds all such rows"
    )


@pytest.mark.parametrize("changes", [{}, {"lora_rank": 4}, {"gradient_checkpointing": True}], ids=str)
def test_the_metrics_are_those_of_answers_scored_one_by_one(dataset, tmp_path, changes):
    options = tiny_run(dataset, tmp_path, **EVERY, eval_dataset_path=str(dataset), report_to="tensorboard", **changes)
    final = train(dataclasses.replace(options, per_device_eval_batch_size=3, blank_share=0.5))
    expected = scored_by_hand(final, dataset)
    for name, value in expected.items():
        values = logged(tmp_path, f"eval_{name}")
        assert len(values) == 2
        assert values[-1] == pytest.approx(value, abs=1e-4), name
    curves = EventAccumulator(str(next((tmp_path / "runs").rglob("events*")).parent)).Reload().Tags()["scalars"]
    assert {f"eval/{name}" for name in (*expected, "loss")} <= set(curves)
    assert {"train/rows_per_second", "train/tokens_per_second", "train/memory_gb"} <= set(curves)


def test_evaluating_changes_nothing_about_training(dataset, tmp_path):
    train(tiny_run(dataset, tmp_path / "plain", save_strategy="no"))
    train(tiny_run(dataset, tmp_path / "judged", save_strategy="no", eval_dataset_path=str(dataset), eval_steps=1))
    assert losses(tmp_path / "plain") == losses(tmp_path / "judged")


@pytest.mark.parametrize("metric", ["loss", "progress_mae", "preference_accuracy"])
def test_the_best_checkpoint_is_kept_and_becomes_final(dataset, tmp_path, metric):
    options = tiny_run(
        dataset,
        tmp_path,
        max_steps=8,
        learning_rate=2e-2,
        lr_scheduler_type="constant",
        warmup_ratio=0.0,
        eval_dataset_path=str(dataset),
        metric_for_best_model=metric,
        load_best_model_at_end=True,
        save_total_limit=1,
        **EVERY,
    )
    final = train(options)
    values = logged(tmp_path, f"eval_{metric}")
    best = int(np.argmax(values) if metric.endswith("accuracy") else np.argmin(values))
    state = TrainerState.load_from_json(str(tmp_path / "trainer_state.json"))
    assert state.best_metric == values[best]
    of_best = f"checkpoint-{2 * (best + 1)}"
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {of_best, "checkpoint-8"}
    one, other = (load_file(folder / "model.safetensors") for folder in (final, tmp_path / of_best))
    assert all(torch.equal(one[name], other[name]) for name in one)


def token_mean(final, dataset):
    """The mean loss over all answer tokens of a checkpoint, one row at a time."""
    data = open_training_set(dataset)
    predictor = Predictor.from_checkpoint(final, "cpu", datasets_root=data.root)
    collator = VQACollator(ConversationEncoder(predictor.loaded.tokenizer, predictor.loaded.spec), predictor.frames)
    summed, tokens = 0.0, 0
    for one in data.rows:
        batch = collator([one])
        count = int((batch["labels"] != -100).sum())
        with torch.no_grad():
            summed += float(predictor.loaded.model(**batch).loss) * count
        tokens += count
    return summed / tokens


@pytest.mark.parametrize("size", [1, 3, 8, 14])
def test_the_loss_is_the_mean_over_answer_tokens_in_batches_of_any_size(dataset, tmp_path, size):
    options = tiny_run(dataset, tmp_path, max_steps=2, eval_steps=2, eval_dataset_path=str(dataset))
    final = train(dataclasses.replace(options, per_device_eval_batch_size=size))
    (loss,) = logged(tmp_path, "eval_loss")
    assert loss == pytest.approx(token_mean(final, dataset), rel=1e-6)


def test_a_metric_needs_its_rows(dataset, tmp_path):
    paths = write_frames(tmp_path / "root", 4)
    pairs = write_dataset(
        tmp_path / "vqa", tmp_path / "root", [preference_row(paths, np.random.default_rng(0)) for _ in range(4)]
    )
    options = tiny_run(
        pairs, tmp_path / "out", **EVERY, eval_dataset_path=str(pairs), metric_for_best_model="progress_mae"
    )
    with pytest.raises(
        ConfigError,
        match=r"`metric_for_best_model` must be one of loss, preference_accuracy with these rows, but is progress_mae: "
        r"`eval_dataset_path` has no progress rows",
    ):
        train(options)


def test_discrete_scores_are_judged_on_the_scale_of_100(tmp_path):
    dataset = fake_dataset(tmp_path, 1)
    rows = open_training_set(dataset).rows.to_list()
    rows[0]["answer"] = "4"
    Dataset.from_list([{**dict.fromkeys(FEATURES), **rows[0]}]).save_to_disk(str(tmp_path / "levels"))
    config = {"datasets_root": str(tmp_path / "root"), "config": {"data": {"discrete_progress": True}}}
    (tmp_path / "levels" / "generation_config.json").write_text(json.dumps(config))
    levels = str(tmp_path / "levels")
    train(tiny_run(levels, tmp_path / "out", max_steps=1, eval_dataset_path=levels, eval_steps=1, save_strategy="no"))
    (error,) = logged(tmp_path / "out", "eval_progress_mae")
    assert error in (75.0, 50.0, 25.0, 0.0)
