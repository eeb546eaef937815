"""What demonstrations an HDF5 file holds, where their pictures are, and which way up those are stored.

    data/demo_0/obs/<camera>          robomimic, LIBERO, RoboCasa, MimicGen: uint8 (T, H, W, 3)
    observations/images/<camera>      ALOHA: the whole file is one episode; uint8 (T, H, W, 3), or an encoded picture a
                                      row: uint8 (T, bytes), padded with zeros, or rows of their own lengths

Colour alone is offered: depth, normals and segmentation lie beside it under names that begin alike.

A picture says which way up it is by an attribute of its own or of what it lies in: `macros_image_convention` (LIBERO:
the renderer's `opengl` has its lowest row first, `opencv` does not) or HDF5's `DISPLAY_ORIGIN`. robomimic, known by its
`env_args`, stores what it has put right, and ALOHA's cameras give upright pictures. Anything else does not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfm.errors import DataError
from rfm.frames.pictures import SIGNATURES
from rfm.ingest.hdf5.file import check_stored, column, held, json_attribute, member
from rfm.ingest.listing.finding import natural
from rfm.ingest.rules.cameras import is_colour_name
from rfm.ingest.rules.orientation import UPRIGHT, VFLIP
from rfm.ingest.rules.scenes import libero_scene

COLOUR_ENDINGS = ("_image", "_rgb", "_images", "_img", "_color", "_colour")
"""What --camera may leave out of a name."""

_DEMOS, _OBSERVATIONS, _IMAGES = "data", "obs", "observations/images"
_CONVENTIONS = {"opengl": VFLIP, "opencv": UPRIGHT}
_ORIGINS = {"UL": UPRIGHT, "LL": VFLIP, "UR": "hflip", "LR": "rot180"}


@dataclass(frozen=True)
class Demo:
    """A demonstration of a file."""

    name: str
    """Empty where the file holds no other."""
    path: str
    """The group that holds what belongs to it."""
    images: str
    """The group that holds its pictures."""
    aloha: bool

    def holders(self, file: Any, place: str) -> list[Any]:
        """The groups whose attributes and datasets speak of the demonstration, the nearest first."""
        groups = [member(file, self.path, place), file]
        return groups[1:] if self.aloha else [groups[0], member(file, _DEMOS, place), file]


def demos(file: Any, place: str) -> list[Demo]:
    """The demonstrations of a file, `demo_2` before `demo_10`; DataError where it is of neither layout."""
    if _has(file, _IMAGES, place):
        return [Demo("", "/", _IMAGES, aloha=True)]
    if not _has(file, _DEMOS, place):
        raise DataError(
            f"{place} must hold demonstrations in `{_DEMOS}` (robomimic, LIBERO) or pictures in `{_IMAGES}` (ALOHA), "
            f"but has {held(file)}"
        )
    names = list(member(file, _DEMOS, place))
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"the names in `{_DEMOS}` of {place} must be UTF-8 text, but are not")
    paths = [(name, f"{_DEMOS}/{name}") for name in sorted(names, key=natural)]
    return [Demo(name, path, f"{path}/{_OBSERVATIONS}", aloha=False) for name, path in paths]


def cameras(file: Any, demo: Demo, place: str) -> list[str]:
    """The colour pictures of a demonstration; DataError where it has no group of them."""
    images = member(file, demo.images, place)
    if not hasattr(images, "keys"):
        raise DataError(f"`{demo.images}` of {place} must be a group of pictures, but is a dataset")
    return [name for name in images if isinstance(name, str) and _is_colour(images, name, demo.aloha, place)]


def stored_orientation(file: Any, demo: Demo, camera: str, place: str) -> str | None:
    """How the pictures are stored, None where nothing in the file says it; DataError where that can't be understood."""
    pictures = member(file, f"{demo.images}/{camera}", place)
    holders = [pictures, member(file, demo.images, place), *demo.holders(file, place)]
    for name, meaning in (
        ("macros_image_convention", _CONVENTIONS), ("image_convention", _CONVENTIONS), ("DISPLAY_ORIGIN", _ORIGINS)
    ):  # fmt: skip
        values = column([holder for holder in holders if name in holder.attrs], name, place)
        if values:
            return _meant(values, name, meaning, place)
    if demo.aloha or (_is_robomimic(member(file, _DEMOS, place)) and not _is_libero(holders)):
        return UPRIGHT
    return None


def recorded_texts(file: Any, demo: Demo, place: str) -> list[str]:
    """The instructions that LIBERO keeps for a file, some versions as a list of characters, and RoboCasa for a demo."""
    texts = []
    for holder in demo.holders(file, place):
        for attribute, key in (("ep_meta", "lang"), ("problem_info", "language_instruction")):
            text = json_attribute(holder, attribute).get(key) or ""
            if isinstance(text, list) and all(isinstance(part, str) for part in text):
                text = "".join(text)
            if not isinstance(text, str):
                raise DataError(f"`{key}` in `{attribute}` of {place} must be a text, but is {type(text).__name__}")
            texts.append(text.strip().strip('"'))
    return texts


def recorded_scene(file: Any, demo: Demo, place: str) -> str | None:
    """The scene of LIBERO that the demonstration's own description, or its file, is named after."""
    holders = [holder for holder in demo.holders(file, place) if "bddl_file_name" in holder.attrs]
    named = [
        str(name, "utf-8", "replace") if isinstance(name, bytes) else name
        for name in column(holders, "bddl_file_name", place) or ()
    ]
    return libero_scene([*(name for name in named if isinstance(name, str)), str(file.filename)])


def _has(group: Any, name: str, place: str) -> bool:
    try:
        return hasattr(member(group, name, place), "keys")
    except DataError:
        return False


def _is_colour(images: Any, name: str, aloha: bool, place: str) -> bool:
    if not is_colour_name(name):
        return False
    likely = aloha or name.endswith(COLOUR_ENDINGS)
    try:
        data = member(images, name, place)
        shape: tuple[int, ...] = getattr(data, "shape", ())
        if len(shape) == 4 and shape[3] == 3:
            return likely or data.dtype == np.uint8
        return likely or (is_encoded(data) and first_bytes(data, place).startswith(SIGNATURES))
    except (DataError, OSError, KeyError):
        return likely  # its fault is told when it is read


def is_encoded(data: Any) -> bool:
    """Whether each row of a dataset may be a picture as JPEG or PNG."""
    shape = getattr(data, "shape", ())
    if len(shape) == 2:
        return data.dtype == np.uint8
    return len(shape) == 1 and data.dtype.kind in "SOV"


def first_bytes(data: Any, place: str) -> bytes:
    """The bytes of the first row that has any, of the first three; DataError where the dataset can't be relied on."""
    check_stored(data, place)
    rows = (row_bytes(data[at])[:16] for at in range(min(3, data.shape[0])))
    return next((row for row in rows if row.strip(b"\0")), b"")


def row_bytes(row: Any) -> bytes:
    """What a row of encoded pictures holds."""
    if isinstance(row, bytes):
        return row
    return np.asarray(row).tobytes() if not isinstance(row, str) else b""


def _meant(values: Sequence[Any], name: str, meaning: dict[str, str], place: str) -> str:
    value = values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else str(values[0])
    folded = {word.lower(): orientation for word, orientation in meaning.items()}
    if value.strip().lower() not in folded:
        raise DataError(f"`{name}` of {place} must be {' or '.join(meaning)}, but is `{value}`: give --orientation")
    return folded[value.strip().lower()]


def _is_robomimic(data: Any) -> bool:
    environment = json_attribute(data, "env_args")
    return "env_name" in environment and "type" in environment


def _is_libero(holders: Sequence[Any]) -> bool:
    return any(name in holder.attrs for holder in holders for name in ("bddl_file_name", "problem_info"))
