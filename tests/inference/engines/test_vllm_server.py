"""A real vLLM server, started by the line of `rfm serve-command`, answers as the checkpoint itself does.

`make vllm-tests` makes its environment and names its Python in RFM_VLLM_PYTHON; without that these tests skip.
"""

import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from chat_servers import free_port
from vqa_fakes import indices, preference_row, progress_row, row, similarity_row, write_frames

from rfm.errors import ServerError
from rfm.export.options import ServableOptions, ServeCommandOptions
from rfm.export.servable import export_vllm
from rfm.export.serve_command import lines
from rfm.inference.answering.decoding import Decoding
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.known.guard import Guard
from rfm.inference.predictor import Predictor
from rfm.model.trained_format import trained_format
from rfm.vqa.prompts import prompt

PYTHON = os.environ.get("RFM_VLLM_PYTHON")
NAME = "servable"
STARTS_WITHIN = 900
pytestmark = pytest.mark.skipif(PYTHON is None, reason="vLLM needs an environment of its own: make vllm-tests")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The shipped model with its known answers."""
    folder = tmp_path_factory.mktemp("model") / NAME
    export_vllm(ServableOptions("metaworld-small", str(folder)))
    return folder


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    port = free_port()
    line = lines(ServeCommandOptions(str(checkpoint), port=port, enforce_eager=True))[0]
    words = [PYTHON, *shlex.split(line)[1:], "--max-model-len", "4096", "--max-num-seqs", "8"]
    few = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    place = tmp_path_factory.mktemp("server")
    environment = {**os.environ, **few, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with (place / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=place, stdout=log, stderr=log, env=environment)
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
    pytest.fail(f"vLLM did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Rows of all kinds, with clips of 2 to 40 frames."""
    root, rng = tmp_path_factory.mktemp("root"), np.random.default_rng(0)
    paths = write_frames(root, 4, frames=40, size=64)
    rows = [make(paths, rng) for _ in range(12) for make in (preference_row, progress_row, similarity_row)]
    long = [
        row("progress", "5", prompt("progress", "push"), clip=(paths[0], indices(39, shown)))
        for shown in (2, 3, 33, 40)
    ]
    return root, rows + long


def engine(server, checkpoint, root, decoding, **how):
    return OpenAIEngine(server, NAME, root, decoding, trained=trained_format(str(checkpoint)), **how)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding("scored")], ids=lambda one: one.method)
def test_every_answer_is_the_checkpoints_own(server, checkpoint, asked, decoding):
    root, rows = asked
    said = engine(server, checkpoint, root, decoding).predict(rows, 4, progress=False)
    own = Predictor.from_checkpoint(checkpoint, "cpu", datasets_root=root, decoding=decoding).predict(
        rows, progress=False
    )
    assert [one.text for one in said] == [one.text for one in own]
    if decoding.method == "scored":
        off = [np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in zip(said, own, strict=True)]
        assert max(off) < 1e-4


def test_the_guard_passes_it_and_stops_another_mode(server, checkpoint, asked):
    root, _ = asked
    shown = engine(server, checkpoint, root, Decoding())
    Guard(checkpoint, trained_format(str(checkpoint)), as_video=True).check(shown)
    images = engine(server, checkpoint, root, Decoding(), as_video=False)
    guard = Guard(checkpoint, trained_format(str(checkpoint)), as_video=True)
    guard.form = guard.as_trained
    with pytest.raises(ServerError, match="it shows the frames in another mode"):
        guard.check(images)


def test_a_prompt_that_is_too_long_makes_its_row_unreadable(server, checkpoint, asked):
    root, rows = asked
    long = {**rows[0], "prompt": "push the button " * 4000}
    [said] = engine(server, checkpoint, root, Decoding()).predict([long], progress=False)
    assert said.unreadable.startswith("the server gave no answer: Error code: 400")
