"""Videos that are written: what players and other readers are told of them."""

from pathlib import Path

import av
import numpy as np
import pytest

from rfm.errors import DataError
from rfm.frames.video.mp4 import write_mp4


@pytest.mark.parametrize("fps", [1.0, 9.99, 12.5, 30.0])
@pytest.mark.parametrize("for_web", [False, True])
def test_frames_come_at_their_times(tmp_path: Path, fps: float, for_web: bool) -> None:
    path, grey = tmp_path / "a.mp4", [10 * at for at in range(20)]
    frames = (np.full((32, 48, 3), level, np.uint8) for level in grey)
    write_mp4(path, frames, fps=fps, crf=18, preset="veryfast", for_web=for_web)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = list(container.decode(stream))
        assert float(stream.average_rate or 0) == pytest.approx(fps)
        assert float(stream.duration * stream.time_base) == pytest.approx(len(grey) / fps, abs=1e-3)  # type: ignore[operator]
    assert [one.time for one in shown] == pytest.approx([at / fps for at in range(len(grey))], abs=1e-3)
    assert [one.to_ndarray(format="rgb24").mean() for one in shown] == pytest.approx(grey, abs=3)


def test_odd_sizes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must have an even height and width, but have 33 x 48 pixels"):
        write_mp4(tmp_path / "a.mp4", iter([np.zeros((33, 48, 3), np.uint8)]), fps=1, crf=18)
    assert not list(tmp_path.iterdir())
