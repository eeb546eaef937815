import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import memory
import random_model


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The model in a quarter of its widths and layers."""
    text, vision = (random_model.QWEN3_VL_4B[name] for name in ("text_config", "vision_config"))
    text = {**text, "vocab_size": 4096, "hidden_size": 640, "intermediate_size": 2432, "num_hidden_layers": 8,
            "num_attention_heads": 8, "num_key_value_heads": 2}  # fmt: skip
    vision = {**vision, "hidden_size": 256, "intermediate_size": 1024, "num_heads": 4, "out_hidden_size": 640,
              "depth": 6, "deepstack_visual_indexes": [1, 2, 4]}  # fmt: skip
    monkeypatch.setattr(random_model, "QWEN3_VL_4B", {"text_config": text, "vision_config": vision})


@pytest.mark.parametrize(("strategy", "checkpointing"), [("full", True), ("lora_frozen", False)])
def test_the_estimate_is_what_a_whole_step_takes(strategy, checkpointing):
    peak, expected, size = memory.trace(strategy, "adamw", checkpointing=checkpointing, rows=4)
    assert size.rows == 4
    assert 3500 < size.positions < 4500
    temporaries = 150e6  # of kernels and of the optimizer's arithmetic, which in a large model others cover
    assert 0.97 * peak - temporaries < expected.total < 1.2 * peak
