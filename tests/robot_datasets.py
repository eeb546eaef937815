"""Small robot datasets in the layouts of other people's formats, written to be read back exactly."""

from __future__ import annotations

import functools
import io
import json
import zlib
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Real inputs that nobody here made; tests that use them skip where they are missing."""


def moving_square(count: int, seed: int = 0, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames (count, height, width, 3), each unlike the others, with rows and columns that can be told apart."""
    rng = np.random.default_rng(seed)
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[:] = rng.integers(0, 200, 3)
    for at in range(count):
        frames[at, :4] = (at * 5) % 256
        frames[at, 8:16, 2 + at % 32 : 10 + at % 32] = rng.integers(0, 256, 3)
    return frames


def write_video(path: Path, frames: np.ndarray, fps: int = 10, key_frames_every: int = 2) -> None:
    """A lossless mp4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=fps, options={"qp": "0", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        stream.gop_size = key_frames_every
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def png(frame: np.ndarray) -> bytes:
    """The frame as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return buffer.getvalue()


def declared(picture: bytes, size: int) -> bytes:
    """The PNG with another size in its header, and the checksum right."""
    header = picture[12:16] + size.to_bytes(4, "big") * 2 + picture[24:29]
    return picture[:12] + header + zlib.crc32(header).to_bytes(4, "big") + picture[33:]


def write_lerobot(
    root: Path,
    episodes: list[np.ndarray],
    version: str = "v3.0",
    *,
    kind: str = "video",
    camera: str = "observation.images.front",
    tasks: list[int] | None = None,
    success: list[bool] | None = None,
    fps: int = 10,
    jitter: float = 0.0,
    columns: dict[str, list[Any]] | None = None,
) -> Path:
    """A LeRobot dataset of one camera; `tasks` are indices, `success` becomes next.success at the last frame."""
    tasks = [0] * len(episodes) if tasks is None else tasks
    texts = [f"do thing {at}" for at in range(max(tasks) + 1)]
    v3 = version == "v3.0"
    chunk = "chunk-{chunk_index:03d}/file-{file_index:03d}" if v3 else "chunk-{episode_chunk:03d}"
    one = "" if v3 else "/episode_{episode_index:06d}"
    height, width = episodes[0].shape[1:3]
    info: dict[str, Any] = {
        "codebase_version": version,
        "fps": fps,
        "total_episodes": len(episodes),
        "total_frames": sum(map(len, episodes)),
        "chunks_size": 2,
        "data_path": f"data/{chunk}{one}.parquet",
        "video_path": f"videos/{{video_key}}/{chunk}.mp4" if v3 else f"videos/{chunk}/{{video_key}}{one}.mp4",
        "features": {
            camera: {"dtype": kind, "shape": [3, height, width], "names": ["channels", "height", "width"]},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            "task_index": {"dtype": "int64", "shape": [1], "names": None},
        },
    }
    if success is not None:
        info["features"]["next.success"] = {"dtype": "bool", "shape": [1], "names": None}
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(info))
    rng = np.random.default_rng(0)
    rows, entries, at, second = [], [], 0, 0.0
    for index, frames in enumerate(episodes):
        for place, frame in enumerate(frames):
            time = place / fps + (jitter * rng.uniform(-1, 1) / fps if place else 0.0)
            row = {
                "timestamp": np.float32(time),
                "index": len(rows),
                "episode_index": index,
                "frame_index": place,
                "task_index": tasks[index],
            }
            if success is not None:
                row["next.success"] = success[index] and place == len(frames) - 1
            if kind == "image":
                row[camera] = {"bytes": png(frame), "path": f"frame_{place:06d}.png"}
            rows.append(row)
        entry = {"episode_index": index, "tasks": [texts[tasks[index]]], "length": len(frames)}
        entry |= {name: values[index] for name, values in (columns or {}).items()}
        if v3:
            entry |= {"data/chunk_index": 0, "data/file_index": 0, "dataset_from_index": at}
            entry |= {"dataset_to_index": at + len(frames), "stats/timestamp/min": [0.0]}
            if kind == "video":
                of = f"videos/{camera}/"
                entry |= {f"{of}chunk_index": 0, f"{of}file_index": 0, f"{of}from_timestamp": second}
                entry[f"{of}to_timestamp"] = second + len(frames) / fps
        entries.append(entry)
        at, second = at + len(frames), second + len(frames) / fps
    listed = [{"task_index": at, "task": text} for at, text in enumerate(texts)]
    if v3:
        _write_table(root / "meta" / "tasks.parquet", listed)
        _write_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", entries)
        _write_table(root / "data" / "chunk-000" / "file-000.parquet", rows, row_group_size=7)
        if kind == "video":
            write_video(root / "videos" / camera / "chunk-000" / "file-000.mp4", np.concatenate(episodes), fps)
        return root
    (root / "meta" / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    (root / "meta" / "episodes.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for index, frames in enumerate(episodes):
        name = f"chunk-{index // 2:03d}"
        own = [row for row in rows if row["episode_index"] == index]
        _write_table(root / "data" / name / f"episode_{index:06d}.parquet", own)
        if kind == "video":
            write_video(root / "videos" / name / camera / f"episode_{index:06d}.mp4", frames, fps)
    return root


def edit_table(path: Path, change: Any) -> None:
    """Rewrite a parquet file with its rows changed."""
    rows = pq.read_table(path).to_pylist()
    _write_table(path, change(rows) or rows)


def _write_table(path: Path, rows: list[dict[str, Any]], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


def tf_example(values: dict[str, list[Any]]) -> bytes:
    """A tf.Example as the protobuf library encodes it; the kind of a list goes by its first value."""
    example = _example_class()()
    for name, items in values.items():
        feature = example.features.feature[name]
        first = items[0] if items else b""
        kind = {bytes: "bytes_list", float: "float_list"}.get(type(first), "int64_list")
        getattr(feature, kind).value.extend(items)
    return example.SerializeToString(deterministic=True)


def write_tfrecord(path: Path, records: list[bytes]) -> Path:
    """A TFRecord file as tensorboard writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = RecordWriter(stream)
        for record in records:
            writer.write(record)
    return path


def rlds_episode(frames: np.ndarray, text: str = "do it", cameras: Any = ("image",), **more: list[Any]) -> bytes:
    """An RLDS episode with the same pictures for all cameras."""
    values: dict[str, list[Any]] = {
        f"steps/observation/{camera}": [png(frame) for frame in frames] for camera in cameras
    }
    values["steps/language_instruction"] = [text.encode()] * len(frames)
    values["steps/reward"] = [0.0] * len(frames)
    values["steps/observation/state"] = [0.5] * 7 * len(frames)
    return tf_example(values | {name.replace("__", "/"): items for name, items in more.items()})


@functools.cache
def _example_class() -> Any:
    """tensorflow/core/example/{example,feature}.proto."""
    proto = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, int, int, str], into: Any = None) -> Any:
        made = (proto.message_type if into is None else into).add(name=name)
        for label, number, repeated, kind, of in fields:
            made.field.add(name=label, number=number, label=repeated, type=kind, type_name=of or None)
        return made

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", ("value", 1, many, field.TYPE_BYTES, ""))
    message("FloatList", ("value", 1, many, field.TYPE_FLOAT, ""))
    message("Int64List", ("value", 1, many, field.TYPE_INT64, ""))
    lists = [("bytes_list", ".t.BytesList"), ("float_list", ".t.FloatList"), ("int64_list", ".t.Int64List")]
    message("Feature", *((name, at, one, field.TYPE_MESSAGE, of) for at, (name, of) in enumerate(lists, 1)))
    features = message("Features", ("feature", 1, many, field.TYPE_MESSAGE, ".t.Features.FeatureEntry"))
    key = ("key", 1, one, field.TYPE_STRING, "")
    value = ("value", 2, one, field.TYPE_MESSAGE, ".t.Feature")
    message("FeatureEntry", key, value, into=features.nested_type).options.map_entry = True
    message("Example", ("features", 1, one, field.TYPE_MESSAGE, ".t.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def write_demos(
    path: Path, episodes: list[np.ndarray], layout: str = "robomimic", text: Any = "do it", **options: Any
) -> Path:
    """HDF5 demonstrations as robomimic or LIBERO keep them: LIBERO's pictures are upside down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1})
        if layout == "libero":
            data.attrs["problem_info"] = json.dumps({"problem_name": "x", "language_instruction": text})
            data.attrs["bddl_file_name"] = "x.bddl"
            data.attrs["macros_image_convention"] = "opengl"
        for index, frames in enumerate(episodes):
            demo = data.create_group(f"demo_{index}")
            demo.attrs["num_samples"] = len(frames)
            demo["rewards"] = np.r_[np.zeros(len(frames) - 1), 1 - index % 2]
            camera = "obs/agentview_rgb" if layout == "libero" else "obs/agentview_image"
            demo.create_dataset(camera, data=frames[:, ::-1] if layout == "libero" else frames, **options)
            demo["obs/robot0_eef_pos"] = np.zeros((len(frames), 3))
    return path


def write_roboreward(folder: Path, rows: list[tuple[str, str, Any]], videos: dict[str, np.ndarray]) -> Path:
    """A split of RoboReward: (file_name, task, reward) a line, and the videos."""
    for name, frames in videos.items():
        write_video(folder / name, frames)
    lines = [{"file_name": name, "task": task, "reward": reward} for name, task, reward in rows]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_roboarena(
    root: Path, session: str, policies: dict[str, dict[str, Any]], videos: dict[str, np.ndarray], text: str = "do it"
) -> Path:
    """A session of a RoboArena data dump; videos by `A/name_left.mp4`, A being the key of a policy."""
    folder = root / "evaluation_sessions" / session
    folder.mkdir(parents=True)
    metadata = {"language_instruction": text, "preference": "A", "policies": policies}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    for name, frames in videos.items():
        key, _, file = name.partition("/")
        write_video(folder / f"{key}_{policies[key]['policy_name']}" / file, frames)
    return root
