"""Models by their name on a hub: downloaded whole, gone on with, and then asked without the hub."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from hub_of_models import COMMIT, ModelHub
from patience import PATIENCE
from vqa_fakes import fake_dataset

from rfm.evaluation.evaluate import evaluate
from rfm.evaluation.options import EvaluateOptions

CHUNKED = """
import sys
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 4096  # what is written at a time: the weights of `tiny` are less than the usual 10 MB
from rfm.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 4, episodes=2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return random_checkpoint(tmp_path_factory.mktemp("model") / "final")


@pytest.fixture
def hub(checkpoint):
    with ModelHub(checkpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def asking(dataset, hub, tmp_path):
    """Start `rfm evaluate` of a model by name with an empty cache of its own."""

    def start(name, output, **more):
        environment = {
            "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "cache"), "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1", **more,
        }  # fmt: skip
        words = ["evaluate", "--model_path", name, "--dataset_path", str(dataset), "--output_path", str(output)]
        command = [sys.executable, "-c", CHUNKED, *words, "--device", "cpu"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, **pipes)

    return start


def numbers(file):
    results = json.loads(file.read_text())
    return {name: results[name] for name in ("total_samples", "preference", "progress")}


def test_a_download_that_is_killed_or_cut_is_gone_on_with_and_then_no_hub_is_needed(
    asking, hub, checkpoint, dataset, tmp_path
):
    hub.halted = threading.Event()
    with asking(f"me/model@{COMMIT}", tmp_path / "none.json") as killed:
        assert hub.halted.wait(PATIENCE)
        killed.send_signal(signal.SIGKILL)
    before, hub.halted, hub.asked, hub.cuts = hub.fetched(), None, [], 1
    assert "config.json" in before
    with asking(f"me/model@{COMMIT}", tmp_path / "first.json") as again:
        seen = "".join(again.communicate(timeout=PATIENCE))
    assert again.returncode == 0, seen
    assert not set(hub.fetched()) & (set(before) - {"model.safetensors"})  # what had come whole is not fetched again
    (first, whole), (second, rest) = [one for one in hub.asked if one[0] == "model.safetensors"]
    assert first == second
    assert whole == ""
    assert 0 < int(rest.removeprefix("bytes=").removesuffix("-")) <= len(hub.files[first]) // 2
    hub.asked = []
    with asking(f"me/model@{COMMIT}", tmp_path / "offline.json", HF_HUB_OFFLINE="1") as offline:
        seen = "".join(offline.communicate(timeout=PATIENCE))
    assert offline.returncode == 0, seen
    assert hub.asked == []
    options = EvaluateOptions(str(checkpoint), str(dataset), str(tmp_path / "here.json"), device="cpu")
    assert evaluate(options) == 0
    for name in ("first", "offline"):
        assert numbers(tmp_path / f"{name}.json") == numbers(tmp_path / "here.json")


def test_a_revision_that_is_not_there_is_one_error(asking, hub, tmp_path):
    with asking(f"me/model@{'6' * 40}", tmp_path / "none.json") as run:
        _, seen = run.communicate(timeout=PATIENCE)
    said = " ".join(seen.split())
    assert run.returncode == 1
    assert "Traceback" not in seen
    assert said.count("error:") == 1
    assert f"Model not found: me/model@{'6' * 40} is neither a folder here nor a model that the Hugging Face" in said
    assert "check the spelling and the network" in said
    assert hub.asked == []
    assert not (tmp_path / "none.json").exists()
