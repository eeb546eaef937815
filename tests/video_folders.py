"""Folders of small videos with a manifest, and what lies in a folder."""

import json
from pathlib import Path

import av
import numpy as np


def write_video(path: Path, count: int, mark: int = 0) -> None:
    """Grey frames whose level, 4 a frame, tells which one it is, with four pixels of a level that tells the video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for at in range(count):
            pixels = np.full((32, 32, 3), 4 * at, np.uint8)
            pixels[:2, :2] = mark
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def make_folder(folder: Path, rows: list[dict[str, object]], count: int = 9) -> Path:
    """A folder of videos with its manifest; a row without a file of that name gets one."""
    for number, row in enumerate(rows):
        path = folder / str(row.get("path"))
        if row.get("path") and not path.exists():
            write_video(path, count, 40 * number % 256)
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def six_videos(folder: Path) -> Path:
    sources = ["one", "one", "one", "two", "two", "two"]
    return make_folder(
        folder,
        [
            {"path": f"{at}.mp4", "task": "t", "data_source": source, "progress": [place / 8 for place in range(9)]}
            for at, source in enumerate(sources)
        ],
    )
