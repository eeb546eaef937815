import dataclasses
from functools import partial

import pytest
import torch
from forked import together
from runs import logged, losses, tiny_run
from tiny_batches import fake_rows, tiny_collator
from transformers import Trainer, TrainingArguments
from vqa_fakes import write_dataset

from rfm.batch.packing import PackedBatches
from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.model.kernels.attention import use_packed_segments
from rfm.model.load import load_model
from rfm.training.loss import answer_loss
from rfm.training.options import TrainOptions
from rfm.training.packed_batches import ShareOfBatches
from rfm.training.run import train

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def rows_root(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.fixture(scope="module")
def dataset(rows_root):
    return write_dataset(rows_root / "vqa", rows_root, fake_rows(rows_root, 24))


def trained_in(groups, root, *, packed, steps=4):
    """Train four steps of twelve rows, cut into the groups of accumulated batches that `groups` gives."""
    loaded = load_model("tiny", seed=1)
    if packed:
        use_packed_segments(loaded.model)
    collator = tiny_collator(root, loaded.tokenizer, packed=packed)
    rows = fake_rows(root, 12)
    batches = [rows[start:stop] for start, stop in groups] * steps
    arguments = TrainingArguments(
        output_dir=str(root / "out"), use_cpu=True, per_device_train_batch_size=1, max_steps=steps, learning_rate=1e-3,
        gradient_accumulation_steps=len(groups), logging_steps=1, report_to="none", save_strategy="no",
        remove_unused_columns=False, lr_scheduler_type="constant", disable_tqdm=True, max_grad_norm=1.0,
    )  # fmt: skip
    trainer = Trainer(
        model=loaded.model,
        args=arguments,
        train_dataset=batches,
        data_collator=lambda parts: collator(parts[0]),
        compute_loss_func=partial(answer_loss, packed=packed),
    )
    trainer._get_train_sampler = lambda dataset=None: torch.utils.data.SequentialSampler(batches)
    trainer.train()
    curve = [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry]
    return torch.tensor(curve), loaded.model


def test_a_step_is_the_same_however_its_rows_are_batched_or_packed(rows_root):
    """Micro-batches of unequal numbers of rows and answer tokens: means of means would differ."""
    uneven = [(0, 1), (1, 4), (4, 12)]
    whole, reference = trained_in([(0, 12)], rows_root, packed=False)
    assert whole[0, 0] > whole[-1, 0]
    for groups, packed in ((uneven, False), (uneven, True), ([(0, 12)], True)):
        curve, model = trained_in(groups, rows_root, packed=packed)
        torch.testing.assert_close(curve, whole, rtol=2e-4, atol=1e-5)
        for (name, ours), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
            assert (ours - theirs).abs().max() < 2e-3, name  # Adam turns rounding of a tiny slope into a step


def test_the_loss_is_the_stock_loss_of_one_batch(rows_root):
    loaded = load_model("tiny", seed=1)
    for packed in (False, True):
        batch = tiny_collator(rows_root, loaded.tokenizer, packed=packed)(fake_rows(rows_root, 4))
        count = (batch["labels"] != -100).sum()
        outputs = loaded.model(**batch)
        ours = answer_loss(outputs, batch["labels"], count, packed=packed)
        torch.testing.assert_close(ours, outputs.loss)
        torch.testing.assert_close(answer_loss(outputs, batch["labels"], packed=packed), outputs.loss)


def test_processes_share_batches_and_leave_none(rows_root):
    batches = PackedBatches([5] * 31, 20, seed=1, processes=3)
    shares = [ShareOfBatches(batches, process, 3) for process in range(3)]
    for epoch in range(2):
        shares[0].sampler.set_epoch(epoch)
        parts = [list(share) for share in shares]
        assert [len(part) for part in parts] == [len(share) for share in shares]
        assert sorted(row for part in parts for batch in part for row in batch) == list(range(31))


PACKED = {"packing": True, "max_tokens": 1000, "max_steps": 8, "save_steps": 5, "lr_scheduler_type": "constant"}


def test_a_packed_run_learns_logs_its_rows_and_is_resumed_to_the_same_losses(dataset, tmp_path):
    whole = tiny_run(dataset, tmp_path / "whole", **PACKED)
    train(whole)
    assert losses(tmp_path / "whole")[-1] < losses(tmp_path / "whole")[0]
    cut = dataclasses.replace(whole, output_dir=str(tmp_path / "cut"), max_steps=5)
    train(cut)
    train(dataclasses.replace(cut, max_steps=8, resume_from_checkpoint="latest"))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    other = dataclasses.replace(whole, output_dir=str(tmp_path / "workers"), dataloader_num_workers=2)
    train(other)
    assert losses(tmp_path / "workers") == losses(tmp_path / "whole")


def test_a_packed_run_is_evaluated(dataset, tmp_path):
    train(tiny_run(dataset, tmp_path, **{**PACKED, "max_steps": 1, "eval_dataset_path": str(dataset), "eval_steps": 1}))


def test_two_processes_are_one_that_accumulates_two_batches(dataset, tmp_path):
    """Each takes every other packed batch; an answer token weighs the same whichever process has it."""
    changes = {"packing": True, "max_tokens": 700, "max_steps": 3, "save_strategy": "no", "eval_strategy": "no"}
    train(tiny_run(dataset, tmp_path / "one", **changes, gradient_accumulation_steps=2))
    options = tiny_run(dataset, tmp_path / "two", **changes)
    flags = [f"--{name}={value}" for name, value in vars(options).items() if type(value) in (str, int, float)]
    flags += ["--packing", "--no_gradient_checkpointing"]
    run = together(2, tmp_path / "said", run_command, ("train",), flags, "rfm train")
    assert not run.failed, run.errors
    for name in ("loss", "grad_norm"):
        assert logged(tmp_path / "two", name) == pytest.approx(logged(tmp_path / "one", name), rel=1e-4)


def test_a_budget_below_the_longest_row_says_how_much_it_must_be(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"`max_tokens` must be at least \d+ \(tokens of row \d+, the longest\)"):
        train(tiny_run(dataset, tmp_path, packing=True, max_tokens=50))


def test_unsloth_packs_and_compiles_by_itself():
    for name in ("packing", "torch_compile"):
        with pytest.raises(ConfigError, match=f"`{name}` must not be given with `use_unsloth`"):
            TrainOptions(dataset_path="d", use_unsloth=True, **{name: True})
