"""The command `rfm browse`: datasets to one page.

One file holds everything, pictures as well. A folder holds `index.html` and the pictures beside it, for pages of more
rows than a browser should read at once. Cost: the audit of the rows looked at, and reading the frames that are shown.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64

from rfm.audit.checks import Verdict
from rfm.audit.statistics.trajectories import is_trajectory_dataset
from rfm.errors import DataError
from rfm.files.ownership import Kind, check_new_file, check_replaceable, named, replaced
from rfm.pages.album import Album, Source, collect
from rfm.pages.browsing.answers import Answers, read_answers
from rfm.pages.browsing.choice import EXAMPLES, SEED, chosen_rows
from rfm.pages.browsing.episodes import EpisodeShelf
from rfm.pages.browsing.options import BrowseOptions
from rfm.pages.browsing.questions import QuestionShelf
from rfm.pages.browsing.shelf import Card, frames_of
from rfm.pages.document import embedded, render, write
from rfm.trajectories.catalog import available_keys
from rfm.vqa.dataset import load_dataset

logger = logging.getLogger(__name__)

_IN_ONE_FILE = 16_500_000
"""Bytes of pictures in one file, a third more as text: below 25 MB with all else."""
_IN_A_FOLDER = 2_000_000_000
_PICTURES = "frames"
_MARK = "rfm_browse.json"
_KIND = Kind("a page of `rfm browse`", "output_path", (_MARK,), named(rf"{_MARK}|index\.html|{_PICTURES}/\d+\.jpg"))
_ORDER = [one.value for one in (Verdict.FAILED, Verdict.PARTLY, Verdict.NOT_CHECKED, Verdict.REPORTED, Verdict.OK)]

Shelf: TypeAlias = QuestionShelf | EpisodeShelf


def browse(options: BrowseOptions) -> None:
    """Write the page.

    Raises:
        ConfigError: the output is something else.
        DataError: a path holds no dataset, or the predictions are about another.

    """
    output = Path(options.output_path)
    if options.in_one_file:
        check_new_file("output_path", output, overwrite=options.overwrite, inputs=map(Path, options.datasets))
    else:
        check_replaceable(output, _KIND, overwrite=options.overwrite)
    if options.rerun is not None:
        check_new_file("rerun", Path(options.rerun), overwrite=options.overwrite, inputs=map(Path, options.datasets))
        import rfm.pages.rerun_file  # noqa: F401  an extra: better missed now than when the page is made
    answers = _answers(options)
    shelves = [_open(path, options, answers) for path in options.datasets]
    cards = [list(shelf.cards(_rows(shelf, options, answers))) for shelf in shelves]
    album = collect(
        [_source(shelf, held) for shelf, held in zip(shelves, cards, strict=True)],
        _IN_ONE_FILE if options.in_one_file else _IN_A_FOLDER,
    )
    page = _page(shelves, cards, album, answers, in_one_file=options.in_one_file)
    if options.in_one_file:
        write(page, output)
    else:
        _write_folder(output, page, album, options)
    logger.info("%d rows, %d pictures: %s", sum(map(len, cards)), len(album.pictures), output)
    if options.rerun is not None:
        _record(Path(options.rerun), shelves, cards)


def _write_folder(output: Path, page: str, album: Album, options: BrowseOptions) -> None:
    with replaced(output, _KIND, overwrite=options.overwrite) as work, work.anew() as folder:
        album.write(folder / _PICTURES)
        write(page, folder / "index.html")
        (folder / _MARK).write_text(json.dumps({"datasets": list(options.datasets)}) + "\n", encoding="utf-8")
        work.publish(flushed=False)


def _record(file: Path, shelves: Sequence[Shelf], cards: Sequence[Sequence[Card]]) -> None:
    """Write the episodes shown for the Rerun viewer."""
    from rfm.pages.browsing.recorded import recorded
    from rfm.pages.rerun_file import write_rerun

    of_episodes = [shelf for shelf in shelves if isinstance(shelf, EpisodeShelf)]  # all, as the options have it
    logger.info("%d episodes: %s", write_rerun(file, recorded(of_episodes, cards)), file)


def _answers(options: BrowseOptions) -> Answers | None:
    if options.predictions is None:
        return None
    rows, config = load_dataset(options.datasets[0])
    return read_answers(options.predictions, config, options.datasets[0], len(rows))


def _open(path: str, options: BrowseOptions, answers: Answers | None) -> Shelf:
    if is_trajectory_dataset(path):
        return EpisodeShelf(path)
    if keys := available_keys(Path(path)):
        raise DataError(
            f"`datasets` must be single datasets, but {path} is a root that holds {len(keys)}; name them one by one, "
            f"as {Path(path) / keys[0]}"
        )
    return QuestionShelf(path, options.datasets_root, options.max_audited, answers)


def _rows(shelf: Shelf, options: BrowseOptions, answers: Answers | None) -> Int64[np.ndarray, " k"]:
    errors = None
    if answers is not None and isinstance(shelf, QuestionShelf):
        errors = [answers.error(row) for row in shelf.questions.row.tolist()]
    return chosen_rows(len(shelf), options.max_rows, shelf.remarks, errors)


def _source(shelf: Shelf, cards: Sequence[Card]) -> Source:
    return Source(shelf.root, shelf.why_not, frames_of(cards))


def _page(
    shelves: Sequence[Shelf],
    cards: Sequence[Sequence[Card]],
    album: Album,
    answers: Answers | None,
    *,
    in_one_file: bool,
) -> str:
    names = [Path(shelf.path).absolute().name for shelf in shelves]
    data: dict[str, Any] = {
        "cards": [card.as_json(at, album) for at, held in enumerate(cards) for card in held],
        "names": names,
        "facets": _facets(shelves),
        "folder": "" if in_one_file else f"{_PICTURES}/",
        "model": answers is not None,
    }
    return render(
        "browse.html",
        ("cards.js", "browse.js"),
        pictures_from="data:" if in_one_file else "'self' file: data:",
        title=", ".join(names),
        datasets=[_dataset(at, *one) for at, one in enumerate(zip(shelves, names, cards, strict=True))],
        model=None if answers is None else answers.model,
        data=embedded(data),
        pictures=album.blocks() if in_one_file else [],
        shown=sum(map(len, cards)),
    )


def _facets(shelves: Sequence[Shelf]) -> list[dict[str, Any]]:
    """Return the properties of all datasets: keys, titles and how many rows have each value, in order."""
    made: dict[str, dict[str, Any]] = {}
    for shelf in shelves:
        for facet in shelf.facets:
            one = made.setdefault(facet.key, {"key": facet.key, "title": facet.title, "ordered": facet.ordered})
            counts = one.setdefault("counts", {})
            for name, count in facet.counts().items():
                counts[name] = counts.get(name, 0) + count
    for one in made.values():
        items = list(one.pop("counts").items())
        one["values"] = items if one["ordered"] else sorted(items, key=lambda item: -item[1])
    return list(made.values())


def _dataset(at: int, shelf: Shelf, name: str, cards: Sequence[Card]) -> dict[str, Any]:
    """Return what the head of the page says of one dataset."""
    shown = {card.row for card in cards}
    looked_at = shelf.questions.row if isinstance(shelf, QuestionShelf) else np.arange(len(shelf))
    remarks = [
        {
            "name": remark.name,
            "verdict": remark.verdict,
            "words": remark.words,
            "links": []
            if remark.rows is None
            else [(f"{at}-{row}", row) for row in looked_at[remark.rows].tolist() if row in shown][:EXAMPLES],
        }
        for remark in shelf.remarks
    ]
    failed = sum(remark.verdict == Verdict.FAILED.value for remark in shelf.remarks)
    return {
        "name": name,
        "path": shelf.path,
        "summary": shelf.summary,
        "remarks": sorted(remarks, key=lambda remark: _ORDER.index(remark["verdict"])),
        "failed": failed,
        "looked_at": len(shelf),
        "total": shelf.total,
        "shown": len(cards),
        "noun": shelf.noun,
        "seed": SEED,
    }
