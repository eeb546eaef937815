"""What TRL makes of exported rows: its own trainer and collator, where TRL and torchvision are installed."""

from importlib.util import find_spec

import pytest
import torch
from checkpoints import random_checkpoint
from datasets import load_dataset as load_files
from vqa_fakes import fake_dataset

from rfm.batch.collator import VQACollator
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.export.options import RowsOptions
from rfm.export.rows import export_rows
from rfm.model.load import load_model
from rfm.vqa.dataset import load_dataset

needed = pytest.mark.skipif(
    find_spec("trl") is None or find_spec("torchvision") is None, reason="TRL and torchvision are not installed"
)


def declare_torchvision_operators():
    """Let a torchvision built for CUDA be imported beside a torch for CPUs."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


@needed
def test_trl_sees_the_tokens_and_pixels_that_our_own_training_sees(tmp_path):
    library = declare_torchvision_operators()
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer

    dataset = fake_dataset(tmp_path, 8, episodes=3)
    export_rows(RowsOptions(str(dataset), "trl", str(tmp_path / "out"), frames="png"))
    rows = load_files("imagefolder", data_dir=str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    checkpoint = random_checkpoint(tmp_path / "checkpoint", images=True)
    trainer = SFTTrainer(
        AutoModelForImageTextToText.from_pretrained(str(checkpoint)),
        train_dataset=rows,
        processing_class=AutoProcessor.from_pretrained(str(checkpoint)),
        args=SFTConfig(
            str(tmp_path / "run"), max_steps=2, max_length=None, completion_only_loss=True, use_cpu=True, bf16=False,
            report_to="none", logging_steps=1, gradient_checkpointing=False,
        ),
    )  # fmt: skip
    loaded, (data, _) = load_model(checkpoint), load_dataset(dataset)
    frames = FrameStore(tmp_path / "root", loaded.spec, loaded.form)
    collator = VQACollator(ConversationEncoder(loaded.tokenizer, loaded.spec), frames, normalise=True)
    for row in rows:
        ours, theirs = collator([data[row["row"]]]), trainer.data_collator([row])
        length = ours["input_ids"].shape[1]
        assert theirs["input_ids"][0, :length].tolist() == ours["input_ids"][0].tolist()
        assert loaded.tokenizer.decode(theirs["input_ids"][0, length:]) == "\n"  # their template ends turns with it
        assert torch.equal(theirs["pixel_values"], ours["pixel_values"])
        learned = theirs["labels"][0]
        assert loaded.tokenizer.decode(learned[learned != -100]) == f"ANS: {data[row['row']]['answer']}<|im_end|>\n"
    trainer.train()
    assert all(0 < entry["loss"] < 20 for entry in trainer.state.log_history if "loss" in entry)
    del library
