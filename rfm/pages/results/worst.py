"""The answers that a model got most wrong, as cards with film strips, where the dataset they are about is here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rfm.errors import RfmError
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.pages.album import Album, Source, collect
from rfm.pages.browsing.answers import Answers, answers_in
from rfm.pages.browsing.questions import QuestionShelf
from rfm.pages.browsing.shelf import Card, frames_of
from rfm.vqa.dataset import load_dataset

MOST = 12
"""Cards of each results file."""
_BYTES = 6_000_000


class Worst(NamedTuple):
    """Cards of all files, their pictures, and why some files have none."""

    cards: list[dict[str, Any]]
    album: Album
    why_not: dict[str, str]
    """By the name of the file."""


def worst(paths: dict[str, str], files: dict[str, Numbers], datasets_root: str | None) -> Worst:
    """Return the worst answers of each file; `paths` and `files` by the name that the page gives them."""
    held: list[tuple[str, list[Card]]] = []
    sources, why_not = [], {}
    for name, results in files.items():
        try:
            cards, source = _of_file(paths[name], results, datasets_root)
        except RfmError as error:
            why_not[name] = str(error)
            continue
        held.append((name, cards))
        sources.append(source)
    album = collect(sources, _BYTES)
    many = len(files) > 1
    made = [
        card.as_json(at, album) | ({"facts": [["File", name], *map(list, card.facts)]} if many else {})
        for at, (name, cards) in enumerate(held)
        for card in cards
    ]
    return Worst(made, album, why_not)


def _of_file(path: str, results: Numbers, datasets_root: str | None) -> tuple[list[Card], Source]:
    dataset = str(results["dataset_path"])
    rows, config = load_dataset(dataset)
    answers = answers_in(results, path, config, dataset, len(rows))
    shelf = QuestionShelf(dataset, datasets_root, None, answers)
    cards = list(shelf.cards(_worst_rows(answers, len(rows)), audited=False))
    return cards, Source(shelf.root, shelf.why_not, frames_of(cards))


def _worst_rows(answers: Answers, count: int) -> np.ndarray:
    errors = np.array([answers.error(row) for row in range(count)])
    order = np.argsort(-errors, kind="stable")[:MOST]
    return order[errors[order] > 0]
