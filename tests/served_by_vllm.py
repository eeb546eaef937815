"""A real vLLM, in an environment of its own: servers on this machine, and checkpoints for them."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from chat_servers import free_port
from checkpoints import random_adapter
from qwen_stock import QWEN2_5_TEMPLATE
from tiny_qwen2_5 import SPEC, build_tiny_qwen2_5

from rfm.batch.input_format import InputFormat
from rfm.export.merge import export_merge
from rfm.export.options import MergeOptions, ServableOptions, ServeCommandOptions
from rfm.export.servable import export_vllm
from rfm.export.serve_command import lines
from rfm.files import seal
from rfm.generation.generate import generate
from rfm.inference.known.answers import known_answers
from rfm.model.load import LoadedModel, load_model
from rfm.model.tiny import processor_files
from rfm.training.lessons import Lesson, lesson_questions, lesson_training
from rfm.training.run import train

PYTHON = os.environ.get("RFM_VLLM_PYTHON")
PADDED = os.environ.get("RFM_VLLM_MODEL")
"""A model whose heads vLLM does not have, that of `make demo` for example; else one is trained for a few seconds."""
STEPS = 300
"""Of that training: of random weights, which prefer no token by much, one answer in some hundred is another there."""
FEW = {
    "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
"""One core, 1 GB for keys and values, nothing asked of the network."""
STARTS_WITHIN = 900
WHOLE = 64
"""Frames of the longest clips that `small` is said to have been trained on."""


@contextmanager
def server(folder: Path, place: Path, change=lambda words: words):
    """Serve a checkpoint by its line, changed by `change`; yields address and name."""
    port = free_port()
    line = lines(ServeCommandOptions(str(folder), port=port, enforce_eager=True))[0]
    words = [PYTHON, *change(shlex.split(line)[1:]), "--max-model-len", "4096", "--max-num-seqs", "16"]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=place, stdout=log, stderr=log, env={**os.environ, **FEW})
    try:
        _wait(process, port, place / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait(process, port, log):
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    pytest.fail(f"vLLM did not start: {log.read_text()[-3000:]}")


class Shelf:
    """Checkpoints by name, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        place = self.folder / name
        if not place.exists():
            getattr(self, f"_{name}")(place)
        return place

    def _small(self, place: Path) -> None:
        """The shipped model, with heads of 32, as if it had been trained on clips of up to 64 frames."""
        self._shipped(self.folder / "long", max_frames=WHOLE)
        export_vllm(ServableOptions(str(self.folder / "long"), str(place)))

    def _images(self, place: Path) -> None:
        """The shipped model as if it had been trained on images."""
        self._shipped(self.folder / "of_images", use_multi_image=True)
        export_vllm(ServableOptions(str(self.folder / "of_images"), str(place)))

    def _shipped(self, place: Path, **changes) -> None:
        loaded = load_model("metaworld-small")
        loaded.save(place, replace(loaded.form, **changes))

    def _padded(self, place: Path) -> None:
        """A model with heads of 24."""
        export_vllm(ServableOptions(PADDED or str(self._taught()), str(place)))

    def _taught(self) -> Path:
        lesson, rows = Lesson("all kinds", 1.0, ()), str(self.folder / "lesson")
        generate(lesson_questions(lesson, 1, STEPS, rows))
        return train(lesson_training(lesson, STEPS, rows, "tiny", str(self.folder / "heads_of_24")))

    def _adapter(self, place: Path) -> None:
        """An adapter whose every layer changes something, of the projector and the tower too."""
        random_adapter(place, self["small"])
        loaded = load_model(place)
        known_answers(loaded, loaded.form).save(place)
        seal.seal(place)

    def _merged(self, place: Path) -> None:
        export_merge(
            MergeOptions(str(self["adapter"]), str(place), dataset=str(self.folder / "held_out"), device="cpu")
        )

    def _qwen2_5(self, place: Path) -> None:
        """A random Qwen2.5-VL with heads of 32, in the stock class."""
        tokenizer = load_model("tiny").tokenizer
        tokenizer.chat_template = QWEN2_5_TEMPLATE
        files = {
            name: text.replace("Qwen3VLVideoProcessor", "Qwen2VLVideoProcessor").replace("Qwen3VL", "Qwen2_5_VL")
            for name, text in processor_files(SPEC).items()
        } | {"chat_template.jinja": QWEN2_5_TEMPLATE}
        model = build_tiny_qwen2_5(tokenizer, text_width=64).eval()
        loaded = LoadedModel(model, tokenizer, SPEC, "qwen2_5", None, files)
        form = InputFormat(32, 32, max_frames=4)
        place.mkdir()
        loaded.save(place, form)
        loaded = load_model(place)
        known_answers(loaded, loaded.form).save(place)
        seal.seal(place)
