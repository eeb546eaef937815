"""The card of a VQA dataset: `README.md` beside its rows in the Hub's format, with a film strip of a few of them.

What it says is counted, checked and shown here and now: rows by strategy, the audit of up to MOST_AUDITED rows, and of
one row of each sample type the shown frames. Whose videos they are only the user knows: without a licence the card says
that it is not known. Paths of this machine are in none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import DatasetCardData
from jaxtyping import UInt8
from PIL import Image

from rfm.audit.checks import Check
from rfm.audit.dataset_audit import audit_dataset
from rfm.audit.options import AuditOptions
from rfm.audit.reading.subject import Subject, open_subject
from rfm.console import one_line
from rfm.errors import DataError
from rfm.export.markdown import prose
from rfm.files.staging import staged_file
from rfm.frames.reader import read_frames, resize_frames
from rfm.frames.spacing import evenly_spaced
from rfm.vqa.dataset import load_dataset
from rfm.vqa.schema import CLIP_PREFIXES, QUESTIONS_CARD, STRIP

logger = logging.getLogger(__name__)

MOST_AUDITED = 20_000
_HEIGHT, _FRAMES, _GAP = 96, 8, 4
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"


def write_questions_card(folder: Path, licence: str | None, datasets_root: str | None = None) -> Path:
    """Write the card and its film strip into a dataset's folder; `DataError` where it is none."""
    subject = open_subject(str(folder), datasets_root, MOST_AUDITED)
    rows = load_dataset(folder, checked=True)[0]
    strip = _strip(subject, rows)
    if strip is not None:
        with staged_file(folder / STRIP) as staged:
            Image.fromarray(strip).save(staged, format="JPEG", quality=85)
    text = _card(subject, licence, None if strip is None else _caption(rows))
    with staged_file(folder / QUESTIONS_CARD) as staged:
        staged.write_text(text, encoding="utf-8")
    return folder / QUESTIONS_CARD


def _card(subject: Subject, licence: str | None, caption: str | None) -> str:
    total = subject.questions.total
    front = DatasetCardData(
        license=licence or "unknown",
        task_categories=["video-text-to-text"],
        tags=["robotics", "reward-model", "rfm-vqa"],
        pretty_name="Questions about robot videos",
        size_categories=[next((name for most, name in _SIZES if total < most), _LARGEST)],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data-*.arrow"}]}],
    )
    audit = audit_dataset(subject, AuditOptions((subject.path,)))
    parts = [
        f"# {total:,} questions about {len(subject.questions.paths):,} robot videos",
        "Made by `rfm generate` of rfm-vqa. A row has a prompt, its answer, and the frames of the videos that it is "
        "about as paths and numbers; the videos themselves are not part of it.",
        *(
            [f"![{caption}]({STRIP})"]
            if caption
            else ["No film strip: the frames are not on the machine it was made on."]
        ),
        "## What it consists of\n\n" + _table(("type", "strategy", "rows", "share"), _strategies(subject)),
        f"## Audit of {len(subject.questions):,} rows\n\n"
        + _table(("check", "result", "measured"), map(_check, audit.checks)),
        "## Licence\n\n"
        + (
            prose(licence)
            if licence
            else "Not known: it is that of the videos, which whoever publishes this must name."
        ),
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _strategies(subject: Subject) -> list[Sequence[str]]:
    questions = subject.questions
    return [
        (kind or "none", name or "none", f"{int(rows.sum()):,}", f"{rows.mean():.1%}")
        for kind in questions.sample_type.counts(np.ones(len(questions), bool))
        for name, rows in questions.strategies(kind).items()
    ]


def _check(check: Check) -> Sequence[str]:
    return check.name, check.verdict.value, "" if check.measured is None else f"{check.measured:.3g}"


def _table(heads: Sequence[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *([prose(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _examples(rows: Any) -> list[Mapping[str, Any]]:
    """Return the first row of each sample type that has one."""
    kinds = rows["sample_type"]
    return [rows[list(kinds).index(kind)] for kind in CLIP_PREFIXES if kind in kinds]


def _caption(rows: Any) -> str:
    said = (
        f"{row['sample_type']}, answer {row['answer']}: {one_line(str(row['task']), 80)}" for row in _examples(rows)
    )
    return prose("; ".join(said), 400)


def _strip(subject: Subject, rows: Any) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return the clips of the examples below each other; None where none of their frames is there."""
    if subject.root is None:
        return None
    clips = []
    for row in _examples(rows):
        for prefix in CLIP_PREFIXES[row["sample_type"]]:
            shown = row.get(f"{prefix}frame_indices") or []
            chosen = [shown[at] for at in evenly_spaced(len(shown), _FRAMES)] if shown else []
            try:
                frames = read_frames(subject.root, row.get(f"{prefix}npz_path") or "", chosen)
            except DataError as error:
                logger.warning("the film strip leaves a clip out: %s", error)
                continue
            clips.append(_side_by_side(frames))
    width = max((clip.shape[1] for clip in clips), default=0)
    wide = [np.pad(clip, ((0, _GAP), (0, width - clip.shape[1]), (0, 0)), constant_values=255) for clip in clips]
    return np.concatenate(wide) if wide else None


def _side_by_side(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    _, height, width, _ = frames.shape
    small = resize_frames(frames, _HEIGHT, max(round(width * _HEIGHT / height), 1))
    return np.concatenate(list(small), axis=1)
