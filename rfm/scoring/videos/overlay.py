"""A video with its curves running below the picture: H.264, plays in a browser.

In: a recording and what was said of it. Every frame of a video file is shown, at its rate, turned upright; of other
recordings those that were kept. Below it the axes are drawn once with the curves and once without: of the first the
part up to now is shown, of the second the rest. One frame is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from rfm.files.figure import Figure, font_file, label, plt, to_hex
from rfm.frames.resize import resize_frames
from rfm.frames.video.decoding import frame_rate, played
from rfm.frames.video.mp4 import write_mp4
from rfm.ingest.episode import IngestOptions
from rfm.ingest.listing.recordings import is_video
from rfm.scoring.videos.plot import along, draw_curves
from rfm.scoring.videos.recordings import Recording
from rfm.scoring.videos.scored import Scored, names

Frame = UInt8[np.ndarray, "h w 3"]

SIDES = (320, 480)
"""Pixels of the shorter side: smaller pictures are enlarged, larger ones brought down."""
_FASTEST, _SLOWEST, _USUAL = 30.0, 1.0, 10.0
"""Frames a second, at most and at least, and of recordings without times."""
_MOST_KEPT = 300
_AXES, _LINE, _DPI, _CRF = 150, 18, 100, 23
_NAME = 50


class _Shown(NamedTuple):
    """A frame, the second at which it comes up, and its number in the recording."""

    second: float
    number: int
    frame: Frame


class _Panel(NamedTuple):
    """The axes without and with the curves, and at which column of pixels a place along them lies."""

    empty: Frame
    full: Frame
    start: float
    first: float
    scale: float

    def column(self, place: float) -> int:
        return round(self.first + self.scale * (place - self.start))


def write_overlay(recording: Recording, scored: Scored, path: Path) -> None:
    """Write the video, whole or not at all; DataError where the recording can't be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames, fps = _film(recording)
    write_mp4(path, _composed(_steady(frames, fps), scored), fps=fps, crf=_CRF, preset="veryfast", for_web=True)


def _film(recording: Recording) -> tuple[Iterator[_Shown], float]:
    """Return the frames to show and their rate."""
    if isinstance(recording.place, Path) and is_video(recording.place.name):
        path = recording.place
        shown = (_Shown(second, number, frame) for number, (second, frame) in enumerate(played(path, _sizing)))
        return shown, _rate(frame_rate(path))
    clip = recording.read(IngestOptions(max_frames=_MOST_KEPT, shortest_side=SIDES[1]))
    numbers = clip.numbered(range(len(clip)))
    seconds = [number / _USUAL for number in numbers] if clip.seconds is None else clip.seconds.tolist()
    sized = (resize_frames(frame[np.newaxis], *_sizing(*frame.shape[:2]))[0] for frame in clip.frames)
    rate = (len(clip) - 1) / seconds[-1] if seconds[-1] else _USUAL
    return (_Shown(*one) for one in zip(seconds, numbers, sized, strict=True)), _rate(rate)


def _rate(rate: float) -> float:
    return min(max(rate or _USUAL, _SLOWEST), _FASTEST)


def _sizing(height: int, width: int) -> tuple[int, int]:
    """Return an even size whose shorter side lies within SIDES."""
    short = min(height, width)
    scale = min(max(short, SIDES[0]), SIDES[1]) / short
    return tuple(max(2, round(side * scale / 2) * 2) for side in (height, width))  # type: ignore[return-value]


def _steady(frames: Iterable[_Shown], fps: float) -> Iterator[_Shown]:
    """Yield what is on the screen at each step of the rate; the last frame stays for one."""
    number, last = 0, None
    for one in frames:
        while last is not None and number / fps < one.second - 1e-6:
            yield last._replace(second=number / fps)
            number += 1
        last = one
    if last is not None:
        yield last


def _composed(frames: Iterable[_Shown], scored: Scored) -> Iterator[Frame]:
    panel: _Panel | None = None
    for one in frames:
        panel = panel or _drawn(scored, one.frame.shape[1])
        place = [one.number if curve.seconds is None else one.second for _, curve in scored.curves]
        caption = _caption(scored, place, one.frame.shape[1])
        yield np.concatenate([one.frame, caption, _revealed(panel, place[0])])


def _revealed(panel: _Panel, place: float) -> Frame:
    """Return the axes with the curves up to a place, and a line there."""
    column = min(max(panel.column(place), 0), panel.full.shape[1] - 1)
    now = panel.empty.copy()
    now[:, : column + 1] = panel.full[:, : column + 1]
    now[:, column] = 160
    return now


def _drawn(scored: Scored, width: int) -> _Panel:
    figure, axis = plt.subplots(figsize=(width / _DPI, _AXES / _DPI), dpi=_DPI, layout="constrained")
    draw_curves(axis, scored, steps=True)
    axis.tick_params(labelsize=7)
    axis.set_xlabel(axis.get_xlabel(), fontsize=7)
    full = _pixels(figure)
    start, end = axis.get_xlim()
    first, last = (float(axis.transData.transform((at, 0))[0]) for at in (start, end))
    for drawn in [*axis.lines, *axis.collections]:
        drawn.set_visible(False)
    empty = _pixels(figure)
    plt.close(figure)
    return _Panel(empty, full, start, first, (last - first) / (end - start))


def _pixels(figure: Figure) -> Frame:
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]


def _caption(scored: Scored, places: Sequence[float], width: int) -> Frame:
    """Return a line for each curve, in its colour: its name, and what it says by now."""
    lines = len(scored.curves)
    picture = Image.new("RGB", (width, (lines * _LINE + 5) // 2 * 2), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.truetype(font_file(), 12)
    for number, ((_, curve), name, place) in enumerate(zip(scored.curves, names(scored), places, strict=True)):
        at = int(np.searchsorted(along(curve), place + 1e-6, side="right")) - 1
        said = "" if at < 0 else f"{curve.expected[at]:.2f}{', success' if curve.success[at] else ''}"
        text = f"{said}  {label(name, _NAME)}".strip()
        draw.text((6, number * _LINE + 2), text, fill=to_hex(f"C{number}"), font=font)
    return np.asarray(picture)
