"""When the file of an evaluation may be written: nobody's results are replaced unasked.

The default is one name for all evaluations, `./eval_results.json`. A file that holds the same evaluation, of the same
weights, questions and settings, may be written again; any other needs --overwrite, before anything is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.evaluation.options import EvaluateOptions
from rfm.files.documents.json_documents import LARGE, read_json_object
from rfm.files.ownership import check_new_file
from rfm.model.shipped import called

_NO_MATTER = (
    "output_path", "overwrite", "batch_size", "device", "max_unreadable", "datasets_root", "trust_remote_code",
    "request_cache",
)  # fmt: skip
"""Options that change neither what is asked nor what is reported."""


def asked_hash(options: EvaluateOptions, model: Mapping[str, Any], content: str | None) -> str:
    """Return a hash of the weights, the questions and the settings."""
    settings = {name: value for name, value in asdict(options).items() if name not in _NO_MATTER}
    return hashlib.sha256(json.dumps([settings, model, content], sort_keys=True).encode()).hexdigest()


def check_output(options: EvaluateOptions, asked: str | None = None) -> None:
    """Raise ConfigError where the file holds something else; before the model is known, by the names alone."""
    file = Path(options.output_path)
    if options.overwrite or not file.is_file():
        check_new_file("output_path", file, overwrite=options.overwrite)
        return
    try:
        there = read_json_object(file, most=LARGE)
    except DataError:
        there = {}
    names = {"model_path": called(options.model_path), "dataset_path": options.dataset_path}
    same = all(there.get(name) == value for name, value in names.items()) and asked in (None, there.get("asked"))
    if not same:
        check_new_file("output_path", file, overwrite=False)
