"""`rfm ingest roboarena`: evaluation sessions, in which several policies try the same task (RoboArena data dumps).

    <PATH>/evaluation_sessions/<session>/metadata.yaml     language_instruction, policies: {A: {policy_name, …}, …}
    <PATH>/evaluation_sessions/<session>/A_<policy>/<name>_left.mp4, <name>_video_left.mp4 or left_shoulder.mp4, and so
                                                    for right and wrist; any other video is a view of its file's name

`partial_success` in [0, 1] says how far a policy got, `binary_success` whether it succeeded; where the latter is not
recorded, only 1 is a success. The policies of a session share scene and task: `scene_id` and `preference_group_id` are
the session, `preference_rank` orders its policies by partial success, 1 the best. The .npz files beside the videos hold
pickled states and are not opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.files.documents.yaml_documents import read_yaml
from rfm.frames.reader import VIDEO_SUFFIXES
from rfm.ingest.episode import Episode
from rfm.ingest.options import DatasetOptions, run_ingest
from rfm.ingest.reading import VideoFile, confined, rejected

SESSIONS = "evaluation_sessions"
METADATA = "metadata.yaml"

_VIEW = re.compile(r"(?:^|_)(?P<view>left|right|wrist)(?:_shoulder)?$", re.IGNORECASE)
_MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class IngestRoboArenaOptions(DatasetOptions):
    """Turn a RoboArena data dump (the folder that holds evaluation_sessions) into a trajectory dataset."""

    camera: tuple[str, ...] = field(
        default=(),
        metadata={"help": "left, right, wrist or a video's name; of several, the first that a policy was filmed by"},
    )


def ingest_roboarena_command(options: IngestRoboArenaOptions) -> int:
    """Run `rfm ingest roboarena`; status 1 if an episode was rejected."""
    return run_ingest(roboarena_episodes, options)


def roboarena_episodes(options: IngestRoboArenaOptions) -> Iterator[Episode]:
    """The policies of all sessions, in the order of their names; faulty ones with their reason."""
    root = Path(options.path)
    sessions = root / SESSIONS
    if not sessions.is_dir():
        raise ConfigError(f"a RoboArena data dump must have a folder {SESSIONS}, but {sessions} is not there")
    folders = sorted(folder for folder in sessions.iterdir() if folder.is_dir())
    cameras = _cameras(folders, options.camera)
    for folder in folders:
        name = f"{options.source_name}_{folder.name}"
        try:
            metadata = _metadata(root, folder)
        except DataError as error:
            yield rejected(name, options.source_name, error)
            continue
        for key, policy in metadata["policies"].items():
            try:
                yield _episode(f"{name}_{key}", metadata, str(key), policy, folder, cameras, options)
            except DataError as error:
                yield rejected(f"{name}_{key}", options.source_name, error)


def _episode(
    name: str,
    metadata: Mapping[str, Any],
    key: str,
    policy: Any,
    folder: Path,
    cameras: tuple[str, ...],
    options: IngestRoboArenaOptions,
) -> Episode:
    place = f"policy {key} of {folder}/{METADATA}"
    if not isinstance(policy, dict):
        raise DataError(f"{place} must be described, but is `{policy}`")
    if not isinstance(policy.get("policy_name"), (str, int)):
        raise DataError(f"`policy_name` of {place} must be a text, but is {ascii(policy.get('policy_name'))[:100]}")
    partial = _partial_success(policy, place)
    session = folder.name
    return Episode(
        id=name,
        task=metadata["language_instruction"].strip(),
        data_source=options.source_name,
        source=VideoFile(_video(Path(options.path), folder, f"{key}_{policy.get('policy_name')}", cameras)),
        quality_label=_quality(policy, partial, place),
        partial_success=partial,
        scene_id=session,
        preference_group_id=session,
        preference_rank=_rank(metadata["policies"], partial),
    )


def _metadata(root: Path, folder: Path) -> dict[str, Any]:
    path = confined(root, str((folder / METADATA).relative_to(root)), METADATA)
    metadata = read_yaml(path)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("policies"), dict):
        raise DataError(f"{path} must describe its `policies`, but does not")
    task = metadata.get("language_instruction")
    if not isinstance(task, str) or not task.strip():
        raise DataError(f"`language_instruction` in {path} must be a text, but is `{task}`")
    return metadata


def _cameras(folders: list[Path], chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The views to look for; ConfigError where one must be chosen, or was that nobody filmed."""
    stems = {file.stem for folder in folders for files in _subfolders(folder) for file in _videos(files)}
    views = {_view(stem) for stem in stems}
    shown = ", ".join(sorted(views)[:_MOST_LISTED]) + (", …" if len(views) > _MOST_LISTED else "") or "none"
    if not chosen and len(views) > 1:
        raise ConfigError(f"--camera must name one or more of {shown}, but is not given")
    unknown = [camera for camera in chosen if camera not in stems and camera.lower() not in views]
    if unknown:
        raise ConfigError(f"--camera must name one or more of {shown}, but is `{unknown[0]}`")
    return chosen or tuple(views)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _videos(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)


def _view(stem: str) -> str:
    """What a video shows: one of the documented views, else its own name."""
    match = _VIEW.search(stem)
    return stem if match is None else match["view"].lower()


def _video(root: Path, folder: Path, name: str, cameras: tuple[str, ...]) -> Path:
    """The policy's video of the first camera that it has; one whose name is the camera goes before one of that view."""
    files = confined(root, f"{SESSIONS}/{folder.name}/{name}", "`policy_name`")
    if not files.is_dir():
        raise DataError(f"the videos of a policy must lie in {files}, but that is not there")
    videos = _videos(files)
    for camera in cameras:
        found = [video for video in videos if video.stem == camera]
        found = found or [video for video in videos if _view(video.stem) == camera.lower()]
        if len(found) > 1:
            names = " and ".join(video.name for video in found)
            raise DataError(f"{files} must hold one video of {camera}, but has {names}: name one with --camera")
        if found:
            return confined(root, str(found[0].relative_to(root)), "a video")
    held = ", ".join(_view(video.stem) for video in videos) or "none"
    raise DataError(f"{files} must hold a video of {' or '.join(cameras)}, but has {held}")


def _partial_success(policy: Mapping[str, Any], place: str) -> float | None:
    value = policy.get("partial_success")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise DataError(f"`partial_success` of {place} must be a number in [0, 1], but is `{value}`")
    return float(value)


def _quality(policy: Mapping[str, Any], partial: float | None, place: str) -> str | None:
    binary = policy.get("binary_success")
    if binary is not None and binary not in (0, 1):
        raise DataError(f"`binary_success` of {place} must be 0 or 1, but is `{binary}`")
    if binary is None and partial is None:
        return None
    return "successful" if (binary == 1 if binary is not None else partial == 1.0) else "failure"


def _rank(policies: Mapping[Any, Any], partial: float | None) -> int | None:
    if partial is None:
        return None
    others = [policy.get("partial_success") for policy in policies.values() if isinstance(policy, dict)]
    known = [value for value in others if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return 1 + sum(partial < value <= 1.0 for value in known)
