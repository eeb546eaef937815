"""The engine and the command with the server of transformers."""

import json
import re

import pytest
import torch
from chat_servers import free_port
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, Qwen3VLProcessor
from transformers.cli.serve import Serve
from vqa_fakes import fake_dataset

from rfm.batch.input_format import InputFormat
from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.inference.answering.decoding import Decoding
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.journal import Journal
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.training.dataset import open_training_set


class ImagesOnly(Qwen3VLProcessor):
    """The stock processor without its video part, which can't be built without torchvision."""

    def check_argument_for_proper_class(self, *_):
        return None


def images_only(folder):
    template = (folder / "chat_template.jinja").read_text()
    parts = AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return ImagesOnly(*parts, video_processor=None, chat_template=template)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 7, episodes=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "final"
    loaded = load_model("tiny", seed=5)
    with torch.no_grad():  # wide weights make random answers differ from row to row
        for parameter in loaded.model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    loaded.model.save_pretrained(str(folder))
    loaded.save_processor(folder, InputFormat(32, 32, use_multi_image=True))
    return folder


@pytest.fixture(scope="module")
def transformers_server(checkpoint):
    """`transformers serve` on loopback, all of it but the video processor."""
    processor, port = images_only(checkpoint), free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoProcessor, "from_pretrained", lambda *_, **__: processor)
        server = Serve(force_model=str(checkpoint), device="cpu", host="127.0.0.1", port=port, non_blocking=True)
        yield f"http://127.0.0.1:{port}/v1"
        server.kill_server()


def test_the_server_of_transformers_gives_the_checkpoints_own_answers(transformers_server, checkpoint, dataset):
    data = open_training_set(dataset)
    engine = OpenAIEngine(transformers_server, str(checkpoint), data.root)
    said = engine.predict(data.rows, 4, 8, progress=False)
    own = Predictor.from_checkpoint(checkpoint, "cpu", datasets_root=data.root).predict(data.rows, 4, 8, progress=False)
    written = [re.sub(r"<\|\w+\|>", "", one.text) for one in said]  # the server spells control tokens out
    assert written == [one.text for one in own]
    assert len({one.text for one in said}) > 1
    blank = engine.predict(data.rows, 4, 8, blank_frames=True, progress=False)
    assert [one.text for one in blank] != [one.text for one in said]


def test_a_server_without_log_probabilities_can_not_score(transformers_server, checkpoint, dataset):
    data = open_training_set(dataset)
    rows = data.rows.filter(lambda one: one["sample_type"] == "preference")
    engine = OpenAIEngine(transformers_server, str(checkpoint), data.root, Decoding("scored"))
    with pytest.raises(ConfigError, match="scored needs log-probabilities, but the server gave none; take --decoding"):
        engine.predict(rows, 1, 4, progress=False)


@pytest.fixture
def evaluate(checkpoint, dataset, tmp_path):
    """Run `rfm evaluate` on the checkpoint; returns its status and what it wrote."""

    def run(*flags):
        output = tmp_path / "results.json"
        paths = ("--model_path", checkpoint, "--dataset_path", dataset, "--output_path", output, "--overwrite")
        words = [*map(str, paths), "--batch_size", "4", "--max_new_tokens", "8", "--save_predictions", *flags]
        status = run_command(("evaluate",), words, "rfm evaluate")
        return status, json.loads(output.read_text()) if output.is_file() else None

    return run


def said(prediction):
    """What the model wrote; of other ways of asking it is no completion of the row's own question."""
    return " ".join(prediction.get("samples") or [prediction["completion"]])


@pytest.mark.parametrize(
    ("flags", "rows", "requests"), [((), 7, 7), (("--prompting", "gvl", "--max_samples", "2"), 2, 3)]
)
def test_the_whole_command_with_the_server_of_transformers(
    transformers_server, evaluate, flags, rows, requests, tmp_path
):
    """A stock model behind a server, asked as the dataset asks (zero-shot) and by GVL: as the checkpoint itself."""
    cache = tmp_path / "cache"
    served = ("--engine", "openai", "--base_url", transformers_server, "--request_cache", str(cache), *flags)
    status, over_http = evaluate(*served)
    _, at_home = evaluate("--device", "cpu", *flags)
    assert status == 0
    assert over_http["unreadable"]["count"] == 0
    assert over_http["preference"]["count"] + over_http["progress"]["count"] == rows
    # the server spells control tokens out and drops a leading space
    written = [re.sub(r"<\|\w+\|>", "", said(one)).split() for one in over_http["predictions"]]
    assert written == [said(one).split() for one in at_home["predictions"]]
    assert written[0] != written[1]
    for part in ("decoding", "preference", "progress"):
        assert over_http[part] == at_home[part]
    assert over_http.get("frame_alignment") == at_home.get("frame_alignment")
    assert over_http["decoding"].get("prompting") == ("gvl" if flags else None)
    assert len(Journal(cache)) == requests, "GVL asks about each clip of a pair"
    assert evaluate(*served)[1] == over_http
    assert len(Journal(cache)) == requests


def test_topreward_says_what_this_server_lacks(transformers_server, evaluate, capsys):
    flags = ("--engine", "openai", "--base_url", transformers_server, "--prompting", "topreward")
    assert evaluate(*flags) == (1, None)
    said = " ".join(capsys.readouterr().err.split("error: ")[1].split())
    assert said == (
        "`prompting` topreward needs log-probabilities, but the server gave none; take --prompting gvl, another "
        "server, or --engine hf"
    )
