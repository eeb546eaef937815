"""CPU seconds for a curve with shared work, beside one answer after the other, in one run.

    python benchmarks/curves.py [--points 32] [--frames 64] [--max_frames 64] [--size 256] [--frame_choice nested]

The model is random, of the stock class, with an eighth of Qwen3-VL-4B's widths and a ninth of its layers: its tower
weighs 9% of its language model, as there. Every figure is the fastest of the rounds; the answers must agree to
1e-4.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from random_model import QWEN3_VL_4B, SPEC_4B, qwen3_vl, use_our_kernels
from transformers import Qwen3VLForConditionalGeneration

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import HeldFrames
from rfm.frames.spacing import CHOICES, EVENLY, evenly_spaced
from rfm.inference.answering.decoding import Decoding
from rfm.inference.predictor import Predictor
from rfm.model.load import LoadedModel
from rfm.model.tiny_tokenizer import build_tokenizer
from rfm.vqa.prompts import prompt

TASK = "put the red block into the drawer and close it"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--frames", type=int, default=64, help="of the clip")
    parser.add_argument("--max_frames", type=int, default=64, help="shown of a prefix, at most")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frame_choice", choices=tuple(CHOICES), default=EVENLY)
    parser.add_argument("--batch_size", type=int, default=16, help="prefixes at a time")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare(drawn(options.device), options)


def drawn(device: str) -> LoadedModel:
    torch.manual_seed(0)
    tokenizer = build_tokenizer([prompt("progress", TASK)])
    text = QWEN3_VL_4B["text_config"] | {
        "vocab_size": len(tokenizer), "hidden_size": 320, "intermediate_size": 1216, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 32_768,
        "initializer_range": 0.08,
    }  # fmt: skip
    vision = QWEN3_VL_4B["vision_config"] | {
        "depth": 3, "hidden_size": 128, "intermediate_size": 512, "num_heads": 2, "out_hidden_size": 320,
        "deepstack_visual_indexes": [0, 1, 2], "initializer_range": 0.08,
    }  # fmt: skip
    config = qwen3_vl(tokenizer, {"text_config": text, "vision_config": vision})
    model = Qwen3VLForConditionalGeneration(config).to(device)
    return use_our_kernels(LoadedModel(model, tokenizer, SPEC_4B, "an eighth of 4B", None, {}))


def compare(loaded: LoadedModel, options: argparse.Namespace) -> None:
    form = InputFormat(options.size, options.size, max_frames=options.max_frames)
    film = np.random.default_rng(0).integers(0, 256, (options.frames, options.size, options.size, 3), np.uint8)
    predictor = Predictor(loaded, Path(), form, Decoding("scored")).over(HeldFrames({"film": film}, loaded.spec, form))
    choose, text = CHOICES[options.frame_choice], prompt("progress", TASK)
    rows = [
        {
            "sample_type": "progress",
            "prompt": text,
            "npz_path": "film",
            "frame_indices": choose(int(end) + 1, options.max_frames).tolist(),
        }
        for end in evenly_spaced(options.frames, options.points)
    ]
    parts = (loaded.model.model.visual.blocks, loaded.model.model.language_model.layers)
    weights = [sum(weight.numel() for weight in part.parameters()) / 1e6 for part in parts]
    print(f"tower {weights[0]:.1f} M, language model {weights[1]:.1f} M weights")
    print(f"tokens of the question's text: {len(predictor.encoder.text_ids(text))}")
    ways: dict[str, Callable[[], list[Any]]] = {
        "one after the other": lambda: [predictor.answer([row], 10)[0] for row in rows],
        "with shared work": lambda: predictor.predict_shared(rows, options.batch_size),
    }
    best = dict.fromkeys(ways, float("inf"))
    said: dict[str, np.ndarray] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.process_time()
            answers = way()
            best[name] = min(best[name], time.process_time() - start)
            said[name] = np.array([one.probabilities for one in answers])
    apart = np.abs(said["with shared work"] - said["one after the other"]).max()
    if apart > 1e-4:
        raise SystemExit(f"the answers must agree to 1e-4, but differ by {apart:.1e}")
    for name, seconds in best.items():
        print(f"{name:20} {seconds:8.2f} s  {best['one after the other'] / seconds:5.1f}x")
    print(f"largest difference of a probability: {apart:.1e}")


if __name__ == "__main__":
    main()
