"""Which base model an adapter belongs to, told so that any working directory finds that one or none.

PEFT records a name. Beside it `base_model.json` records the base's fingerprint: of a folder the digest of its content,
of a hub name the commit. A folder is looked for under its recorded (absolute) path, beside the adapter, as a moved
run has it, and among the models of the package; what is found must have the recorded fingerprint.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.model.shipped import shipped_folders
from rfm.model.stock.files import ADAPTER_FILE
from rfm.model.stock.hub_names import is_path, place_of
from rfm.model.weights.fingerprint import folder_fingerprint, model_fingerprint

logger = logging.getLogger(__name__)

BASE_FOLDER = "base"
"""Where training keeps a base model that can't be fetched again by name, beside the checkpoints of its adapter."""
FILE = "base_model.json"


def adapter_base(model: Any) -> str | None:
    """Return the name of the base that a model in memory is an adapter of, or None."""
    configs = getattr(model, "peft_config", None)
    return None if configs is None else str(next(iter(configs.values())).base_model_name_or_path)


def record_base(folder: Path, name: str) -> None:
    """Record in an adapter's folder the fingerprint of its base model."""
    text = json.dumps({"fingerprint": model_fingerprint(place_of(name))})
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def base_of(folder: Path, given: str | None = None) -> str:
    """Return the base of an adapter as a folder's absolute path or a hub name with its commit.

    `given` (`--base_model`) stands above what is recorded, with a warning where it is another model. Raises
    `DataError` where no base is found, or only others.
    """
    recorded = _recorded(folder)
    if given is not None:
        return _as_given(folder, place_of(given), recorded)
    if recorded is not None and "@" in recorded:
        return _of_hub(folder, recorded)
    named = read_json_object(folder / ADAPTER_FILE).get("base_model_name_or_path") or ""
    if not isinstance(named, str):
        raise DataError(f"`base_model_name_or_path` in {folder / ADAPTER_FILE} must be a name, but is {named!r}")
    found = list(_folders(folder, named))
    if recorded is None:
        return _unrecorded(folder, named, found)
    prints = {place: folder_fingerprint(place) for place in found}
    for place, fingerprint in (*prints.items(), *((place, folder_fingerprint(place)) for place in shipped_folders())):
        if fingerprint == recorded:
            return str(place)
    if not found:
        raise _lost(folder, named)
    others = ", ".join(f"{place} has {fingerprint}" for place, fingerprint in prints.items())
    raise DataError(
        f"the adapter in {folder} must have the base model that it was trained on, of the fingerprint {recorded}, but "
        f"{others}; put that base back, or pass --base_model to take another one"
    )


def _recorded(folder: Path) -> str | None:
    if not (folder / FILE).is_file():
        return None
    recorded = read_json_object(folder / FILE).get("fingerprint")
    if not isinstance(recorded, str):
        raise DataError(f"`fingerprint` in {folder / FILE} must be a text, but is {recorded!r}; copy the adapter again")
    return recorded


def _of_hub(folder: Path, recorded: str) -> str:
    """Return a hub name with its commit; stock loaders would take a folder of that name first."""
    name = recorded.partition("@")[0]
    if Path(name).is_dir():
        raise DataError(
            f"the adapter in {folder} must have the base model {recorded} of the hub, but {Path(name).absolute()} is a "
            "folder of that name and would be taken; give the command elsewhere, or pass --base_model"
        )
    return recorded.removesuffix("@unknown")


def _as_given(folder: Path, given: str, recorded: str | None) -> str:
    fingerprint = model_fingerprint(given)
    if recorded is not None and fingerprint != recorded:
        logger.warning(
            "the base model %s has the fingerprint %s, but the adapter in %s was trained on one of %s",
            given, fingerprint, folder, recorded,
        )  # fmt: skip
    return given


def _folders(folder: Path, named: str) -> Iterator[Path]:
    """Yield the folders that may be the base: the one that is named, and the one beside the adapter."""
    for place in (Path(named) if named else None, folder.absolute().parent / BASE_FOLDER):
        if place is not None and place.is_dir():
            yield place.absolute()


def _unrecorded(folder: Path, named: str, found: list[Path]) -> str:
    """Return the base of an adapter that some other tool has written, which recorded a name alone."""
    if found:
        if not Path(named).is_absolute():
            logger.warning(
                "the adapter in %s names its base model %r and no fingerprint: %s is taken; pass --base_model where "
                "that is another one", folder, named, found[0],
            )  # fmt: skip
        return str(found[0])
    if not named or is_path(named):
        raise _lost(folder, named)
    return named


def _lost(folder: Path, named: str) -> DataError:
    return DataError(
        f"Model not found: the adapter in {folder} needs its base model {named!r}, which is not there, nor is "
        f"{folder.absolute().parent / BASE_FOLDER}; put the base back, or pass it with --base_model"
    )
