import pytest

from rfm.errors import ConfigError
from rfm.training.options import TrainOptions

SPECIFIED = {
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
    "dataloader_num_workers": 4,
    "report_to": "tensorboard",
    "seed": 42,
}


def test_defaults_are_those_of_the_specification():
    options = TrainOptions(dataset_path="d")
    assert {name: getattr(options, name) for name in SPECIFIED} == SPECIFIED


def test_every_option_explains_itself():
    assert all(spec.metadata["help"] for spec in TrainOptions.__dataclass_fields__.values())


@pytest.mark.parametrize(
    ("changes", "rank"),
    [({}, 0), ({"use_unsloth": True}, 16), ({"quantization": True}, 16), ({"lora_rank": 8}, 8),
     ({"use_unsloth": True, "lora_rank": 0}, 0)],
)  # fmt: skip
def test_the_rank_in_effect(changes, rank):
    assert TrainOptions(dataset_path="d", **changes).rank == rank


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lr_scheduler_type": "step"}, "`lr_scheduler_type` must be one of linear, cosine, .* but is 'step'"),
        ({"save_strategy": "best"}, "`save_strategy` must be one of no, steps, epoch, but is 'best'"),
        ({"per_device_train_batch_size": 0}, "`per_device_train_batch_size` must be >= 1, but is 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be >= 0, but is -1.0"),
        ({"lora_rank": -1}, "`lora_rank` must be >= 0, but is -1"),
        ({"load_best_model_at_end": True}, "`load_best_model_at_end` must be given with `metric_for_best_model`"),
        ({"metric_for_best_model": "loss"}, "`metric_for_best_model` needs evaluations: pass --eval_dataset_path"),
        (
            {"metric_for_best_model": "loss", "eval_dataset_path": "e", "save_strategy": "epoch"},
            "`save_strategy` must be steps as `eval_strategy` is with `metric_for_best_model`, .* but is epoch",
        ),
        ({"warmup_ratio": 100.0}, "`warmup_ratio` must be < 1, but is 100.0; give steps as `warmup_steps`"),
        ({"quantization": True, "lora_rank": 0}, "`lora_rank` must be > 0 with `quantization`, but is 0"),
        (
            {"resume_from_checkpoint": "latest", "overwrite_output_dir": True},
            "`overwrite_output_dir` must not be given with",
        ),
    ],
)
def test_faults_are_named(changes, text):
    with pytest.raises(ConfigError, match=text):
        TrainOptions(dataset_path="d", **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lora_alpha": 64}, "`lora_alpha` can't take effect, but is 64: pass --lora_rank, or leave it out"),
        ({"muon_learning_rate": 0.1}, "`muon_learning_rate` can't take effect, but is 0.1: pass --optim muon"),
        ({"max_tokens": 100}, "`max_tokens` can't take effect, but is 100: pass --packing"),
        ({"save_steps": 5, "save_strategy": "epoch"}, "`save_steps` can't take effect, but is 5"),
        ({"save_total_limit": 2, "save_strategy": "no"}, "`save_total_limit` can't take effect, but is 2"),
        ({"eval_dataset_path": "e", "eval_strategy": "no"}, "`eval_dataset_path` can't take effect, but is e"),
        ({"eval_steps": 5}, "`eval_steps` can't take effect, but is 5: pass --eval_dataset_path"),
        ({"eval_dataset_path": "e", "eval_steps": 5, "eval_strategy": "epoch"}, "`eval_steps` .* steps"),
        ({"per_device_eval_batch_size": 8}, "`per_device_eval_batch_size` can't take effect, but is 8"),
        ({"run_name": "mine", "report_to": "none"}, "`run_name` can't take effect, but is mine: no tracker shows it"),
        ({"warmup_steps": 5, "lr_scheduler_type": "constant"}, "`warmup_steps` .* constant_with_warmup"),
        ({"warmup_ratio": 0.2, "lr_scheduler_type": "constant"}, "`warmup_ratio` can't take effect, but is 0.2"),
        ({"warmup_steps": 5, "warmup_ratio": 0.2}, "`warmup_ratio` can't take effect, .*: --warmup_steps overrides it"),
    ],
)
def test_flags_that_would_change_nothing(changes, text):
    with pytest.raises(ConfigError, match=text):
        TrainOptions(dataset_path="d", **changes)
