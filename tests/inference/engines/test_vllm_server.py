"""A real vLLM, started by the line of `rfm serve-command` or in its own process, answers as checkpoints themselves do.

`make vllm-tests` makes its environment and names its Python in RFM_VLLM_PYTHON; without that these tests skip. The
model of `make demo` takes the place of one that is trained for seconds with RFM_VLLM_MODEL. What was equal is logged.
"""

import io
import json
import logging
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import vllm_in_process
from PIL import Image
from served_by_vllm import FEW, PYTHON, WHOLE, Shelf, server
from vqa_fakes import indices, row, write_dataset, write_frames

from rfm.cli import run_command
from rfm.errors import ServerError
from rfm.inference.answering.decoding import Decoding
from rfm.inference.engines import messages
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.known.guard import Guard
from rfm.inference.prediction import Prediction
from rfm.inference.predictor import Predictor
from rfm.model.trained_format import trained_format
from rfm.training.dataset import open_training_set
from rfm.vqa.prompts import prompt

ROWS, SCORED = 160, 48
"""Held-out rows that are asked, and how many of them for all probabilities."""
AT_ONCE = 16
CUT = "\ufffd"
"""A letter whose last bytes were not generated any more, as random weights end; vLLM leaves it out."""
NAMES = ("small", "padded", "images", "adapter", "merged", "qwen2_5")
logger = logging.getLogger(__name__)
pytestmark = pytest.mark.skipif(PYTHON is None, reason="vLLM needs an environment of its own: make vllm-tests")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    size = [f"--num_samples={ROWS}", "--max_frames=4", "--partition=eval", "--seed=3", "--num_workers=1"]
    assert run_command(("generate",), [f"--output_path={folder / 'held_out'}", *size], "rfm generate") == 0
    return Shelf(folder)


@pytest.fixture(scope="module")
def held_out(shelf):
    return shelf.folder / "held_out"


@pytest.fixture(scope="module")
def long(shelf):
    """Scores and pairs of clips of 2 to 64 frames, twice."""
    paths = write_frames(shelf.folder / "root", 4, frames=WHOLE, size=64)
    shown = [2, 3, 32, 33, 34, 40, 47, 48, 56, 63, 64]
    rows = [
        made
        for at, frames in enumerate(shown * 2)
        for clip, other in [((paths[at % 4], indices(63 - at, frames)), (paths[(at + 1) % 4], indices(50, frames)))]
        for made in (
            row("progress", "5", prompt("progress", "push"), clip=clip),
            row("preference", "1", prompt("preference", "push"), first=clip, second=other),
        )
    ]
    return write_dataset(shelf.folder / "long_clips", shelf.folder / "root", rows)


@pytest.fixture(scope="module", params=NAMES)
def served(request, shelf, tmp_path_factory):
    folder = shelf[request.param]
    with server(folder, tmp_path_factory.mktemp("server")) as url:
        yield folder, url


def engine(folder, url, root, method="greedy", **how):
    trained = trained_format(str(folder))
    return OpenAIEngine(url, folder.name, root, Decoding(method), trained=trained, **how)


def rows_of(dataset):
    data = open_training_set(dataset)
    return [data.rows[index] for index in range(len(data.rows))], data.root


def check_equal(said, folder, rows, root, method, how):
    own = Predictor.from_checkpoint(folder, "cpu", datasets_root=root, decoding=Decoding(method))
    answers = own.predict(rows, AT_ONCE, progress=False)
    texts, wanted = ([one.text.rstrip(CUT) for one in each] for each in (said, answers))
    equal = sum(one == other for one, other in zip(texts, wanted, strict=True))
    logger.info("%s %s, %s: %d of %d answers equal", folder.name, how, method, equal, len(rows))
    if method == "scored":
        off = [np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in zip(said, answers, strict=True)]
        logger.info("%s %s: probabilities within %.1e", folder.name, how, max(off))
        assert max(off) < 1e-4
    assert texts == wanted
    assert len(set(texts)) > 1


def test_every_answer_is_the_checkpoints_own(served, held_out):
    folder, url = served
    rows, root = rows_of(held_out)
    shown = engine(folder, url, root)
    Guard(folder, trained_format(str(folder)), as_video=shown.as_video).check(shown)
    check_equal(shown.predict(rows, AT_ONCE, progress=False), folder, rows, root, "greedy", "at a server")
    some = rows[:SCORED]
    said = engine(folder, url, root, "scored").predict(some, AT_ONCE, progress=False)
    check_equal(said, folder, some, root, "scored", "at a server")


@pytest.mark.parametrize("served", ["small"], indirect=True)
@pytest.mark.parametrize("method", ["greedy", "scored"])
def test_clips_of_more_than_32_frames_are_shown_whole(served, long, method):
    folder, url = served
    rows, root = rows_of(long)
    said = engine(folder, url, root, method).predict(rows, AT_ONCE, progress=False)
    check_equal(said, folder, rows, root, method, "with 2 to 64 frames")


@pytest.mark.parametrize("served", ["small"], indirect=True)
@pytest.mark.parametrize("method", ["greedy", "scored"])
def test_one_frame_is_no_video_there_and_that_is_said(served, long, method):
    folder, url = served
    rows, root = rows_of(long)
    one = {**rows[0], "npz_path": rows[0]["npz_path"], "frame_indices": rows[0]["frame_indices"][:1]}
    [said] = engine(folder, url, root, method).predict([one], progress=False)
    logger.info("one frame: %s", said.unreadable)
    assert said.unreadable.startswith("the server gave no answer: Error code: 400")


def as_jpeg(frame):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=95)
    return np.asarray(Image.open(file))


SHOWN_OTHERWISE = {
    "JPEG": (as_jpeg, {}, r"pictures that lose something on the way \(JPEG\)"),
    "size": (lambda frame: frame.repeat(2, 0).repeat(2, 1), {}, "it shows frames in another size, or another number"),
    "mode": (lambda frame: frame, {"as_video": False}, "it shows the frames in another mode"),
}


@pytest.mark.parametrize("served", ["small"], indirect=True)
@pytest.mark.parametrize("fault", SHOWN_OTHERWISE)
def test_what_is_shown_otherwise_is_stopped(served, tmp_path, monkeypatch, fault):
    folder, url = served
    change, how, said = SHOWN_OTHERWISE[fault]
    encoded = messages._encoded
    monkeypatch.setattr(messages, "_encoded", lambda frame: encoded(change(frame)))
    guard = Guard(folder, trained_format(str(folder)), as_video=True)
    with pytest.raises(ServerError, match=said) as caught:
        guard.check(engine(folder, url, tmp_path, **how))
    logger.info("%s: %s", fault, caught.value)


@pytest.mark.parametrize("served", ["small"], indirect=True)
def test_a_prompt_that_is_too_long_makes_its_row_unreadable(served, held_out):
    folder, url = served
    rows, root = rows_of(held_out)
    long = {**rows[0], "prompt": "z9" * 8000}
    [said] = engine(folder, url, root).predict([long], progress=False)
    assert said.unreadable.startswith("the server gave no answer: Error code: 400")


def with_videos(words, settings):
    at = words.index("--media-io-kwargs")
    return [*words[:at], "--media-io-kwargs", json.dumps({"video": settings}), *words[at + 2 :]]


def nested(folder, place):
    """A template as released, whose outer tags stay around videos."""
    text = (folder / "chat_template.jinja").read_text()
    file = place / "nested.jinja"
    file.write_text(text.replace("'<|video_pad|>'", "'<|vision_start|><|video_pad|><|vision_end|>'"))
    assert file.read_text() != text
    return ["--chat-template", str(file)]


STARTED_OTHERWISE = {
    "1 fps": (lambda words, *_: with_videos(words, {"num_frames": -1}), "it takes videos for ones of 1 frame a second"),
    "32 frames": (lambda words, *_: with_videos(words, {"fps": 2}), "it keeps 32 frames of a video;"),
    "vLLM's defaults": (
        lambda words, *_: with_videos(words, {}),
        "it keeps 32 frames of a video, and takes it for one of 1 frame a second",
    ),
    "template": (
        lambda words, *where: [*words, *nested(*where)],
        "its template puts videos into vision tags once more",
    ),
}


@pytest.mark.parametrize("fault", STARTED_OTHERWISE)
def test_a_server_that_is_started_otherwise_is_stopped(shelf, tmp_path, fault):
    folder = shelf["small"]
    change, said = STARTED_OTHERWISE[fault]
    guard = Guard(folder, trained_format(str(folder)), as_video=True)
    started = server(folder, tmp_path, lambda words: change(words, folder, tmp_path))
    with started as url, pytest.raises(ServerError, match=said) as caught:
        guard.check(engine(folder, url, tmp_path))
    logger.info("%s: %s", fault, caught.value)


@pytest.mark.parametrize("name", ["padded", "images", "qwen2_5"])
def test_vllm_in_its_own_process_answers_as_the_checkpoint(shelf, held_out, tmp_path, name):
    folder, answers = shelf[name], tmp_path / "answers.json"
    numbers = {"greedy": ROWS, "scored": SCORED}
    paths = os.pathsep.join(str(path) for path in (Path(__file__).parents[3], Path(vllm_in_process.__file__).parent))
    environment = {**os.environ, **FEW, "PYTHONPATH": paths, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    words = [PYTHON, vllm_in_process.__file__, str(folder), str(held_out), json.dumps(numbers), str(answers)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows, root = rows_of(held_out)
    for method, said in json.loads(answers.read_text()).items():
        found = [Prediction.from_json(one) for one in said]
        check_equal(found, folder, rows[: numbers[method]], root, method, "in process")
