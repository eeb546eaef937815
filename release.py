"""Packages and versions.

    python release.py packages          sdist and wheel, the wheel made from the sdist alone, in dist/
    python release.py version 0.2.0     write the version and today's date where they stand, commit and tag v0.2.0

A version needs a clean working tree and a change under "Unreleased" in CHANGELOG.md. Nothing is pushed or uploaded: the
workflow of a tag does that.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
_SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_PLACES = {
    "pyproject.toml": r'(?m)^version = "(.*)"$',
    "CITATION.cff": r"(?m)^version: (.*)$",
    "uv.lock": r'name = "rfm-vqa"\nversion = "(.*)"',
}
"""Where the version stands, as the pattern's group."""
UNRELEASED = "## Unreleased\n"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("packages")
    what.add_parser("version").add_argument("version")
    given = parser.parse_args()
    if given.what == "packages":
        packages(ROOT)
    else:
        release(ROOT, given.version, datetime.date.today())


def packages(root: Path) -> None:
    """Write sdist and wheel into `root/dist`."""
    for name in ("dist", "build"):  # setuptools would pack what a former build left
        shutil.rmtree(root / name, ignore_errors=True)
    _run(root, sys.executable, "-c", _SDIST)
    [sdist] = (root / "dist").glob("*.tar.gz")
    _run(root, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", str(sdist))


def release(root: Path, version: str, day: datetime.date) -> None:
    """Write, commit and tag `version`; SystemExit with the reason where it can't be released."""
    written = {name: (root / name).read_text() for name in (*_PLACES, "CHANGELOG.md")}
    if refused := _refused(version, written, _run(root, "git", "status", "--porcelain")):
        raise SystemExit(refused)
    for name, pattern in _PLACES.items():
        found = re.search(pattern, written[name])
        assert found, f"{name} has no version"
        written[name] = written[name][: found.start(1)] + version + written[name][found.end(1) :]
    heading = f"{UNRELEASED}\n## {version}, {day.isoformat()}\n"
    written["CHANGELOG.md"] = written["CHANGELOG.md"].replace(UNRELEASED, heading, 1)
    for name, text in written.items():
        (root / name).write_text(text)
    _run(root, "git", "commit", "--quiet", "--all", "--message", f"Version {version}")
    _run(root, "git", "tag", f"v{version}")


def _refused(version: str, written: dict[str, str], changed: str) -> str | None:
    before = re.search(_PLACES["pyproject.toml"], written["pyproject.toml"])
    assert before
    if not _VERSION.fullmatch(version):
        return f"the version must be three whole numbers with dots, but is {version!r}"
    released = re.search(r"(?m)^## \d", written["CHANGELOG.md"])
    if released and _numbers(version) <= _numbers(before[1]):
        return f"the version must be above {before[1]}, but is {version}"
    news = written["CHANGELOG.md"].partition(UNRELEASED)[2].partition("\n## ")[0]
    if not news.strip():
        return "CHANGELOG.md must say what changed under `## Unreleased`, but says nothing"
    if changed:
        return f"the working tree must be clean, but has changes; commit or stash them:\n{changed}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
