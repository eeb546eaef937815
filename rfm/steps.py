"""The steps of the whole way as functions, for notebooks: the options of the commands, by the same names.

rfm.generate("data", num_samples=1000)
rfm.train("data", model_name="tiny", output_dir="run")
rfm.evaluate("run/final", "data", output_path="results.json")
"""

from __future__ import annotations

import dataclasses
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset, DatasetDict

from rfm.commands import load
from rfm.errors import ConfigError
from rfm.files.documents.json_documents import LARGE, read_json_object

_Path = str | os.PathLike[str]
_Options = TypeVar("_Options")


def generate(output_path: _Path, **options: Any) -> Dataset | DatasetDict:
    """Generate a VQA dataset as `rfm generate` does, and return its rows; `options` are its flags.

    Of a split the rows of each side, by the name of its folder: `train`, or `fold_1/train`.
    """
    made = _made(load("rfm.generation.options:GenerateOptions"), output_path=output_path, **options)
    load("rfm.generation.generate:generate")(made)
    if not made.divides:
        return load_dataset(output_path)
    folder, depth = Path(output_path), "*" if made.folds is None else "*/*"
    sides = sorted(state.parent for state in folder.glob(f"{depth}/state.json"))
    return DatasetDict({side.relative_to(folder).as_posix(): load_dataset(side) for side in sides})


def train(dataset_path: _Path, **options: Any) -> Path:
    """Fine-tune a model as `rfm train` does, and return the folder of its last checkpoint; `options` are its flags."""
    made = _made(load("rfm.training.options:TrainOptions"), dataset_path=dataset_path, **options)
    return Path(load("rfm.training.command:train_command")(made))


def evaluate(model_path: _Path, dataset_path: _Path, **options: Any) -> dict[str, Any]:
    """Judge a checkpoint as `rfm evaluate` does, and return the content of its results file.

    `options` are its flags. DataError where more rows are unreadable than `max_unreadable`.
    """
    made = _made(
        load("rfm.evaluation.options:EvaluateOptions"), model_path=model_path, dataset_path=dataset_path, **options
    )
    load("rfm.evaluation.evaluate:evaluate")(made)
    return read_json_object(made.output_path, most=LARGE)


def load_dataset(path: _Path) -> Dataset:
    """Return the rows of a VQA dataset."""
    rows: Dataset = load("rfm.vqa.dataset:load_dataset")(Path(path))[0]
    return rows


def _made(kind: type[_Options], **values: Any) -> _Options:
    """Return the options; ConfigError names one that there is not."""
    known = [one.name for one in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean `{close[0]}`?" if close else f": {', '.join(known)}"
            raise ConfigError(f"`{name}` must be one of the options of {kind.__name__}, but is none{hint}")
    return kind(**{name: _as_flag(value) for name, value in values.items()})


def _as_flag(value: Any) -> Any:
    """Return a value as the command line would give it: paths are texts, lists are tuples."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(_as_flag(one) for one in value) if isinstance(value, list | tuple) else value
