"""A release: one version everywhere, a dated change, a commit and a tag; or a reason why not."""

from __future__ import annotations

import datetime
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DAY = datetime.date(2027, 1, 2)
WRITTEN = ("pyproject.toml", "CITATION.cff", "uv.lock", "CHANGELOG.md")


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in WRITTEN:
        shutil.copy(ROOT / name, tmp_path / name)
    _git(tmp_path, "init", "--quiet")
    for name, value in (("user.name", "Somebody"), ("user.email", "somebody@example.org")):
        _git(tmp_path, "config", name, value)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "-m", "all")
    return tmp_path


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_version_stands_everywhere_and_is_tagged(release: ModuleType, repository: Path) -> None:
    release.release(repository, "3.1.4", DAY)
    found = {name: (repository / name).read_text() for name in WRITTEN}
    assert 'version = "3.1.4"' in found["pyproject.toml"]
    assert "version: 3.1.4\n" in found["CITATION.cff"]
    assert 'name = "rfm-vqa"\nversion = "3.1.4"' in found["uv.lock"]
    assert "## Unreleased\n\n## 3.1.4, 2027-01-02\n" in found["CHANGELOG.md"]
    assert _git(repository, "tag", "--points-at", "HEAD") == "v3.1.4\n"
    assert _git(repository, "status", "--porcelain") == ""


def test_what_is_no_release_is_refused(release: ModuleType, repository: Path) -> None:
    with pytest.raises(SystemExit, match=r"three whole numbers with dots, but is '1\.0rc1'"):
        release.release(repository, "1.0rc1", DAY)
    (repository / "README.md").write_text("new")
    with pytest.raises(SystemExit, match=r"the working tree must be clean, but has changes; .*\n\?\? README.md"):
        release.release(repository, "3.1.4", DAY)
    (repository / "README.md").unlink()
    release.release(repository, "3.1.4", DAY)
    with pytest.raises(SystemExit, match=r"must be above 3.1.4, but is 3.1.4"):
        release.release(repository, "3.1.4", DAY)
    with pytest.raises(SystemExit, match="must say what changed under `## Unreleased`, but says nothing"):
        release.release(repository, "3.2.0", DAY)


def test_the_versions_agree_now(release: ModuleType) -> None:
    found = [re.findall(pattern, (ROOT / name).read_text()) for name, pattern in release._PLACES.items()]
    assert found == [found[0]] * 3
