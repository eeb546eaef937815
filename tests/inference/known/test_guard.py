"""A server that shows something else than training showed is stopped before the first row."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from served_like_vllm import Served
from vqa_fakes import indices, row, write_frames

from rfm.errors import DataError, ServerError
from rfm.files import seal
from rfm.inference.answering.decoding import Decoding
from rfm.inference.known.answers import known_answers, read_known
from rfm.inference.known.guard import Guard
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.model.shipped import resolved
from rfm.model.trained_format import trained_format
from rfm.vqa.prompts import prompt


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The shipped model, as if it had been trained on clips of up to 33 frames."""
    folder = copytree(resolved("metaworld-small"), tmp_path_factory.mktemp("model") / "final")
    loaded = load_model(folder)
    form = replace(loaded.form, max_frames=33)
    (folder / "rfm_config.json").unlink()
    form.save(folder)
    known_answers(loaded, form).save(folder)
    seal.seal(folder)
    return folder


def check(folder, engine):
    Guard(folder, trained_format(str(folder)), as_video=engine.as_video).check(engine)


def test_a_server_that_shows_what_training_showed_passes(checkpoint, tmp_path, caplog):
    for is_vllm in (True, False):
        check(checkpoint, Served(checkpoint, tmp_path, is_vllm=is_vllm))
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING and "compared" in one.getMessage()]


LOOKS_LIKE = {
    "frames": "it keeps 32 frames of a video;",
    "fps": "it takes videos for ones of 1 frame a second in place of 2;",
    "size": "it shows frames in another size, or another number of them;",
    "mode": "it shows the frames in another mode (images in place of video, or the other way round);",
    "template": "its template puts videos into vision tags once more;",
    "jpeg": "pictures that lose something on the way (JPEG), another frame rate, other weights,",
}


@pytest.mark.parametrize("fault", LOOKS_LIKE)
def test_each_fault_is_stopped_and_named(checkpoint, tmp_path, fault):
    with pytest.raises(ServerError) as caught:
        check(checkpoint, Served(checkpoint, tmp_path, fault=fault))
    said = str(caught.value)
    assert LOOKS_LIKE[fault] in said
    assert said.endswith(
        f"; start it as `rfm serve-command {checkpoint}` says, or pass --no_server_check to go on all the same"
    )


def test_other_weights_are_stopped(checkpoint, tmp_path):
    engine = Served(checkpoint, tmp_path)
    weights = engine.loaded.model.model.language_model.layers[1].mlp.down_proj.weight
    weights.data[:8] *= 1.2
    with pytest.raises(ServerError, match=r"must answer 12 known questions as .* does, but differs by"):
        check(checkpoint, engine)


def test_without_known_answers_that_is_said(checkpoint, tmp_path, caplog):
    old = copytree(checkpoint, tmp_path / "old")
    (old / "known_answers.json").unlink()
    (old / "checkpoint_files.json").unlink()
    check(old, Served(old, tmp_path))
    assert "only the number of tokens was compared with the server's" in caplog.text


def test_damaged_known_answers_are_named(checkpoint, tmp_path):
    content = json.loads((checkpoint / "known_answers.json").read_text())
    content["answers"][3]["first"]["1"] = 2
    (tmp_path / "known_answers.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_known(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'known_answers.json'} `answers[3].first.1` must be a number from 0 to 1, but is 2"
    )


def test_the_guard_is_passed_before_the_first_row_and_once(checkpoint, tmp_path):
    path, *_ = write_frames(tmp_path, 1)
    asked = [row("progress", "5", prompt("progress", "push"), clip=(path, indices(15)))]
    engine = Served(checkpoint, tmp_path, fault="fps")
    engine.guard = lambda: check(checkpoint, engine)
    with pytest.raises(ServerError):
        engine.predict(asked, progress=False)
    engine.fault = None
    engine.predict(asked, progress=False)
    before = len(engine.asked)
    engine.predict(asked, progress=False)
    assert len(engine.asked) == before + 1


@pytest.mark.parametrize("kind", ["progress", "preference"])
def test_scored_through_begun_answers_equals_our_own(checkpoint, tmp_path, kind):
    """All 101 probabilities of a score, and both of a pair in both orders."""
    paths = write_frames(tmp_path, 2)
    names = {"progress": ("clip",), "preference": ("first", "second")}[kind]
    clips = {name: (paths[at], indices(15 - at)) for at, name in enumerate(names)}
    asked, how = [row(kind, "1", prompt(kind, "push"), **clips)], Decoding("scored", both_orders=True)
    [said] = Served(checkpoint, tmp_path, how).predict(asked, progress=False)
    [own] = Predictor.from_checkpoint(checkpoint, "cpu", datasets_root=tmp_path, decoding=how).predict(
        asked, progress=False
    )
    assert said.text == own.text
    assert said.probabilities == pytest.approx(own.probabilities, abs=1e-4)


def test_the_shipped_model_knows_what_it_answers():
    loaded, kept = load_model("metaworld-small"), read_known(Path(resolved("metaworld-small")))
    asked = known_answers(loaded, loaded.form)
    assert kept is not None
    assert kept.dtype == asked.dtype
    assert len(kept.answers) == len(asked.answers)
    for one, other in zip(kept.answers, asked.answers, strict=True):
        assert one.text == other.text
        assert one.first == pytest.approx(other.first, abs=1e-3)
    assert max(max(one.first.values()) for one in kept.answers) > 0.1
