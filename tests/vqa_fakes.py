"""A fake VQA dataset: a bright square that walks across the frame; its place is the progress."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Sequence, Value

PREFERENCE_PROMPT = (
    "Given these two robot videos, which one makes the most progress towards solving the task, Video 1 or 2?"
    " Format your answer as: ANS: 1/2\n\nTask: {task}"
)
PROGRESS_PROMPT = (
    "Given the task, assign an integer-valued progress score from 0 to 100 for the robot in the video in the format:"
    " ANS: score\n\nTask: {task}"
)

INT = Sequence(Value("int32"))
FEATURES = Features(
    {name: Value("string") for name in ("sample_type", "prompt", "answer", "task", "data_source", "data_gen_strategy")}
    | {f"{prefix}npz_path": Value("string") for prefix in ("", "first_", "second_", "reference_")}
    | {f"{prefix}frame_indices": INT for prefix in ("", "first_", "second_", "reference_")}
    | {f"{prefix}frames_shape": INT for prefix in ("", "first_", "second_", "reference_")}
)


def walking_square(frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
    video = rng.integers(0, 60, (frames, size, size, 3), dtype=np.uint8)
    side = size // 4
    row = int(rng.integers(0, size - side))
    for index in range(frames):
        column = round(index / (frames - 1) * (size - side))
        video[index, row : row + side, column : column + side] = (250, 200, 40)
    return video


def write_frames(
    root: Path, episodes: int, frames: int = 16, size: int = 32, seed: int = 0, levels: tuple[int, ...] = ()
) -> list[str]:
    """Write walking squares, or plain frames where `levels` gives each episode's grey level."""
    rng = np.random.default_rng(seed)
    paths = []
    for episode in range(episodes):
        path = f"fake/frames/trajectory_{episode}.npz"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        video = (
            np.full((frames, size, size, 3), levels[episode], np.uint8) if levels else walking_square(frames, size, rng)
        )
        np.savez(root / path, frames=video, shape=np.array(video.shape), num_frames=frames)
        paths.append(path)
    return paths


def row(sample_type: str, answer: str, prompt: str, **clips: tuple[str, list[int]]) -> dict:
    values = dict.fromkeys(FEATURES)
    values |= {"sample_type": sample_type, "prompt": prompt, "answer": answer, "task": "push", "data_source": "fake"}
    for prefix, (path, indices) in clips.items():
        prefix = "" if prefix == "clip" else f"{prefix}_"
        values |= {f"{prefix}npz_path": path, f"{prefix}frame_indices": indices}
        values[f"{prefix}frames_shape"] = [len(indices), 32, 32, 3]
    return values


def indices(end: int, shown: int = 4) -> list[int]:
    return [int(i) for i in np.linspace(0, end, shown).round()]


def preference_row(paths: list[str], rng: np.random.Generator, frames: int = 16) -> dict:
    first, second = rng.permutation(frames)[:2]
    chosen = [str(path) for path in rng.choice(paths, 2)]
    prompt = PREFERENCE_PROMPT.format(task="push the button")
    clips = {"first": (chosen[0], indices(first)), "second": (chosen[1], indices(second))}
    return row("preference", "1" if first > second else "2", prompt, **clips)


def progress_row(paths: list[str], rng: np.random.Generator, frames: int = 16) -> dict:
    end = int(rng.integers(0, frames))
    answer = str(int(100 * (end + 1) / frames + 0.5))
    return row(
        "progress", answer, PROGRESS_PROMPT.format(task="push the button"), clip=(str(rng.choice(paths)), indices(end))
    )


def similarity_row(paths: list[str], rng: np.random.Generator) -> dict:
    clips = {name: (str(rng.choice(paths)), indices(15)) for name in ("reference", "first", "second")}
    return row("similarity", "1", "Which video is nearer to the reference?", **clips)


def write_dataset(folder: Path, root: Path, rows: list[dict]) -> Path:
    Dataset.from_list(rows, features=FEATURES).save_to_disk(str(folder))
    (folder / "generation_config.json").write_text(json.dumps({"datasets_root": str(root)}))
    return folder


def fake_dataset(folder: Path, rows: int, episodes: int = 8, seed: int = 0, size: int = 32) -> Path:
    paths = write_frames(folder / "root", episodes, size=size)
    rng = np.random.default_rng(seed)
    made = [(preference_row if index % 3 else progress_row)(paths, rng) for index in range(rows)]
    return write_dataset(folder / f"vqa_{seed}", folder / "root", made)
