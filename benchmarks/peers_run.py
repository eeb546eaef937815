"""One run of one trainer or engine in this process, in the environment it belongs to.

    PYTHON peers_run.py REQUEST.json     # peers.py writes the request and reads the line that begins with MARK

The same settings for all: float32, all weights trained with torch's AdamW, no checkpointing of activations, no loader
processes, frames in their own size. What a framework does by default otherwise stands in its own function.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from peers_probe import MARK, Watch, declare_operators, probe


@dataclass(frozen=True)
class Request:
    """A run of `who`: rows are ours (a VQA dataset) or exported for the peer."""

    who: str
    model: str
    rows: str
    output: str
    batch: int
    accumulation: int
    steps: int
    warmup: int = 1
    images: bool = False
    """Ours alone: frames as images, as TRL shows them."""
    experiments: bool = False
    defaults: bool = False
    """Leave the peer its own bounds of a frame's size."""


def ours(request: Request, watch: Watch) -> list[dict[str, Any]]:
    """`rfm train`."""
    from rfm.training.options import TrainOptions
    from rfm.training.run import train

    train(
        TrainOptions(
            dataset_path=request.rows, model_name=request.model, output_dir=request.output, overwrite_output_dir=True,
            per_device_train_batch_size=request.batch, gradient_accumulation_steps=request.accumulation,
            max_steps=request.steps, warmup_steps=0, logging_steps=1, report_to="none", save_strategy="no",
            gradient_checkpointing=False, dataloader_num_workers=0, use_multi_image=request.images,
        )
    )  # fmt: skip
    return _log(request)


def trl(request: Request, watch: Watch) -> list[dict[str, Any]]:
    """SFTTrainer as its documentation trains vision-language models."""
    from datasets import load_dataset
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer

    cache = str(Path(request.output) / "cache")
    trainer = SFTTrainer(
        AutoModelForImageTextToText.from_pretrained(request.model),
        train_dataset=load_dataset("imagefolder", data_dir=request.rows, split="train", cache_dir=cache),
        processing_class=AutoProcessor.from_pretrained(request.model),
        args=SFTConfig(
            request.output, per_device_train_batch_size=request.batch, max_steps=request.steps,
            gradient_accumulation_steps=request.accumulation, max_length=None, use_cpu=True, bf16=False,
            report_to="none", logging_steps=1, save_strategy="no", gradient_checkpointing=False,
        ),
    )  # fmt: skip
    trainer.train()
    return list(trainer.state.log_history)


def llamafactory(request: Request, watch: Watch) -> list[dict[str, Any]]:
    """`llamafactory-cli train`."""
    # its audio reader, imported whatever is read, would need another torch's build
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)
    from llamafactory.train.tuner import run_exp

    run_exp(
        {
            "stage": "sft", "do_train": True, "finetuning_type": "full", "model_name_or_path": request.model,
            "dataset_dir": request.rows, "dataset": "rfm_vqa", "template": "qwen3_vl_nothink", "cutoff_len": 8192,
            "output_dir": request.output, "per_device_train_batch_size": request.batch, "use_cpu": True,
            "gradient_accumulation_steps": request.accumulation, "max_steps": request.steps, "logging_steps": 1,
            "save_strategy": "no", "report_to": "none", "freeze_vision_tower": False, "flash_attn": "sdpa",
            "freeze_multi_modal_projector": False, "disable_gradient_checkpointing": True, "optim": "adamw_torch",
        }
    )  # fmt: skip
    return _log(request)


def _log(request: Request) -> list[dict[str, Any]]:
    return list(json.loads((Path(request.output) / "trainer_state.json").read_text())["log_history"])


def swift(request: Request, watch: Watch) -> list[dict[str, Any]]:
    """`swift sft`."""
    if not request.defaults:
        os.environ["VIDEO_MIN_TOKEN_NUM"] = os.environ["IMAGE_MIN_TOKEN_NUM"] = "1"
    from swift import SftArguments, sft_main
    from swift.template.templates.qwen import Qwen3VLTemplate
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(request.model)  # the template has the numbers of Qwen's vocabulary
    Qwen3VLTemplate.image_token_id, Qwen3VLTemplate.video_token_id = config.image_token_id, config.video_token_id
    done = sft_main(
        SftArguments(
            model=request.model, model_type="qwen3_vl", template="qwen3_vl", tuner_type="full",
            dataset=[str(Path(request.rows) / "rows.jsonl")], split_dataset_ratio=0.0, output_dir=request.output,
            torch_dtype="float32", attn_impl="sdpa", per_device_train_batch_size=request.batch, max_length=8192,
            gradient_accumulation_steps=request.accumulation, max_steps=request.steps, logging_steps=1,
            save_strategy="no", report_to=["none"], freeze_vit=False, freeze_aligner=False, use_cpu=True,
            gradient_checkpointing=False, dataloader_num_workers=0, dataset_num_proc=1, add_version=False,
        )
    )  # fmt: skip
    return list(done["log_history"])


TRAINERS: dict[str, Callable[[Request, Watch], list[dict[str, Any]]]] = {
    "ours": ours, "trl": trl, "llamafactory": llamafactory, "ms-swift": swift,
}  # fmt: skip


def trained(request: Request) -> dict[str, Any]:
    """Return the figures of a training run."""
    watch = Watch(request.warmup, request.experiments)
    probe(watch)
    return watch.figures(TRAINERS[request.who](request, watch))


def main() -> None:
    import torch

    torch.set_num_threads(1)
    operators = declare_operators()
    request = Request(**json.loads(Path(sys.argv[1]).read_text()))
    print(MARK + json.dumps(trained(request)), flush=True)
    del operators


if __name__ == "__main__":
    main()
