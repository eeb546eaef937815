"""One measured training run: a strategy, ours or the stock path, in this process.

Both start from the same random weights and read the same rows. Ours is what `rfm train` does (`prepare_trainable`,
`make_trainer`). Stock is the plain Trainer on the stock model with the specification's defaults: 4 rows a batch, 4
batches a step, checkpointing, bfloat16 autocast over bfloat16 weights and torch's AdamW without masters, SDPA with its
loop over segments, Conv3d patches, logits of every token, positions found inside the step. Its batches are what the
stock processor would make of the same frames and text (float patches, padded ids, a label a token), made by our
collator, since the processor needs torchvision: the stock path's time waiting for data is flattered.
"""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept_results import Parts
from peft import LoraConfig, get_peft_model
from random_model import clip_size, draw_model, preference_rows, use_our_kernels
from train_step_flops import RowSize, row_flops
from transformers import Trainer, TrainerCallback

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.row_lengths import row_lengths
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.freeze import freeze_vision_tower
from rfm.model.load import LoadedModel
from rfm.model.lora import target_modules
from rfm.training.arguments import training_arguments
from rfm.training.checkpoints.parts import CheckpointParts
from rfm.training.dataset import TrainingSet
from rfm.training.loss import answer_loss
from rfm.training.options import TrainOptions
from rfm.training.run import make_trainer
from rfm.training.trainable import prepare_trainable

STRATEGIES: dict[str, dict[str, Any]] = {
    "lora_frozen": {"lora_rank": 16, "freeze_vision_tower": True},
    "lora": {"lora_rank": 16},
    "full": {},
    "frozen": {"freeze_vision_tower": True},
    "lora_frozen_4bit": {"lora_rank": 16, "freeze_vision_tower": True, "quantization": True},
}
"""What each trains, in the order of measuring: the cheapest and most used comes first."""


@dataclass(frozen=True)
class Setting:
    """Everything about one run; a plain record, so that it can be handed to another process."""

    preset: str
    strategy: str
    path: str
    """`ours` or `stock`."""
    folder: str
    steps: int
    warmup: int
    max_tokens: int
    optim: str
    compile: bool
    workers: int
    checkpointing: bool = False
    """Of ours; the stock path always computes activations twice."""
    seed: int = 0

    @property
    def small(self) -> bool:
        """Tiny model and frames, for a CPU."""
        return self.preset == "small"

    @property
    def frames(self) -> tuple[int, int]:
        """Frames a clip, and their side in pixels."""
        return clip_size(self.preset)


def measure(setting: Setting) -> dict[str, Any]:
    """Return the figures of a run, and what each of its parts took in seconds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = Parts()
    rows = training_rows(setting)
    parts.end("rows")
    loaded = draw(setting, device)
    parts.end("model")
    run = _ours if setting.path == "ours" else _stock
    figures = run(setting, loaded, rows, device, parts)
    return {**asdict(setting), **figures, "parts": parts.seconds}


def training_rows(setting: Setting) -> TrainingSet:
    """Return the rows that both paths read; their frames are written into the setting's folder."""
    root, number = Path(setting.folder), 64 if setting.small else 512
    return TrainingSet(preference_rows(root, setting.preset, number, setting.seed), root, np.zeros(0, np.uint64))


def draw(setting: Setting, device: str) -> LoadedModel:
    """Return the stock model, with the same weights for both paths."""
    four_bit = STRATEGIES[setting.strategy].get("quantization", False)
    return draw_model(setting.preset, device, seed=setting.seed, four_bit=four_bit)


def _options(setting: Setting, **changes: Any) -> TrainOptions:
    values: dict[str, Any] = {
        "dataset_path": setting.folder,
        "model_name": setting.preset,
        "output_dir": str(Path(setting.folder) / "out"),
        "report_to": "none",
        "save_strategy": "no",
        "max_steps": setting.warmup + setting.steps,
        "logging_steps": 1000,
        "dataloader_num_workers": setting.workers,
        "warmup_steps": 0,
    }
    return TrainOptions(**{**values, **STRATEGIES[setting.strategy], **changes})


def _ours(setting: Setting, loaded: LoadedModel, rows: TrainingSet, device: str, parts: Parts) -> dict[str, Any]:
    loaded = use_our_kernels(loaded)
    options = _options(
        setting,
        packing=True,
        max_tokens=setting.max_tokens,
        gradient_accumulation_steps=1 if setting.small else 2,  # as many rows a step as the stock path's
        gradient_checkpointing=setting.checkpointing,
        optim=setting.optim,
        torch_compile=setting.compile,
    )
    loaded = prepare_trainable(loaded, options)
    form = InputFormat(setting.frames[1], setting.frames[1])
    loss = _first_loss(setting, loaded, rows, device, packed=True)
    parts.end("first loss")
    make = partial(make_trainer, loaded=loaded, form=form, data=rows, held_out=None)
    saved = CheckpointParts(loaded, form, rows.trajectories)
    fast = _timed(setting, make(options, parts=saved), loaded, rows, device)
    parts.end("steps")
    small_options = replace(
        options, gradient_checkpointing=True, max_tokens=4 * _longest(loaded, rows, form), max_steps=3
    )
    _forget(loaded.model)
    small = _timed(replace(setting, warmup=1), make(small_options, parts=saved), loaded, rows, device)
    parts.end("memory of 4 rows")
    return {
        **fast,
        "loss": loss,
        "checkpointing": options.gradient_checkpointing,
        "optimizer": f"{options.optim}, masters" if device == "cuda" else options.optim,
        "memory_4_rows_gb": small["memory_gb"],
    }


def _stock(setting: Setting, loaded: LoadedModel, rows: TrainingSet, device: str, parts: Parts) -> dict[str, Any]:
    autocast = {"model_dtype": "float32", "bf16": device == "cuda"}  # says what arithmetic to use, not what weights are
    options = _options(setting, max_steps=setting.warmup + max(2, setting.steps // 2), **autocast)
    model = loaded.model
    if options.rank:
        targets = target_modules(model, tower=not options.freeze_vision_tower)
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=targets))
    elif options.freeze_vision_tower:
        freeze_vision_tower(model)
    loaded = replace(loaded, model=model)
    loss = _first_loss(setting, loaded, rows, device, packed=False)
    parts.end("first loss")
    arguments = training_arguments(options, evaluates=False)
    collate = StockCollator(_collator(setting, loaded, rows, normalise=True), loaded.model.config.video_token_id)
    trainer = Trainer(model=model, args=arguments, data_collator=collate, train_dataset=rows.rows)
    figures = _timed(setting, trainer, loaded, rows, device)
    parts.end("steps")
    return {**figures, "loss": loss, "checkpointing": True, "optimizer": "AdamW, no masters"}


@dataclass(frozen=True)
class StockCollator:
    """What the stock processor makes of rows: a label a token, token types, no positions."""

    collator: VQACollator
    video_token: int

    def __call__(self, rows: Any) -> dict[str, Any]:
        batch = self.collator(rows)
        del batch["position_ids"]
        keep, labels = batch.pop("logits_to_keep"), torch.full_like(batch["input_ids"], -100)
        labels[:, -keep:] = batch["labels"]
        return {**batch, "labels": labels, "mm_token_type_ids": 2 * (batch["input_ids"] == self.video_token).int()}


def _collator(setting: Setting, loaded: LoadedModel, rows: TrainingSet, **options: Any) -> VQACollator:
    frames = FrameStore(rows.root, loaded.spec, InputFormat(setting.frames[1], setting.frames[1]))
    return VQACollator(ConversationEncoder(loaded.tokenizer, loaded.spec), frames, **options)


def _first_loss(setting: Setting, loaded: LoadedModel, rows: TrainingSet, device: str, *, packed: bool) -> float:
    """Return the loss of the first four rows before any step, as the path computes it."""
    chosen = [rows.rows[index] for index in range(4)]
    if packed:
        batch = _collator(setting, loaded, rows, packed=True)(chosen)
    else:
        batch = StockCollator(_collator(setting, loaded, rows, normalise=True), loaded.model.config.video_token_id)(
            chosen
        )
    batch = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    autocast = torch.autocast(device, torch.bfloat16, enabled=device == "cuda" and not packed)
    with torch.no_grad(), autocast:
        outputs = loaded.model.to(device).train()(**batch)
        loss = answer_loss(outputs, batch["labels"], packed=True) if packed else outputs.loss
    return float(loss)


class Clock(TrainerCallback):
    """Takes the time from the end of the warm-up steps to the end of the run."""

    def __init__(self, warmup: int, device: str) -> None:
        self.warmup, self.on_gpu = warmup, device == "cuda"
        self.start = self.waited = self.seconds = 0.0
        self.rows = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()
        if state.global_step == self.warmup:
            self.start, self.waited, self.rows = time.perf_counter(), 0.0, 0
        self.seconds = time.perf_counter() - self.start

    def watch(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the Trainer's method that waits for batches; count their rows by their videos."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            samples = fetch(*args, **kwargs)
            self.waited += time.perf_counter() - start
            self.rows += sum(len(batch["video_grid_thw"]) // 2 for batch in samples[0])
            return samples

        return watched


def _timed(setting: Setting, trainer: Any, loaded: LoadedModel, rows: TrainingSet, device: str) -> dict[str, Any]:
    clock = Clock(setting.warmup, device)
    trainer.add_callback(clock)
    trainer.get_batch_samples = clock.watch(trainer.get_batch_samples)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    size = _row_size(setting, loaded, rows)
    strategy = STRATEGIES[setting.strategy]
    flops = row_flops(
        loaded.model.config, size, lora="lora_rank" in strategy, frozen=strategy.get("freeze_vision_tower", False)
    )
    rate = clock.rows / clock.seconds
    return {
        "rows": clock.rows,
        "seconds": clock.seconds,
        "rows_per_second": rate,
        "tokens_per_second": rate * size.tokens,
        "tflops_a_row": flops / 1e12,
        "tflops_per_second": rate * flops / 1e12,
        "wait_share": clock.waited / clock.seconds,
        "memory_gb": _peak(device) / 1e9,
    }


def _row_size(setting: Setting, loaded: LoadedModel, rows: TrainingSet) -> RowSize:
    lengths = _lengths(loaded, rows, InputFormat(setting.frames[1], setting.frames[1]))
    count, side = setting.frames
    segment = (side // loaded.spec.patch_size) ** 2
    patches = 2 * count / loaded.spec.temporal_patch_size * segment
    return RowSize(lengths.tokens.mean(), lengths.visual.mean(), lengths.answer.mean(), patches, segment)


def _lengths(loaded: LoadedModel, rows: TrainingSet, form: InputFormat) -> Any:
    encoder = ConversationEncoder(loaded.tokenizer, loaded.spec)
    return row_lengths(rows.rows, encoder, FrameStore(rows.root, loaded.spec, form))


def _longest(loaded: LoadedModel, rows: TrainingSet, form: InputFormat) -> int:
    return int(_lengths(loaded, rows, form).longest)


def checkpoints(strategy: str) -> bool:
    """Tell whether to compute activations twice: on cards under 100 GB, and where everything trains."""
    if not torch.cuda.is_available():
        return False
    roomy = torch.cuda.get_device_properties(0).total_memory > 100e9
    return not roomy or "lora_rank" not in STRATEGIES[strategy]


def _forget(model: Any) -> None:
    """Free the gradients and the optimizer of the run before."""
    for parameter in model.parameters():
        parameter.grad = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def default_workers(preset: str) -> int:
    """Return how many loader processes a run gets."""
    return 0 if preset == "small" else max(1, min(8, (os.cpu_count() or 2) - 2))
