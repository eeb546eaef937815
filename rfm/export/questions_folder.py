"""The folder of a VQA dataset, as what leaves this machine: is it one, and what of it names this machine's folders."""

from __future__ import annotations

import json
from pathlib import Path

from rfm.export.training_record import without_folders
from rfm.files.documents.json_documents import read_json_object
from rfm.vqa.dataset import CONFIG_FILE


def is_questions(folder: Path) -> bool:
    """Whether a folder is a VQA dataset."""
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def public_files(folder: Path) -> dict[str, bytes]:
    """Return what a dataset's files are when they leave this machine, of those that name its folders."""
    if not (folder / CONFIG_FILE).is_file():
        return {}
    config = without_folders(read_json_object(folder / CONFIG_FILE))
    return {CONFIG_FILE: (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()}
