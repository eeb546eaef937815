"""How many copies of episodes are found, and how many different ones are taken for the same, at several limits.

    python benchmarks/near_duplicates.py [--datasets_root ROOT --datasets KEY …]

Each episode's three compared frames are changed as copies are in the wild, and held against the original by the hash
(bits of 192) and by pictures; then all episodes against each other. Flat ones (nothing in view) are left out. With no
dataset named, the bundled videos are measured.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from rfm.frames.alike.near_duplicates import MOST_BITS, same_picture
from rfm.frames.alike.perceptual_hash import episode_hash, hamming, hashed_indices
from rfm.frames.reader import read_frames
from rfm.frames.resize import resize_frames
from rfm.ingest.bundled import bundled_root
from rfm.trajectories.catalog import available_keys, load_catalog

BITS = (4, 8, 12, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets_root", type=Path)
    parser.add_argument("--datasets", nargs="*")
    options = parser.parse_args()
    root = options.datasets_root or bundled_root()
    catalog = load_catalog(root, options.datasets or available_keys(root))
    frames = [
        read_frames(root, path, hashed_indices(int(count)))
        for path, count in zip(catalog.frames_path.to_pylist(), catalog.num_frames, strict=True)
    ]
    frames = [one for one in frames if one.std() > 3]
    hashes, cells = np.stack([episode_hash(one) for one in frames]), np.stack([_cells(one) for one in frames])
    _print_copies(frames, hashes, cells)
    _print_strangers(hashes, cells)


def _print_copies(frames: list[np.ndarray], hashes: np.ndarray, cells: np.ndarray) -> None:
    print(f"{len(frames)} episodes; their copies that are near by hash within some bits, alike by pictures, and both")
    for name, change in COPIES.items():
        copies = [change(one) for one in frames]
        bits = np.array([hamming(episode_hash(copy), own) for copy, own in zip(copies, hashes, strict=True)])
        alike = np.array([same_picture(_cells(copy), own[None])[0] for copy, own in zip(copies, cells, strict=True)])
        near = ", ".join(f"{most}: {(bits <= most).mean():.1%}" for most in BITS)
        print(f"{name:12} {near}; alike {alike.mean():.1%}; found {((bits <= MOST_BITS) & alike).mean():.1%}")


def _print_strangers(hashes: np.ndarray, cells: np.ndarray) -> None:
    bits = [hamming(hashes[at], hashes[at + 1 :]) for at in range(len(hashes) - 1)]
    alike = [same_picture(cells[at], cells[at + 1 :]) for at in range(len(cells) - 1)]
    near, same = np.concatenate(bits), np.concatenate(alike)
    print(f"{len(near)} pairs of different episodes, {int(same.sum())} alike by pictures; near by hash, and both")
    for most in BITS:
        print(f"{most:3} bits: {int((near <= most).sum())}, {int(((near <= most) & same).sum())}")


def _cells(frames: np.ndarray) -> np.ndarray:
    return resize_frames(frames, 16, 16)


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(frames: np.ndarray) -> np.ndarray:
        out = []
        for frame in frames:
            file = io.BytesIO()
            Image.fromarray(frame).save(file, "jpeg", quality=quality)
            out.append(np.asarray(Image.open(file)))
        return np.stack(out)

    return change


def _scaled(share: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frames: resize_frames(frames, int(frames.shape[1] * share), int(frames.shape[2] * share))


def _cropped(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(frames: np.ndarray) -> np.ndarray:
        height, width = (round(share * side) for side in frames.shape[1:3])
        return resize_frames(frames[:, height : -height or None, width : -width or None], *frames.shape[1:3])

    return change


def _brighter(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frames: np.clip(frames * factor, 0, 255).astype(np.uint8)


def _noisy(levels: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(frames: np.ndarray) -> np.ndarray:
        grain = np.random.default_rng(0).normal(0, levels, frames.shape)
        return np.clip(frames + grain, 0, 255).astype(np.uint8)

    return change


COPIES = {
    "same": lambda frames: frames,
    "jpeg 75": _jpeg(75),
    "jpeg 50": _jpeg(50),
    "jpeg 25": _jpeg(25),
    "half size": _scaled(0.5),
    "noise 4": _noisy(4),
    "noise 10": _noisy(10),
    "brighter 5%": _brighter(1.05),
    "brighter 10%": _brighter(1.1),
    "cropped 2%": _cropped(0.02),
    "cropped 4%": _cropped(0.04),
    "mirrored": lambda frames: frames[:, :, ::-1],
}

if __name__ == "__main__":
    main()
