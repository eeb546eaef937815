"""`rfm ingest rbm`: the datasets that RFM and Robometer publish, a Hugging Face dataset whose rows name an mp4 each.

Read from a folder saved with `save_to_disk`, from parquet files, from a folder of videos with `metadata.csv` or
`metadata.jsonl` (`file_name`), or from the hub (`owner/name`, downloaded into the Hugging Face cache once). Columns:
`id`, `task`, `frames` (the path, or the video or pictures themselves: `media.py`), and where they are there
`data_source`, `quality_label` (or `optimal`), `partial_success`, `is_robot`, `task_id`, `scene_id`, `split`,
`preference_group_id`, `preference_rank`. Language vectors are not read.

Their preprocessed cache has the layout of our own trajectory datasets: it is checked and used where it lies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.frames.reader import read_frames
from rfm.ingest.episode import Episode, FrameSource
from rfm.ingest.listing.finding import Found
from rfm.ingest.options import DatasetOptions, run_ingest
from rfm.ingest.rbm.media import RowMedia, media_column, named_file
from rfm.ingest.rbm.rows import METADATA, data_files, read_rows
from rfm.ingest.reading import rejected
from rfm.ingest.remote.fetch import localised
from rfm.ingest.remote.hub import hub_dataset, is_hub_name
from rfm.trajectories.catalog import load_catalog
from rfm.trajectories.record import canonical_quality
from rfm.trajectories.store import PROCESSED

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IngestRbmOptions(DatasetOptions):
    """Turn an RFM or Robometer dataset (a folder, parquet files, or a name on the hub) into trajectory datasets."""

    subset: str | None = field(default=None, metadata={"help": "Folder of the dataset to read; default: all of it"})
    split: str | None = field(default=None, metadata={"help": "Which of several splits; default: all"})
    videos_root: str | None = field(
        default=None,
        metadata={"help": "Folder that the paths of videos are relative to; default: PATH", "remote": True},
    )


def ingest_rbm_command(options: IngestRbmOptions) -> int:
    """Run `rfm ingest rbm`; status 1 if an episode was rejected. A preprocessed cache is only checked."""
    options = localised(options)
    root = find_dataset(options)
    keys = preprocessed_keys(root)
    if keys:
        _check_in_place(options, root)
        lies_in = root.resolve().parent if (root / PROCESSED).is_dir() else root
        return 1 if use_in_place(lies_in, keys) else 0
    return run_ingest(lambda local: rbm_episodes(local, root), options)


def _check_in_place(options: IngestRbmOptions, root: Path) -> None:
    given = {"orientation": options.orientation, "opposites": options.opposites}
    given["scene"] = None if options.scene == "none" else options.scene
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"--{name} must be left out for {root}: preprocessed datasets are used where they lie, and nothing in "
                "them is changed"
            )


def find_dataset(options: IngestRbmOptions) -> Path:
    """The folder or file; a dataset of the hub is downloaded, or taken from the cache."""
    path = Path(options.path)
    if path.exists():
        return path
    if not is_hub_name(options.path):
        raise ConfigError(f"PATH must be a dataset's folder, a parquet file or `owner/name` on the hub, but is {path}")
    return hub_dataset(options.path, None if options.subset is None else [f"{options.subset}/*"])


def preprocessed_keys(root: Path) -> list[str]:
    """The folders of preprocessed datasets: PATH itself, or those in it."""
    if (root / PROCESSED).is_dir():
        return [root.resolve().name]
    return sorted(path.parent.name for path in root.glob(f"*/{PROCESSED}") if path.is_dir())


def use_in_place(root: Path, keys: list[str]) -> int:
    """Check that the datasets can be read where they lie, and say how to use them; the number of unreadable rows.

    One frame of each is read. DataError where that can't be, or where a dataset has no usable row.
    """
    unreadable = 0
    for key in keys:
        catalog = load_catalog(root, [key])
        unreadable += len(catalog.unreadable)
        if not len(catalog):
            raise DataError(f"{root / key} must have trajectories that can be read, but has none")
        _check_first_frame(root, catalog.frames_path[0].as_py())
        logger.info("%d trajectories in %s, %d unreadable", len(catalog), key, len(catalog.unreadable))
    logger.info(
        "nothing to ingest, nothing was copied: use them with data.datasets_root=%s data.train_datasets=%s",
        root.resolve(),
        ",".join(keys),
    )
    return unreadable


def _check_first_frame(root: Path, path: str) -> None:
    """Rows may name their frames from the folder above, as RFM's tools do when they run there."""
    first, _, rest = path.partition("/")
    if not (root / path).exists() and (root / rest).is_file():
        raise DataError(
            f"`frames` must be paths relative to {root}, but begin with `{first}`: nothing needs to be copied, "
            f"a link is enough: ln -s . {root / first}"
        )
    read_frames(root, path, [0])


def rbm_episodes(options: IngestRbmOptions, root: Path) -> Iterator[Episode]:
    """The rows of the dataset in order; faulty ones with their reason."""
    for found in data_files(root, options.subset, options.split):
        stem = f"{options.source_name}_{found.name}"
        try:
            if found.fault:
                raise DataError(found.fault)
            base, column = _base(options, root, found), media_column(found.path)
            for number, row in enumerate(read_rows(found.path)):
                name = str(row.get("id") or f"{stem}_{number + 1:06d}")
                try:
                    yield _episode(name, row, _source(row, name, base, found.path, number, column), options)
                except DataError as error:
                    yield rejected(name, _data_source(row, options), error)
        except DataError as error:
            yield rejected(stem, options.source_name, error)


def _base(options: IngestRbmOptions, root: Path, found: Found) -> Path:
    """What paths of videos are relative to: a list of videos lies in their folder."""
    if options.videos_root:
        return Path(options.videos_root)
    return found.path.parent if found.path.name in METADATA or root.is_file() else root


def _episode(name: str, row: Mapping[str, Any], source: FrameSource, options: IngestRbmOptions) -> Episode:
    for column in ("id", "task"):
        if not isinstance(row.get(column), str) or not row[column].strip():
            raise DataError(f"`{column}` of row `{name}` must be set, but is `{row.get(column)}`")
    if not isinstance(row.get("data_source"), (str, type(None))):
        raise DataError(f"`data_source` of row `{name}` must be text or null, but is {row['data_source']!r}")
    rank = row.get("preference_rank")
    return Episode(
        id=name,
        task=row["task"],
        data_source=_data_source(row, options),
        source=source,
        quality_label=_quality(row, name),
        is_robot=True if row.get("is_robot") is None else row["is_robot"],
        partial_success=row.get("partial_success"),
        preference_rank=int(rank) if isinstance(rank, float) and rank.is_integer() else rank,
        task_id=_text(row, "task_id"),
        scene_id=_text(row, "scene_id"),
        split=_text(row, "split"),
        preference_group_id=_text(row, "preference_group_id"),
    )


def _quality(row: Mapping[str, Any], name: str) -> str | None:
    column = "optimal" if row.get("quality_label") in (None, "") else "quality_label"
    if not isinstance(value := row.get(column), (str, type(None))):
        raise DataError(f"`{column}` of row `{name}` must be text or null, but is {value!r}")
    return canonical_quality(value, f"row `{name}`")


def _text(row: Mapping[str, Any], column: str) -> str | None:
    """A text, or a number as one; what is neither is judged with the episode's other values."""
    value = row.get(column)
    return str(value) if isinstance(value, int) else value


def _data_source(row: Mapping[str, Any], options: IngestRbmOptions) -> str:
    value = row.get("data_source")
    return options.data_source or (value if value and isinstance(value, str) else options.source_name)


def _source(row: Mapping[str, Any], name: str, base: Path, file: Path, number: int, column: str | None) -> FrameSource:
    """The file that a row names, or the row where it holds its frames itself, in `column`."""
    place = f"`frames` of row `{name}`"
    value = row.get("frames") or row.get("frames_video")
    if value is None and column is not None:
        return RowMedia(file, number, column, base, place)
    return named_file(value, base, place)
