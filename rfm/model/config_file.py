"""`config.json` of a checkpoint, so that transformers from 4.57 on reads it.

From 5 on transformers keeps the rotary settings in `rope_parameters`; 4.57, and what is built on it, looks for
`rope_theta` and `rope_scaling`. Both forms of one setting stand side by side; 5 reads the new one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rfm.files.documents import read_json_object

FILE_NAME = "config.json"


def read_by_older_versions(folder: Path) -> None:
    """Add the keys of transformers 4.57 to the text part of a folder's `config.json`, if it has one."""
    path = folder / FILE_NAME
    if not path.is_file():
        return
    config = read_json_object(path)
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and isinstance(part.get("rope_parameters"), dict):
            part.update(_older(part["rope_parameters"]))
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _older(rope: dict[str, Any]) -> dict[str, Any]:
    scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    return {"rope_theta": rope["rope_theta"], "rope_scaling": scaling} if "rope_theta" in rope else {}
