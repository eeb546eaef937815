"""Trajectory datasets written to a remote store: made in a local folder, then uploaded one after the other.

On the store a dataset is unfinished as long as it has `unfinished.json`, what `made_from.json` is here: an upload that
was killed goes on when options and sources are the same, and starts over when they are not. Frames come first,
`processed_dataset/state.json` last, and the marks are taken away when all datasets of the run are there.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rfm.console import tracked
from rfm.errors import ConfigError
from rfm.files.cache import cache_folder
from rfm.files.ownership import MADE_FROM
from rfm.ingest.remote.fetch import THREADS, opened_store, reaching
from rfm.trajectories.store import PROCESSED

COMPLETE = f"{PROCESSED}/state.json"
UNFINISHED = "unfinished.json"
"""On the store as long as a dataset is not complete; says what it is made from."""


class RemoteOutput:
    """A datasets root on a remote store, and the local folder in which its datasets are made."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.local = cache_folder() / "upload" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._store, self._root = opened_store(self.url)

    def check_writable(self) -> None:
        """A file comes and goes, so that a wrong bucket or a missing permission shows before the work, not after it."""
        self.local.mkdir(parents=True, exist_ok=True)
        with reaching(self.url), tempfile.NamedTemporaryFile(dir=self.local) as probe:
            path = f"{self._root}/{Path(probe.name).name}"
            self._store.put_file(probe.name, path)
            self._store.rm_file(path)

    def check_vacant(self, folders: Sequence[str]) -> None:
        """ConfigError where a finished dataset lies on the store already."""
        for folder in folders:
            with reaching(self.url):
                remote = f"{self._root}/{folder}"
                taken = self._store.exists(f"{remote}/{COMPLETE}") and not self._store.exists(f"{remote}/{UNFINISHED}")
            if taken:
                raise ConfigError(
                    f"{self.url}/{folder} must be free for a new dataset, but holds one: use --overwrite to replace it"
                )

    def upload(self, folders: Mapping[str, Path]) -> None:
        """Bring the local datasets, in these folders by their names, to the store, in place of what is there."""
        with reaching(self.url):
            for folder, local in folders.items():
                self._send(folder, local)
            for folder in folders:
                self._store.rm_file(f"{self._root}/{folder}/{UNFINISHED}")

    def _send(self, folder: str, local: Path) -> None:
        remote = f"{self._root}/{folder}"
        there = self._prepare(remote, local)
        files = {str(path.relative_to(local)): path for path in sorted(local.rglob("*")) if path.is_file()}
        last = files.pop(COMPLETE, None)
        wanted = [
            name
            for name, path in sorted(files.items(), key=lambda item: not item[0].startswith("frames/"))
            if not name.startswith("frames/") or there.get(f"{remote}/{name}") != path.stat().st_size
        ]
        with ThreadPoolExecutor(THREADS) as pool:
            sent = pool.map(lambda name: self._store.put_file(str(files[name]), f"{remote}/{name}"), wanted)
            list(tracked(sent, f"upload {folder}", len(wanted)))
        if last is not None:
            self._store.put_file(str(last), f"{remote}/{COMPLETE}")

    def _prepare(self, remote: str, local: Path) -> dict[str, int]:
        """The sizes of files that an unfinished upload of the same run left; anything else is cleared away."""
        self._store.invalidate_cache()
        marker, text = f"{remote}/{UNFINISHED}", (local / MADE_FROM).read_bytes()
        if self._store.exists(marker) and self._store.cat_file(marker) == text:
            return {path: info["size"] for path, info in self._store.find(remote, detail=True).items()}
        found = self._store.find(remote) if self._store.exists(remote) else []
        for path in sorted(found, key=lambda path: not path.endswith(COMPLETE)):  # first of all it is not complete
            self._store.rm_file(path)
        self._store.put_file(str(local / MADE_FROM), marker)
        return {}
