import dataclasses

import pytest
import torch
from runs import tiny_run
from vqa_fakes import PROGRESS_PROMPT, fake_dataset, indices, row, write_dataset, write_frames

from rfm.errors import RfmError
from rfm.training.monitoring.guards import NotFiniteError
from rfm.training.run import train
from rfm.training.trainer import VQATrainer

RARE = "qqq"
SAVING = {"max_steps": 6, "save_steps": 1, "lr_scheduler_type": "constant"}


def questions(folder, rare=()):
    """Twelve progress rows; those in `rare` ask about a task that no other row names."""
    paths = write_frames(folder / "root", 3)
    made = [
        row(
            "progress",
            "50",
            PROGRESS_PROMPT.format(task=f"push {RARE if number in rare else 'it'}"),
            clip=(paths[number % 3], indices(7)),
        )
        for number in range(12)
    ]
    return write_dataset(folder / "vqa", folder / "root", made)


@pytest.fixture
def poison(monkeypatch):
    """Make the embeddings of a text's tokens, or their gradients, no numbers in every model that trains."""

    def arrange(part):
        begin = VQATrainer._prepare_for_training

        def prepare(self, *args, **kwargs):
            table = self.model.get_input_embeddings()
            token = self.processing_class(f" {RARE}", add_special_tokens=False)["input_ids"][-1]

            def spoil(module, inputs, output):
                at = inputs[0] == token
                if part == "loss":
                    return output.masked_fill(at.unsqueeze(-1), float("nan"))
                if output.requires_grad:
                    output.register_hook(lambda grad: grad.masked_fill(at.unsqueeze(-1), float("inf")))
                return output

            table.register_forward_hook(spoil)
            return begin(self, *args, **kwargs)

        monkeypatch.setattr(VQATrainer, "_prepare_for_training", prepare)

    return arrange


@pytest.mark.parametrize(
    ("part", "accumulation", "workers"), [("loss", 1, 0), ("loss", 2, 2), ("grad_norm", 1, 2), ("grad_norm", 2, 0)]
)
def test_rows_that_give_no_number_are_named(tmp_path, poison, part, accumulation, workers):
    dataset = questions(tmp_path, rare=(5,))
    poison(part)
    options = tiny_run(
        dataset,
        tmp_path / "out",
        **SAVING,
        per_device_train_batch_size=4 // accumulation,
        gradient_accumulation_steps=accumulation,
        dataloader_num_workers=workers,
    )
    with pytest.raises(NotFiniteError) as caught:
        train(options)
    text = str(caught.value)
    in_batch = 4 // accumulation if part == "loss" else 4
    assert f"`{part}` must be finite, but is " in text
    assert f"1 of {in_batch} rows of the batch give it alone, look at them: row 5: progress, answer 50" in text
    assert "'Task: push qqq', fake/frames/trajectory_2.npz frames 0..7." in text
    assert "--resume_from_checkpoint latest" in text
    step = int(text.partition("at step ")[2].partition(";")[0])
    saved = sorted(int(path.name.rpartition("-")[2]) for path in (tmp_path / "out").glob("checkpoint-*"))
    assert saved == list(range(1, step))
    assert not (tmp_path / "out" / "final").exists()


@pytest.mark.parametrize("part", ["loss", "grad_norm"])
def test_rows_in_packed_batches_are_named(tmp_path, poison, part):
    dataset = questions(tmp_path, rare=(5,))
    poison(part)
    with pytest.raises(
        NotFiniteError, match=r"1 of \d+ rows of the batch give it alone, look at them: row 5: progress"
    ):
        train(tiny_run(dataset, tmp_path / "out", **SAVING, packing=True, max_tokens=400))


def test_weights_that_diverged_are_not_a_rows_fault(tmp_path):
    options = tiny_run(
        questions(tmp_path), tmp_path / "out", learning_rate=1e30, max_grad_norm=1e30, max_steps=10, warmup_ratio=0.0
    )
    with pytest.raises(RfmError, match=r"must be finite, but is .* at step 2; lower --learning_rate \(is 1e\+30\) .*"
                       r"every row of the batch gives it, the weights have diverged; row \d+: progress"):  # fmt: skip
        train(options)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, monkeypatch):
    step = torch.optim.AdamW.step

    def spoil(self, *args, **kwargs):
        step(self, *args, **kwargs)
        self.param_groups[0]["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(NotFiniteError, match=r"`model\..*` must be finite, but is not after step 1, which"):
        train(tiny_run(questions(tmp_path), tmp_path / "out", **SAVING))
    assert not list((tmp_path / "out").glob("checkpoint-*"))


def test_an_evaluation_that_gives_no_number_stops_the_run(tmp_path, poison):
    dataset = fake_dataset(tmp_path / "plain", 8)
    held_out = questions(tmp_path / "odd", rare=(0,))
    poison("loss")
    options = tiny_run(
        dataset,
        tmp_path / "out",
        eval_dataset_path=str(held_out),
        eval_strategy="steps",
        eval_steps=1,
        datasets_root=str(tmp_path / "odd" / "root"),
    )
    write_frames(tmp_path / "odd" / "root", 8)
    with pytest.raises(NotFiniteError, match=r"`eval_loss` must be finite, but is nan at step 1; lower"):
        train(dataclasses.replace(options, save_strategy="no"))


def test_speed_and_memory_are_logged(tmp_path):
    from runs import logged

    train(tiny_run(fake_dataset(tmp_path, 8), tmp_path / "out", max_steps=2, save_strategy="no"))
    for name in ("rows_per_second", "tokens_per_second", "memory_gb"):
        values = logged(tmp_path / "out", name)
        assert len(values) == 2
        assert min(values) > 0
    assert all(0 <= share <= 1 for share in logged(tmp_path / "out", "data_wait_share"))
