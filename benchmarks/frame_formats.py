"""Frame formats compared on the bundled videos: bytes an episode, ms for 16 frames, ms to write, error of the pixels.

    python benchmarks/frame_formats.py [--episodes 24] [--frames 32] [--size 224] [--repeats 5]

The frames are decoded from the bundled mp4 files, enlarged to `--size` (what robot datasets usually have), and written
in each form; reading takes 16 evenly spaced frames. Files are in the page cache, so what is measured is decoding. The
error is the mean absolute difference from the frames before they were written, in grey levels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from rfm.frames.npz.file import write_npz
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames
from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import read_video
from rfm.frames.video.mp4 import write_mp4
from rfm.ingest.bundled import bundled_videos

VIDEOS = bundled_videos()
SHOWN = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    files = sorted(VIDEOS.rglob("*.mp4"))
    chosen = files[:: max(len(files) // options.episodes, 1)][: options.episodes]
    films = [load(path, options.frames, options.size) for path in chosen]
    print(f"{len(films)} episodes of {options.frames} frames of {options.size} x {options.size}")
    print("| Form | kB an episode | ms to write | ms for 16 frames | Mean error |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for form in ("stored", "compressed", "jpeg", "mp4, crf 18", "mp4, crf 30"):
            print(measure(Path(scratch), form, films, options.repeats))


def load(path: Path, frames: int, size: int) -> np.ndarray:
    film, _ = read_video(path, frames)
    return resize_frames(film, size, size, "bicubic")


def measure(folder: Path, form: str, films: list[np.ndarray], repeats: int) -> str:
    started = time.perf_counter()
    names = [write(folder, form, number, film) for number, film in enumerate(films)]
    writing = time.perf_counter() - started
    size = sum((folder / name).stat().st_size for name in names) / len(films)
    shown = [evenly_spaced(len(film), SHOWN) for film in films]
    best = min(once(folder, names, shown) for _ in range(repeats))
    error = np.mean(
        [
            np.abs(read_frames(folder, name, at).astype(int) - film[at]).mean()
            for name, at, film in zip(names, shown, films, strict=True)
        ]
    )
    times = f"{1000 * writing / len(films):.1f} | {1000 * best / len(films):.1f}"
    return f"| {form} | {size / 1000:,.0f} | {times} | {error:.2f} |"


def write(folder: Path, form: str, number: int, film: np.ndarray) -> str:
    if form.startswith("mp4"):
        name = f"{form.split()[-1]}_{number}.mp4"
        write_mp4(folder / name, film, fps=10, crf=int(form.split()[-1]))
    else:
        name = f"{form}_{number}.npz"
        write_npz(folder / name, film, form)
    return name


def once(folder: Path, names: list[str], shown: list[np.ndarray]) -> float:
    started = time.perf_counter()
    for name, at in zip(names, shown, strict=True):
        read_frames(folder, name, at)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
