"""A server's model is replaced by one that sees another size: no answer is of frames that were kept for the first."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scored_clips import film
from serving.served import TASK, npy, running

import rfm
from rfm.cli import run_command
from rfm.errors import DataError
from rfm.frames.npz.file import write_npz
from rfm.scoring.remote.client import RewardClient
from rfm.scoring.reward_model import RewardModel
from rfm.scoring.seen_as import OtherSizeError

SHIPPED = Path(rfm.__file__).parent / "model" / "weights_shipped" / "metaworld-small"
FRAMES = film(20, size=200)


class Replaced(NamedTuple):
    """A server of a model of 64 x 64 that `replace` makes one of 96 x 96, and that one in this process."""

    url: str
    file: Path
    folder: Path

    def client(self) -> RewardClient:
        """A client that knows the model that answers now."""
        client = RewardClient(self.url)
        assert client.seen_as is not None
        return client

    def replace(self, size: int = 96) -> RewardModel:
        config = json.loads((self.folder / "rfm_config.json").read_text())
        config |= {"resized_height": size, "resized_width": size}
        (self.folder / "rfm_config.json").write_text(json.dumps(config))
        with RewardClient(self.url) as one:
            assert one.reload()
            assert one.seen_as is not None
            assert one.seen_as.height == size
        return RewardModel.from_pretrained(self.folder, "cpu")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaced]:
    folder = tmp_path_factory.mktemp("another_size")
    shutil.copytree(SHIPPED, folder / "model")
    for name in ("known_answers.json", "checkpoint_files.json"):  # which say that the size is 64
        (folder / "model" / name).unlink(missing_ok=True)
    write_npz(folder / "clip.npz", FRAMES)
    with running(folder / "server", "--model", str(folder / "model")) as one:
        yield Replaced(one.url, folder / "clip.npz", folder / "model")


@pytest.fixture(autouse=True)
def of_64(served: Replaced) -> None:
    config = json.loads((served.folder / "rfm_config.json").read_text())
    if config["resized_height"] != 64:
        served.replace(64)


def test_files_are_read_anew_in_the_size_of_the_model_that_answers(served: Replaced) -> None:
    clients = [served.client() for _ in range(3)]
    before = clients[0].progress(served.file, TASK).expected

    async def asked() -> tuple[RewardModel, Any]:
        async with rfm.AsyncRewardClient(served.url) as one:
            await one.description()
            model = await asyncio.to_thread(served.replace)
            return model, (await one.progress(served.file, TASK)).expected

    model, asynchronous = asyncio.run(asked())
    wanted = model.progress(served.file, TASK).expected
    assert abs(wanted - before) > 1e-5
    found = [
        asynchronous,
        clients[0].progress(served.file, TASK).expected,
        clients[1].curve(served.file, TASK, points=2).expected[-1],
    ]
    assert found == pytest.approx([wanted] * 3, abs=2e-6)
    pair = clients[2].prefer(served.file, FRAMES[:5], TASK)
    assert pair.a == pytest.approx(model.prefer(served.file, FRAMES[:5], TASK).a, abs=2e-6)


def test_a_command_that_has_read_a_recording_reads_it_anew(
    served: Replaced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rfm.scoring.videos.recordings import Recording

    read, models = Recording.read, []

    def and_then_it_is_replaced(self: Recording, options: Any) -> Any:
        clip = read(self, options)
        models.extend([] if models else [served.replace()])
        return clip

    monkeypatch.setattr(Recording, "read", and_then_it_is_replaced)
    words = [str(served.file), "--task", TASK, "--server", served.url, "--output", str(tmp_path / "scores.jsonl")]
    assert run_command(("score",), words, "rfm score") == 0
    last = json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[-1])
    assert last["progress"] == pytest.approx(models[0].progress(served.file, TASK).expected, abs=2e-6)


REPLACED = (
    r"the frames so far must be in the size in which the model sees them, 96 x 96 \(\w+\), but were kept in 64 x 64 "
    r"\(\w+\): the model was replaced; begin anew by `reset\(\)`"
)


def test_a_tracker_begins_anew(served: Replaced) -> None:
    old, fresh = (served.client().tracker(TASK) for _ in range(2))
    for frame in FRAMES[:3]:
        old.update(frame)
    model = served.replace()
    for frame in FRAMES[3:5]:  # as often as it is tried, and never what numpy says of two sizes
        with pytest.raises(OtherSizeError, match=REPLACED):
            old.update(frame)
    assert len(old) == 3
    old.reset()
    for tracker in (old, fresh):
        said = [tracker.update(frame).expected for frame in FRAMES[:3]]
        assert said == pytest.approx(model.curve(FRAMES[:3], TASK).expected.tolist(), abs=2e-6)


def test_a_wrapper_begins_anew(served: Replaced) -> None:
    pytest.importorskip("gymnasium", reason="the referee belongs to the RL wrappers")
    from rfm.rl.payment import Rules
    from rfm.rl.referee import Referee

    old, fresh = (Referee(served.client(), [TASK], Rules(every=1, mode="absolute")) for _ in range(2))

    def paid(referee: Referee, frame: np.ndarray) -> float:
        referee.due([0], [])
        return referee.pay([0], {0: frame}, [], [])[0].reward

    old.begin({0: FRAMES[0]})
    paid(old, FRAMES[1])
    model = served.replace()
    for frame in FRAMES[2:4]:
        with pytest.raises(DataError, match=REPLACED):
            paid(old, frame)
    for referee in (old, fresh):
        first = referee.begin({0: FRAMES[0]})[0].progress
        said = [first, *(paid(referee, frame) for frame in FRAMES[1:3])]
        assert said == pytest.approx(model.curve(FRAMES[:3], TASK).expected.tolist(), abs=2e-6)


def test_a_buffer_is_relabelled_by_one_model(served: Replaced) -> None:
    pytest.importorskip("gymnasium", reason="relabelling belongs to the RL wrappers")
    from rfm.rl import relabel

    given = {"task": TASK, "terminated": np.arange(19) == 18, "every": 6}
    client = served.client()
    model = served.replace()
    own = relabel(model, FRAMES[:-1], FRAMES[1:], **given)
    assert relabel(client, FRAMES[:-1], FRAMES[1:], **given).tolist() == pytest.approx(own.tolist(), abs=4e-6)


def test_a_session_is_closed(served: Replaced) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(served.url.replace("http", "ws") + "/v1/track") as socket:
        socket.send(json.dumps({"task": TASK}))
        socket.recv()
        socket.send(npy(FRAMES[0]))
        socket.recv()
        served.replace()
        socket.send(npy(FRAMES[1]))
        with pytest.raises(ConnectionClosed, match=r"1012.*the model was replaced by one that sees frames otherwise"):
            socket.recv()
