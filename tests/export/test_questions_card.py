"""The card of a VQA dataset, and its upload."""

from __future__ import annotations

import json

import pytest
from datasets import load_dataset, load_from_disk
from hub_fakes import fake_hub  # noqa: F401
from PIL import Image

from rfm.cli import run_command
from rfm.generation.generate import GenerateOptions, generate


@pytest.fixture
def questions(tmp_path):
    return generate(GenerateOptions(output_path=str(tmp_path / "questions"), num_samples=40, num_workers=1))


def card(*words) -> int:
    return run_command(("export", "card"), [str(word) for word in words], "rfm export card")


def test_a_dataset_gets_a_card_and_is_uploaded_without_this_machines_folders(fake_hub, questions, tmp_path):  # noqa: F811
    assert card(questions, "--license", "cc-by-4.0") == 0
    text = (questions / "README.md").read_text()
    assert "license: cc-by-4.0" in text
    assert "path: data-*.arrow" in text
    assert "# 40 questions about" in text
    assert "| preference | same\\_task\\_progress | 8 | 20.0% |" in text
    assert "| contradictions | ok | 0 |" in text
    with Image.open(questions / "film_strip.jpg") as strip:
        assert strip.size[0] >= 96
        assert strip.size[1] == 3 * 100  # two clips of a pair and one of a progress question, with their gaps
    assert run_command(("export", "push"), [str(questions), "--hub_model_id", "me/questions"], "rfm export push") == 0
    stored = fake_hub.files["me/questions"]
    assert {"README.md", "film_strip.jpg", "state.json", "generation_config.json"} < {*stored}
    root = json.loads((questions / "generation_config.json").read_text())["datasets_root"]
    assert [name for name, content in stored.items() if root.encode() in content] == []
    (tmp_path / "copy").mkdir()
    for name, content in stored.items():
        (tmp_path / "copy" / name).write_bytes(content)
    downloaded = {"data_files": str(tmp_path / "copy" / "data-*.arrow"), "cache_dir": str(tmp_path / "cache")}
    rows = load_dataset("arrow", split="train", **downloaded)
    assert rows["answer"][:] == load_from_disk(str(tmp_path / "copy"))["answer"][:]
    again = GenerateOptions(output_path=str(questions), num_samples=41, num_workers=1, overwrite=True)
    assert generate(again) == questions, "a card is part of a dataset, and goes with it"


def test_a_licence_that_nobody_named_is_not_known_and_somebodys_page_stays(questions, capsys):
    (questions / "README.md").write_text("mine")
    assert card(questions) == 1
    assert "must be a card that rfm wrote" in capsys.readouterr().err
    assert card(questions, "--overwrite", "--evaluation", "r.json") == 1
    assert "`evaluation` must go with a checkpoint" in capsys.readouterr().err
    assert card(questions, "--overwrite") == 0
    text = (questions / "README.md").read_text()
    assert "license: unknown" in text
    assert "Not known: it is that of the videos" in text
