"""Answers a second of three engines: ours as `rfm evaluate` asks it, stock `generate` row by row, and vLLM.

    PYTHON peers_answers.py REQUEST.json

Greedy, ten new tokens at most. Timed is from rows on disk to text, behind the loading of the model and one row. Ours
reads the VQA dataset, the others the rows exported for ms-swift, whose frames are PNG files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # in this process, whose processor time is taken
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

from peers_probe import MARK, declare_operators, now, peak_gb

FRAMES_PER_SECOND = 2.0
TOKENS = 10


@dataclass(frozen=True)
class Request:
    """`who` answers the rows with the model."""

    who: str
    model: str
    rows: str
    batch: int
    keeps: bool = True
    """Whether vLLM may keep what it computed of earlier prompts and pictures, as it does unless told otherwise."""


Answer = Callable[[list[Any]], list[str]]


def ours(request: Request) -> tuple[list[Any], Answer]:
    """Return the rows, and what answers them."""
    from rfm.inference.predictor import Predictor
    from rfm.vqa.dataset import frames_root, load_dataset

    dataset, config = load_dataset(request.rows)
    root = frames_root(None, request.rows, config, dataset)
    predictor = Predictor.from_checkpoint(request.model, "cpu", datasets_root=root)

    def answer(rows: list[Any]) -> list[str]:
        said = predictor.predict(rows, batch_size=request.batch, max_new_tokens=TOKENS)
        return [prediction.text for prediction in said]

    return list(dataset), answer


def generate(request: Request) -> tuple[list[Any], Answer]:
    """Stock model and processor, as a model card shows them."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(request.model).eval()
    processor = AutoProcessor.from_pretrained(request.model)

    def answer_one(row: dict[str, Any]) -> str:
        text = processor.apply_chat_template(_messages(row), tokenize=False, add_generation_prompt=True)
        clips = [_frames(paths) for paths in row["videos"]]
        inputs = processor(
            text=[text], videos=clips, video_metadata=[_metadata(len(clip)) for clip in clips],
            do_sample_frames=False, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            made = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        return str(processor.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    return _exported(request), lambda rows: [answer_one(row) for row in rows]


def vllm(request: Request) -> tuple[list[Any], Answer]:
    """vLLM in this process, which batches by itself."""
    from transformers import AutoTokenizer
    from vllm import LLM, SamplingParams

    engine = LLM(
        request.model, dtype="float32", enforce_eager=True, max_model_len=2048, max_num_seqs=request.batch,
        gpu_memory_utilization=0.2, limit_mm_per_prompt={"video": 2, "image": 0},
        enable_prefix_caching=request.keeps, **({} if request.keeps else {"mm_processor_cache_gb": 0}),
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(request.model)
    settings = SamplingParams(temperature=0.0, max_tokens=TOKENS)

    def prompt(row: dict[str, Any]) -> dict[str, Any]:
        text = tokenizer.apply_chat_template(_messages(row), tokenize=False, add_generation_prompt=True)
        clips = [_frames(paths) for paths in row["videos"]]
        return {
            "prompt": text,
            "multi_modal_data": {
                "video": [(clip, {**_metadata(len(clip)), "do_sample_frames": False}) for clip in clips]
            },
        }

    def answer(rows: list[Any]) -> list[str]:
        outputs = engine.generate([prompt(row) for row in rows], settings, use_tqdm=False)
        return [output.outputs[0].text for output in outputs]

    return _exported(request), answer


def _exported(request: Request) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(request.rows) / "rows.jsonl").read_text().splitlines()]


def _messages(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the user's turn in parts, its videos where the marks stand."""
    parts: list[dict[str, str]] = []
    for index, text in enumerate(row["messages"][0]["content"].split("<video>")):
        parts += [{"type": "video"}] if index else []
        parts += [{"type": "text", "text": text}] if text else []
    return [{"role": "user", "content": parts}]


def _frames(paths: list[str]) -> Any:
    import numpy as np
    from PIL import Image

    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def _metadata(count: int) -> dict[str, Any]:
    return {
        "fps": FRAMES_PER_SECOND,
        "frames_indices": list(range(count)),
        "total_num_frames": count,
        "duration": count / FRAMES_PER_SECOND,
        "video_backend": "opencv",
    }


ENGINES = {"ours": ours, "generate": generate, "vllm": vllm}


def answered(request: Request) -> dict[str, Any]:
    """Return rate, memory and texts."""
    rows, answer = ENGINES[request.who](request)
    answer(rows[:1])
    begun = now()
    texts = answer(rows)
    processor, clock = (end - begin for begin, end in zip(begun, now(), strict=True))
    return {
        "rows": len(rows),
        "rows_per_processor_second": len(rows) / processor,
        "rows_per_second": len(rows) / clock,
        "peak_gb": peak_gb(),
        "texts": texts,
    }


def main() -> None:
    import torch

    torch.set_num_threads(1)
    operators = declare_operators()
    print(MARK + json.dumps(answered(Request(**json.loads(Path(sys.argv[1]).read_text())))), flush=True)
    del operators


if __name__ == "__main__":
    main()
