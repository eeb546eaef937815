"""Models for vLLM, and the lines that serve them."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from checkpoints import random_adapter, random_checkpoint

from rfm.cli import run_command
from rfm.errors import ConfigError, DataError
from rfm.export.options import ServeCommandOptions
from rfm.export.serve_command import lines
from rfm.inference.known.answers import DIGITS, known_answers, read_known
from rfm.model.head_padding import head_width
from rfm.model.load import load_model
from rfm.model.shipped import resolved

ROOT = Path(__file__).parents[2]
WHOLE = '{"video": {"num_frames": -1, "fps": 2.0}}'


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """Heads of 24, with wide weights: whatever is off by a little shows."""
    folder = random_checkpoint(tmp_path_factory.mktemp("model") / "final", max_frames=4)
    loaded = load_model(folder)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
            if name.endswith("norm.weight"):
                parameter.add_(torch.linspace(-0.3, 0.3, len(parameter)))
    loaded.save(folder, loaded.form)
    return folder


def test_wider_heads_answer_alike_and_are_written_whole_or_not_at_all(narrow, tmp_path, caplog):
    out = tmp_path / "servable"
    assert run_command(("export", "vllm"), [str(narrow), "--output", str(out)], "rfm export vllm") == 0
    own, written = load_model(narrow), load_model(out)
    assert (head_width(own.model.config), head_width(written.model.config)) == (24, 32)
    known, there = known_answers(own, own.form), read_known(out)
    asked = known_answers(written, own.form)
    for other, rounding in ((asked, 0), (there, 0.5 * 10**-DIGITS)):
        for mine, theirs in zip(known.answers, other.answers, strict=True):
            assert mine.text == theirs.text
            assert mine.first == pytest.approx(theirs.first, abs=1e-6 + rounding)
    assert len({one.text for one in known.answers}) > 1
    assert json.loads((out / "vllm_export.json").read_text())["largest_difference"] < 1e-6
    assert run_command(("export", "vllm"), [str(narrow), "--output", str(out)], "rfm export vllm") == 0
    assert f"{out} is complete" in caplog.text


def test_the_lines_serve_what_training_showed(narrow, tmp_path, capsys):
    with pytest.raises(ConfigError) as caught:
        lines(ServeCommandOptions(str(narrow)))
    assert str(caught.value) == (
        "`checkpoint` must have attention heads of a width that vLLM takes (32, 64, 80, 96, 112, 128, 160, 192, 224, "
        f"256), but those of {narrow} are 24 wide; pad them, which changes no answer: rfm export vllm {narrow} "
        "--output SERVABLE"
    )
    assert run_command(("serve-command",), ["metaworld-small", "--enforce_eager"], "rfm serve-command") == 0
    server, evaluate = map(shlex.split, capsys.readouterr().out.splitlines())
    assert server[:3] == ["python", "-m", "vllm.entrypoints.openai.api_server"]
    flags = dict(zip(server[3:-1:2], server[4:-1:2], strict=True))
    assert flags["--served-model-name"] == "metaworld-small"
    assert (flags["--dtype"], flags["--generation-config"], flags["--host"]) == ("float32", "vllm", "127.0.0.1")
    assert flags["--media-io-kwargs"] == WHOLE
    assert server[-1] == "--enforce-eager"
    assert evaluate[:4] == ["rfm", "evaluate", "--engine", "openai"]
    assert evaluate[evaluate.index("--input_format") + 1] == flags["--model"]


def test_images_need_no_words_about_videos(tmp_path):
    folder = random_checkpoint(tmp_path / "final", images=True, preset="tiny-wide")
    server, _ = lines(ServeCommandOptions(str(folder), port=8001))
    assert "--media-io-kwargs" not in server
    assert server.endswith("--port 8001")


def test_adapters_are_served_on_their_base_unless_they_hold_whole_modules(tmp_path):
    base = random_checkpoint(tmp_path / "base", preset="tiny-wide", max_frames=4)
    adapter = random_adapter(tmp_path / "adapter", base)
    words = shlex.split(lines(ServeCommandOptions(str(adapter)))[0])
    assert words[words.index("--model") + 1] == str(base)
    assert words[words.index("--lora-modules") + 1] == f"adapter={adapter}"
    assert words[words.index("--max-lora-rank") + 1] == "8"
    assert "--enable-tower-connector-lora" in words
    whole = random_adapter(tmp_path / "whole", base, whole_projector=True)
    with pytest.raises(
        ConfigError, match=r"holds whole modules \(`modules_to_save`\), which it refuses; merge it: rfm e"
    ):
        lines(ServeCommandOptions(str(whole)))
    assert run_command(("export", "vllm"), [str(whole), "--output", str(tmp_path / "o")], "rfm export vllm") == 1


def test_a_stock_model_is_not_ours_to_serve(tmp_path):
    load_model("tiny-wide").model.save_pretrained(str(tmp_path))
    with pytest.raises(DataError, match=f"must be one that `rfm train` made, but {tmp_path} has no rfm_config.json"):
        lines(ServeCommandOptions(str(tmp_path)))


def test_the_image_of_vllm_serves_as_the_printed_line_does():
    """Where it listens, under which name and path are the container's; all else is the line's."""
    [entry] = re.findall(r"(?m)^ENTRYPOINT (\[.*vllm.*\])$", (ROOT / "deploy" / "Dockerfile").read_text())
    program, *words = json.loads(entry)
    assert program == "python3"
    _, *printed = shlex.split(lines(ServeCommandOptions(resolved("metaworld-small")))[0])
    own = {"--model": "/model", "--served-model-name": "model", "--dtype": "auto", "--host": "0.0.0.0"}
    wanted = [own.get(before, word) for before, word in zip(["", *printed], printed, strict=False)]
    assert words == wanted
