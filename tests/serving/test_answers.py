"""A served value is the number that the model gives by itself, whoever asks and however the clip is sent."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from marked_frames import write_marked
from PIL import Image
from scored_clips import film
from serving.served import TASK, Served, npy

import rfm
from rfm.cli import run_command
from rfm.frames.npz.file import write_npz
from rfm.scoring.given_frames import read_clip
from rfm.scoring.remote.client import RewardClient
from rfm.scoring.remote.wire import curve_from_json, preference_from_json, progress_from_json
from rfm.scoring.reward_model import RewardModel


def close(one: Any, other: Any) -> None:
    assert one == pytest.approx(other, abs=1e-5)


def same(one: Any, other: Any) -> None:
    assert (one.task, one.frame, one.shown, one.success) == (other.task, other.frame, other.shown, other.success)
    close(one.probabilities, other.probabilities)
    close([one.expected, one.median, one.leftover], [other.expected, other.median, other.leftover])


@pytest.mark.parametrize("count", [1, 2, 4, 11])
def test_progress(server: Served, direct: RewardModel, count: int) -> None:
    frames = film(count, seed=count)
    answer = server.ask(clip=npy(frames))
    assert answer.status_code == 200, answer.text
    same(progress_from_json(answer.json()), direct.progress(frames, TASK))


def test_a_curve_longer_than_a_piece(server: Served, direct: RewardModel) -> None:
    frames = film(37)
    answer = server.post("/v1/curve", data={"task": TASK}, files={"clip": npy(frames)})
    served, own = curve_from_json(answer.json()), direct.curve(frames, TASK)
    assert (served.frames.tolist(), served.shown, served.seconds) == (own.frames.tolist(), own.shown, None)
    assert served.success.tolist() == own.success.tolist()
    close(served.distribution.probabilities, own.distribution.probabilities)
    few = {"task": TASK, "points": "3", "frame_choice": "nested"}
    answer = server.post("/v1/curve", data=few, files={"clip": npy(frames)})
    nested = curve_from_json(answer.json())
    assert nested.shown == direct.curve(frames, TASK, points=3, frame_choice="nested").shown
    assert nested.frames.tolist() == [0, 18, 36]


def test_a_curve_of_a_clip_of_which_only_what_is_shown_is_sent(
    server: Served, client: RewardClient, direct: RewardModel
) -> None:
    frames = film(1000, size=40)  # the server takes 600
    served, own = client.curve(frames, TASK, points=3), direct.curve(frames, TASK, points=3)
    assert (served.frames.tolist(), served.shown) == (own.frames.tolist(), own.shown)
    close(served.distribution.probabilities, own.distribution.probabilities)
    assert served.success.tolist() == own.success.tolist()
    nested = [one.curve(frames, TASK, points=2, frame_choice="nested") for one in (client, direct)]
    assert nested[0].shown == nested[1].shown
    close(nested[0].expected, nested[1].expected)
    few = film(6)
    said = {"task": TASK, "shown": "[[0, 2], [1, 3, 5]]"}
    answer = server.post("/v1/curve", data=said, files={"clip": npy(few)}).json()
    assert (answer["frames"], answer["shown"]) == ([2, 5], [[0, 2], [1, 3, 5]])
    close(answer["expected"], [direct.progress(few[at], TASK).expected for at in ([0, 2], [1, 3, 5])])


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("[]", "`shown` must be a list of ascending lists of whole numbers from 0 on, but is []"),
        ("[[0, 1], []]", "`shown` must be a list of ascending lists"),
        ("[[1, 0]]", "`shown` must be a list of ascending lists"),
        ("[0, 1]", "`shown` must be a list of ascending lists"),
        ("[[0, 1.5]]", "`shown` must be a list of ascending lists"),
        ("[[0, 6]]", "`shown` must name frames of the clip, which has 6, but names 6"),
        ("[[3], [2]]", "`shown` must be of points whose last frames ascend, but do not"),
        (json.dumps([[0]] * 601), "`shown` must be of at most 600 points, but is of 601"),
    ],
)
def test_points_that_cannot_be(server: Served, shown: str, text: str) -> None:
    answer = server.post("/v1/curve", data={"task": TASK, "shown": shown}, files={"clip": npy(film(6))})
    assert (answer.status_code, text in answer.json()["detail"]) == (422, True), answer.text
    for more in ({"points": "1"}, {"frame_choice": "nested"}):
        both = {"task": TASK, "shown": "[[0]]", **more}
        answer = server.post("/v1/curve", data=both, files={"clip": npy(film(6))})
        assert answer.json()["detail"].startswith("`points` and `frame_choice` must be left out with `shown`, which")


def test_preference(server: Served, direct: RewardModel) -> None:
    a, b = film(9), film(5, seed=1)
    answer = server.ask("/v1/preference", a=npy(a), b=npy(b))
    served, own = preference_from_json(answer.json()), direct.prefer(a, b, TASK)
    close([served.a, *served.by_order, served.leftover], [own.a, *own.by_order, own.leftover])


@pytest.mark.parametrize("kind", ["video.mp4", "stored.npz", "compressed.npz", "jpeg.npz"])
def test_files_are_read_as_the_model_reads_them(server: Served, direct: RewardModel, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if path.suffix == ".npz":
        write_npz(path, film(90), path.stem)
    else:
        write_marked(path, 127)
    answer = server.ask(clip=path.read_bytes())
    assert answer.status_code == 200, answer.text
    same(progress_from_json(answer.json()), direct.progress(path, TASK))
    curve = curve_from_json(
        server.post("/v1/curve", data={"task": TASK, "points": "3"}, files={"clip": path.read_bytes()}).json()
    )
    own = direct.curve(path, TASK, points=3)
    assert curve.frames.tolist() == own.frames.tolist()
    assert (None if curve.seconds is None else curve.seconds.tolist()) == (
        None if own.seconds is None else own.seconds.tolist()
    )


@pytest.mark.parametrize("channels", [[0], [0, 1, 2], [0, 1, 2, 0]], ids=["grey", "rgb", "transparent"])
@pytest.mark.parametrize("kind", ["a.npy", "a.npz"])
def test_files_of_arrays_are_one_number(
    server: Served, client: RewardClient, direct: RewardModel, tmp_path: Path, kind: str, channels: list[int]
) -> None:
    path, frames = tmp_path / kind, film(90 if kind == "a.npy" else 60)[..., channels]
    np.save(path, frames) if kind == "a.npy" else np.savez(path, frames=frames)
    wanted = direct.progress(frames, TASK)
    answer = server.ask(clip=path.read_bytes())
    assert answer.status_code == 200, answer.text
    for found in (progress_from_json(answer.json()), direct.progress(path, TASK), client.progress(path, TASK)):
        same(found, wanted)


def test_json_with_base64_and_numbers_of_frames(server: Served, direct: RewardModel) -> None:
    frames = film(3)
    said = {
        "task": TASK,
        "clip": base64.b64encode(npy(frames)).decode(),
        "frame_numbers": [4, 9, 20],
        "actor": "person",
    }
    answer = server.post("/v1/progress", json=said | {"seconds": [0, 0.5, 2]}).json()
    assert (answer["frame"], answer["shown"]) == (20, [4, 9, 20])
    close(answer["expected"], direct.progress(frames, TASK, actor="person").expected)


def test_fortran_order_grey_and_single_frames(server: Served, direct: RewardModel) -> None:
    frames = film(4)
    own = direct.progress(frames, TASK).expected
    close(server.ask(clip=npy(np.asfortranarray(frames))).json()["expected"], own)
    grey = frames[..., :1]
    close(server.ask(clip=npy(grey)).json()["expected"], direct.progress(grey, TASK).expected)
    close(server.ask(clip=npy(frames[0])).json()["expected"], direct.progress(frames[0], TASK).expected)


def test_the_client_is_a_reward_model(client: RewardClient, direct: RewardModel, tmp_path: Path) -> None:
    video, frames = write_marked(tmp_path / "long.mp4", 127), film(9, size=64)
    same(client.progress(video, TASK), direct.progress(video, TASK))
    curve, own = client.curve(video, TASK, points=5), direct.curve(video, TASK, points=5)
    assert (curve.seconds.tolist(), curve.shown) == (own.seconds.tolist(), own.shown)
    close(curve.expected, own.expected)
    close(client.prefer(frames, frames[:3], TASK).a, direct.prefer(frames, frames[:3], TASK).a)
    two = client.progress([frames, video], tasks=[TASK, "close the drawer"], batch_size=2)
    for served, direct_one in zip(two, direct.progress([frames, video], tasks=[TASK, "close the drawer"]), strict=True):
        same(served, direct_one)
    assert (client.name, client.max_frames, client.discrete) == ("metaworld-small", direct.max_frames, False)


def test_a_tracker_of_a_client(client: RewardClient, direct: RewardModel) -> None:
    ours, own = client.tracker(TASK), direct.tracker(TASK)
    for frame in film(6, size=64):
        same(ours.update(frame), own.update(frame))


def test_errors_of_the_client_are_those_of_the_model(client: RewardClient) -> None:
    with pytest.raises(rfm.RfmError, match=r"`frames` must be uint8, from 0 to 255, but is float64"):
        client.progress(np.zeros((2, 8, 8, 3)), TASK)
    with pytest.raises(rfm.RfmError, match=r"`task` must have at most 2000 characters, but has 3000"):
        client.progress(film(2), "x" * 3000)
    with pytest.raises(rfm.RfmError, match="`points` must be at least 1, but is 0"):
        client.curve(film(2), TASK, points=0)


def test_the_asynchronous_client(server: Served, direct: RewardModel) -> None:
    clips = [film(count, seed=count) for count in (2, 5, 4, 4)]

    async def ask() -> Any:
        async with rfm.AsyncRewardClient(server.url) as client:
            both = client.progress(clips, tasks=[TASK] * 4), client.prefer(clips[0], clips[1], TASK)
            return [*await asyncio.gather(*both), await client.curve(clips[1], TASK)]

    found, pair, curve = asyncio.run(ask())
    for served, own in zip(found, direct.progress(clips, tasks=[TASK] * 4), strict=True):
        same(served, own)
    close(pair.a, direct.prefer(clips[0], clips[1], TASK).a)
    close(curve.expected, direct.curve(clips[1], TASK).expected)


def test_scored_and_wrapped_through_the_server(
    server: Served, client: RewardClient, direct: RewardModel, tmp_path: Path
) -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="the RL wrapper needs gymnasium")
    from rfm.rl import RewardWrapper

    frames = film(3, size=64)

    class Shown(gymnasium.Env):  # type: ignore[misc, name-defined]
        observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)
        at = 0

        def reset(self, **given: Any) -> Any:
            self.at = 0
            return frames[0], {}

        def step(self, action: Any) -> Any:
            self.at += 1
            return frames[self.at], 0.0, self.at == 2, False, {}

    env = RewardWrapper(Shown(), client, TASK, camera=lambda seen: seen, every=1)
    env.reset()
    env.step(0)
    wrapped = env.step(0)[-1]["progress"]
    write_npz(tmp_path / "clip.npz", frames)
    lines = {}
    for name, flags in (("served", ["--server", server.url]), ("scored", ["--device", "cpu"])):
        output = tmp_path / f"{name}.jsonl"
        words = [str(tmp_path / "clip.npz"), "--task", TASK, "--output", str(output), *flags]
        assert run_command(("score",), words, "rfm score") == 0
        lines[name] = [json.loads(line) for line in output.read_text().splitlines()]
    assert [one["frame"] for one in lines["served"]] == [one["frame"] for one in lines["scored"]] == [0, 1, 2]
    close([one["progress"] for one in lines["served"]], [one["progress"] for one in lines["scored"]])
    asked = server.ask(clip=npy(frames)).json()["expected"]
    close([wrapped, lines["served"][-1]["progress"], asked], [direct.progress(frames, TASK).expected] * 3)


def test_a_server_and_a_model_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["a.mp4", "--task", TASK, "--server", "http://127.0.0.1:1", "--device", "cpu"]
    assert run_command(("score",), words, "rfm score") == 1
    assert "`server` must stand without --model and --device" in capsys.readouterr().err


def test_spaces_around_a_task_are_no_part_of_it(server: Served, client: RewardClient, direct: RewardModel) -> None:
    frames, spaced = film(3), f"  {TASK} \n"
    own = direct.progress(frames, TASK)
    assert abs(direct.progress(frames, TASK.replace(" ", "  ")).expected - own.expected) > 1e-6
    close_to_it = pytest.approx(own.expected, abs=1e-7)
    assert client.progress(frames, spaced).expected == close_to_it
    assert client.tracker(spaced).update(frames).expected == close_to_it
    assert server.ask(task=spaced, clip=npy(frames)).json()["expected"] == close_to_it
    said = {"task": spaced, "clip": base64.b64encode(npy(frames)).decode()}
    assert server.post("/v1/progress", json=said).json()["expected"] == close_to_it


def test_a_live_session(server: Served, direct: RewardModel) -> None:
    from websockets.sync.client import connect

    frames = film(5, size=64)
    tracker = direct.tracker(TASK)
    with connect(server.url.replace("http", "ws") + "/v1/track") as socket:
        socket.send(json.dumps({"task": TASK}))
        assert json.loads(socket.recv())["model"]["name"] == "metaworld-small"
        for frame in frames[:3]:
            socket.send(npy(frame))
            same(progress_from_json(json.loads(socket.recv())), tracker.update(frame))
        socket.send(b"no picture")
        assert "frame 3 must be a JPEG or PNG picture" in json.loads(socket.recv())["detail"]
        socket.send(npy(film(1, size=32)[0]))
        wrong = "frame 3 must have the size of those before, 64 x 64, but has 32 x 32; reset begins a new episode"
        assert json.loads(socket.recv()) == {"detail": wrong, "status": 422}
        socket.send(npy(frames[3:]))
        assert json.loads(socket.recv())["frame"] == 4
        socket.send(json.dumps({"reset": True}))
        assert json.loads(socket.recv()) == {"reset": True}
        picture = io.BytesIO()
        Image.fromarray(frames[0]).save(picture, "PNG")
        socket.send(picture.getvalue())
        close(json.loads(socket.recv())["expected"], direct.progress(frames[0], TASK).expected)


def test_many_at_once_are_told_apart_by_two_workers(client: RewardClient, direct: RewardModel) -> None:
    clips = [film(2 + seed % 4, seed=seed) for seed in range(40)]
    tasks = [TASK, "close the drawer"] * 20
    served = client.progress(clips, tasks=tasks)
    for one, own in zip(served, direct.progress(clips, tasks=tasks), strict=True):
        same(one, own)


def test_a_clip_is_a_clip_whoever_reads_it(client: RewardClient, tmp_path: Path) -> None:
    video = write_marked(tmp_path / "long.mp4", 127)
    clip = read_clip(video, client.reading)
    assert client.progress(clip, TASK).shown == client.progress(video, TASK).shown
