"""Episodes that share one video: seconds an episode by seeking, and by decoding the video from its start, in one run.

    python benchmarks/shared_video.py [--episodes 100] [--frames 150] [--size 224] [--key_frames_every 2]

The video is H.264 of moving noise, as LeRobot v3.0 lays one out (a key frame every 2 frames by default). Both read the
chosen frames of every tenth episode and must agree on them. `once` decodes the whole video a single time: no way of
reading all episodes with all their frames is faster.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from rfm.frames.spacing import evenly_spaced
from rfm.frames.video.decoding import read_frames_at, read_video_frames

FPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--key_frames_every", type=int, default=2)
    parser.add_argument("--max_frames", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "shared.mp4"
        write(path, options.episodes * options.frames, options.size, options.key_frames_every)
        print(f"{options.episodes} episodes of {options.frames} frames in {path.stat().st_size / 1e6:.1f} MB")
        compare(path, options)


def compare(path: Path, options: argparse.Namespace) -> None:
    episodes = range(0, options.episodes, 10)
    places = evenly_spaced(options.frames, options.max_frames)
    seeking = decoding = 0.0
    for episode in episodes:
        start = time.perf_counter()
        sought = read_frames_at(path, (episode * options.frames + places) / FPS, 0.5 / FPS)
        seeking += time.perf_counter() - start
        start = time.perf_counter()
        decoded = read_video_frames(path, episode * options.frames + places)
        decoding += time.perf_counter() - start
        if not np.array_equal(sought, decoded):
            raise SystemExit(f"episode {episode}: the frames differ")
    start = time.perf_counter()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")
    once = (time.perf_counter() - start) / options.episodes
    seeking, decoding = seeking / len(episodes), decoding / len(episodes)
    print(f"sought     {1000 * seeking:9.1f} ms an episode")
    print(f"from start {1000 * decoding:9.1f} ms an episode, {decoding / seeking:.1f} times as long")
    print(f"once       {1000 * once:9.1f} ms an episode, all frames")


def write(path: Path, count: int, size: int, key_frames_every: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size * 2, size, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = size, size, "yuv420p", key_frames_every
        for at in range(count):
            picture = np.ascontiguousarray(noise[at % size : at % size + size])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture // 4 + 96, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
