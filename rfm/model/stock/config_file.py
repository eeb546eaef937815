"""`config.json` and `adapter_config.json` of a checkpoint, after stock code wrote them.

From 5 on transformers keeps the rotary settings in `rope_parameters`; 4.57, and what is built on it, looks for
`rope_theta` and `rope_scaling`. Both forms of one setting stand side by side; 5 reads the new one.

One model has one text, so that its fingerprint says which it is: the parts of a drawn model name their dtype, as those
of a loaded one do, and PEFT's sets of names are in order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rfm.files.documents.json_documents import read_json_object
from rfm.model.stock.files import ADAPTER_FILE

FILE_NAME = "config.json"
_PARTS = ("text_config", "vision_config")
_SETS = ("target_modules", "modules_to_save")


def settle_configs(folder: Path) -> None:
    """Rewrite both files of a folder, as far as it has them."""
    if (folder / FILE_NAME).is_file():
        _rewrite(folder / FILE_NAME, _settled(read_json_object(folder / FILE_NAME)))
    if (folder / ADAPTER_FILE).is_file():
        config = read_json_object(folder / ADAPTER_FILE)
        ordered = {name: sorted(config[name]) for name in _SETS if isinstance(config.get(name), list)}
        _rewrite(folder / ADAPTER_FILE, {**config, **ordered})


def _settled(config: dict[str, Any]) -> dict[str, Any]:
    dtype = {"dtype": config["dtype"]} if "dtype" in config else {}
    parts = {name: {**config[name], **dtype, **_older(config[name])} for name in _PARTS if name in config}
    return {**config, **parts}


def _older(part: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of transformers 4.57 for the rotary settings of a part."""
    rope = part.get("rope_parameters") or {}
    if part.get("model_type", "").endswith("_text") and "rope_theta" in rope:
        scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
        return {"rope_theta": rope["rope_theta"], "rope_scaling": scaling}
    return {}


def _rewrite(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
