"""Datasets of the Hugging Face hub by their names, `owner/name`, downloaded into its cache once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rfm.errors import ConfigError

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_name(path: str) -> bool:
    """Whether nothing lies at `path`, and it may be a name on the hub."""
    return _NAME.fullmatch(path) is not None and not Path(path).exists()


def hub_dataset(name: str, patterns: Sequence[str] | None = None, revision: str | None = None) -> Path:
    """The folder with the dataset's files, those that match `patterns` alone, of a branch, tag or commit.

    It is called as the commit is. ConfigError where the hub has no such dataset or can't be reached, and the cache
    neither.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    allowed = None if patterns is None else list(patterns)
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=allowed, revision=revision))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        at = "" if revision is None else f" at revision {revision}"
        raise ConfigError(
            f"{name} must be a folder here or a dataset on the Hugging Face hub{at}, but neither is found: {error}"
        ) from error
