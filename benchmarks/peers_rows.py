"""What ours and the peers are given: a random model on disk, rows about noise, and the rows as exported for each.

`measured` is a Qwen3-VL of 110 million parameters in which everything weighs about what it does in Qwen3-VL-4B: the
vision tower a quarter of the language model's work, logits an eighth. Its rows are preference questions of two clips of
two frames at 224 x 224. `tiny` is for the three questions: four rows whose answers have five to seven tokens, of which
the last two differ in nothing but the last frame of their clip of five.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from random_model import PROGRESS_PROMPT, PROMPT, qwen3_vl
from transformers import Qwen3VLForConditionalGeneration

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.export.options import RowsOptions
from rfm.export.rows import export_rows
from rfm.frames.npz.file import write_npz
from rfm.model import tiny
from rfm.model.load import LoadedModel
from rfm.model.tiny_tokenizer import build_tokenizer

MEASURED = {
    "text_config": {
        "model_type": "qwen3_vl_text", "vocab_size": 16_384, "hidden_size": 768, "intermediate_size": 2304,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4, "head_dim": 64,
        "max_position_embeddings": 8192, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [12, 10, 10],
                            "mrope_interleaved": True},
    },
    "vision_config": {
        "model_type": "qwen3_vl_vision", "depth": 8, "hidden_size": 384, "intermediate_size": 1536, "num_heads": 6,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 768,
        "num_position_embeddings": 196, "deepstack_visual_indexes": [1, 3, 5],
    },
}  # fmt: skip
SIDE = {"measured": 224, "tiny": 32}
_HALF = (0.5, 0.5, 0.5)
FORMATS = ("trl", "llamafactory", "ms-swift")
EPISODES = 4
FRAMES = "noise/frames/{}.npz"
ANSWERS = ("42", "100", "5", "5")


def model(folder: Path, size: str) -> Path:
    """Write the random checkpoint of a size, unless it is there."""
    if (folder / "config.json").exists():
        return folder
    torch.manual_seed(0)
    tokenizer = build_tokenizer([PROMPT, PROGRESS_PROMPT])
    if size == "tiny":
        stock, tokenizer = tiny.build_tiny(0, [PROMPT, PROGRESS_PROMPT])
        spec = tiny.tiny_spec()
    else:
        stock = Qwen3VLForConditionalGeneration(_configuration(tokenizer))
        spec = VisionSpec("qwen3_vl", 16, 2, 2, _HALF, _HALF, 768 * 32 * 32, 768 * 32 * 32)
    loaded = LoadedModel(stock, tokenizer, spec, size, None, tiny.processor_files(spec))
    folder.mkdir(parents=True)
    loaded.save(folder, InputFormat(SIDE[size], SIDE[size]))
    return folder


def _configuration(tokenizer: Any) -> Any:
    config = qwen3_vl(tokenizer, MEASURED)
    config.text_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config.text_config.pad_token_id = tokenizer.pad_token_id
    return config


def rows(folder: Path, size: str, number: int) -> Path:
    """Write the VQA dataset of a size, unless it is there: `number` rows of `measured`, all four of `tiny`."""
    if (folder / "dataset_info.json").exists():
        return folder
    made = _experiments(folder / "root") if size == "tiny" else _preferences(folder / "root", number)
    Dataset.from_list(made).save_to_disk(str(folder))
    (folder / "generation_config.json").write_text(json.dumps({"datasets_root": str(folder / "root")}))
    return folder


def _preferences(root: Path, number: int) -> list[dict[str, Any]]:
    _noise(root, SIDE["measured"])
    return [
        {
            "sample_type": "preference",
            "prompt": PROMPT,
            "answer": str(1 + index % 2),
            "first_npz_path": FRAMES.format(index % EPISODES),
            "first_frame_indices": [0, 1 + index % 5],
            "second_npz_path": FRAMES.format((index + 1) % EPISODES),
            "second_frame_indices": [0, 2 + index % 3],
        }
        for index in range(number)
    ]


def _experiments(root: Path) -> list[dict[str, Any]]:
    _noise(root, SIDE["tiny"])
    clips = [(FRAMES.format(0), [0, 1, 2, 3, end]) for end in (4, 4, 4, 5)]
    return [
        {"sample_type": "progress", "prompt": PROGRESS_PROMPT, "answer": answer, "npz_path": path, "frame_indices": at}
        for answer, (path, at) in zip(ANSWERS, clips, strict=True)
    ]


def _noise(root: Path, side: int) -> None:
    """Write coarse noise, of which a resized frame still has something."""
    (root / FRAMES).parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for episode in range(EPISODES):
        coarse = rng.integers(0, 256, (8, side // 8, side // 8, 3), dtype=np.uint8)
        write_npz(root / FRAMES.format(episode), coarse.repeat(8, axis=1).repeat(8, axis=2))


def exports(dataset: Path, folder: Path) -> dict[str, Path]:
    """Write the rows as each peer reads them, in PNG, so that all see the same pixels."""
    places = {name: folder / name for name in FORMATS}
    for name, place in places.items():
        export_rows(replace(RowsOptions(str(dataset), name, str(place)), frames="png"))
    return places
