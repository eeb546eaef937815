"""Evaluate a checkpoint on a VQA dataset: ask every row, parse, judge, write one JSON.

Rows whose frames can't be read stand beside the metrics with their reasons; more than `--max_unreadable` of them fail
the run after the file is written. Controls ask the same rows again with the content taken away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rfm.errors import ConfigError, DataError
from rfm.evaluation.judge import Sheet, make_sheets, unreadable_report
from rfm.evaluation.metrics import Numbers
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.report import print_results
from rfm.inference.predictor import Prediction, Predictor
from rfm.vqa.dataset import frames_root, load_dataset
from rfm.vqa.provenance import load_hashes, trajectory_hashes

logger = logging.getLogger(__name__)


def evaluate(options: EvaluateOptions) -> int:
    """Run `rfm evaluate`; status 1 where more rows are unreadable than allowed."""
    results = evaluate_checkpoint(options)
    print_results(results)
    unreadable = results["unreadable"]
    count = unreadable["count"]
    if count > options.max_unreadable:
        most_frequent = next(iter(unreadable["reasons"]))
        raise DataError(
            f"{count} rows have frames that can't be read, more than `max_unreadable` = {options.max_unreadable}, "
            f"for example: {unreadable['examples'][most_frequent]}\n"
            f"All reasons are in {options.output_path}; --max_unreadable {count} accepts these rows"
        )
    return 0


def evaluate_checkpoint(options: EvaluateOptions) -> Numbers:
    """Evaluate, write the results file and return its content."""
    if Path(options.output_path).is_dir():
        raise ConfigError(f"`output_path` must name a JSON file, but {options.output_path} is a folder")
    dataset, config = load_dataset(options.dataset_path)
    root = frames_root(options.datasets_root, options.dataset_path, config)
    if options.max_samples is not None:
        dataset = dataset.select(range(min(options.max_samples, len(dataset))))
    predictor = Predictor.from_checkpoint(
        options.model_path, options.device, datasets_root=root, trust_remote_code=options.trust_remote_code
    )
    overlap = _overlap(Path(options.model_path), dataset)
    said = predictor.predict(dataset, options.batch_size, options.max_new_tokens)
    readable = np.array([answer.unreadable is None for answer in said], bool)
    discrete = bool(config.get("config", {}).get("data", {}).get("discrete_progress", False))
    sheets = make_sheets(_columns(dataset), readable, discrete=discrete)
    results = _results(options, dataset, sheets, said)
    results["trained_on_share"] = overlap
    results["controls"] = {name: _control(name, options, predictor, dataset, sheets) for name in options.controls}
    if options.save_predictions:
        results["predictions"] = _predictions(dataset, said)
    _write(Path(options.output_path), results)
    return results


def _results(options: EvaluateOptions, dataset: Any, sheets: Sequence[Sheet], said: Sequence[Prediction]) -> Numbers:
    kinds = dataset["sample_type"]
    results: Numbers = {
        "model_path": options.model_path,
        "dataset_path": options.dataset_path,
        "total_samples": len(dataset),
        "sample_types": {kind: sum(1 for other in kinds if other == kind) for kind in dict.fromkeys(kinds)},
        "unreadable": unreadable_report([answer.unreadable for answer in said if answer.unreadable is not None]),
        "decoding": {"method": "greedy", "max_new_tokens": options.max_new_tokens},
        "best_constant": {sheet.kind: sheet.best_constant() for sheet in sheets},
    }
    for sheet in sheets:
        results[sheet.kind] = sheet.judge(sheet.parse([said[row].text for row in sheet.rows]))
    return results


def _control(
    name: str, options: EvaluateOptions, predictor: Predictor, dataset: Any, sheets: Sequence[Sheet]
) -> Numbers:
    """Return the metrics of the same readable rows under a control."""
    said = predictor.predict(dataset, options.batch_size, options.max_new_tokens, blank_frames=name == "blank")
    return {sheet.kind: sheet.judge(sheet.parse([said[row].text for row in sheet.rows])) for sheet in sheets}


def _overlap(model_path: Path, dataset: Any) -> float | None:
    """Return the share of the dataset's trajectories that the model was trained on; None where that is not recorded."""
    trained = load_hashes(model_path)
    shown = trajectory_hashes(dataset)
    if trained is None or not len(shown):
        logger.warning("whether the model was trained on these trajectories is not known: no record in %s", model_path)
        return None
    share = float(np.isin(shown, trained).mean())
    if share:
        logger.warning(
            "%.0f%% of the trajectories in this dataset were trained on: these are not held-out results; "
            "draw a test set from other trajectories with --partition eval",
            100 * share,
        )
    return share


def _columns(dataset: Any) -> dict[str, list[Any]]:
    wanted = ("sample_type", "answer", "data_gen_strategy", "end_progress")
    ids = ("trajectory_id", "first_trajectory_id", "npz_path", "first_npz_path")
    return {name: list(dataset[name]) for name in (*wanted, *ids) if name in dataset.column_names}


def _predictions(dataset: Any, said: Sequence[Prediction]) -> list[Numbers]:
    kinds, answers = dataset["sample_type"], dataset["answer"]
    return [
        {"row": row, "sample_type": kind, "answer": answer, "completion": one.text, "unreadable": one.unreadable}
        for row, (kind, answer, one) in enumerate(zip(kinds, answers, said, strict=True))
    ]


def _write(path: Path, results: Numbers) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(results, indent=2) + "\n")
    temporary.replace(path)
    logger.info("results: %s", path)
