"""Every training strategy learns eight rows by heart."""

import pytest
import torch
from transformers import TrainerState
from vqa_fakes import row, write_dataset, write_frames

from rfm.inference.predictor import Predictor
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.vqa.dataset import load_dataset

torch.set_num_threads(1)

LEVELS = (10, 60, 110, 160, 200, 250)


def eight_rows(folder, answers):
    """Rows about six grey levels: as many different things to learn as a model this small takes in at once."""
    clips = [(path, [0, 15]) for path in write_frames(folder / "root", len(LEVELS), levels=LEVELS)]
    rows = [row("progress", answers[i], "how far?", clip=clips[i]) for i in range(6)]
    rows += [
        row("preference", answers[6], "which?", first=clips[0], second=clips[5]),
        row("preference", answers[7], "which?", first=clips[5], second=clips[0]),
    ]
    return write_dataset(folder / "vqa", folder / "root", rows)


ANSWERS = ("7", "100", "42", "63", "0", "85", "2", "1")
SETTINGS = {
    "model_name": "tiny-64",
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "dataloader_num_workers": 0,
    "learning_rate": 3e-3,
    "max_steps": 200,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "linear",
    "warmup_steps": 5,
    "weight_decay": 0.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
}


def run(folder, dataset, **changes):
    final = train(TrainOptions(dataset_path=str(dataset), output_dir=str(folder), **{**SETTINGS, **changes}))
    state = TrainerState.load_from_json(str(folder / "trainer_state.json"))
    return final, [entry["loss"] for entry in state.log_history if "loss" in entry]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that knows other answers: adapters on random weights can't reach large logits."""
    folder = tmp_path_factory.mktemp("base")
    final, _ = run(folder / "out", eight_rows(folder, ANSWERS[4:6] + ANSWERS[:4] + ("1", "2")))
    return final


STRATEGIES = {
    "full": {},
    "frozen tower": {"freeze_vision_tower": True},
    "LoRA": {"lora_rank": 16},
    "LoRA, frozen tower": {"lora_rank": 16, "freeze_vision_tower": True},
    "LoRA, 4 bits": {"lora_rank": 16, "quantization": True},
    "LoRA, frozen tower, 4 bits": {"lora_rank": 16, "quantization": True, "freeze_vision_tower": True},
    "full, 8-bit moments": {"optim": "adamw_8bit"},
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_eight_rows_by_heart(base, tmp_path, strategy):
    dataset = eight_rows(tmp_path, ANSWERS)
    options = STRATEGIES[strategy]
    if options.get("quantization"):
        pytest.importorskip("bitsandbytes", reason="4-bit weights need bitsandbytes, of the extra `quantization`")
    final, losses = run(tmp_path / "out", dataset, model_name=str(base), **options)
    assert losses[0] > 0.5
    assert losses[-1] < 0.01
    rows, _ = load_dataset(dataset)
    predictor = Predictor.from_checkpoint(final, "cpu", datasets_root=tmp_path / "root")
    assert [prediction.text for prediction in predictor.predict(rows, 8, progress=False)] == [
        f"ANS: {a}" for a in ANSWERS
    ]
