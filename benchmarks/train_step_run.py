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
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from train_step_flops import RowSize, row_flops
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Trainer, TrainerCallback

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.pictures.patches import VisionSpec
from rfm.batch.row_lengths import row_lengths
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model import tiny
from rfm.model.freeze import freeze_vision_tower, projector_names
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.load import LoadedModel
from rfm.model.lora import target_modules
from rfm.model.tiny_tokenizer import build_tokenizer
from rfm.training.arguments import training_arguments
from rfm.training.checkpoints.parts import CheckpointParts
from rfm.training.dataset import TrainingSet
from rfm.training.loss import answer_loss
from rfm.training.options import TrainOptions
from rfm.training.run import make_trainer
from rfm.training.trainable import prepare_trainable

STRATEGIES: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen": {"freeze_vision_tower": True},
    "lora": {"lora_rank": 16},
    "lora_frozen": {"lora_rank": 16, "freeze_vision_tower": True},
    "lora_frozen_4bit": {"lora_rank": 16, "freeze_vision_tower": True, "quantization": True},
}

QWEN3_VL_4B = {
    "text_config": {
        "model_type": "qwen3_vl_text", "vocab_size": 151_936, "hidden_size": 2560, "intermediate_size": 9728,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 262_144, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20],
                            "mrope_interleaved": True},
    },
    "vision_config": {
        "model_type": "qwen3_vl_vision", "depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 2560,
        "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17],
    },
}  # fmt: skip
"""The sizes in the configuration of Qwen/Qwen3-VL-4B-Instruct."""

PROMPT = (
    "Given these two robot videos, which one makes the most progress towards solving the task, Video 1 or 2? Format "
    "your answer as: ANS: 1/2\n\nTask: put the red block into the drawer and close it"
)
EPISODES = 8


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
    checkpointing: bool | None = None
    """Of ours; None: as the card's memory allows."""
    seed: int = 0

    @property
    def small(self) -> bool:
        """Tiny model and frames, for a CPU."""
        return self.preset == "small"

    @property
    def frames(self) -> tuple[int, int]:
        """Frames a clip, and their side in pixels."""
        return (4, 32) if self.small else (16, 224)


def measure(setting: Setting) -> dict[str, Any]:
    """Return the figures of a run."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = _rows(setting)
    loaded = _model(setting, device)
    run = _ours if setting.path == "ours" else _stock
    return {**asdict(setting), **run(setting, loaded, rows, device)}


def _rows(setting: Setting) -> TrainingSet:
    """Write a few episodes of noise, stored so that they can be memory-mapped, and name them in preference rows."""
    root, (count, side) = Path(setting.folder), setting.frames
    rng = np.random.default_rng(setting.seed)
    for episode in range(EPISODES):
        path = root / f"episode_{episode}.npz"
        if not path.exists():
            frames = rng.integers(0, 256, (2 * count, side, side, 3), dtype=np.uint8)
            np.savez(path, frames=frames, shape=np.array(frames.shape), num_frames=len(frames))
    rng = np.random.default_rng(setting.seed + 1)  # the same rows whether or not frames were there already
    number = 64 if setting.small else 512
    episodes = rng.integers(0, EPISODES, (number, 2))
    starts = rng.integers(0, count, (number, 2))
    columns = {
        "sample_type": ["preference"] * number,
        "prompt": [f"{PROMPT}{' carefully' * (index % 3)}" for index in range(number)],
        "answer": [str(1 + index % 2) for index in range(number)],
    }
    for which, name in enumerate(("first", "second")):
        columns[f"{name}_npz_path"] = [f"episode_{episode}.npz" for episode in episodes[:, which]]
        columns[f"{name}_frame_indices"] = [list(range(start, start + count)) for start in starts[:, which].tolist()]
    return TrainingSet(Dataset.from_dict(columns), root, np.zeros(0, np.uint64))


def _model(setting: Setting, device: str) -> LoadedModel:
    """Draw the stock model on the device; the same seed gives both paths the same weights."""
    torch.manual_seed(setting.seed)
    tokenizer = build_tokenizer([PROMPT])
    four_bit = STRATEGIES[setting.strategy].get("quantization", False)
    if setting.small:
        sizes = tiny.PRESETS["tiny-64" if four_bit else "tiny"]
        config, spec = tiny.tiny_config(tokenizer, sizes), tiny.tiny_spec(sizes)
    else:
        config = qwen3_vl_4b(tokenizer)
        half = (0.5, 0.5, 0.5)
        spec = VisionSpec("qwen3_vl", 16, 2, 2, half, half, 768 * 32 * 32, 768 * 32 * 32)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        model = Qwen3VLForConditionalGeneration._from_config(config, dtype=dtype)
    if four_bit:
        _to_four_bits(model, dtype)
    return LoadedModel(model, tokenizer, spec, setting.preset, None, {})


def qwen3_vl_4b(tokenizer: Any) -> Any:
    """Return the configuration, with the placeholders of a tokenizer."""
    names = ("image", "video"), ("vision_start", "vision_end")
    special = {f"{name}_token_id": f"<|{name}_pad|>" for name in names[0]}
    special |= {f"{name}_token_id": f"<|{name}|>" for name in names[1]}
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
    return Qwen3VLConfig(**QWEN3_VL_4B, **ids, tie_word_embeddings=True)


def _to_four_bits(model: Any, dtype: torch.dtype) -> None:
    """Turn the language model's layers into NF4, as loading with bitsandbytes does."""
    import bitsandbytes

    for layer in model.model.language_model.layers:
        for name, module in list(layer.named_modules()):
            if isinstance(module, torch.nn.Linear):
                parent, _, last = name.rpartition(".")
                four = bitsandbytes.nn.Linear4bit(
                    module.in_features, module.out_features, bias=False, compute_dtype=dtype, quant_type="nf4"
                )
                four.weight = bitsandbytes.nn.Params4bit(
                    module.weight.data.cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True
                )
                setattr(layer.get_submodule(parent), last, four.to(module.weight.device))


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


def _ours(setting: Setting, loaded: LoadedModel, rows: TrainingSet, device: str) -> dict[str, Any]:
    accept_uint8(loaded.model, loaded.spec)
    use_matrix_product(loaded.model)
    use_equal_segments(loaded.model)
    options = _options(
        setting,
        packing=True,
        max_tokens=setting.max_tokens,
        gradient_accumulation_steps=1 if setting.small else 2,  # as many rows a step as the stock path's
        gradient_checkpointing=_checkpoints(setting, device),
        optim=setting.optim,
        torch_compile=setting.compile,
    )
    loaded = prepare_trainable(loaded, options)
    form = InputFormat(setting.frames[1], setting.frames[1])
    loss = _first_loss(setting, loaded, rows, device, packed=True)
    make = partial(make_trainer, loaded=loaded, form=form, data=rows, held_out=None)
    parts = CheckpointParts(loaded, form, rows.trajectories)
    fast = _timed(setting, make(options, parts=parts), loaded, rows, device)
    small_options = replace(
        options, gradient_checkpointing=True, max_tokens=4 * _longest(loaded, rows, form), max_steps=3
    )
    _forget(loaded.model)
    small = _timed(replace(setting, warmup=1), make(small_options, parts=parts), loaded, rows, device)
    return {
        **fast,
        "loss": loss,
        "checkpointing": options.gradient_checkpointing,
        "optimizer": f"{options.optim}, masters" if device == "cuda" else options.optim,
        "memory_4_rows_gb": small["memory_gb"],
    }


def _stock(setting: Setting, loaded: LoadedModel, rows: TrainingSet, device: str) -> dict[str, Any]:
    autocast = {"model_dtype": "float32", "bf16": device == "cuda"}  # says what arithmetic to use, not what weights are
    options = _options(setting, max_steps=setting.warmup + max(2, setting.steps // 2), **autocast)
    model = loaded.model
    if options.rank:
        targets = target_modules(model, tower=not options.freeze_vision_tower)
        model = get_peft_model(
            model,
            LoraConfig(r=16, lora_alpha=32, target_modules=targets, modules_to_save=projector_names(model)),
        )
    elif options.freeze_vision_tower:
        freeze_vision_tower(model)
    loaded = replace(loaded, model=model)
    loss = _first_loss(setting, loaded, rows, device, packed=False)
    arguments = training_arguments(options, evaluates=False)
    collate = StockCollator(_collator(setting, loaded, rows, normalise=True), loaded.model.config.video_token_id)
    trainer = Trainer(model=model, args=arguments, data_collator=collate, train_dataset=rows.rows)
    figures = _timed(setting, trainer, loaded, rows, device)
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


def _checkpoints(setting: Setting, device: str) -> bool:
    """Tell whether to compute activations twice: on cards under 100 GB, and where everything trains."""
    if setting.checkpointing is not None or device == "cpu":
        return bool(setting.checkpointing)
    roomy = torch.cuda.get_device_properties(0).total_memory > 100e9
    return not roomy or "lora_rank" not in STRATEGIES[setting.strategy]


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
