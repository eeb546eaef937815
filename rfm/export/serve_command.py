"""`rfm serve-command`: the line that starts a vLLM server which shows a checkpoint what its training showed.

In: the folder of a full checkpoint, or of an adapter that vLLM loads. Out: two lines on standard output, of the server
and of the evaluation that asks it. What vLLM would refuse, or silently leave out, is refused here with the way out.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from rfm.errors import ConfigError, DataError
from rfm.export.options import ServeCommandOptions
from rfm.files.documents.json_documents import read_json_object
from rfm.inference.engines.vllm import WHOLE_VIDEOS
from rfm.model.head_padding import WIDTHS, head_width
from rfm.model.shipped import called
from rfm.model.stock.files import ADAPTER_FILE, model_config
from rfm.model.stock.preprocessing import load_form
from rfm.model.weights.base import base_of
from rfm.model.weights.tensors import adapter_tensors

_OF_VISION = re.compile(r"\bvisual\b")


def serve_command(options: ServeCommandOptions) -> int:
    """Print both lines."""
    for line in lines(options):
        sys.stdout.write(line + "\n")
    return 0


def lines(options: ServeCommandOptions) -> list[str]:
    """Return the line that starts the server, and the one that evaluates it."""
    folder, form = Path(options.checkpoint), load_form(options.checkpoint)
    if form is None:
        raise DataError(
            f"`checkpoint` must be one that `rfm train` made, but {folder} has no rfm_config.json; vLLM serves it as "
            "its own page says"
        )
    adapter = _adapter(folder) if (folder / ADAPTER_FILE).is_file() else None
    name = Path(called(options.checkpoint)).name
    flags = _model(folder, name) if adapter is None else _adapted(folder, name, adapter)
    words = ["python", "-m", "vllm.entrypoints.openai.api_server", *flags]
    words += ["--generation-config", "vllm", "--host", "127.0.0.1", "--port", str(options.port)]
    if not form.use_multi_image:
        words += ["--media-io-kwargs", json.dumps({"video": WHOLE_VIDEOS})]
    if options.enforce_eager:
        words.append("--enforce-eager")
    asked = ["rfm", "evaluate", "--engine", "openai", "--base_url", f"http://127.0.0.1:{options.port}/v1"]
    asked += ["--model_path", name, "--input_format", str(folder), "--dataset_path", "DATASET"]
    return [shlex.join(words), shlex.join(asked)]


def _model(folder: Path, name: str) -> list[str]:
    width = head_width(config := model_config(str(folder)))
    if width not in WIDTHS:
        raise ConfigError(
            f"`checkpoint` must have attention heads of a width that vLLM takes ({', '.join(map(str, WIDTHS))}), but "
            f"those of {folder} are {width} wide; pad them, which changes no answer: rfm export vllm {folder} "
            "--output SERVABLE"
        )
    return ["--model", str(folder), "--served-model-name", name, *_precision(config)]


def _adapted(folder: Path, name: str, adapter: dict[str, Any]) -> list[str]:
    base = base_of(folder)
    lora = ["--enable-lora", "--max-lora-rank", str(_rank(adapter)), "--lora-modules", f"{name}={folder}"]
    sees = any(map(_OF_VISION.search, adapter_tensors(folder)))  # peft shortens `target_modules` to last names
    own = ["--enable-tower-connector-lora"] if sees else []
    return [*_model(Path(base), f"{name}-base"), *lora, *own]


def _adapter(folder: Path) -> dict[str, Any]:
    adapter = read_json_object(folder / ADAPTER_FILE)
    if adapter.get("modules_to_save"):
        raise ConfigError(
            f"`checkpoint` must be an adapter that vLLM loads, but {folder} holds whole modules (`modules_to_save`), "
            f"which it refuses; merge it: rfm export merge {folder} --output MERGED"
        )
    return adapter


def _rank(adapter: dict[str, Any]) -> int:
    """Return the least rank that vLLM is built for and that holds the adapter's."""
    return next((rank for rank in (8, 16, 32, 64, 128, 256, 320, 512) if rank >= adapter["r"]), 512)


def _precision(config: Any) -> list[str]:
    return ["--dtype", str(config.dtype or "auto").removeprefix("torch.")]
