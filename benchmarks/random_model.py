"""Models of a true size with random weights, and rows about noise, for benchmarks: nothing is downloaded.

`4b` is Qwen3-VL-4B in its architecture, shown clips of 16 frames at 224 x 224; `small` is `tiny`, shown 4 frames at
32 x 32, for a CPU. Weights are drawn on the device, the same for the same seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from rfm.batch.pictures.patches import VisionSpec
from rfm.model import tiny
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.load import LoadedModel
from rfm.model.tiny_tokenizer import build_tokenizer

PRESETS = ("4b", "small")

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
_HALF = (0.5, 0.5, 0.5)
SPEC_4B = VisionSpec("qwen3_vl", 16, 2, 2, _HALF, _HALF, 768 * 32 * 32, 768 * 32 * 32)

PROMPT = (
    "Given these two robot videos, which one makes the most progress towards solving the task, Video 1 or 2? Format "
    "your answer as: ANS: 1/2\n\nTask: put the red block into the drawer and close it"
)
PROGRESS_PROMPT = (
    "Given the task, assign an integer-valued progress score from 0 to 100 for the robot in the video in the format: "
    "ANS: score\n\nTask: put the red block into the drawer and close it"
)
EPISODES = 8


def clip_size(preset: str) -> tuple[int, int]:
    """Return the frames of a clip, and their side in pixels."""
    return (4, 32) if preset == "small" else (16, 224)


def draw_model(preset: str, device: str, *, seed: int = 0, four_bit: bool = False) -> LoadedModel:
    """Draw the stock model on the device, in bfloat16 on a GPU and in float32 on a CPU."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer([PROMPT])
    if preset == "small":
        sizes = tiny.PRESETS["tiny-64" if four_bit else "tiny"]
        config, spec = tiny.tiny_config(tokenizer, sizes), tiny.tiny_spec(sizes)
    else:
        config, spec = qwen3_vl_4b(tokenizer), SPEC_4B
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        model = Qwen3VLForConditionalGeneration._from_config(config, dtype=dtype)
    if four_bit:
        _to_four_bits(model, dtype)
    return LoadedModel(model, tokenizer, spec, preset, None, {})


def use_our_kernels(loaded: LoadedModel) -> LoadedModel:
    """Return the model as `load_model` returns one."""
    accept_uint8(loaded.model, loaded.spec)
    use_matrix_product(loaded.model)
    use_equal_segments(loaded.model)
    return loaded


def qwen3_vl_4b(tokenizer: Any) -> Any:
    """Return the configuration, with the placeholders of a tokenizer."""
    return qwen3_vl(tokenizer, QWEN3_VL_4B)


def qwen3_vl(tokenizer: Any, sizes: dict[str, Any]) -> Any:
    """Return a configuration of these sizes, with the placeholders of a tokenizer."""
    names = ("image", "video"), ("vision_start", "vision_end")
    special = {f"{name}_token_id": f"<|{name}_pad|>" for name in names[0]}
    special |= {f"{name}_token_id": f"<|{name}|>" for name in names[1]}
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
    return Qwen3VLConfig(**sizes, **ids, tie_word_embeddings=True)


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


def preference_rows(root: Path, preset: str, number: int, seed: int = 0) -> Dataset:
    """Write a few episodes of noise under `root` and name two clips of them in each row."""
    return _rows(root, preset, number, seed, "preference", ("first_", "second_"))


def progress_rows(root: Path, preset: str, number: int, seed: int = 0) -> Dataset:
    """Write a few episodes of noise under `root` and name a clip of them in each row."""
    return _rows(root, preset, number, seed, "progress", ("",))


def _rows(root: Path, preset: str, number: int, seed: int, kind: str, prefixes: tuple[str, ...]) -> Dataset:
    count, _ = clip_size(preset)
    _write_episodes(root, preset, seed)
    rng = np.random.default_rng(seed + 1)  # the same rows whether or not frames were there already
    episodes = rng.integers(0, EPISODES, (number, len(prefixes)))
    starts = rng.integers(0, count, (number, len(prefixes)))
    asked = PROMPT if kind == "preference" else PROGRESS_PROMPT
    columns = {
        "sample_type": [kind] * number,
        "prompt": [f"{asked}{' carefully' * (index % 3)}" for index in range(number)],
        "answer": [str(1 + index % 2 if kind == "preference" else 10 + index % 90) for index in range(number)],
    }
    for which, prefix in enumerate(prefixes):
        columns[f"{prefix}npz_path"] = [f"episode_{episode}.npz" for episode in episodes[:, which]]
        columns[f"{prefix}frame_indices"] = [list(range(start, start + count)) for start in starts[:, which].tolist()]
    return Dataset.from_dict(columns)


def _write_episodes(root: Path, preset: str, seed: int) -> None:
    """Write frames of noise, stored so that single ones can be read."""
    count, side = clip_size(preset)
    rng = np.random.default_rng(seed)
    for episode in range(EPISODES):
        path = root / f"episode_{episode}.npz"
        if not path.exists():
            frames = rng.integers(0, 256, (2 * count, side, side, 3), dtype=np.uint8)
            np.savez(path, frames=frames, shape=np.array(frames.shape), num_frames=len(frames))
