"""All trajectories of the chosen datasets as columns: what sampling decides from, without touching a frame.

Strings are kept once (`texts`, `tasks`, `sources`) and referred to by code; whatever a sampler needs of a row is one
array access. About 64 bytes a trajectory beside its id and path; 45,000 load in well under a second. Datasets are
memory-mapped, so a catalog of everything that other people saved costs only the columns named here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int, Int8, Int32, Int64

from rfm.errors import ConfigError
from rfm.files.cache import expanded
from rfm.files.documents.regular import is_folder
from rfm.trajectories import rows
from rfm.trajectories.record import dataset_folder
from rfm.trajectories.segments import take_segments
from rfm.trajectories.store import PROCESSED, read_columns
from rfm.trajectories.task_groups import encode, group_tasks, task_families
from rfm.trajectories.towards import Towards, read_towards
from rfm.trajectories.witnesses import Witnesses

logger = logging.getLogger(__name__)

ROOT_VARIABLE = "RFM_PROCESSED_DATASETS_PATH"
"""The environment variable that names the datasets root."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """n trajectories in the order of their datasets and rows; m texts, p recorded progress values."""

    root: Path
    keys: tuple[str, ...]
    """Dataset keys loaded."""
    ids: pa.StringArray
    frames_path: pa.StringArray
    """[n], relative to the root."""
    texts: pa.StringArray
    """[m], the distinct instruction texts."""
    text_code: Int32[np.ndarray, "n"]
    tasks: pa.StringArray
    """The distinct tasks: `task_id` where rows have one, else the normalised text."""
    task_code: Int32[np.ndarray, "n"]
    sources: pa.StringArray
    """The distinct data sources; a row without one has its dataset's key."""
    source_code: Int32[np.ndarray, "n"]
    quality: Int8[np.ndarray, "n"]
    """-1 unknown, 0 failure, 1 suboptimal, 2 successful."""
    partial_success: Float32[np.ndarray, "n"]
    """In [0, 1]; NaN where unknown, and where a successful row says 0."""
    num_frames: Int32[np.ndarray, "n"]
    frames_shape: Int32[np.ndarray, "n 4"]
    """T, H, W, C."""
    is_robot: Bool[np.ndarray, "n"]
    """True where the column says nothing."""
    progress_offsets: Int64[np.ndarray, "n+1"]
    """Row i's recorded progress is `progress_values[offsets[i]:offsets[i + 1]]`; empty where not recorded."""
    progress_values: Float32[np.ndarray, "p"]
    preference_group: Int32[np.ndarray, "n"]
    """Code of `preference_group_id`: members show one video or one scene; -1 without one."""
    family_code: Int32[np.ndarray, "n"]
    """Tasks that share a wording, directly or in a chain, are one family: no text of one is wrong for another."""
    file_code: Int32[np.ndarray, "n"]
    """Equal for rows about the same frames file."""
    scene_code: Int32[np.ndarray, "n"]
    """Code of `scene_id`; -1 where it is not known."""
    times_offsets: Int64[np.ndarray, "n+1"]
    """Row i's `frame_times` are `times_values[offsets[i]:offsets[i + 1]]`; empty where not recorded."""
    times_values: Float32[np.ndarray, "q"]
    towards: Towards
    """Recorded progress towards other tasks."""
    unreadable: tuple[str, ...]
    """Rows left out because they can't be read: "<id>: <reason>"."""
    selected_from: Witnesses | None = None
    """All trajectories of the datasets, where these are a selection of them."""
    selected: Int64[np.ndarray, "n"] | None = None
    """Which of them these are."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def has_progress(self) -> Bool[np.ndarray, "n"]:
        """Whether true progress was recorded for each frame."""
        return np.diff(self.progress_offsets) > 0

    @cached_property
    def size_code(self) -> Int32[np.ndarray, "n"]:
        """Equal for rows whose frames have the same height and width."""
        height, width = self.frames_shape[:, 1].astype(np.int64), self.frames_shape[:, 2]
        return np.unique(height << 32 | width, return_inverse=True)[1].astype(np.int32)

    @cached_property
    def witnesses(self) -> Witnesses:
        """What all trajectories of the datasets say of instructions: those of a selection and all others."""
        if self.selected_from is not None:
            return self.selected_from
        family = np.zeros(len(self.tasks), np.int32)
        family[self.task_code] = self.family_code
        towards = self.towards
        return Witnesses(
            self.family_code, self.scene_code, self.preference_group, self.file_code,
            towards.trajectory, family[towards.task],
        )  # fmt: skip

    @cached_property
    def row_among_witnesses(self) -> Int64[np.ndarray, "n"]:
        """Which of the witnesses each trajectory is."""
        return np.arange(len(self)) if self.selected is None else self.selected

    def select(self, chosen: Bool[np.ndarray, "n"] | Int[np.ndarray, "k"] | Sequence[int]) -> Catalog:
        """The rows where a mask is true, or at these indices in this order.

        Texts, tasks and sources of others go; what those say of instructions stays (`witnesses`).
        """
        at = _indices(chosen, len(self))
        text_code, texts = _compact(self.text_code[at], self.texts)
        task_code, tasks = _compact(self.task_code[at], self.tasks)
        source_code, sources = _compact(self.source_code[at], self.sources)
        offsets, values = take_segments(self.progress_offsets, self.progress_values, at)
        times_offsets, times_values = take_segments(self.times_offsets, self.times_values, at)
        new_code = np.full(len(self.tasks), -1, np.int32)
        new_code[self.task_code[at]] = task_code
        return replace(
            self,
            ids=self.ids.take(pa.array(at)),
            frames_path=self.frames_path.take(pa.array(at)),
            texts=texts,
            text_code=text_code,
            tasks=tasks,
            task_code=task_code,
            sources=sources,
            source_code=source_code,
            quality=self.quality[at],
            partial_success=self.partial_success[at],
            num_frames=self.num_frames[at],
            frames_shape=self.frames_shape[at],
            is_robot=self.is_robot[at],
            progress_offsets=offsets,
            progress_values=values,
            preference_group=self.preference_group[at],
            family_code=self.family_code[at],
            file_code=self.file_code[at],
            scene_code=self.scene_code[at],
            times_offsets=times_offsets,
            times_values=times_values,
            towards=self.towards.select(at, len(self), new_code),
            selected_from=self.witnesses,
            selected=self.row_among_witnesses[at],
        )


def resolve_root(datasets_root: str | None) -> Path | None:
    """The datasets root: the argument, else the environment variable, else None (the bundled videos' cache)."""
    for name, value in (("data.datasets_root", datasets_root), (ROOT_VARIABLE, os.environ.get(ROOT_VARIABLE))):
        if value:
            root = expanded(value, f"`{name}`")
            if not is_folder(root):
                raise ConfigError(f"`{name}` must name a folder of processed datasets, but is `{value}`, which is none")
            return root
    return None


def load_catalog(root: Path, keys: Sequence[str]) -> Catalog:
    """All usable rows of the datasets `keys` under `root`, and the names of the others.

    Raises ConfigError for a key without a dataset and DataError for ids that repeat, unknown quality labels, paths that
    leave the root, and files that are no dataset.
    """
    folders = [_folder(root, key) for key in keys]
    if not keys or len(set(folders)) < len(folders):
        raise ConfigError(f"the dataset keys must be at least one and all different, but are {list(keys)}")
    tables = [read_columns(folder, rows.COLUMNS) for folder in folders]
    sizes = [table.num_rows for table in tables]
    table = pa.concat_tables(tables)
    columns = {name: _one_array(table[name]) for name in rows.COLUMNS}
    key_of_row = pa.array(np.repeat(np.array(keys), sizes), pa.string())
    columns["data_source"] = pc.coalesce(_blank_as_null(columns["data_source"]), key_of_row)
    catalog = _build(root, tuple(keys), columns, rows.RowFaults(rows.place_of_rows(keys, sizes), {}))
    if catalog.unreadable:
        left_out, first = len(catalog.unreadable), catalog.unreadable[0]
        logger.warning("%d of %d trajectories can't be used, the first: %s", left_out, sum(sizes), first)
    return catalog


def _build(root: Path, keys: tuple[str, ...], columns: dict[str, pa.Array], faults: rows.RowFaults) -> Catalog:
    ids = rows.checked_ids(columns["id"], faults.place)
    quality = rows.quality_codes(columns["quality_label"], faults.place)
    paths = rows.confined_paths(rows.required_text(columns["frames"], "frames", faults), root, faults.place)
    texts, text_code = encode(rows.required_text(columns["task"], "task", faults))
    tasks, task_code = group_tasks(texts, text_code, _blank_as_null(columns["task_id"]))
    sources, source_code = encode(columns["data_source"])
    partial_success = rows.partial_successes(columns["partial_success"], quality, faults)
    shapes = rows.frame_shapes(columns["frames_shape"], columns["num_frames"], paths, root, faults)
    offsets, values = rows.shares_by_frame(columns["progress"], "progress", shapes[:, 0], faults)
    times_offsets, times_values = rows.recorded_times(columns["frame_times"], shapes[:, 0], faults)
    towards = read_towards(columns["progress_by_task"], shapes[:, 0], tasks, task_code, faults.mark)
    everything = Catalog(
        root=root,
        keys=keys,
        ids=ids,
        frames_path=paths,
        texts=texts,
        text_code=text_code,
        tasks=tasks,
        task_code=task_code,
        sources=sources,
        source_code=source_code,
        quality=quality,
        partial_success=partial_success,
        num_frames=shapes[:, 0].copy(),
        frames_shape=shapes,
        is_robot=pc.fill_null(columns["is_robot"], True).to_numpy(zero_copy_only=False),
        progress_offsets=offsets,
        progress_values=values,
        preference_group=encode(_blank_as_null(columns["preference_group_id"]))[1],
        family_code=task_families(texts, text_code, task_code),
        file_code=encode(paths)[1],
        scene_code=encode(_blank_as_null(columns["scene_id"]))[1],
        times_offsets=times_offsets,
        times_values=times_values,
        towards=towards,
        unreadable=tuple(f"{ids[row]}: {reason}" for row, reason in sorted(faults.reasons.items())),
    )
    usable = np.ones(len(ids), dtype=bool)
    usable[list(faults.reasons)] = False
    return everything.select(usable) if faults.reasons else everything


def _folder(root: Path, key: str) -> Path:
    folder = root / dataset_folder(key)
    if not (folder / PROCESSED).is_dir():
        there = ", ".join(f"`{name}`" for name in available_keys(root)) or "none"
        raise ConfigError(
            f"dataset key `{key}` must name a dataset under {root}, but those there are: {there}; "
            "name them by data.train_datasets=… or data.eval_datasets=…"
        )
    return folder


def available_keys(root: Path) -> list[str]:
    """The dataset folders under `root`, sorted."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{PROCESSED}"))


def _indices(chosen: Bool[np.ndarray, "n"] | Int[np.ndarray, "k"] | Sequence[int], size: int) -> Int64[np.ndarray, "k"]:
    at = np.asarray(chosen)
    if at.dtype != bool:
        return at.astype(np.int64)
    if at.shape != (size,):
        raise ValueError(f"the mask must have one value a trajectory ({size}), but has shape {at.shape}")
    return np.flatnonzero(at)


def _compact(code: Int32[np.ndarray, "k"], values: pa.StringArray) -> tuple[Int32[np.ndarray, "k"], pa.StringArray]:
    used, compacted = np.unique(code, return_inverse=True)
    return compacted.astype(np.int32), values.take(pa.array(used))


def _blank_as_null(column: pa.StringArray) -> pa.StringArray:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    """One contiguous array; texts beyond the 2 GB that 32-bit offsets reach would stay in chunks."""
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        if combined.num_chunks == 1:
            return combined.chunk(0)
        raise ConfigError("the datasets loaded together must have less than 2 GB of text a column: load fewer of them")
    return combined
