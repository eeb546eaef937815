"""Robometer's protocol, asked as its example client asks: the request is built byte by byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scored_clips import film
from serving.served import TASK, Served, form, npy, request, status_of

from rfm.scoring.reward_model import RewardModel


def trajectory(number: int, key: str, task: str = TASK) -> dict[str, Any]:
    """As that client dumps one: the arrays by the names of their files, and much that is not used."""
    return {
        "frames": {"__numpy_file__": f"sample_{number}_{key}_frames"},
        "frames_shape": [5, 48, 48, 3],
        "task": task,
        "id": "0",
        "metadata": {"subsequence_length": 5},
        "video_embeddings": None,
        "lang_vector": None,
    }


def sample(number: int, kind: str, *clips: np.ndarray) -> list[tuple[str, str | None, bytes]]:
    """The parts of a sample: its files, and its JSON."""
    keys = ["trajectory"] if kind == "progress" else ["chosen_trajectory", "rejected_trajectory"]
    said = {"sample_type": kind, **{key: trajectory(number, key) for key in keys}}
    files: list[tuple[str, str | None, bytes]] = [
        (f"sample_{number}_{key}_frames", f"sample_{number}_{key}_frames.npy", npy(clip))
        for key, clip in zip(keys, clips, strict=True)
    ]
    return [*files, (f"sample_{number}", None, json.dumps(said).encode())]


def evaluated(server: Served, parts: list[tuple[str, str | None, bytes]]) -> Any:
    answer = server.sends(request("/evaluate_batch_npy", *form(parts)), 120)
    assert status_of(answer) == 200, answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def success_of(direct: RewardModel, clip: np.ndarray) -> list[float]:
    curve = direct.curve(clip, TASK)
    return curve.distribution.probabilities[:, curve.distribution.answers >= 0.9 - 1e-9].sum(axis=1).tolist()


@pytest.mark.parametrize("steps", ["true", "false", None])
def test_progress_of_every_frame(server: Served, direct: RewardModel, steps: str | None) -> None:
    clips = [film(5), film(18, seed=1)]
    parts = [part for number, clip in enumerate(clips) for part in sample(number, "progress", clip)]
    said = evaluated(server, parts if steps is None else [*parts, ("use_frame_steps", None, steps.encode())])
    assert said["outputs_preference"] is None
    for served, likely, clip in zip(
        said["outputs_progress"]["progress_pred"], said["outputs_success"]["success_probs"], clips, strict=True
    ):
        assert len(served) == len(likely) == len(clip)
        assert served == pytest.approx(direct.curve(clip, TASK).expected.tolist(), abs=1e-5)
        assert likely == pytest.approx(success_of(direct, clip), abs=1e-5)
        assert all(0 <= value <= 1 for value in [*served, *likely])


def test_preferences(server: Served, direct: RewardModel) -> None:
    a, b = film(6), film(4, seed=3)
    said = evaluated(server, [*sample(0, "preference", a, b), *sample(1, "preference", b, a)])
    own = [direct.prefer(a, b, TASK).a, direct.prefer(b, a, TASK).a]
    assert said["outputs_preference"]["prediction_probs"] == pytest.approx(own, abs=1e-5)
    assert said["outputs_preference"]["predictions"] == [int(share > 0.5) for share in own]
    assert said["outputs_preference"]["preference_labels"] == [1, 1]
    assert said["outputs_progress"] == {"progress_pred": []}
    assert said["outputs_success"] == {"success_probs": []}


def test_a_mixed_batch_keeps_its_order(server: Served, direct: RewardModel) -> None:
    clips = [film(3, seed=seed) for seed in range(4)]
    parts = [
        *sample(0, "progress", clips[0]),
        *sample(1, "preference", clips[1], clips[2]),
        *sample(2, "progress", clips[3]),
    ]
    said = evaluated(server, parts)
    ends = [values[-1] for values in said["outputs_progress"]["progress_pred"]]
    assert ends == pytest.approx([direct.progress(clips[at], TASK).expected for at in (0, 3)], abs=1e-5)
    [share] = said["outputs_preference"]["prediction_probs"]
    assert share == pytest.approx(direct.prefer(clips[1], clips[2], TASK).a, abs=1e-5)


def test_samples_as_json(server: Served, direct: RewardModel) -> None:
    clip = film(3, size=8)
    said = {"sample_type": "progress", "trajectory": {"frames": clip.tolist(), "task": TASK}}
    for body in ([said], {"samples": [said], "use_frame_steps": True}):
        answer = server.post("/evaluate_batch", json=body)
        [values] = answer.json()["outputs_progress"]["progress_pred"]
        assert values == pytest.approx(direct.curve(clip, TASK).expected.tolist(), abs=1e-5)


def test_what_its_clients_look_at(server: Served) -> None:
    assert server.get("/health").json() == {"status": "healthy", "available_gpus": 2, "total_gpus": 2}
    ready = {str(at): {"device": f"cpu:{at}", "status": "ready"} for at in range(2)}
    assert server.get("/gpu_status").json() == {"total_gpus": 2, "available_gpus": 2, "gpu_stats": ready}
    info = server.get("/model_info").json()
    assert (info["model_path"], info["num_gpus"]) == ("metaworld-small", 2)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (sample(0, "similarity", film(2), film(2)), "`sample_0` must have a `sample_type` of progress or preference"),
        (sample(1, "progress", film(2)), "samples must be numbered from 0 on without a gap"),
        (sample(0, "progress", film(2))[1:], "there is no `sample_0_trajectory_frames`"),
        ([("sample_0", None, b"{")], "`sample_0` must be JSON"),
        ([("sample_0", None, b"3")], "`sample_0` must have a `sample_type`"),
        ([*sample(0, "progress", film(2)), ("use_frame_steps", None, b"maybe")], "`use_frame_steps` must be true or"),
        (
            [("sample_0_trajectory_frames", "frames.txt", npy(film(2))), sample(0, "progress", film(2))[1]],
            "end in .npy",
        ),
        ([("sample_0_trajectory_frames", "x.npy", b"PK\3\4"), sample(0, "progress", film(2))[1]], "must be an .npy"),
        (sample(0, "progress", film(2).astype(np.float32)), "must be uint8, from 0 to 255, but is float32"),
        ([], "a batch must have 1 to 256 samples, but has 0"),
    ],
)
def test_what_can_t_be_answered_is_said(server: Served, parts: list[tuple[str, str | None, bytes]], words: str) -> None:
    answer = server.sends(request("/evaluate_batch_npy", *form(parts)))
    assert status_of(answer) == 422, answer
    assert words in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


def test_json_samples_that_are_none(server: Served) -> None:
    def asked(frames: Any) -> str:
        said = {"sample_type": "progress", "trajectory": {"frames": frames, "task": TASK}}
        answer = server.post("/evaluate_batch", json=[said])
        assert answer.status_code == 422
        return str(answer.json()["detail"])

    assert "must be of one shape" in asked([[1, 2], [3]])
    assert "must be uint8, from 0 to 255, but is int64" in asked([[[[300, 0, 0]]]])
    assert "must be uint8, from 0 to 255, but is float64" in asked([[[[0.5, 0, 0]]]])
    assert "nested lists, but is neither" in asked("frames.npy")
    assert server.post("/evaluate_batch", json={"samples": 3}).status_code == 422
    assert server.post("/evaluate_batch", json=[]).status_code == 422
