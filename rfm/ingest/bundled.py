"""The robot videos that come with the package, ready to use: ingested once into the user's cache.

Frames are kept as JPEG, 0.3 GB instead of the 2.9 GB of raw pixels: a cache that nobody asked for should be small.
The cache is named by a hash of the manifest, so other videos make another one, and gets its name only when it is
complete. A second process waits for the first; one that was killed leaves an unfinished folder that the next one goes
on with.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.files.cache import cache_folder
from rfm.files.lock import exclusive
from rfm.ingest.sources.videos import ingest_videos

NAME = "metaworld_mini"
FILLING = "RFM_FILLING_CACHE"
"""Set for worker processes: a script without a main guard, which they run again, would wait for the lock for ever."""
LAYOUT = b"4"
"""Changes when the same videos are to be ingested differently."""


def bundled_videos() -> Path:
    """The folder of the bundled videos: in a clone a link to `data/metaworld_mini`, in a wheel the files themselves."""
    return Path(__file__).parent / NAME


def bundled_root() -> Path:
    """The datasets root of the bundled videos; the first call takes some seconds, with a progress bar."""
    videos = bundled_videos()
    manifest = videos / "manifest.jsonl"
    if not manifest.is_file():
        raise ConfigError(
            f"the bundled videos must lie in {videos}, but are not there: install the package again, or set "
            "`data.datasets_root` or RFM_PROCESSED_DATASETS_PATH to datasets of your own"
        )
    root = cache_folder() / f"{NAME}-{hashlib.sha256(LAYOUT + manifest.read_bytes()).hexdigest()[:12]}"
    if os.environ.get(FILLING) == str(root):
        raise ConfigError(
            "the bundled videos are being ingested by worker processes, which run your script again: put what it does "
            "under `if __name__ == '__main__':`, or run `rfm generate` once before"
        )
    if not root.is_dir():
        _fill(videos, root)
    return root


def _fill(videos: Path, root: Path) -> None:
    partial = root.with_name(f"{root.name}.unfinished")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the cache {root.parent} must be writable, but is not ({error}): set RFM_CACHE") from error
    with exclusive(root.parent, wait=True):
        if root.is_dir():  # another process filled it while this one waited
            return
        workers = min(4, os.cpu_count() or 1)
        os.environ[FILLING] = str(root)
        try:
            summary = ingest_videos(videos, partial, form="jpeg", overwrite=True, num_workers=workers)
        finally:
            del os.environ[FILLING]
        if summary.rejected:
            first = summary.rejected[0]
            raise DataError(f"all bundled videos must be readable, but {len(summary.rejected)} are not: {first.reason}")
        partial.rename(root)
