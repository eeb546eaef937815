from pathlib import Path

import av
import numpy as np
import pytest
from datasets import Dataset

from rfm.audit.reading.files import MISSING, OUTSIDE, UNCOUNTED, UNREADABLE, check_files
from rfm.audit.reading.questions import read_questions
from rfm.frames.npz.file import FORMS, write_npz

FRAMES = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), dtype=np.uint8)


def report(root: Path, shown: list[tuple[str, list[int]]], num_frames: dict[str, int] | None = None):
    rows = {
        "sample_type": ["progress"] * len(shown),
        "prompt": [""] * len(shown),
        "answer": ["0"] * len(shown),
        "npz_path": [path for path, _ in shown],
        "frame_indices": [frames for _, frames in shown],
    }
    questions = read_questions(Dataset.from_dict(rows))
    known = [(num_frames or {}).get(path, UNCOUNTED) for path in questions.paths]
    return check_files(root, questions, np.array(known, np.int64)), questions


@pytest.mark.parametrize("form", FORMS)
def test_files_of_every_form_are_readable(tmp_path, form):
    write_npz(tmp_path / "a.npz", FRAMES, form)
    found, _ = report(tmp_path, [("a.npz", [0, 8]), ("a.npz", [3])])
    assert (found.files, found.reasons, found.kinds, found.uncounted) == (1, {}, {}, 0)
    assert not found.bad_rows.any()


def test_faults_are_told_apart_and_rows_counted(tmp_path):
    for name in ("good", "short", "pickled"):
        write_npz(tmp_path / f"{name}.npz", FRAMES)
    (tmp_path / "short.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:-200])
    np.savez(tmp_path / "pickled.npz", frames=np.array([{}], object))
    shown = [
        ("good.npz", [0, 9]),
        ("good.npz", [-1, 2]),
        ("good.npz", [8]),
        ("none.npz", [0]),
        ("none.npz", [1]),
        ("short.npz", [0]),
        ("pickled.npz", [0]),
        ("../good.npz", [0]),
    ]
    found, questions = report(tmp_path, shown)
    assert found.kinds == {MISSING: 2, UNREADABLE: 3, OUTSIDE: 2}
    assert found.bad_rows.tolist() == [True, True, False, True, True, True, True, True]
    assert (found.files, found.share) == (5, 0.8)
    reasons = {questions.paths[code]: text for code, (_, text) in found.reasons.items()}
    assert "must exist, but does not" in reasons["none.npz"]
    assert "must be a readable .npz" in reasons["short.npz"]
    assert "is a pickled array, which is never loaded" in reasons["pickled.npz"]
    assert "must lie under the datasets root" in reasons["../good.npz"]


def test_a_video_is_as_long_as_its_trajectory_says(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "b.mp4").write_bytes(b"no video")
    unknown, _ = report(tmp_path, [("a.mp4", [0, 8]), ("b.mp4", [0])])
    assert (unknown.uncounted, unknown.kinds) == (1, {UNREADABLE: 1})
    known, _ = report(tmp_path, [("a.mp4", [0, 8]), ("a.mp4", [9])], {"a.mp4": 9})
    assert (known.uncounted, known.kinds) == (0, {OUTSIDE: 1})
