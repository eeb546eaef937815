"""`make demo`: robot videos become questions, questions train a Qwen3-VL, the model judges episodes it has never seen.

Everything runs through the ordinary commands, with a model small enough for one CPU core; the settings below are the
only difference to real work. They were tuned on a validation part of the training episodes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rfm.console import console
from rfm.evaluation.evaluate import evaluate_checkpoint
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.report import strategy_table, summary_table
from rfm.frames.reader import read_frames
from rfm.inference.predictor import Predictor
from rfm.ingest.bundled import bundled_root
from rfm.scoring.curves import progress_curve
from rfm.scoring.plot import FILMSTRIP, plot_curves
from rfm.training.options import TrainOptions
from rfm.training.run import train
from rfm.trajectories.catalog import Catalog, load_catalog
from rfm.vqa.generate import GenerateOptions, generate

logger = logging.getLogger(__name__)

FRAMES = 4
BATCH = 16
HELD_OUT_ROWS = 1200


@dataclass(frozen=True)
class DemoOptions:
    """Ingest, generate, train, evaluate and draw with a tiny model, on the bundled robot videos, in minutes."""

    output_dir: str = field(default="./outputs/demo", metadata={"help": "Folder for datasets, model, results and plot"})
    steps: int = field(default=4500, metadata={"help": "Optimizer steps; fewer is quicker and worse"})


def run(options: DemoOptions) -> int:
    """Run the demo."""
    started = time.monotonic()
    folder = Path(options.output_dir)
    root = bundled_root()
    train_set, test_set = _questions(options, folder)
    _say("train", started)
    final = train(_training(options, folder, train_set))
    _say("evaluate on held-out episodes", started)
    results = evaluate_checkpoint(
        EvaluateOptions(
            model_path=str(final),
            dataset_path=str(test_set),
            output_path=str(folder / "results.json"),
            batch_size=BATCH,
            controls=("blank",),
        )
    )
    plot = folder / "progress.png"
    _draw(final, load_catalog(root, ["metaworld_eval"]), plot)
    console().print(strategy_table(results), summary_table(results))
    _say(f"done; results in {folder / 'results.json'}, curves in {plot}, model in {final}", started)
    return 0


def _questions(options: DemoOptions, folder: Path) -> tuple[Path, Path]:
    overrides = (f"data.max_frames={FRAMES}",)
    train_set = generate(
        GenerateOptions(
            output_path=str(folder / "train"),
            num_samples=options.steps * BATCH,
            config_overrides=(*overrides, "data.sample_type_ratio=[0.4,0.6,0.0]"),
            overwrite=True,
        )
    )
    test_set = generate(
        GenerateOptions(
            output_path=str(folder / "held_out"),
            num_samples=HELD_OUT_ROWS,
            config_overrides=overrides,
            partition="eval",
            overwrite=True,
        )
    )
    return train_set, test_set


def _training(options: DemoOptions, folder: Path, dataset: Path) -> TrainOptions:
    return TrainOptions(
        dataset_path=str(dataset),
        model_name="tiny",
        output_dir=str(folder / "model"),
        overwrite_output_dir=True,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=1,
        learning_rate=1e-3,
        adam_beta2=0.95,
        weight_decay=0.01,
        max_grad_norm=1.0,
        warmup_steps=50,
        gradient_checkpointing=False,
        dataloader_num_workers=1,
        save_strategy="no",
        logging_steps=50,
    )


def _draw(final: Path, catalog: Catalog, path: Path) -> None:
    """Draw predicted beside recorded progress for a held-out episode of each quality, all of different tasks."""
    predictor = Predictor.from_checkpoint(final, "cpu", datasets_root=catalog.root)
    chosen, tasks = [], set()
    for quality in (2, 1, 0):
        candidates = np.flatnonzero(catalog.quality == quality)
        fresh = [row for row in candidates if int(catalog.task_code[row]) not in tasks]
        chosen.append(int(fresh[0]))
        tasks.add(int(catalog.task_code[fresh[0]]))
    curves = [progress_curve(predictor, catalog, row, FRAMES) for row in chosen]
    films = [
        read_frames(
            catalog.root,
            catalog.frames_path[row].as_py(),
            np.linspace(0, catalog.num_frames[row] - 1, FILMSTRIP).round().astype(int),
        )
        for row in chosen
    ]
    plot_curves(curves, films, path)


def _say(what: str, started: float) -> None:
    console().rule(f"{what} ({time.monotonic() - started:.0f} s)")
