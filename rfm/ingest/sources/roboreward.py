"""`rfm ingest roboreward`: videos with a reward from 1 to 5 each (RoboReward; arXiv:2601.00675).

    <PATH>/train|val|test/metadata.jsonl      {"file_name": "bridge/x_1.mp4", "task": "…", "reward": 3}
    <PATH>/train|val|test/bridge/x_1.mp4

Reward r says how far the video gets in the end: partial success (r - 1) / 4, and success for 5 alone, as the
processed datasets of RFM have it. Counterfactual rows show a video again, byte by byte, under an instruction that it
fulfils less: such rows share a `preference_group_id`, and `preference_rank` orders them, 1 the best fulfilled.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rfm.errors import ConfigError, DataError
from rfm.files.documents.json_documents import json_lines
from rfm.files.documents.regular import open_regular
from rfm.ingest.episode import Episode
from rfm.ingest.options import DatasetOptions, run_ingest
from rfm.ingest.reading import VideoFile, confined, rejected

SPLITS = ("train", "val", "test")
METADATA = "metadata.jsonl"

_BLOCK = 2**20


@dataclass(frozen=True, kw_only=True)
class IngestRoboRewardOptions(DatasetOptions):
    """Turn RoboReward (a folder with train, val and test, or one of them) into one trajectory dataset a subset."""

    split: str | None = field(
        default=None, metadata={"help": "Which of several splits; default: all", "choices": SPLITS}
    )


def ingest_roboreward_command(options: IngestRoboRewardOptions) -> int:
    """Run `rfm ingest roboreward`; status 1 if an episode was rejected."""
    return run_ingest(roboreward_episodes, options)


def roboreward_episodes(options: IngestRoboRewardOptions) -> Iterator[Episode]:
    """The episodes of the splits in order; faulty lines with their reason."""
    for folder in split_folders(Path(options.path), options.split):
        episodes = list(_split(folder, options))
        groups = same_videos([episode.source for episode in episodes])
        ranks = _ranks(episodes, groups)
        for episode, group, rank in zip(episodes, groups, ranks, strict=True):
            yield replace(episode, preference_group_id=group, preference_rank=rank)


def split_folders(path: Path, split: str | None) -> list[Path]:
    """The folders with a metadata.jsonl: PATH itself, or the splits in it."""
    if (path / METADATA).is_file():
        if split is not None and split != path.resolve().name:
            raise ConfigError(f"--split {split} must be a folder in {path}, but that is a split itself")
        return [path]
    names = SPLITS if split is None else (split,)
    folders = [path / name for name in names if (path / name / METADATA).is_file()]
    if not folders:
        looked = " or ".join(str(path / name / METADATA) for name in names)
        raise ConfigError(f"a RoboReward dataset must have a {METADATA} in each split, but there is no {looked}")
    return folders


def file_sha256(path: Path) -> str:
    """The sha256 of a regular file, a block of it in memory at a time."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def same_videos(sources: Sequence[Any]) -> list[str | None]:
    """A name for each source that shows, byte by byte, the same video as another; only equal sizes are compared."""
    sizes = [source.path.stat().st_size if _is_there(source) else -1 for source in sources]
    common = {size for size, count in Counter(sizes).items() if count > 1 and size >= 0}
    hashes = [
        file_sha256(source.path)[:16] if size in common else None for source, size in zip(sources, sizes, strict=True)
    ]
    counts = Counter(hashes)
    return [name if name is not None and counts[name] > 1 else None for name in hashes]


class Recording(NamedTuple):
    """A line of metadata.jsonl: a video, what was asked for, and how far it got."""

    file_name: str
    task: str
    reward: int
    """1 to 5."""
    path: Path

    @property
    def subset(self) -> str:
        """The first folder of the file's name."""
        parts = PurePosixPath(self.file_name).parts
        return parts[0] if len(parts) > 1 else "videos"


class Listed(NamedTuple):
    """A line of a split, or what is wrong with it."""

    number: int
    recording: Recording | None
    fault: DataError | None = None


def recordings(folder: Path) -> Iterator[Listed]:
    """The lines of a split in order; whatever else a line says is not read."""
    path = folder / METADATA
    for number, entry, fault in json_lines(path):
        place = f"line {number} of {path}"
        try:
            if fault is not None:
                raise DataError(f"{place} {fault}")
            yield Listed(number, _recording(entry, folder, place))
        except DataError as error:
            yield Listed(number, None, error)


def _split(folder: Path, options: IngestRoboRewardOptions) -> Iterator[Episode]:
    split = folder.resolve().name
    for number, recording, fault in recordings(folder):
        if recording is not None:
            yield _episode(recording, split, options)
        elif fault is not None:
            source = options.data_source or f"roboreward_{split}"
            yield rejected(f"roboreward_{split}_line_{number}", source, fault)


def _recording(entry: Any, folder: Path, place: str) -> Recording:
    if not isinstance(entry, dict):
        raise DataError(f"{place} must be a JSON object, but is {type(entry).__name__}")
    for name in ("file_name", "task"):
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            raise DataError(f"{place}: `{name}` must be set, but is `{entry.get(name)}`")
    reward = entry.get("reward")
    if isinstance(reward, bool) or reward not in (1, 2, 3, 4, 5):
        raise DataError(f"{place}: `reward` must be a whole number from 1 to 5, but is `{reward}`")
    file_name = entry["file_name"]
    if not PurePosixPath(file_name).name:
        raise DataError(f"{place}: `file_name` must name a video, but is `{file_name}`")
    path = confined(folder, file_name, f"{place}: `file_name`")
    return Recording(file_name, entry["task"].strip(), int(reward), path)


def _episode(recording: Recording, split: str, options: IngestRoboRewardOptions) -> Episode:
    return Episode(
        id=f"roboreward_{split}_{PurePosixPath(recording.file_name).with_suffix('')}",
        task=recording.task,
        data_source=options.data_source or f"roboreward_{split}_{recording.subset}",
        source=VideoFile(recording.path),
        quality_label="successful" if recording.reward == 5 else "failure",
        partial_success=(recording.reward - 1) / 4,
        split=split,
    )


def _ranks(episodes: Sequence[Episode], groups: Sequence[str | None]) -> list[int | None]:
    """Within its group, how many rows are fulfilled better, plus 1; equal rewards share a rank."""
    members: dict[str, list[float]] = {}
    for episode, group in zip(episodes, groups, strict=True):
        if group is not None:
            members.setdefault(group, []).append(episode.partial_success or 0.0)
    return [
        None if group is None else 1 + sum(value > (episode.partial_success or 0.0) for value in members[group])
        for episode, group in zip(episodes, groups, strict=True)
    ]


def _is_there(source: Any) -> bool:
    return isinstance(source, VideoFile) and source.path.is_file()
