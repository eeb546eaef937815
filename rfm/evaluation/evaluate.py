"""Evaluate a checkpoint on a VQA dataset: ask every row, parse, judge, write one JSON.

Rows whose frames can't be read, or whose truth can't be used, stand beside the metrics with their reasons; more than
`--max_unreadable` of them fail the run after the file is written. Controls ask the same rows again with a part of their
content taken away, baselines answer them without a model.

Processes that torchrun started share the rows; all of them compute the results, the first one writes them. Answers are
saved in `OUTPUT_PATH.answers` as they come, for a run that is interrupted, until the results are written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from rfm.batch.as_trained import report
from rfm.console import show
from rfm.errors import ConfigError, DataError
from rfm.evaluation.contest import Contest, parse
from rfm.evaluation.engines import open_engine
from rfm.evaluation.exam import Exam, open_exam
from rfm.evaluation.folds import fold_options, is_folded, pooled
from rfm.evaluation.judge import Sheet, make_sheets, unreadable_report
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.evaluation.metrics.probabilities import LACKING, calibrations, fitted_temperatures, other_answers
from rfm.evaluation.options import ALL, EvaluateOptions
from rfm.evaluation.predictions import saved_predictions
from rfm.evaluation.reports.tables import print_results
from rfm.evaluation.results_output import asked_hash, check_output
from rfm.evaluation.rivals.baselines import BASELINES
from rfm.evaluation.rivals.controls import FLOOR, SWAPPED, usable_controls
from rfm.evaluation.rivals.prompting import GVL, Prompted, frame_alignment
from rfm.evaluation.seen import trained_on_share
from rfm.files.lock import exclusive
from rfm.files.staging import staged_file
from rfm.inference.engines.engine import Engine
from rfm.inference.journal import Journal
from rfm.inference.prediction import Prediction
from rfm.inference.ranks import ALONE, Ranks, processes
from rfm.model.shipped import called
from rfm.vqa.presentation import presentation

logger = logging.getLogger(__name__)


def evaluate(options: EvaluateOptions) -> int:
    """Run `rfm evaluate`; status 1 where more rows are unreadable than allowed."""
    with processes() as ranks:
        results = (evaluate_folds if is_folded(options) else evaluate_checkpoint)(options, ranks)
    return concluded(options, results, ranks)


def concluded(options: EvaluateOptions, results: Numbers, ranks: Ranks) -> int:
    """Print what was found, the first process for all, and return the exit status.

    DataError where more rows are unreadable than allowed.
    """
    if not ranks.first:
        return int(results["unreadable"]["count"] > options.max_unreadable)
    show(lambda: results, lambda: print_results(results))
    unreadable = results["unreadable"]
    count = unreadable["count"]
    if count > options.max_unreadable:
        most_frequent = next(iter(unreadable["reasons"]))
        raise DataError(
            f"{count} rows can't be read or judged, more than `max_unreadable` = {options.max_unreadable}, "
            f"for example: {unreadable['examples'][most_frequent]}\n"
            f"All reasons are in {options.output_path}; --max_unreadable {count} accepts these rows"
        )
    return 0


def evaluate_folds(options: EvaluateOptions, ranks: Ranks = ALONE) -> Numbers:
    """Evaluate each fold's model on its dataset, write all results files and return the pooled content."""
    check_output(options)
    found = {name: evaluate_checkpoint(fold, ranks) for name, fold in fold_options(options).items()}
    results = pooled(options, found)
    if ranks.first:
        _write(Path(options.output_path), results)
    return results


def evaluate_checkpoint(options: EvaluateOptions, ranks: Ranks = ALONE) -> Numbers:
    """Evaluate, write the results file and return its content."""
    check_output(options)
    exam = open_exam(options.dataset_path, options.datasets_root, options.max_samples)
    return evaluate_exam(options, exam, ranks)


def evaluate_exam(
    options: EvaluateOptions, exam: Exam, ranks: Ranks = ALONE, also: Callable[[Numbers], Numbers] | None = None
) -> Numbers:
    """Evaluate on questions that are open already; `also` makes more of the results, to be written with them."""
    controls, left_out = usable_controls(exam, options.all_controls, named=ALL not in options.controls)
    for name, reason in left_out.items():
        logger.warning("--controls all goes on without %s: %s", name, reason)
    engine = open_engine(options, exam)
    asked = asked_hash(options, engine.identity(), exam.config.get("content_hash"))
    check_output(options, asked)
    found = engine.compare(presentation(exam.dataset, exam.config))
    with _one_run(options, ranks):
        engine.ranks, engine.journal = ranks, _open_journal(options, ranks)
        engine.asked_about = exam.config.get("content_hash")
        results = _evaluated(options, exam, engine, controls)
        results["input_mismatch"] = None if found is None else report(found)
        results["not_computed"] |= left_out
        results["asked"] = asked
        results |= {} if also is None else also(results)
        if ranks.first:
            _write(Path(options.output_path), results)
            engine.journal.remove()
    return results


@contextmanager
def _one_run(options: EvaluateOptions, ranks: Ranks) -> Iterator[None]:
    """Hold the lock of the saved answers, the first process for all; ConfigError where another run has it."""
    folder = _answers_folder(options)
    with ExitStack() as held:
        if ranks.first:
            held.enter_context(exclusive(folder, wait=False))
        yield


def _evaluated(options: EvaluateOptions, exam: Exam, engine: Engine, controls: Sequence[str]) -> Numbers:
    """Ask, judge, and return what the results file says."""
    recorded = exam.in_datasets and options.model_path not in BASELINES
    overlap = trained_on_share(Path(options.model_path), exam) if recorded else None
    _announce(options, exam, controls)
    said, sheets = _ask(engine, options, exam)
    predicted = parse(sheets, [said[int(row)] for sheet in sheets for row in sheet.rows])
    contest = Contest(exam, sheets, predicted, options.batch_size, options.max_new_tokens)
    results = _results(options, exam, contest, engine, controls)
    _add_probabilities(results, exam, sheets, said, _temperatures(engine, options))
    results |= _frame_alignment(options, exam, sheets, said)
    results["unreadable"] = _unreadable(exam, said)
    results["trained_on_share"] = overlap
    if options.save_predictions:
        results["predictions"] = saved_predictions(exam, sheets, predicted, said)
    return results


def _announce(options: EvaluateOptions, exam: Exam, controls: Sequence[str]) -> None:
    """Say how much will be asked before it is: controls ask every row again."""
    asked, asking = len(exam.asked), [name for name in controls if name != FLOOR]
    pairs = sum(exam.columns["sample_type"][row] != "progress" for row in exam.asked.tolist())
    total = asked + sum(pairs if name == SWAPPED else asked for name in asking)
    again = f", and again under {len(asking)} controls: {total} answers in all" if asking else ""
    logger.info("%s answers %d questions%s, %d at a time", called(options.model_path), asked, again, options.batch_size)


def _answers_folder(options: EvaluateOptions) -> Path:
    return Path(f"{options.output_path}.answers")


def _open_journal(options: EvaluateOptions, ranks: Ranks) -> Journal:
    journal = Journal(_answers_folder(options), ranks.rank)
    if len(journal):
        logger.info("going on: %d answers of an interrupted run are in %s", len(journal), journal.folder)
    return journal


def _ask(engine: Engine, options: EvaluateOptions, exam: Exam) -> tuple[dict[int, Prediction], list[Sheet]]:
    """Return what was said to each row that can be judged, and the sheets of those that were readable."""
    rows = exam.asked.tolist()
    asked = exam.dataset if len(rows) == len(exam) else exam.dataset.select(rows)
    answers = engine.predict(asked, options.batch_size, options.max_new_tokens) if rows else []
    said = dict(zip(rows, answers, strict=True))
    readable = np.array([row in said and said[row].unreadable is None for row in range(len(exam))], bool)
    return said, make_sheets(exam, readable)


def _temperatures(engine: Engine, options: EvaluateOptions) -> dict[str, float]:
    """Fit temperatures on the validation set, if one is named; its frames lie under its own root."""
    if options.calibrate_on is None:
        return {}
    exam = open_exam(options.calibrate_on, options.datasets_root)
    moved = engine.under(exam.root)
    moved.compare(presentation(exam.dataset, exam.config))
    said, sheets = _ask(moved, options, exam)
    unreadable = _unreadable(exam, said)
    count, examples = unreadable["count"], unreadable["examples"]
    if count > options.max_unreadable:
        raise DataError(
            f"`calibrate_on` must have readable rows, but {count} of {len(exam)} can't be read or judged, more than "
            f"`max_unreadable` = {options.max_unreadable}, for example: {next(iter(examples.values()))}"
        )
    found = fitted_temperatures(exam, sheets, said)
    if not found:
        raise ConfigError(f"`calibrate_on` {LACKING}")
    return found


def _add_probabilities(
    results: Numbers,
    exam: Exam,
    sheets: Sequence[Sheet],
    said: Mapping[int, Prediction],
    temperatures: Mapping[str, float],
) -> None:
    found = calibrations(exam, sheets, said, temperatures)
    if not found:
        results["not_computed"]["calibration"] = LACKING
        return
    results["calibration"] = found
    for sheet in sheets:
        if others := other_answers(sheet, said):
            results[sheet.kind]["other_answers"] = others


def _results(
    options: EvaluateOptions, exam: Exam, contest: Contest, engine: Engine, controls: Sequence[str]
) -> Numbers:
    kinds = exam.columns["sample_type"]
    numbers, not_computed = contest.model()
    constant = contest.best_constant()
    judged = {name: contest.control(name, engine) for name in controls}
    return {
        "model_path": called(options.model_path),
        "dataset_path": options.dataset_path,
        "total_samples": len(exam),
        "sample_types": {kind: kinds.count(kind) for kind in dict.fromkeys(map(str, kinds))},
        **numbers,
        "gap": contest.gaps(judged, constant),
        "controls": judged,
        "baselines": {name: contest.baseline(name) for name in options.baselines},
        "best_constant": constant,
        "not_computed": not_computed,
        "decoding": engine.decoding.settings(options.max_new_tokens) | _prompting(engine),
        "dataset_hash": exam.config.get("content_hash"),
    }


def _prompting(engine: Engine) -> Numbers:
    return engine.prompting() if isinstance(engine, Prompted) else {}


def _frame_alignment(
    options: EvaluateOptions, exam: Exam, sheets: Sequence[Sheet], said: Mapping[int, Prediction]
) -> Numbers:
    scores = [sheet for sheet in sheets if sheet.kind == "progress"]
    if options.prompting != GVL or not scores:
        return {}
    return {"frame_alignment": frame_alignment(exam, scores[0], said)}


def _unreadable(exam: Exam, said: dict[int, Prediction]) -> Numbers:
    of_frames = {row: one.unreadable for row, one in said.items() if one.unreadable is not None}
    reasons = {**exam.faults, **of_frames}
    return unreadable_report([reasons[row] for row in sorted(reasons)])


def _write(path: Path, results: Numbers) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    logger.info("results: %s", path)
