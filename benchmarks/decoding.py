"""Milliseconds a row of `scored` beside `greedy`, and of other ways to the same probabilities, in one run.

    python benchmarks/decoding.py [--steps 300] [--rows 64] [--rounds 3] [--model_path MODEL --dataset_path DATASET]
    python benchmarks/decoding.py --preset 4b [--limit SECONDS]     # one GPU; `--preset small` on a CPU

Without a checkpoint it trains `tiny` on the bundled videos for a few hundred steps: enough that greedy decoding writes
answers and stops after them. Every figure is the fastest of the rounds, in which all methods take turns: whole calls of
`Predictor.predict`, encoding included. Below: how far answers depend on the batch, in float32 and bfloat16.

A preset measures `scored` beside `greedy` alone, of a model of a true size: see `decoding_of_size.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from decoding_of_size import compare_presets
from random_model import PRESETS

from rfm.batch.collator import VQACollator
from rfm.inference.answering import scored
from rfm.inference.answering.answer_tree import AnswerTree, answer_tree
from rfm.inference.answering.decoding import Decoding
from rfm.inference.predictor import Predictor
from rfm.vqa.answers import parse_answer
from rfm.vqa.dataset import frames_root, load_dataset

BATCHES = (1, 8, 32)
METHODS = ("greedy", "constrained", "scored")


def main() -> None:
    options = parse()
    if options.preset is not None:
        compare_presets(options.preset, options.rounds, options.limit, Path(options.output))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        model, dataset = options.model_path, options.dataset_path
        if model is None or dataset is None:
            model, dataset = trained_tiny(Path(scratch), options.steps)
        rows, root = open_rows(dataset)
        predictor = Predictor.from_checkpoint(model, options.device, datasets_root=root)
        for kind in dict.fromkeys(row["sample_type"] for row in rows):
            some = [row for row in rows if row["sample_type"] == kind][: options.rows]
            compare_methods(predictor, kind, some, options.rounds)
        progress = [row for row in rows if row["sample_type"] == "progress"][: options.rows]
        compare_trees(predictor, progress, options.rounds)
        for dtype in (torch.float32, torch.bfloat16):
            predictor.loaded.model.to(dtype)
            depend_on_the_batch(predictor, rows[: 4 * options.rows], dtype)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, help="a random model of this size instead of a trained one")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="of a preset; the same command then goes on")
    parser.add_argument("--output", default="decoding", help="of a preset: results go to OUTPUT.jsonl and OUTPUT.md")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model_path")
    parser.add_argument("--dataset_path")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def trained_tiny(folder: Path, steps: int) -> tuple[str, str]:
    """Train `tiny` on questions about the bundled videos; returns the folders of model and held-out questions."""
    from rfm.generation.generate import GenerateOptions, generate
    from rfm.ingest.bundled import bundled_root
    from rfm.training.options import TrainOptions
    from rfm.training.run import train

    bundled_root()
    overrides = ("data.max_frames=4", "data.sample_type_ratio=[0.4,0.4,0.2]")
    for name, partition, count in (("train", "train", steps * 16), ("eval", "eval", 1000)):
        where = str(folder / name)
        generate(GenerateOptions(where, num_samples=count, config_overrides=overrides, partition=partition))
    final = train(
        TrainOptions(
            dataset_path=str(folder / "train"),
            model_name="tiny",
            output_dir=str(folder / "model"),
            max_steps=steps,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=1,
            learning_rate=2.5e-3,
            optim="muon",
            save_strategy="no",
            gradient_checkpointing=False,
            lora_rank=0,
            bf16=False,
        )
    )
    return str(final), str(folder / "eval")


def open_rows(path: str) -> tuple[list[dict[str, Any]], Path]:
    dataset, config = load_dataset(path)
    return list(dataset), frames_root(None, path, config)


def compare_methods(predictor: Predictor, kind: str, rows: list[dict[str, Any]], rounds: int) -> None:
    print(f"\n{kind}, {len(rows)} rows: ms a row; times greedy; answers that can't be parsed")
    for size in BATCHES:
        calls = {method: _predicting(predictor, method, rows, size) for method in METHODS}
        fastest, said = _take_turns(calls, rounds)
        cells = []
        for method in METHODS:
            unparsed = sum(parse_answer(kind, one.text) is None for one in said[method])
            each = 1000 * fastest[method] / len(rows)
            cells.append(f"{method} {each:6.1f} x{fastest['greedy'] / fastest[method]:.2f} unparsed {unparsed}")
        print(f"  batch {size:2}: " + " | ".join(cells))


def compare_trees(predictor: Predictor, rows: list[dict[str, Any]], rounds: int) -> None:
    """Compare ways to the probabilities of 0 to 100: the model's part alone, batches made beforehand."""
    print(f"\ntree of 101 scores, {len(rows)} rows: ms a row; greatest difference in log-probability")
    tree = answer_tree(predictor.encoder, "progress")
    collator = VQACollator(predictor.encoder, predictor.frames, with_answers=False)
    ways = {"tree behind a cache": scored.answer_log_probabilities, "one pass": one_pass, "10 + 90 branches": branches}
    for size in BATCHES:
        batches = [collator(rows[start : start + size]) for start in range(0, len(rows), size)]
        calls = {name: _reading(way, predictor.loaded.model, batches, tree) for name, way in ways.items()}
        fastest, logs = _take_turns(calls, rounds)
        reference = logs["tree behind a cache"]
        cells = [
            f"{name} {1000 * fastest[name] / len(rows):6.1f} ({(logs[name] - reference).abs().max():.0e})"
            for name in ways
        ]
        print(f"  batch {size:2}: " + " | ".join(cells))


def depend_on_the_batch(predictor: Predictor, rows: list[dict[str, Any]], dtype: torch.dtype) -> None:
    for method in ("greedy", "scored"):
        predictor.decoding = Decoding(method)
        one, eight = (predictor.predict(rows, size, progress=False) for size in (1, 8))
        differing = np.mean([a.text != b.text for a, b in zip(one, eight, strict=True)])
        text = f"{dtype}, {method}: {100 * differing:.2f}% of {len(rows)} answers differ between batches of 1 and 8"
        if method == "scored":
            gaps = [
                np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in zip(one, eight, strict=True)
            ]
            text += f", probabilities by at most {max(gaps):.1e}"
        print(text)


def _predicting(predictor: Predictor, method: str, rows: list[dict[str, Any]], size: int) -> Callable[[], Any]:
    def call() -> Any:
        predictor.decoding = Decoding(method)
        return predictor.predict(rows, size, 10, progress=False)

    return call


def _reading(way: Callable[..., torch.Tensor], model: Any, batches: list[Any], tree: AnswerTree) -> Callable[[], Any]:
    return lambda: torch.cat([way(model, batch, tree) for batch in batches])


def _take_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return each call's fastest time in seconds and its last result; the first round is not timed."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    results = {}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            results[name] = call()
            if number:
                times[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in times.items()}, results


@torch.no_grad()
def one_pass(model: Any, batch: Any, tree: AnswerTree) -> torch.Tensor:
    """Prompt, prefix and tree in one forward, with a mask over all of them."""
    inputs = scored._with_prefix(_on_device(model, batch), tree)
    ids, positions, seen = inputs["input_ids"], inputs["position_ids"], inputs["attention_mask"].bool()
    rows, length = ids.shape
    tokens, depth = (torch.from_numpy(array).to(ids.device) for array in (tree.tokens, tree.depth()))
    whole = length + tree.nodes
    mask = torch.ones(whole, whole, dtype=torch.bool, device=ids.device).tril()
    mask[length:, length:] = torch.from_numpy(tree.sees()).to(ids.device)
    columns = torch.cat([seen, seen.new_ones(rows, tree.nodes)], dim=1)
    mask = mask & columns[:, None, None] | torch.eye(whole, dtype=torch.bool, device=ids.device)
    logits = model(
        **inputs
        | {
            "input_ids": torch.cat([ids, tokens.expand(rows, -1)], dim=1),
            "attention_mask": torch.zeros_like(mask, dtype=model.dtype).masked_fill_(
                ~mask, torch.finfo(model.dtype).min
            ),
            "position_ids": torch.cat([positions, positions[:, :, -1:] + depth], dim=2),
        },
        use_cache=False,
        logits_to_keep=1 + tree.nodes,
    ).logits
    return torch.stack([scored._read(row, tree) for row in logits])


@torch.no_grad()
def branches(model: Any, batch: Any, tree: AnswerTree) -> torch.Tensor:
    """The prompt's cache repeated for the nodes of each depth: 10, then 90, then 1 one-token rows."""
    inputs = scored._with_prefix(_on_device(model, batch), tree)
    rows, device = len(inputs["input_ids"]), inputs["input_ids"].device
    out = model(**inputs, use_cache=True, logits_to_keep=1)
    cache, mask, positions = out.past_key_values, inputs["attention_mask"], inputs["position_ids"][:, :, -1:]
    logits, depth = [out.logits], tree.depth()
    before = np.array([-1])  # the nodes that the cache's rows stand for; -1 is the prefix
    for level in range(1, int(depth.max()) + 1):
        nodes = np.flatnonzero(depth == level)
        place = np.array([int(np.flatnonzero(before == tree.parents[node])[0]) for node in nodes])
        chosen = torch.from_numpy((np.arange(rows)[:, None] * len(before) + place).reshape(-1)).to(device)
        cache.batch_select_indices(chosen)
        mask = torch.cat([mask[chosen], mask.new_ones(len(chosen), 1)], dim=1)
        positions = positions[:, chosen] + 1
        tokens = torch.from_numpy(tree.tokens[nodes]).to(device).repeat(rows)[:, None]
        step = model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        logits.append(step.logits.reshape(rows, len(nodes), -1))
        before = nodes
    return torch.stack([scored._read(row, tree) for row in torch.cat(logits, dim=1)])


def _on_device(model: Any, batch: Any) -> Any:
    return {name: value.to(model.device) for name, value in batch.items()}


if __name__ == "__main__":
    main()
