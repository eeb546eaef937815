"""The options of a training run: names, defaults and choices of `train_vqa_sft.py`.

The command line is generated from this dataclass: a field is `--its_name`, a boolean that defaults to true is
switched off with `--no_its_name`. `None` means "decided by the run", and what was decided stands in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from rfm.batch.bad_rows import POLICIES
from rfm.errors import ConfigError
from rfm.model.shipped import resolve

SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")
STRATEGIES = ("no", "steps", "epoch")
TRACKERS = ("tensorboard", "wandb", "none")
OPTIMIZERS = ("adamw", "adamw_8bit", "muon")
PROJECTORS = ("lora", "full")
DTYPES = ("auto", "float32", "bfloat16")
BEST_BY = ("loss", "preference_accuracy", "progress_mae", "progress_rmse", "similarity_accuracy")
HUB_STRATEGIES = ("end", "every_save", "checkpoint", "all_checkpoints")


def _option(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class TrainOptions:
    """Fine-tune a Qwen-VL model on a generated dataset: checkpoints, curves, and the model in OUTPUT_DIR/final."""

    dataset_path: str = field(metadata={"help": "Generated dataset to train on (required)", "choices": None})
    eval_dataset_path: str | None = _option(None, "Dataset to evaluate loss, accuracy and errors on while training")
    datasets_root: str | None = _option(
        None, "Folder that frame paths are relative to; else RFM_PROCESSED_DATASETS_PATH, else the dataset's own record"
    )

    model_name: str = _option("Qwen/Qwen3-VL-4B-Instruct", "Hub name, checkpoint folder, `metaworld-small`, or `tiny`")
    use_multi_image: bool = _option(False, "Show frames as images instead of videos")
    use_unsloth: bool = _option(False, "Train with unsloth (needs it installed, and a GPU)")
    quantization: bool = _option(False, "Load the base model in 4 bits (needs the extra `quantization`)")
    freeze_vision_tower: bool = _option(False, "Train the language model and the projector only")
    lora_rank: int | None = _option(
        None, "Rank of LoRA adapters, 0 for full fine-tuning; default 16 with --use_unsloth or --quantization, else 0"
    )
    lora_alpha: int = _option(32, "Scale of LoRA adapters")
    lora_projector: str | None = _option(
        None,
        "What trains of the projector beside LoRA adapters: `lora`, adapters of its own, or `full`, all of it, which "
        "vLLM refuses in adapters; default lora, full with --use_unsloth",
        PROJECTORS,
    )
    model_dtype: str = _option("auto", "Dtype of the weights; auto = bfloat16 where --bf16 holds on a GPU", DTYPES)
    fsdp: bool = _option(False, "Shard weights, gradients and optimizer over the processes (FSDP2)")
    trust_remote_code: bool = _option(False, "Run code that a model brings along")

    output_dir: str = _option("./outputs/vqa_training", "Folder of checkpoints, logs and `final`")
    overwrite_output_dir: bool = _option(False, "Start anew in a folder that holds a run; its checkpoints are deleted")
    dry_run: bool = _option(False, "Say what a run would do, and how much memory it takes; nothing is written")
    resume_from_checkpoint: str | None = _option(None, "Checkpoint to go on from, or `latest`")
    run_name: str | None = _option(None, "Name of the run in the tracker")
    report_to: str = _option("tensorboard", "Tracker", TRACKERS)
    seed: int = _option(42, "Of weights, adapters and the order of rows")

    per_device_train_batch_size: int = _option(4, "Rows a step and device")
    per_device_eval_batch_size: int = _option(4, "Rows an evaluation step and device")
    gradient_accumulation_steps: int = _option(4, "Batches an optimizer step")
    num_train_epochs: float = _option(1.0, "Passes over the dataset")
    max_steps: int = _option(-1, "Optimizer steps; overrides the epochs")
    learning_rate: float = _option(2e-5, "Peak learning rate")
    on_bad_row: str = _option(
        "stop", "What a row does whose frames can't be read: stop the run, or skip it, counted and listed", POLICIES
    )
    blank_share: float = _option(
        0.0, "Share of rows trained on with grey frames, so that not seeing gives a prior and not noise"
    )
    optim: str = _option(
        "adamw", "Optimizer; adamw_8bit needs 6 bytes less a trained weight, muon is for random weights", OPTIMIZERS
    )
    muon_learning_rate: float = _option(2.5e-3, "Peak learning rate of matrices with --optim muon")
    lr_scheduler_type: str = _option("cosine", "Schedule of the learning rate", SCHEDULERS)
    warmup_ratio: float = _option(0.1, "Share of the steps that warm up")
    warmup_steps: int | None = _option(None, "Steps that warm up; overrides the ratio")
    max_grad_norm: float = _option(10.0, "Gradient clipping")
    weight_decay: float = _option(0.05, "Weight decay")
    adam_beta1: float = _option(0.9, "AdamW beta1")
    adam_beta2: float = _option(0.999, "AdamW beta2")
    bf16: bool | None = _option(None, "Arithmetic in bfloat16; default true on a GPU, float32 on a CPU")
    gradient_checkpointing: bool = _option(True, "Compute activations twice to save memory")
    torch_compile: bool = _option(False, "Compile layer by layer; the first steps then take minutes")
    packing: bool = _option(
        False, "Put rows one after the other instead of padding them; --per_device_train_batch_size has no effect then"
    )
    max_tokens: int = _option(16_384, "Tokens of a packed batch, at most")
    dataloader_num_workers: int = _option(4, "Processes that make batches")

    save_strategy: str = _option("steps", "When to save", STRATEGIES)
    save_steps: int = _option(500, "Steps between checkpoints")
    save_total_limit: int | None = _option(None, "Checkpoints to keep")
    logging_steps: int = _option(10, "Steps between log entries")
    eval_strategy: str = _option("steps", "When to evaluate; nothing happens without --eval_dataset_path", STRATEGIES)
    eval_steps: int = _option(500, "Steps between evaluations")
    metric_for_best_model: str | None = _option(
        None, "Keep the checkpoint that does best in this, whatever --save_total_limit says", BEST_BY
    )
    load_best_model_at_end: bool = _option(False, "Make `final` the best checkpoint instead of the last")

    push_to_hub: bool = _option(False, "Upload the final model to the Hugging Face hub")
    hub_model_id: str | None = _option(None, "Repository to upload to, as in me/my-model")
    hub_private_repo: bool = _option(False, "Make that repository private where it is created")
    hub_strategy: str = _option("end", "When to upload: the final model alone, or checkpoints too", HUB_STRATEGIES)

    config_name: str = _option("config", "Configuration that frame sizes come from")
    config_overrides: tuple[str, ...] = _option((), "Overrides such as data.resized_height=224 data.resize_filter=box")

    def __post_init__(self) -> None:
        resolve(self, "model_name")
        _check_choices(self)
        _check_numbers(self)
        _check_combinations(self)

    @property
    def rank(self) -> int:
        """The LoRA rank in effect."""
        if self.lora_rank is not None:
            return self.lora_rank
        return 16 if self.use_unsloth or self.quantization else 0

    @property
    def whole_projector(self) -> bool:
        """Whether the projector of a model with adapters trains in full."""
        return self.use_unsloth if self.lora_projector is None else self.lora_projector == "full"


def _check_choices(options: TrainOptions) -> None:
    for spec in TrainOptions.__dataclass_fields__.values():
        choices, value = spec.metadata.get("choices"), getattr(options, spec.name)
        if choices is not None and value not in choices and (value is not None or spec.default is not None):
            raise ConfigError(f"`{spec.name}` must be one of {', '.join(choices)}, but is {value!r}")


def _check_numbers(options: TrainOptions) -> None:
    lowest: dict[str, float] = {
        "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1, "gradient_accumulation_steps": 1,
        "learning_rate": 0, "muon_learning_rate": 0, "warmup_ratio": 0, "max_grad_norm": 0,
        "weight_decay": 0, "dataloader_num_workers": 0, "save_steps": 1, "logging_steps": 1, "eval_steps": 1,
        "lora_alpha": 1, "max_tokens": 1,
    }  # fmt: skip
    for name, least in lowest.items():
        if getattr(options, name) < least:
            raise ConfigError(f"`{name}` must be >= {least:g}, but is {getattr(options, name)}")
    if not 0 < options.num_train_epochs < float("inf"):
        raise ConfigError(f"`num_train_epochs` must be > 0 and finite, but is {options.num_train_epochs}")
    if options.max_steps != -1 and options.max_steps < 1:
        raise ConfigError(f"`max_steps` must be >= 1, or -1 for all epochs, but is {options.max_steps}")
    _check_bounds(options)
    if not 0 <= options.blank_share < 1:
        raise ConfigError(f"`blank_share` must lie in [0, 1), but is {options.blank_share}")
    if options.warmup_ratio >= 1:
        raise ConfigError(f"`warmup_ratio` must be < 1, but is {options.warmup_ratio}; give steps as `warmup_steps`")


def _check_bounds(options: TrainOptions) -> None:
    bounds: dict[str, tuple[int, int]] = {
        "lora_rank": (0, 4096), "warmup_steps": (0, 2**31), "save_total_limit": (1, 2**31), "seed": (0, 2**32 - 1),
        "dataloader_num_workers": (0, 1024),
    }  # fmt: skip
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"`{name}` must be >= {least}, but is {value}")
        if value is not None and value > most:
            raise ConfigError(f"`{name}` must be <= {most}, but is {value}")
    below = PurePath(options.run_name or "")
    if below.is_absolute() or ".." in below.parts:  # curves are written to OUTPUT_DIR/runs/NAME
        raise ConfigError(f"`run_name` must be a name, but leads to another folder: {options.run_name}")


def _check_combinations(options: TrainOptions) -> None:
    if options.quantization and options.rank == 0:
        raise ConfigError(
            "`lora_rank` must be > 0 with `quantization`, but is 0: 4-bit weights can't be trained themselves;"
            " pass --lora_rank 16 or drop --quantization"
        )
    if options.fsdp and (options.optim == "adamw_8bit" or options.model_dtype == "bfloat16"):
        raise ConfigError(
            "`fsdp` must go with float32 weights and --optim adamw, since masters and 8-bit moments are of whole "
            "weights; FSDP computes in bfloat16 by itself"
        )
    if options.optim == "muon" and options.rank:
        raise ConfigError(
            f"`optim` must not be muon with `lora_rank` {options.rank}: it is for full matrices; take adamw"
        )
    if options.use_unsloth and options.lora_projector == "lora":
        raise ConfigError(
            "`lora_projector` must be full with `use_unsloth`, which adapts no projector, but is lora; leave it out"
        )
    for name in ("packing", "torch_compile"):
        if options.use_unsloth and getattr(options, name):
            raise ConfigError(f"`{name}` must not be given with `use_unsloth`, which has its own kernels; drop one")
    if options.push_to_hub and not options.hub_model_id:
        raise ConfigError("`hub_model_id` must name the repository to upload to with `push_to_hub`, but is not given")
    if not options.push_to_hub and (options.hub_model_id or options.hub_private_repo or options.hub_strategy != "end"):
        raise ConfigError("`push_to_hub` must be set for the other options of the hub to take effect, but is not")
    if options.resume_from_checkpoint and options.overwrite_output_dir:
        raise ConfigError(
            "`overwrite_output_dir` must not be given with `resume_from_checkpoint`: it deletes what is resumed"
        )
    _check_best(options)
    _check_effects(options)


def _check_best(options: TrainOptions) -> None:
    if options.load_best_model_at_end and options.metric_for_best_model is None:
        raise ConfigError(
            "`load_best_model_at_end` must be given with `metric_for_best_model`, which says what is best; pass for "
            "example --metric_for_best_model preference_accuracy"
        )
    if options.metric_for_best_model is None:
        return
    if options.eval_dataset_path is None or options.eval_strategy == "no":
        raise ConfigError("`metric_for_best_model` needs evaluations: pass --eval_dataset_path and an --eval_strategy")
    if options.save_strategy != options.eval_strategy:
        raise ConfigError(
            f"`save_strategy` must be {options.eval_strategy} as `eval_strategy` is with `metric_for_best_model`, "
            f"which saves what it evaluates, but is {options.save_strategy}; pass one of them as the other"
        )


def _check_effects(options: TrainOptions) -> None:
    """Raise `ConfigError` for the first flag that would change nothing beside the others: never a silent no-op.

    Whether a flag was given shows in its value: only one that differs from the default is looked at.
    """
    fields = type(options).__dataclass_fields__
    for name, effective, way_out in _conditions(options):
        value = getattr(options, name)
        if value != fields[name].default and not effective:
            raise ConfigError(f"`{name}` can't take effect, but is {value}: {way_out}")


def _conditions(options: TrainOptions) -> Iterator[tuple[str, bool, str]]:
    """Yield flags, whether they take effect, and what to do where they don't."""
    evaluates = options.eval_dataset_path is not None
    yield "lora_alpha", options.rank > 0, "pass --lora_rank, or leave it out"
    yield "lora_projector", options.rank > 0, "pass --lora_rank, or leave it out"
    yield "muon_learning_rate", options.optim == "muon", "pass --optim muon, or leave it out"
    yield "max_tokens", options.packing, "pass --packing, or leave it out"
    yield "save_steps", options.save_strategy == "steps", "pass --save_strategy steps, or leave it out"
    yield "save_total_limit", options.save_strategy != "no", "nothing is saved with --save_strategy no; drop one"
    yield "eval_dataset_path", options.eval_strategy != "no", "nothing is evaluated with --eval_strategy no; drop one"
    yield "eval_steps", evaluates, "pass --eval_dataset_path, or leave it out"
    yield "eval_steps", options.eval_strategy == "steps", "pass --eval_strategy steps, or leave it out"
    yield "per_device_eval_batch_size", evaluates, "pass --eval_dataset_path, or leave it out"
    yield "run_name", options.report_to != "none", "no tracker shows it with --report_to none; drop one"
    for name in ("warmup_steps", "warmup_ratio"):
        warms = options.lr_scheduler_type != "constant" or getattr(options, name) == 0
        yield name, warms, "the schedule `constant` has no warm-up; take constant_with_warmup"
    if options.warmup_steps is not None:
        yield "warmup_ratio", False, "--warmup_steps overrides it; drop one"
