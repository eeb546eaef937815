"""A dataset opened for the audit: rows, settings, root of frame paths and trajectories, as far as they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from rfm.audit.reading.asking import UNKNOWN
from rfm.audit.reading.episodes import Episodes, data_settings, try_load_episodes
from rfm.audit.reading.questions import Questions, read_questions
from rfm.audit.rules.contract import Settings
from rfm.errors import DataError
from rfm.vqa.dataset import frames_root, load_dataset
from rfm.vqa.schema import PREFIXES


@dataclass(frozen=True)
class Subject:
    """A dataset under audit."""

    path: str
    questions: Questions
    config: Mapping[str, Any]
    """`generation_config.json`, {} where there is none."""
    root: Path | None
    episodes: Episodes | None
    why_not: str
    """Why there is no root or no episodes."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The data settings it was generated with, {} where they are not known."""
        return data_settings(self.config)

    @property
    def is_evaluation_set(self) -> bool:
        """Whether its clips are whole episodes or prefixes (`--eval_mode`, `--eval_set`): not drawn to hide lengths."""
        return bool(self.config.get("eval_mode") or self.config.get("eval_set"))

    @property
    def settings(self) -> Settings:
        """What they say about labels."""
        return Settings(**{name: self.data[name] for name in Settings.__dataclass_fields__ if name in self.data})

    @cached_property
    def num_frames(self) -> Int64[np.ndarray, " p"]:
        """The length of the episode in each of `questions.paths`, from its trajectory; -1 where not known."""
        return self._by_path(lambda episodes: episodes.frames)

    @cached_property
    def source_codes(self) -> dict[str, Int64[np.ndarray, " n"]]:
        """The source of every clip by prefix: its trajectory's, else the first folder of its path."""
        folders = [path.partition("/")[0] for path in self.questions.paths]
        own = self._by_path(lambda episodes: episodes.catalog.source_code.astype(np.int64))
        names = [] if self.episodes is None else self.episodes.catalog.sources.to_pylist()
        of_path = [names[code] if code >= 0 else folder for code, folder in zip(own.tolist(), folders, strict=True)]
        code = {name: at for at, name in enumerate(dict.fromkeys(of_path))}
        by_path = np.array([*(code[name] for name in of_path), UNKNOWN], np.int64)
        return {prefix: by_path[self.questions.clips[prefix].path] for prefix in PREFIXES}

    def _by_path(self, column: Any) -> Int64[np.ndarray, " p"]:
        if self.episodes is None:
            return np.full(len(self.questions.paths), UNKNOWN, np.int64)
        found, shared = self.episodes.by_path(self.questions.paths)
        return np.where(shared, UNKNOWN, np.append(column(self.episodes), UNKNOWN)[found])


def open_subject(path: str, datasets_root: str | None, max_rows: int | None) -> Subject:
    """Open a dataset.

    Raises:
        DataError: it is no VQA dataset, or `datasets_root` is given and no folder.

    """
    dataset, config = load_dataset(path)
    questions = read_questions(dataset, max_rows)
    try:
        root = frames_root(datasets_root, path, config, dataset)
    except DataError as error:
        if datasets_root is not None:
            raise
        return Subject(path, questions, config, None, None, str(error))
    episodes, why_not = try_load_episodes(root, questions.paths, config)
    return Subject(path, questions, config, root, episodes, why_not)
