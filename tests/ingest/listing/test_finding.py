import os
from pathlib import Path

import pytest

from rfm.errors import ConfigError, DataError
from rfm.ingest.listing.finding import Found, find_files, natural
from rfm.ingest.rules.cameras import CameraChoice, is_colour_name


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def is_data(name: str) -> bool:
    return name.lower().endswith((".h5", ".hdf5"))


def names(root: Path) -> list[str]:
    return [found.name for found in find_files(root, is_data)]


def test_natural_order_and_names_by_path(tmp_path: Path) -> None:
    for name in (
        "b/demo_10.h5",
        "b/demo_2.h5",
        "a/demo_2.H5",
        "demo_²9.h5",
        f"demo_{'9' * 5000}.h5"[:200] + ".h5",
        "x.txt",
    ):
        touch(tmp_path / name)
    found = names(tmp_path)
    assert found[:3] == ["a/demo_2", "b/demo_2", "b/demo_10"]
    assert sorted(("x10", "x9", "x09", "x"), key=natural) == ["x", "x9", "x09", "x10"]


def test_names_that_would_become_one_stay_whole(tmp_path: Path) -> None:
    for name in ("a.h5", "a.hdf5", "b.h5"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.h5", "a.hdf5", "b"]
    short = find_files(tmp_path, is_data, lambda name: "one")
    assert [found.name for found in short] == ["a.h5", "a.hdf5", "b.h5"]


def test_links_pipes_and_circles(tmp_path: Path) -> None:
    root = tmp_path / "in"
    touch(root / "store" / "a.h5")
    touch(root / "blob")
    outside = touch(tmp_path / "out" / "b.h5")
    (root / "folder").symlink_to(root / "store")
    (root / "circle").symlink_to(root)
    (root / "away").symlink_to(outside.parent)
    (root / "again.h5").symlink_to(root / "store" / "a.h5")
    (root / "blob.h5").symlink_to(root / "blob")
    (root / "gone.h5").symlink_to(root / "nothing")
    (root / "out.h5").symlink_to(outside)
    os.mkfifo(root / "pipe.h5")
    found = {one.name: one for one in find_files(root, is_data)}
    assert {name for name, one in found.items() if not one.fault} == {"store/a", "blob"}
    assert "a folder must lie in the dataset's folder" in found["away"].fault
    assert "give the folder that it leads to as PATH, or copy it here" in found["away"].fault
    assert "a file must lie in the dataset's folder" in found["out"].fault
    assert "must be a file, but is none" in found["gone"].fault
    assert "must be a file, but is none" in found["pipe"].fault
    assert len(found) == 6


def test_a_cache_of_links_into_blobs_keeps_equal_files(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--owner--name"
    blob = touch(repository / "blobs" / "c0ffee")
    snapshot = repository / "snapshots" / "main"
    for name in ("one.h5", "two.h5"):
        (snapshot / "data").mkdir(parents=True, exist_ok=True)
        (snapshot / "data" / name).symlink_to(blob)
    assert find_files(snapshot, is_data) == [
        Found(snapshot / "data" / "one.h5", "data/one"),
        Found(snapshot / "data" / "two.h5", "data/two"),
    ]


def test_one_odd_episode_does_not_choose_the_camera() -> None:
    choice = CameraChoice(None, [("other",), ("image",), ("image",)])
    assert choice.of(("image",), "x") == "image"
    with pytest.raises(DataError, match="x must have pictures of `image`, but has other"):
        choice.of(("other",), "x")
    with pytest.raises(ConfigError, match="--camera must name one of a, b, but is not given"):
        CameraChoice(None, [("a",), ("b",)])
    with pytest.raises(ConfigError, match="--camera must name one of a, b, but is not given"):
        CameraChoice(None, [("a",), ("a",), ("a", "b")])
    with pytest.raises(DataError, match="x must have pictures, but has none"):
        CameraChoice(None, []).of((), "x")
    ending = CameraChoice(
        "front", [("front_rgb",), ("front_image", "wrist_image"), ("wrist_image",)], ("_rgb", "_image")
    )
    assert [ending.of(cameras, "x") for cameras in (("front_rgb",), ("front_image", "wrist_image"))] == [
        "front_rgb",
        "front_image",
    ]


@pytest.mark.parametrize(
    "name", ["agentview_depth", "Depth", "robot0_normals", "view_segmentation_instance", "seg", "x/flow"]
)
def test_names_of_no_colour(name: str) -> None:
    assert not is_colour_name(name)


@pytest.mark.parametrize(
    "name", ["agentview_image", "segway_cam", "deepview", "overflow_rgb", "normalised_image", "camera_0"]
)
def test_names_of_colour(name: str) -> None:
    assert is_colour_name(name)
