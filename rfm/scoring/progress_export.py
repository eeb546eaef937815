"""`rfm export progress`: per-frame progress as the parquet of reward-weighted behaviour cloning, or as a column.

In: a trajectory dataset with recorded progress, or one and a checkpoint that is asked for the progress at every prefix.
Out: a parquet with `episode` (the trajectory's id), `frame` and `progress` in [0, 1]; and, with `--lerobot`, a copy of
the LeRobot dataset that the trajectories were ingested from, with a float32 column (`lerobot_column`). Then frames are
those of the source: ingest keeps at most 64 of an episode, between which progress is interpolated.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64

from rfm.configs.experiment_configs import MOST_FRAMES
from rfm.console import tracked
from rfm.errors import ConfigError, DataError
from rfm.files.ownership import check_new_file, replaced
from rfm.files.staging import staged_file
from rfm.frames.spacing import EVENLY
from rfm.ingest.reading import file_identity
from rfm.scoring.lerobot_column import COPY, EpisodeProgress, copy_with_column
from rfm.trajectories.catalog import Catalog, load_catalog, resolve_root
from rfm.trajectories.hashes import source_hashes
from rfm.vqa.answers import parse_score
from rfm.vqa.presentation import Presentation
from rfm.vqa.prompts import PROMPT_VERSION

logger = logging.getLogger(__name__)

_FRAMES = 16
"""Shown to models that do not say how many they were trained on."""
_PLAN = b"rfm_progress"
"""What the parquet says in its schema of what it was made from."""


@dataclass(frozen=True)
class ProgressOptions:
    """Write per-frame progress as a parquet, and into a copy of the LeRobot dataset it belongs to."""

    dataset: str = field(metadata={"help": "Trajectory dataset key", "positional": True})
    output: str = field(metadata={"help": "Parquet to write: episode, frame, progress"})
    datasets_root: str | None = field(default=None, metadata={"help": "Folder of the datasets"})
    model_path: str | None = field(default=None, metadata={"help": "Checkpoint to ask; default: recorded progress"})
    base_model: str | None = field(
        default=None, metadata={"help": "Base model to take in place of the one that an adapter records"}
    )
    device: str = field(default="cuda", metadata={"help": "Device of the checkpoint; the CPU where there is no GPU"})
    max_frames: int | None = field(
        default=None, metadata={"help": "Frames shown of a prefix, at most (default: as the checkpoint was trained)"}
    )
    batch_size: int = field(default=16, metadata={"help": "Prefixes at a time"})
    lerobot: str | None = field(default=None, metadata={"help": "LeRobot dataset that the trajectories came from"})
    lerobot_output: str | None = field(default=None, metadata={"help": "Folder for its copy with the column"})
    column: str = field(default="progress", metadata={"help": "Name of the column in the copy"})
    overwrite: bool = field(default=False, metadata={"help": "Replace a parquet and a copy that exist"})

    def __post_init__(self) -> None:
        if (self.lerobot is None) != (self.lerobot_output is None):
            raise ConfigError("`lerobot` and `lerobot_output` must be given together, but only one is")
        if self.max_frames is not None and not 2 <= self.max_frames <= MOST_FRAMES:
            raise ConfigError(f"`max_frames` must lie between 2 and {MOST_FRAMES}, but is {self.max_frames}")
        if self.max_frames is not None and self.model_path is None:
            raise ConfigError("`max_frames` must go with --model_path: recorded progress is written without asking")
        if self.batch_size < 1:
            raise ConfigError(f"`batch_size` must be >= 1, but is {self.batch_size}")


def export_progress(options: ProgressOptions) -> int:
    """Run `rfm export progress`."""
    root = resolve_root(options.datasets_root)
    if root is None:
        raise ConfigError("`datasets_root` must be known, but is not given; name the folder of the datasets")
    catalog, output, plan = load_catalog(root, [options.dataset]), Path(options.output), _plan(options, root)
    with ExitStack() as held:
        work = None
        if options.lerobot_output is not None:
            copy = Path(options.lerobot_output)
            copy.parent.mkdir(parents=True, exist_ok=True)
            whole = partial(_is_of, output, plan)
            work = held.enter_context(replaced(copy, COPY, overwrite=options.overwrite, plan=plan, whole=whole))
            if work.complete:
                logger.info("%s and %s are complete", output, copy)
                return 0
            held.enter_context(work.anew())
        if not options.overwrite and not _is_of(output, plan):
            check_new_file("output", output, overwrite=False)
        found = _found(catalog, root, options)
        table = _table([(one.id, one.values) for one in found])
        if work is not None and options.lerobot is not None:
            table = _table(copy_with_column(Path(options.lerobot), work.folder, options.column, found))
        output.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(output) as staged:  # first: it tells the same command from any other if this is killed here
            pq.write_table(table.replace_schema_metadata({_PLAN: json.dumps(plan)}), staged)
        if work is not None:
            work.publish(flushed=False)
    logger.info("progress of %d frames of %d episodes: %s", table.num_rows, len(found), output)
    return 0


def _plan(options: ProgressOptions, root: Path) -> dict[str, Any]:
    """What the progress is made from: the options, and what now lies where they point."""
    plan = {name: value for name, value in asdict(options).items() if name not in ("overwrite", "batch_size", "device")}
    content: dict[str, str] = source_hashes(root, [options.dataset])
    if options.model_path is not None:
        from rfm.model.weights.fingerprint import model_fingerprint  # torch, which recorded progress does without

        content["model_path"] = model_fingerprint(options.model_path, options.base_model)
    if options.lerobot is not None:
        files = [file_identity(path) for path in sorted(Path(options.lerobot).rglob("*")) if path.is_file()]
        content["lerobot"] = hashlib.sha256("\n".join(files).encode()).hexdigest()
    return {"progress": plan, "content": content}


def _is_of(parquet: Path, plan: dict[str, Any], _copy: Path | None = None) -> bool:
    """Whether the file is there and was made from the same."""
    try:
        return json.loads((pq.read_schema(parquet).metadata or {}).get(_PLAN, b"null")) == plan
    except (OSError, ValueError, pa.ArrowException):
        return False


def _found(catalog: Catalog, root: Path, options: ProgressOptions) -> list[EpisodeProgress]:
    found = list(_recorded(catalog, root) if options.model_path is None else _predicted(catalog, root, options))
    if not found and options.model_path is not None:
        raise DataError(
            f"`model_path` must be a model that answers with scores, but {options.model_path} gave none for the "
            f"{len(catalog)} episodes of `{options.dataset}`"
        )
    if not found:
        raise DataError(
            f"`{options.dataset}` must have recorded `progress`, but no episode has; name a checkpoint by --model_path"
        )
    return found


def _table(episodes: list[tuple[str, Float64[np.ndarray, " t"]]]) -> pa.Table:
    lengths = [len(values) for _, values in episodes]
    return pa.table(
        {
            "episode": pa.array(np.repeat([name for name, _ in episodes], lengths)),
            "frame": pa.array(np.concatenate([np.arange(length) for length in lengths]), pa.int64()),
            "progress": pa.array(np.concatenate([values for _, values in episodes]), pa.float32()),
        }
    )


def _recorded(catalog: Catalog, root: Path) -> Iterator[EpisodeProgress]:
    for at in np.flatnonzero(catalog.has_progress).tolist():
        values = catalog.progress_values[catalog.progress_offsets[at] : catalog.progress_offsets[at + 1]]
        yield EpisodeProgress(
            catalog.ids[at].as_py(), values.astype(np.float64), root / catalog.frames_path[at].as_py()
        )


def _predicted(catalog: Catalog, root: Path, options: ProgressOptions) -> Iterator[EpisodeProgress]:
    """Ask for every prefix of two frames and more; the first frame takes the score of the first prefix."""
    from rfm.inference.predictor import Predictor
    from rfm.scoring.curves import prefix_rows

    assert options.model_path is not None
    model = Predictor.from_checkpoint(
        options.model_path, options.device, datasets_root=catalog.root, base_model=options.base_model
    )
    max_frames, discrete = _as_trained(model, options)
    for at in tracked(range(len(catalog)), "episodes", len(catalog)):
        name, count = catalog.ids[at].as_py(), int(catalog.num_frames[at])
        if count < 2:
            logger.warning("%s has one frame and no prefix to judge: it gets no progress", name)
            continue
        rows = prefix_rows(catalog, at, max_frames, discrete=discrete)
        said = model.predict(rows, options.batch_size, 10, progress=False)
        scores = [parse_score(one.text, discrete=discrete) for one in said]
        known = [
            (row["frame_indices"][-1], score) for row, score in zip(rows, scores, strict=True) if score is not None
        ]
        if len(known) < len(scores):
            logger.warning("%s: %d of %d answers are no score", name, len(scores) - len(known), len(scores))
        if known:
            at_end, values = np.array(known, np.float64).T
            frames = root / catalog.frames_path[at].as_py()
            yield EpisodeProgress(name, np.interp(np.arange(count), at_end, values / 100), frames)


def _as_trained(model: Any, options: ProgressOptions) -> tuple[int, bool]:
    """Return how many frames are shown and whether levels are asked for: as the model was trained, where it says so."""
    trained = model.trained
    discrete = trained is not None and bool(trained.discrete_progress)
    frames = options.max_frames or max((trained and trained.max_frames) or _FRAMES, 2)
    shown = Presentation(frames, frames, EVENLY, PROMPT_VERSION, discrete)
    model.compare(shown, way_out="leave --max_frames out")
    logger.info("%s is shown up to %d frames of each prefix", options.model_path, frames)
    return frames, discrete
