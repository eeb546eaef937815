"""The page, from the JSON files alone: the same files give the same bytes.

    docs/results/MODEL.json   a model: how it was trained, its figures on each side, its worst errors
    docs/results/ladder.json  the ladder of data
    docs/results.md           what this module makes of them
    README.md of the package's model  its card, the same of that model alone

Words that are no figures (what was tried where a bar was missed, how a model was made) stand in `notes.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmarks.results.advice import advice
from benchmarks.results.figures import FIGURES, MEASURED, RIVALS
from benchmarks.results.verdicts import CARE, FIT, UNFIT, UNKNOWN, USES, needs_content, uses
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.yaml_documents import read_yaml
from rfm.files.staging import staged_file

FOLDER, PAGE, LADDER, CARD = "results", "results.md", "ladder.json", "README.md"
HERE = Path(__file__).parent
MAIN = ("preference", "mae", "pearson", "tau_a", "quality", "words")
"""Figures that every rival is shown with."""
_WORDS = {FIT: "**yes**", CARE: "*with care*", UNFIT: "**no**", UNKNOWN: "not measured"}
_NONE = "-"


def write_page(docs: Path) -> Path:
    """Render docs/results.md from docs/results/*.json."""
    folder = docs / FOLDER
    files = sorted(path for path in folder.glob("*.json") if path.name != LADDER)
    models = sorted((read_json_object(path) for path in files), key=lambda one: one["place"])
    ladder = read_json_object(folder / LADDER) if (folder / LADDER).is_file() else None
    return _written(docs / PAGE, render(models, ladder, _notes()))


def write_card(docs: Path, name: str, folder: Path) -> Path:
    """Render the card of a model from docs/results/NAME.json into its checkpoint folder."""
    return _written(folder / CARD, render_card(read_json_object(docs / FOLDER / f"{name}.json"), _notes()))


def _notes() -> Mapping[str, Any]:
    return read_yaml(HERE / "notes.yaml") or {}


def _written(path: Path, text: str) -> Path:
    with staged_file(path) as staged:
        staged.write_text(text, encoding="utf-8")
    return path


def render(models: Sequence[Numbers], ladder: Numbers | None, notes: Mapping[str, Any]) -> str:
    """Return the page's text."""
    parts = [*models, *([] if ladder is None else [ladder])]
    return _template("page.md.jinja").render(
        models=[_model(one, notes.get(one["name"], {})) for one in models],
        ladder=None if ladder is None else _ladder(ladder),
        times=list({line["part"]: line for one in parts for line in one["times"]}.values()),  # models share sides
        made=_made(parts),
        uses=USES,
        bars=_bars(),
        main_titles=[FIGURES[name].title for name in MAIN],
    )


def render_card(model: Numbers, notes: Mapping[str, Any]) -> str:
    """Return the text of a model's card."""
    sides = [side["model"] for side in model["sides"]]
    told = [name for name in FIGURES if any(name in side for side in sides)]
    return _template("card.md.jinja").render(
        model=_model(model, notes.get(model["name"], {})),
        figures=[(FIGURES[name].title, [_cell(side, name) for side in sides]) for name in told],
        made=notes.get(model["name"], {}).get("made", []),
        uses=USES,
        bars=_bars(),
    )


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    environment.filters |= {
        "said": _said,
        "ahead": _ahead,
        "number": lambda one, name, digits: shown(one[name], digits),
    }
    return environment.get_template(name)


def shown(number: Numbers | None, digits: int) -> str:
    """Return a figure with its interval; a dash where there is none."""
    if number is None:
        return _NONE
    text, interval = _rounded(number["value"], digits), number.get("interval")
    return text if interval is None else f"{text} [{', '.join(_rounded(bound, digits) for bound in interval)}]"


def _rounded(value: float, digits: int) -> str:
    """Return a number with so many digits, without the sign where nothing else is left of it."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def text_of(words: str) -> str:
    """Return words of data as Markdown shows them, whatever signs are in them."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(words.split()))


def _said(side: Numbers, use: str, name: str) -> str:
    """Return the verdict on a use of a model on a side, and the figure that it rests on."""
    return f"{_WORDS[uses(side)[use]]} {_cell(side['model'], name)}".removesuffix(f" {_NONE}")


def _ahead(side: Numbers, kind: str) -> str:
    """Return whether what a control takes away was needed, by how much the model is ahead, and of which control."""
    word, found = needs_content(side, kind), side["ahead"].get(kind)
    if found is None:
        return _WORDS[word]
    name = RIVALS[found["over"]].removeprefix("model, ")
    return f"{_WORDS[word]} {shown(found, FIGURES[MEASURED[kind]].digits)} ({name})"


def _cell(figures: Mapping[str, Numbers], name: str) -> str:
    return shown(figures.get(name), FIGURES[name].digits)


def _model(model: Numbers, notes: Mapping[str, Any]) -> Numbers:
    sides = [{**side, **_side(side)} for side in model["sides"]]
    bars = [_bar(sides, bar) for bar in model["bars"]]
    return {
        **model,
        "sides": sides,
        "bars": bars,
        "notes": notes.get("missed", []),
        "on_real": _on_real(model["real"]),
    }


def _on_real(real: Sequence[Numbers]) -> str:
    """Return in a line what is known of real robots."""
    if not real:
        return "not measured."
    told = [f"{shown(one['spearman'], 2)} over {one['episodes']} episodes of {one['title']}" for one in real]
    return f"**not trained for it**; how its scores go with time (Spearman, 1 = always rising): {'; '.join(told)}."


def _side(side: Numbers) -> Numbers:
    missing: dict[str, list[str]] = {}
    for name, why in side["missing"].items():
        missing.setdefault(why, []).append(FIGURES[name].title)
    return {
        "beside": [("**the model**", _cells(side["model"])), *_beside(side)],
        "rows": [_row(side, name) for name in FIGURES if name in side["model"]],
        "missing": [f"{', '.join(names)} ({text_of(why)})" for why, names in missing.items()],
        "worst": [_error(one) for one in side["worst"]],
    }


def _beside(side: Numbers) -> Iterator[tuple[str, list[str]]]:
    """Yield baselines and controls with what they reach."""
    for rival, title in RIVALS.items():
        if rival in side["rivals"]:
            yield title, _cells(side["rivals"][rival])


def _cells(figures: Mapping[str, Numbers]) -> list[str]:
    return [_cell(figures, name) for name in MAIN]


def _row(side: Numbers, name: str) -> Numbers:
    figure, found = FIGURES[name], side["model"][name]
    known = f" (right: {found['known']:.{figure.digits}f})" if found.get("known") is not None else ""
    return {
        "title": figure.title + known,
        "value": shown(found, figure.digits),
        "count": found["count"] if found["count"] is not None else _NONE,
        "rival": _best_rival(side, name),
    }


def _best_rival(side: Numbers, name: str) -> str:
    """Return the rival that does best in what can be told without the content; none where better has no meaning."""
    figure = FIGURES[name]
    if figure.good is None:
        return _NONE
    able = [
        (numbers[name]["value"], rival)
        for rival, numbers in side["rivals"].items()
        if name in numbers and rival in RIVALS
    ]
    if not able:
        return _NONE
    _, rival = (max if figure.rises else min)(able)
    return f"{shown(side['rivals'][rival][name], figure.digits)} ({RIVALS[rival]})"


def _error(error: Numbers) -> str:
    task = text_of(error["task"])
    clips = [f"`{clip['trajectory']}`" for clip in error["clips"]]
    if error["sample_type"] == "progress":
        said = "no answer" if error["said"] is None else f"{error['said']:.0f}"
        return f'"{task}": right {error["truth"]:.0f}, said {said}; {error["strategy"]}, {clips[0]}'
    ends = [f"{100 * clip['end']:.0f}" if clip["end"] is not None else "not known" for clip in error["clips"]]
    said = "no answer" if error["said"] is None else f"video {error['said']:.0f}"
    return (
        f'"{task}": right video {error["truth"]:.0f}, said {said} with probability {error["loss"]:.2f}; '
        f"{error['strategy']}, {' and '.join(clips)}, progress {' and '.join(ends)}"
    )


def _bar(sides: Sequence[Numbers], bar: Numbers) -> Numbers:
    """Return a bar that a model was to pass on a side, and whether it did."""
    figure = FIGURES[bar["figure"]]
    side = next((one for one in sides if one["name"] == bar["side"]), None)
    found = None if side is None else side["model"].get(bar["figure"])
    return {
        "title": f"{figure.title}, {side['title'] if side else bar['side']}",
        "wanted": f"at {'least' if bar['least'] else 'most'} {bar['value']:g}",
        "measured": shown(found, figure.digits),
        "verdict": "not measured" if found is None else "passed" if _passed(found["value"], bar) else "**missed**",
    }


def _passed(value: float, bar: Numbers) -> bool:
    return bool(value >= bar["value"] if bar["least"] else value <= bar["value"])


def _bars() -> str:
    parts = []
    for _, name in USES.values():
        figure = FIGURES[name]
        parts.append(f"{figure.title} {'>=' if figure.rises else '<='} {figure.good:g}")
    return ", ".join(parts)


def _ladder(ladder: Numbers) -> Numbers:
    titles = {"preference": "accuracy", "mae": "MAE", "tau_a": "tau-a", "gap": "own - same scene"}
    columns = [
        (side, name)
        for side in ("seen", "unseen")
        for name in titles
        if any(rung[side][name] is not None for rung in ladder["rungs"])
    ]
    rungs = [{**rung, "cells": [_cell(rung[side], name) for side, name in columns]} for rung in ladder["rungs"]]
    return {
        **ladder,
        "columns": [f"{titles[name]}, {side}" for side, name in columns],
        "rungs": rungs,
        "advice": advice(ladder["rungs"]),
    }


def _made(parts: Sequence[Numbers]) -> str:
    codes = sorted({code for one in parts for code in one["codes"]})
    versions = sorted({f"{name} {version}" for one in parts for name, version in one["versions"].items()})
    return f"Commit {', '.join(codes)}; {', '.join(versions)}."
