"""`rfm doctor`: versions, device, video codecs, disk, and what each extra needs.

What each package needs is what the metadata of this one says, so that nothing is listed twice.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from rfm.commands import PACKAGE
from rfm.console import results, show
from rfm.errors import ConfigError
from rfm.files.cache import cache_folder
from rfm.installation.caches import shown_size
from rfm.installation.options import DoctorOptions
from rfm.table import FittedTable

_CODECS = {"h264": "H.264", "hevc": "H.265", "av1": "AV1", "vp9": "VP9", "mpeg4": "MPEG-4", "mjpeg": "Motion JPEG"}
"""By FFmpeg's names of decoders; LeRobot's datasets are AV1 or H.264."""
_NEEDED = ("h264", "av1")
_FOR_DEVELOPERS = "dev"


def doctor(options: DoctorOptions) -> int:
    """Run `rfm doctor`; status 1 if something is missing that every command needs."""
    found = findings()
    show(lambda: found, lambda: _tell(found))
    return int(bool(found["faults"]))


def findings() -> dict[str, Any]:
    """Return what is here."""
    packages = _packages(None)
    codecs = _codecs()
    faults = [f"{one['package']} must be {one['needs']}, but is {one['has']}" for one in packages if not one["fits"]]
    faults += [f"videos in {_CODECS[one]} can't be read: PyAV has no decoder" for one in _NEEDED if not codecs[one]]
    return {
        "rfm": metadata.version(PACKAGE),
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": _device(),
        "codecs": codecs,
        "disk": [_disk("working folder", Path.cwd()), *_cache_disk()],
        "packages": packages,
        "extras": {extra: _packages(extra) for extra in _extras()},
        "faults": faults,
    }


def _extras() -> list[str]:
    named = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    return sorted(one for one in named if one != _FOR_DEVELOPERS)


def _packages(extra: str | None) -> list[dict[str, Any]]:
    """Return what this package, or one of its extras, needs and has."""
    return [
        {"package": one.name, "needs": str(one.specifier) or "any", "has": has or "not installed", "fits": fits}
        for one in _requirements(extra)
        for has in [_installed(one.name)]
        for fits in [has is not None and one.specifier.contains(has, prereleases=True)]
    ]


def _requirements(extra: str | None) -> Iterator[Requirement]:
    for text in metadata.requires(PACKAGE) or []:
        one = Requirement(text)
        of_extra = one.marker is not None and "extra" in str(one.marker)
        if of_extra == (extra is not None) and (one.marker is None or one.marker.evaluate({"extra": extra or ""})):
            yield one


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    try:
        import torch
    except (ImportError, OSError) as error:
        return f"none: torch can't be imported ({error})"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
        return ", ".join(f"cuda:{at} {one.name}, {shown_size(one.total_memory)}" for at, one in enumerate(names))
    if torch.backends.mps.is_available():
        return "mps, Apple GPU"
    return f"cpu, {torch.get_num_threads()} threads"


def _codecs() -> dict[str, bool]:
    """Return which codecs can be decoded."""
    import av

    found = {}
    for name in _CODECS:
        try:
            av.CodecContext.create(name, "r")
            found[name] = True
        except (ValueError, av.error.FFmpegError):
            found[name] = False
    return found


def _cache_disk() -> list[dict[str, Any]]:
    try:
        return [_disk("cache", cache_folder())]
    except ConfigError as error:
        return [{"what": "cache", "folder": str(error), "free": 0}]


def _disk(what: str, folder: Path) -> dict[str, Any]:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return {"what": what, "folder": str(folder), "free": shutil.disk_usage(there).free}


def _tell(found: dict[str, Any]) -> None:
    table = FittedTable(f"rfm {found['rfm']}", show_header=False)
    table.add_column("")
    table.add_column("")
    table.add_row("Python", f"{found['python']} ({sys.executable})")
    table.add_row("system", found["system"])
    table.add_row("device", found["device"])
    table.add_row("decodes", ", ".join(_CODECS[name] for name, has in found["codecs"].items() if has) or "nothing")
    for disk in found["disk"]:
        table.add_row(disk["what"], f"{disk['folder']}, {shown_size(disk['free'])} free")
    results().print(table)
    results().print(_packages_table("packages", {"": found["packages"]}))
    results().print(_packages_table("extras, by pip install 'rfm-vqa[NAME]'", found["extras"]))
    for fault in found["faults"]:
        results().print(fault, style="bold red", soft_wrap=True)


def _packages_table(title: str, extras: dict[str, list[dict[str, Any]]]) -> FittedTable:
    table = FittedTable(title)
    named = ("extra",) if "" not in extras else ()
    for head in (*named, "package", "needs", "has"):
        table.add_column(head)
    for extra, packages in extras.items():
        for at, one in enumerate(packages):
            first = (extra if at == 0 else "",) if named else ()
            table.add_row(*first, one["package"], one["needs"], one["has"], style=None if one["fits"] else "yellow")
        if not packages:
            table.add_row(extra, "nothing on this Python", "", "")
    return table
