"""The episodes of trajectory datasets as `rfm browse --rerun` writes them: all frames, and the progress of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rfm.console import tracked
from rfm.errors import DataError
from rfm.frames.reader import VIDEO_SUFFIXES, frames_file, read_frames
from rfm.pages.browsing.episodes import EpisodeShelf
from rfm.pages.browsing.shelf import Card
from rfm.pages.rerun_file import Episode, Line, Pictures

logger = logging.getLogger(__name__)


def recorded(shelves: Sequence[EpisodeShelf], cards: Sequence[Sequence[Card]]) -> Iterator[Episode]:
    """Yield the episodes of some cards of each dataset; those are called by their whole paths where two are alike."""
    names = [Path(shelf.path).absolute().name for shelf in shelves]
    if len({*names}) < len(names):
        names = [shelf.path for shelf in shelves]
    every = [(name, shelf, card) for name, shelf, held in zip(names, shelves, cards, strict=True) for card in held]
    for name, shelf, card in tracked(every, "episodes", len(every)):
        yield _episode(name, shelf, card)


def _episode(name: str, shelf: EpisodeShelf, card: Card) -> Episode:
    frames = np.arange(int(shelf.catalog.num_frames[card.row]))
    progress = shelf.progress(card.row, frames)
    lines = [] if np.isnan(progress).all() else [Line(("progress",), frames, progress)]
    words = [card.title, "", *(f"{fact}: {value}" for fact, value in card.facts), "", card.why, *card.remarks]
    own_name = (name, f"{card.row} {shelf.catalog.ids[card.row].as_py()}")
    try:
        film = _film(shelf, card, len(frames))
    except DataError as error:
        logger.warning("row %d of %s has no film: %s", card.row, name, error)
        return Episode(own_name, None, lines, "\n".join([*words, f"its frames can't be read: {error}"]))
    return Episode(own_name, film, lines, "\n".join(words))


def _film(shelf: EpisodeShelf, card: Card, count: int) -> Path | Pictures:
    path = card.strips[0].path
    if Path(path).suffix.lower() in VIDEO_SUFFIXES:
        from rfm.frames.video.decoding import shown_times
        from rfm.frames.video.stored import plays_as_stored

        file = frames_file(shelf.root, path)
        if plays_as_stored(file) and len(shown_times(file, 0, np.inf)) == count:
            return file
    numbers = np.arange(count)
    return Pictures(read_frames(shelf.root, path, numbers), numbers)
