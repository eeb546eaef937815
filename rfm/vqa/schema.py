"""What a row of a VQA dataset is: every column in every row, unused ones null; and the kinds that its columns have."""

from __future__ import annotations

import pyarrow as pa

QUESTIONS_CARD, STRIP = "README.md", "film_strip.jpg"
"""The card that may lie beside a dataset's rows, and its picture."""
_INDICES, _TARGETS = pa.list_(pa.int32()), pa.list_(pa.float32())
CLIP_PREFIXES: dict[str, tuple[str, ...]] = {
    "preference": ("first_", "second_"),
    "progress": ("",),
    "similarity": ("reference_", "first_", "second_"),
}
"""The clips of a row by sample type, in the order they are shown: prefixes of `npz_path`, `frame_indices`, …"""
PREFIXES = ("", "first_", "second_", "reference_")
"""All of them, in the order of the columns."""
INSTRUCTION_KINDS = ("own", "same_scene", "other_scene", "unknown_scene")
"""Whose task a row asks about: the clips' own, or for one of them another task: of its scene, of another scene, or of
one that is not known to be another (rows without `scene_id`)."""


def clip_fields(prefix: str) -> list[pa.Field]:
    """Return the columns that describe one clip of a row."""
    return [
        pa.field(f"{prefix}npz_path", pa.string()),
        pa.field(f"{prefix}frame_indices", _INDICES),
        pa.field(f"{prefix}frames_shape", _INDICES),
        pa.field(f"{prefix}trajectory_id", pa.string()),
        pa.field(f"{prefix}quality_label", pa.string()),
        pa.field(f"{prefix}end_progress", pa.float32()),
    ]


SCHEMA = pa.schema(
    [
        pa.field("sample_type", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("task", pa.string()),
        pa.field("data_source", pa.string()),
        pa.field("data_gen_strategy", pa.string()),
        pa.field("resample_attempts", pa.int32()),
        pa.field("chosen_is_first", pa.bool_()),
        pa.field("target_progress", _TARGETS),
        pa.field("instruction_kind", pa.string()),
        *(field for prefix in PREFIXES for field in clip_fields(prefix)),
    ]
)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a column's type are numbers, whole or not."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def is_numbers(kind: pa.DataType) -> bool:
    """Whether they are lists of numbers, of any of Arrow's kinds of lists."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_list(kind) for is_list in lists) and is_number(kind.value_type)


def is_integers(kind: pa.DataType) -> bool:
    """Whether they are lists of whole numbers."""
    return is_numbers(kind) and pa.types.is_integer(kind.value_type)
