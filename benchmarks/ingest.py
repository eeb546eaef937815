"""Episodes a second of `rfm ingest videos`, beside a plain loop of PyAV and `np.savez_compressed`, in one run.

    python benchmarks/ingest.py [--episodes 1000] [--length 64] [--size 224] [--workers 1 2]
        [--forms compressed jpeg stored] [--baseline_episodes 100]

The videos are `--distinct` of the bundled ones, enlarged and played back and forth, copied under other names. The
baseline decodes every frame with PyAV, keeps 64 evenly spaced ones and saves them compressed, one video after the
other, as preprocessing scripts do. Peak memory is that of the main process and of the largest worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from rfm.frames.resize import resize_frames
from rfm.frames.video.decoding import read_video
from rfm.frames.video.mp4 import write_mp4
from rfm.ingest.bundled import bundled_videos
from rfm.ingest.episode import IngestOptions
from rfm.ingest.pipeline import ingest
from rfm.ingest.sources.videos import video_episodes

FRAMES = 64
FORMS = ("compressed", "jpeg", "stored")
BUNDLED = bundled_videos()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--distinct", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="*", default=[1])
    parser.add_argument("--forms", nargs="*", choices=FORMS, default=list(FORMS))
    parser.add_argument("--baseline_episodes", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_videos(folder / "videos", options)
        baseline = options.baseline_episodes / apart(plain_loop, folder, options.baseline_episodes)[0]
        print(f"PyAV and savez_compressed: {baseline:.1f} episodes/s")
        for workers in options.workers:
            for form in options.forms:
                for count in sorted({options.episodes // 10, options.episodes}):
                    seconds, memory = apart(ours, folder, count, form, workers)
                    rate = count / seconds / workers
                    print(
                        f"{form}, {workers} worker(s), {count} episodes: {rate:.1f} episodes/s and worker, "
                        f"{rate / baseline:.2f} times the loop, peak memory {memory:.0f} MB"
                    )


def make_videos(folder: Path, options: argparse.Namespace) -> None:
    folder.mkdir()
    files = sorted(BUNDLED.rglob("*.mp4"))
    for number, path in enumerate(files[:: len(files) // options.distinct][: options.distinct]):
        film, _ = read_video(path)
        back_and_forth = np.abs((np.arange(options.length) + len(film) - 1) % (2 * len(film) - 2) - (len(film) - 1))
        film = resize_frames(film[back_and_forth], options.size, options.size, "bicubic")
        write_mp4(folder / f"film_{number:04d}.mp4", film, fps=10, crf=23)
    lines = ["path,task,quality_label"]
    for number in range(options.episodes):
        name = f"v{number:05d}.mp4"
        shutil.copy(folder / f"film_{number % options.distinct:04d}.mp4", folder / name)
        lines.append(f"{name},press the button,successful")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def apart(work, *arguments) -> tuple[float, float]:
    """Seconds and peak memory in MB of `work` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report, args=(sender, work, arguments))
    process.start()
    found = receiver.recv()
    process.join()
    return found


def report(sender, work, arguments) -> None:
    started = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - started
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sender.send((seconds, max(own, child) / 1000))


def plain_loop(folder: Path, count: int) -> None:
    (folder / "plain").mkdir()
    for number in range(count):
        with av.open(str(folder / "videos" / f"v{number:05d}.mp4")) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        at = np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int)
        np.savez_compressed(
            folder / "plain" / f"{number}.npz", frames=frames[at], shape=np.array(frames[at].shape), num_frames=len(at)
        )


def ours(folder: Path, count: int, form: str, workers: int) -> None:
    output = folder / "ours"
    shutil.rmtree(output, ignore_errors=True)
    episodes = list(video_episodes(folder / "videos", None))[:count]
    ingest(episodes, output, IngestOptions(form=form, num_workers=workers))


if __name__ == "__main__":
    main()
