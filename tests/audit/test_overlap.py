import numpy as np
import pytest

from rfm.audit import overlap
from rfm.audit.overlap import lookalikes, take_prints
from rfm.frames.npz.file import write_npz
from rfm.frames.resize import resize_frames


def film(seed: int, frames: int = 6) -> np.ndarray:
    cells = np.random.default_rng(seed).integers(40, 200, (frames, 6, 6, 3), dtype=np.uint8)
    return resize_frames(cells, 96, 96, "bicubic")


def prints(root, films: dict[str, np.ndarray], most: int = 100):
    for name, frames in films.items():
        write_npz(root / name, frames, "jpeg" if name.startswith("jpeg") else "stored")
    lengths = np.array([len(frames) for frames in films.values()])
    return take_prints(root, list(films), lengths, most)


def test_copies_are_found_whatever_their_form_and_name(tmp_path):
    first = prints(tmp_path, {f"{at}.npz": film(at) for at in range(5)})
    copies = {
        "jpeg.npz": film(1),
        "small.npz": resize_frames(film(2), 48, 48),
        "noisy.npz": (film(3) + np.random.default_rng(0).integers(-3, 4, (6, 96, 96, 3))).astype(np.uint8),
        "new.npz": film(99),
    }
    found = lookalikes(first, prints(tmp_path, copies))
    assert sorted(found) == [("1.npz", "jpeg.npz"), ("2.npz", "small.npz"), ("3.npz", "noisy.npz")]


def test_the_same_file_is_no_lookalike(tmp_path):
    first = prints(tmp_path, {"a.npz": film(0), "b.npz": film(1)})
    assert lookalikes(first, first) == []


def test_different_things_before_one_background_are_told_apart(tmp_path):
    moved = film(0)
    moved[:, 40:56, 40:56] = (250, 30, 30)
    first, second = prints(tmp_path, {"a.npz": film(0)}), prints(tmp_path, {"b.npz": moved})
    assert overlap.hamming(first.hashes, second.hashes)[0] <= 2 * overlap.MOST_BITS
    assert lookalikes(first, second) == []


def test_all_are_compared_with_all_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "_BLOCK", 3)
    first = prints(tmp_path, {f"{at}.npz": film(at) for at in range(7)})
    second = prints(tmp_path, {f"copy{at}.npz": film(at) for at in (6, 0, 3)})
    assert lookalikes(first, second) == [("6.npz", "copy6.npz"), ("0.npz", "copy0.npz"), ("3.npz", "copy3.npz")]


@pytest.mark.parametrize("most", [3, 100])
def test_what_is_not_hashed_is_counted(tmp_path, most):
    for at in range(4):
        write_npz(tmp_path / f"{at}.npz", film(at))
    (tmp_path / "0.npz").write_bytes(b"")
    made = take_prints(tmp_path, [f"{at}.npz" for at in range(5)], np.array([6, 6, 6, 6, -1]), most)
    assert made.left_out == 5 - len(made.paths)
    assert "4.npz" not in made.paths
    assert len(made.paths) in ((2, 3) if most == 3 else (3,))


def test_frames_that_vanish_meanwhile_are_no_lookalikes(tmp_path):
    first, second = prints(tmp_path, {"a.npz": film(0)}), prints(tmp_path, {"b.npz": film(0)})
    (tmp_path / "b.npz").unlink()
    assert lookalikes(first, second) == []
