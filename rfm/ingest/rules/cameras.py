"""Which camera of each episode is meant, decided over all episodes: by name, never by the order in which they stand.

Where the user names none and any episode offers several, the choice is asked for. Where each offers one, it is the one
that most episodes have; the others are rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rfm.errors import ConfigError, DataError

_MOST_LISTED = 20
_NO_COLOUR = re.compile(
    r"(^|[_/.])(depth|disparity|flow|masks?|normals?|pointcloud|seg|segm|segmentation|semantic)([_/.\d]|$)",
    re.IGNORECASE,
)


def is_colour_name(name: str) -> bool:
    """Whether a name is none of what lies beside colour pictures, often under a name that begins alike."""
    return not _NO_COLOUR.search(name)


class CameraChoice:
    """The camera that the user named, or the only one there is; `of` finds it in an episode."""

    def __init__(self, wanted: str | None, offered: Iterable[Sequence[str]], endings: Sequence[str] = ()):
        """`offered` are the cameras of each episode; `endings` may be left out of a name (`_image`).

        ConfigError, which lists the cameras, where the name is missing, unknown or may mean several.
        """
        self._endings = endings
        each = [tuple(cameras) for cameras in offered]
        counts = Counter(camera for cameras in each for camera in cameras)
        shown = listing(list(counts))
        self.name = wanted
        if wanted is None and counts:
            most = counts.most_common(2)
            if max(map(len, each)) > 1 or (len(most) == 2 and most[0][1] == most[1][1]):
                raise ConfigError(f"--camera must name one of {shown}, but is not given")
            self.name = most[0][0]
        found = [self._matching(cameras) for cameras in each]
        if wanted is not None and counts and not any(found):
            raise ConfigError(f"--camera must name one of {shown}, but is `{wanted}`")
        several = next((names for names in found if len(names) > 1), None)
        if several is not None:
            raise ConfigError(f"--camera must name one of {shown}, but `{wanted}` may be {' or '.join(several)}")

    def of(self, cameras: Sequence[str], place: str) -> str:
        """The episode's camera; DataError, calling the episode `place`, where it has no such camera."""
        found = self._matching(cameras)
        if not found:
            wanted = "pictures" if self.name is None else f"pictures of `{self.name}`"
            raise DataError(f"{place} must have {wanted}, but has {listing(list(cameras))}")
        return found[0]

    def _matching(self, cameras: Sequence[str]) -> list[str]:
        if self.name is not None and self.name in cameras:
            return [self.name]
        return [camera for camera in cameras if any(camera == f"{self.name}{ending}" for ending in self._endings)]


def listing(names: Sequence[str], nothing: str = "none") -> str:
    """The names for a message, the first of them where they are many."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{', '.join(names[:_MOST_LISTED])}{more}" if names else nothing
