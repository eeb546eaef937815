"""Which flags stand together in a help: one table for all commands, by the names of flags.

A name means the same everywhere, so that it belongs to the same group everywhere; the first pattern that fits decides.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

OPTIONS = "options"
"""The group of what no other has, and of all flags of a command with few."""
ARGUMENTS = "arguments"
"""The group of what is given without a flag."""
COMMON = "every command"
FEW = 7
"""Flags that need no groups."""

_GROUPS = {
    "data": (
        "dataset", "dataset_path", "eval_dataset_path", "datasets", "datasets_root", "config_*", "partition", "split",
        "split_*", "folds", "shard", "by", "manifest", "path", "data_source", "camera", "cameras", "revision",
        "tolerance", "max_samples", "max_rows", "num_rows", "videos_root", "subset", "episodes*", "sets", "prefixes",
        "on_bad_row", "num_samples", "num_epochs", "seed", "draw_seed", "verify", "shares", "near_duplicates",
        "predictions", "videos", "evaluation", "content",
    ),
    "tasks and labels": (
        "task", "task_*", "tasks", "label", "label_*", "labels", "*_pattern", "opposites", "scene", "wordings",
    ),
    "frames": (
        "max_frames", "height", "width", "shortest_side", "form", "orientation", "resized_*", "points",
        "frame_choice", "frames", "frames_as", "use_multi_image", "sizes", "num_frames",
    ),
    "model": (
        "model", "model_*", "base_model", "input_format", "trust_remote_code", "lora_*", "freeze_*", "quantization",
        "use_unsloth", "dtype", "server",
    ),
    "asking": (
        "decoding", "num_beams", "temperature", "num_repeats", "both_orders", "engine", "base_url", "request_cache",
        "prompting", "prompt_*", "max_new_tokens", "server_check", "controls", "baselines", "calibrate_on",
        "discrete_progress", "eval_mode", "eval_set",
    ),
    "optimisation": (
        "learning_rate", "lr_*", "warmup_*", "max_grad_norm", "weight_decay", "adam_*", "optim", "muon_*",
        "num_train_epochs", "max_steps", "blank_share", "gradient_accumulation_steps", "per_device_*", "packing",
        "max_tokens",
    ),
    "saving": (
        "output", "output_*", "overwrite", "overwrite_*", "save_*", "resume_*", "run_name", "report_to",
        "logging_steps", "plot", "plot_*", "overlay", "rerun", "html", "markdown", "format", "values", "column",
        "dry_run",
    ),
    "evaluation while training": ("eval_strategy", "eval_steps", "metric_for_*", "load_best_*"),
    "hub": ("push_to_hub", "hub_*", "license"),
    "machine": (
        "device", "num_workers", "dataloader_*", "executor", "batch_size", "threads", "fsdp", "torch_compile", "bf16",
        "gradient_checkpointing", "readers", "replicas", "gather_ms", "enforce_eager",
    ),
    "network": ("host", "port", "api_key*", "insecure", "check"),
    "limits": ("max_*", "min_*", "*_seconds", "strict"),
}  # fmt: skip
_ALL = tuple((title, pattern) for title, patterns in _GROUPS.items() for pattern in patterns)
TITLES = (ARGUMENTS, *_GROUPS, OPTIONS)
"""In the order of a help."""


def group_of(name: str) -> str:
    """Return the group of a flag."""
    return next((title for title, pattern in _ALL if fnmatchcase(name, pattern)), OPTIONS)
