import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot_datasets import SHARED, declared, moving_square, png, rlds_episode, tf_example, write_tfrecord

from rfm.errors import ConfigError, DataError, MissingExtraError
from rfm.frames.pictures import decode_picture
from rfm.frames.reader import read_frames
from rfm.ingest.sources import tfrecord
from rfm.ingest.sources.rlds import IngestRldsOptions, ingest_rlds_command, missing_shards
from rfm.ingest.sources.tfrecord import features, masked_checksum, opened, records
from rfm.trajectories.store import read_columns

EPISODES = [moving_square(count, seed) for seed, count in enumerate((5, 9, 4))]


def ingest(path: Path, output: Path, **options: Any) -> int:
    return ingest_rlds_command(IngestRldsOptions(path=str(path), output=str(output), **options))


def rows(output: Path, source: str) -> list[dict[str, Any]]:
    return read_columns(output / source, ("id", "task", "quality_label", "split", "num_frames", "frames")).to_pylist()


def reasons(output: Path, source: str) -> dict[str, str]:
    lines = (output / source / "rejected.jsonl").read_text().splitlines()
    return {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}


def frames_of(output: Path, row: dict[str, Any]) -> np.ndarray:
    return read_frames(output, row["frames"], range(row["num_frames"]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    for at, frames in enumerate(EPISODES):
        name = f"toy-train.tfrecord-{at:05d}-of-00003"
        write_tfrecord(tmp_path / "set" / "1.0.0" / name, [rlds_episode(frames, f"do {at}"), rlds_episode(frames[:2])])
    assert ingest(tmp_path / "set", tmp_path / "out", max_frames=64) == 0
    found = rows(tmp_path / "out", "set")
    assert [row["id"] for row in found] == [
        f"set_1.0.0/train_{at:05d}_{one:06d}" for at in range(3) for one in range(2)
    ]
    assert [row["task"] for row in found[::2]] == ["do 0", "do 1", "do 2"]
    assert {row["quality_label"] for row in found} == {None}
    assert {row["split"] for row in found} == {"train"}
    for row, frames in zip(found[::2], EPISODES, strict=True):
        assert np.array_equal(frames_of(tmp_path / "out", row), frames)
    ingest(tmp_path / "set", tmp_path / "few", max_frames=3, height=16, width=24, num_workers=2)
    small = frames_of(tmp_path / "few", rows(tmp_path / "few", "set")[2])
    assert small.shape == (3, 16, 24, 3)


@pytest.mark.skipif(not (SHARED / "bridge_rlds").is_dir(), reason="the real RLDS dataset is not here")
def test_bridge(tmp_path: Path) -> None:
    path = SHARED / "bridge_rlds" / "octo_train.tfrecord"
    lists = []
    with opened(path) as data:
        for record in records(data, path):
            lists.append(features(data[record.offset : record.offset + record.length], "x"))
        texts = [bytes(one["steps/language_instruction"].strings()[0]).decode() for one in lists]
        for camera in ("image_0", "image_1", "image_2", "image_3"):
            out = tmp_path / camera
            assert ingest(path.parent, out, camera=camera) == 0
            found = rows(out, "bridge_rlds")
            assert [row["task"] for row in found] == texts
            assert [row["num_frames"] for row in found] == [10] * 25
            assert {row["quality_label"] for row in found} == {None}
            for row, one in zip(found, lists, strict=True):
                pictures = one[f"steps/observation/{camera}"].strings()
                expected = np.stack([decode_picture(bytes(picture), "x") for picture in pictures])
                assert np.array_equal(frames_of(out, row), expected)
    assert texts[0] == "put cup from counter or drying rack into sink"


def test_instructions_are_found_under_several_names(tmp_path: Path) -> None:
    frames = EPISODES[2]
    words = [ord(letter) for letter in "push"] + [0, 0]
    path = write_tfrecord(
        tmp_path / "a.tfrecord",
        [
            rlds_episode(frames, ""),
            rlds_episode(frames, " ", steps__language_instruction_2=[b"second wording"]),
            rlds_episode(frames, "", steps__observation__natural_language_instruction=[b"natural"]),
            rlds_episode(frames, "", steps__observation__instruction=words),
            rlds_episode(frames, "usual", episode_metadata__goal=[b"own key"]),
        ],
    )
    ingest(path, tmp_path / "out")
    assert [row["task"] for row in rows(tmp_path / "out", "a")] == ["second wording", "natural", "push", "usual"]
    assert (
        "must have an instruction, but has none: give --task, --tasks, --task_column or --task_pattern"
        in reasons(tmp_path / "out", "a")["a_a_000000"]
    )
    assert ingest(path, tmp_path / "out", task="tidy up", overwrite=True) == 0
    assert ingest(path, tmp_path / "own", task_column="episode_metadata/goal") == 1
    assert [row["task"] for row in rows(tmp_path / "own", "a")] == ["own key"]
    assert (
        "must have `episode_metadata/goal`, which --task_column names" in reasons(tmp_path / "own", "a")["a_a_000000"]
    )
    with pytest.raises(ConfigError, match=r"--task_column must name one of .*steps/reward.*, but is `goal`"):
        ingest(path, tmp_path / "out2", task_column="goal")


def test_success_only_by_a_rule(tmp_path: Path) -> None:
    rewards = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.3, 1.0]]
    records = [rlds_episode(EPISODES[0][:3]) for _ in rewards]
    records = [rlds_episode(EPISODES[0][:3], steps__reward=reward) for reward in rewards]
    path = write_tfrecord(tmp_path / "a.tfrecord", records)
    ingest(path, tmp_path / "out")
    assert [row["quality_label"] for row in rows(tmp_path / "out", "a")] == [None] * 3
    ingest(path, tmp_path / "out", overwrite=True, label_column="steps/reward")
    assert [row["quality_label"] for row in rows(tmp_path / "out", "a")] == ["successful", "failure"]
    assert "must be true or false, 0 or 1" in reasons(tmp_path / "out", "a")["a_a_000002"]
    with pytest.raises(ConfigError, match=r"--label_column must name one of .*steps/reward, but is `success`"):
        ingest(path, tmp_path / "out2", label_column="success")


def test_cameras_are_listed_where_one_must_be_chosen(tmp_path: Path) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", [rlds_episode(EPISODES[0], cameras=("front", "wrist"))])
    with pytest.raises(ConfigError, match="--camera must name one of front, wrist, but is not given"):
        ingest(path, tmp_path / "out")
    with pytest.raises(ConfigError, match="--camera must name one of front, wrist, but is `top`"):
        ingest(path, tmp_path / "out", camera="top")
    assert ingest(path, tmp_path / "out", camera="wrist") == 0


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PATH must be a TFRecord file or a folder of them, but .* is not there"):
        ingest(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"must hold TFRecord files \(\*.tfrecord\*\), but has none"):
        ingest(tmp_path, tmp_path / "out")


def test_faulty_records_leave_the_others_alone(tmp_path: Path) -> None:
    frames = EPISODES[2]
    huge = {"steps/observation/image": [declared(png(frames[0]), 32_000)], "steps/language_instruction": [b"x"]}
    path = write_tfrecord(
        tmp_path / "a.tfrecord",
        [
            rlds_episode(frames),
            rlds_episode(frames[:0], steps__observation__state=[]),
            tf_example(huge),
            b"\x0a\xff\xff\xff\xff\x0f",
            rlds_episode(frames, cameras=("other",)),
            rlds_episode(frames, "last"),
        ],
    )
    assert ingest(path, tmp_path / "out") == 1
    assert [row["task"] for row in rows(tmp_path / "out", "a")] == ["do it", "last"]
    found = list(reasons(tmp_path / "out", "a").values())
    assert "record 1 of" in found[0]
    assert "must have at least one step with pictures under steps/observation/, but has none" in found[0]
    assert "exceeds limit" in found[1]
    assert "must be a tf.Example, but reading it gives: field 1 takes 4294967295 bytes, but 0 are left" in found[2]
    assert "must have pictures of `image`, but has other" in found[3]


def test_damaged_bytes_are_found_by_their_checksum(tmp_path: Path) -> None:
    record = rlds_episode(EPISODES[2])
    path = write_tfrecord(tmp_path / "a.tfrecord", [record] * 3)
    data = bytearray(path.read_bytes())
    data[16 + len(record) + 12 + record.index(b"IDAT") + 9] ^= 1
    path.write_bytes(data)
    ingest(path, tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out", "a")] == ["a_a_000000", "a_a_000002"]
    (reason,) = reasons(tmp_path / "out", "a").values()
    assert reason == f"the data of record 1 of {path} must fit their checksum, but do not"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda data, size: data[: -size // 2],
            "record 2 of .* must hold .* bytes, but the file ends .* it was cut off",
        ),
        (
            lambda data, size: data[: 2 * (size + 16) + 5],
            "record 2 of .* must have a length, but the file ends at byte",
        ),
        (
            lambda data, size: data[: 2 * (size + 16)] + b"\xff" + data[2 * (size + 16) + 1 :],
            "the length of record 2 of .* must fit its checksum, but does not; what follows is lost",
        ),
    ],
)
def test_a_cut_shard_keeps_what_comes_before(tmp_path: Path, change: Any, reason: str) -> None:
    record = rlds_episode(EPISODES[2])
    path = write_tfrecord(tmp_path / "a.tfrecord", [record] * 4)
    path.write_bytes(change(path.read_bytes()[: 3 * (len(record) + 16)], len(record)))
    write_tfrecord(tmp_path / "b.tfrecord", [record])
    assert ingest(tmp_path, tmp_path / "out", data_source="s") == 1
    assert [row["id"] for row in rows(tmp_path / "out", "s")] == ["s_a_000000", "s_a_000001", "s_b_000000"]
    found = reasons(tmp_path / "out", "s")
    assert list(found) == ["s_a_rest"]
    assert re.search(reason, found["s_a_rest"]), found


def test_a_length_of_3_gb_takes_no_memory(tmp_path: Path) -> None:
    header = struct.pack("<Q", 3 * 10**9)
    path = tmp_path / "a.tfrecord"
    path.write_bytes(header + struct.pack("<I", masked_checksum(header)) + bytes(10_000))
    with (
        opened(path) as data,
        pytest.raises(DataError, match="must hold 3000000000 bytes, but the file ends 10000 bytes"),
    ):
        list(records(data, path))


def test_missing_shards_are_named(tmp_path: Path) -> None:
    for at in (0, 2):
        write_tfrecord(tmp_path / "in" / f"x-val.tfrecord-{at:05d}-of-00004", [rlds_episode(EPISODES[2])])
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    assert reasons(tmp_path / "out", "in") == {
        "in_missing": "all shards must be there, but 2 are not: x-val.tfrecord-00001-of-00004, "
        "x-val.tfrecord-00003-of-00004"
    }
    assert len(rows(tmp_path / "out", "in")) == 2
    assert missing_shards([Path("octo_train.tfrecord")]) == []


def test_links_do_not_leave_the_dataset(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "secret.tfrecord", [rlds_episode(EPISODES[2])])
    write_tfrecord(tmp_path / "in" / "a.tfrecord", [rlds_episode(EPISODES[2])])
    (tmp_path / "in" / "b.tfrecord").symlink_to(tmp_path / "secret.tfrecord")
    assert ingest(tmp_path / "in", tmp_path / "out") == 1
    assert len(rows(tmp_path / "out", "in")) == 1
    assert "must lie in the dataset's folder" in reasons(tmp_path / "out", "in")["in_b_rest"]


def test_without_the_checksum_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rfm-vqa\[rlds\]'"):
        tfrecord.masked_checksum(b"")


def test_numbers_of_all_kinds() -> None:
    made = features(memoryview(tf_example({"i": [-1, 0, 2**62, 300], "f": [0.5, -2.0], "b": [b"x", b""]})), "x")
    assert {name: feature.values() for name, feature in made.items()} == {
        "i": [-1, 0, 2**62, 300],
        "f": [0.5, -2.0],
        "b": [b"x", b""],
    }
