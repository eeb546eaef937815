"""MCAP files and ROS 2 bags of numbered pictures, written by their own writers."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ingested import seen
from marked_frames import frame
from mcap.writer import Writer as PlainWriter
from mcap_ros2.writer import Writer
from PIL import Image

HEADER = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"


COMPRESSED = "sensor_msgs/msg/CompressedImage"


RAW = "sensor_msgs/msg/Image"


TEXTS = {
    COMPRESSED: f"# a picture\nstd_msgs/Header header # its time\nstring format\n\nuint8[] data\n{HEADER}",
    RAW: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
    f"uint8[] data\n{HEADER}",
    "std_msgs/msg/String": "string data\n",
}


SECOND = 10**9


FLAGS = ("--task", "fold", "--label", "successful", "--data_source", "s")


def encoded(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame(number)).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def stamp(at: float) -> dict[str, Any]:
    return {"stamp": {"sec": int(at), "nanosec": round(at % 1 * SECOND)}, "frame_id": "camera"}


def compressed(number: int, at: float, kind: str = "JPEG") -> dict[str, Any]:
    return {"header": stamp(at), "format": kind.lower(), "data": encoded(number, kind)}


def raw(number: int, at: float, encoding: str = "rgb8", padding: int = 0, **changes: Any) -> dict[str, Any]:
    rgb = frame(number)
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], 2),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], 2),
    }.get(encoding, rgb[..., :1])
    height, width, size = pixels.shape
    lines = np.pad(pixels.reshape(height, width * size), ((0, 0), (0, padding)), constant_values=99)
    described = {"height": height, "width": width, "encoding": encoding, "step": width * size + padding}
    return {"header": stamp(at), "is_bigendian": 1, "data": lines.tobytes(), **described, **changes}


Said = tuple[str, str, dict[str, Any], float]
"""Topic, kind, message, and when it was logged."""


def images(numbers: Iterable[int], topic: str = "/front", start: float = 100.0) -> list[Said]:
    return [(topic, COMPRESSED, compressed(n, start + n / 10), 500 + n / 10) for n in numbers]


def write(path: Path, said: Iterable[Said], texts: dict[str, str] = TEXTS, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream, Writer(stream, **({"chunk_size": 9000} | options)) as writer:
        schemas = {}
        for topic, kind, message, logged in said:
            if kind not in schemas:
                schemas[kind] = writer.register_msgdef(kind, texts[kind])
            writer.write_message(topic, schemas[kind], message, log_time=round(logged * SECOND))
        writer.add_metadata("episode", {"text": "fold the towel", "done": "success"})
    return path


def write_plain(path: Path, said: Iterable[Said], **options: Any) -> Path:
    """The same by the plain writer, which may leave out indices, chunks and the summary."""
    from mcap_ros2._dynamic import serialize_dynamic

    with path.open("wb") as stream:
        writer = PlainWriter(stream, **options)
        writer.start()
        schema = writer.register_schema(COMPRESSED, "ros2msg", TEXTS[COMPRESSED].encode())
        channel = writer.register_channel("/front", "cdr", schema)
        encode = serialize_dynamic(COMPRESSED, TEXTS[COMPRESSED])[COMPRESSED]
        for _, _, message, logged in said:
            time = round(logged * SECOND)
            writer.add_message(channel, time, encode(message), time)
        writer.finish()
    return path


def one(output: Path) -> list[int]:
    """The numbers of the frames of the only episode."""
    ((_, found),) = seen(output).values()
    return found


def bag(folder: Path, files: dict[str, list[Said]], **information: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, said in files.items():
        write(folder / name, said)
    listed = {"relative_file_paths": list(files), "storage_identifier": "mcap", "version": 9} | information
    lines = ["rosbag2_bagfile_information:", *(f"  {key}: {value}" for key, value in listed.items())]
    (folder / "metadata.yaml").write_text("\n".join(lines) + "\n")
    return folder
