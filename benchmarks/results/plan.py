"""What is measured: which models on which sides, how many questions, how long the ladder's trainings are.

python -m benchmarks.results                                  all of it, hours
python -m benchmarks.results --demo_model outputs/demo/model/final   the model of `make demo` is there already
python -m benchmarks.results --ladder_steps 1200              a smaller ladder, which the page says
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.results.changes import report_changes
from benchmarks.results.figures import MIXTURE, Answers, Numbers, figures_of
from benchmarks.results.judging import Judged, judge
from benchmarks.results.ladder import BUNDLED_TRAIN, RUNGS, climb
from benchmarks.results.page import FOLDER, LADDER, lines_of, write_page
from benchmarks.results.plot import plot_ladder
from benchmarks.results.real import on_real_robots
from benchmarks.results.recipe import taught
from benchmarks.results.sides import Side, bundled, ground
from benchmarks.results.steps import Made, Workshop
from benchmarks.results.worst import draw, worst_errors
from rfm.batch.input_format import InputFormat
from rfm.demo import FRAMES, DemoOptions
from rfm.errors import ConfigError
from rfm.export.training_record import read_record
from rfm.files.seal import FILE_NAME, digest
from rfm.files.staging import staged_file

logger = logging.getLogger(__name__)

FULL_STEPS = DemoOptions().steps
PARTS = ("models", "ladder", "page")
VERSIONS = ("torch", "transformers", "datasets", "numpy")


@dataclass(frozen=True)
class Options:
    """Measure what the models are worth, and write docs/results.md with its JSON and pictures."""

    output_dir: str = field(default="outputs/results", metadata={"help": "Folder of the steps: data, models, answers"})
    docs: str = field(default="docs", metadata={"help": "Folder of results.md and results/"})
    shared: str = field(default="../shared/data", metadata={"help": "Folder of recordings of real robots, if there"})
    demo_model: str | None = field(
        default=None, metadata={"help": "Checkpoint that `make demo` made (default: train it by the same recipe)"}
    )
    rows: int = field(default=600, metadata={"help": "Questions of each kind, at most, on a side"})
    ladder_steps: int = field(default=FULL_STEPS, metadata={"help": "Optimizer steps of each training of the ladder"})
    ladder_rows: int = field(default=600, metadata={"help": "Questions of each kind that the ladder is judged by"})
    only: tuple[str, ...] = field(default=PARTS, metadata={"help": "Parts to run", "choices": PARTS})

    def __post_init__(self) -> None:
        least = {"rows": 1, "ladder_rows": 1, "ladder_steps": 5}
        faults = [
            f"`{name}` must be at least {low}, but is {getattr(self, name)}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if not self.only:
            faults.append(f"`only` must name some of {', '.join(PARTS)}, but names none")
        if faults:
            raise ConfigError("\n".join(faults))


@dataclass(frozen=True)
class Bar:
    """What a model was to reach on a side."""

    side: str
    figure: str
    value: float
    least: bool = True


@dataclass(frozen=True)
class Subject:
    """A model of the page."""

    name: str
    title: str
    what: str
    sides: tuple[Side, ...]
    bars: tuple[Bar, ...] = ()


SEEN = Side("seen", "new episodes", "Held-out episodes of the tasks that it was trained on, in the words of training.")
AFRESH = Side(
    "afresh",
    "simulated afresh",
    "The same tasks, simulated and filmed anew with another seed: nothing but the seed differs from training.",
    {"seed": 1, "episodes_per_task": 12},
)
DEMO = Subject(
    "demo",
    "The demo's model",
    "(`make demo`: 3 million weights, frames of 32 x 32, 15 tasks, about twenty minutes of one core).",
    (SEEN, AFRESH),
)


def run(options: Options) -> None:
    """Measure what is not measured yet, and write JSON, pictures and page."""
    workshop, docs = Workshop(Path(options.output_dir).absolute(), _code()), Path(options.docs)
    with workshop.alone():
        if "models" in options.only:
            model = Judged(DEMO.name, _demo(workshop, options.demo_model), FRAMES)
            _leave(docs / FOLDER / f"{DEMO.name}.json", _subject(workshop, DEMO, model, options, docs, place=0))
        if "ladder" in options.only:
            _leave(docs / FOLDER / LADDER, _ladder(workshop, options, docs))
    logger.info("page: %s", write_page(docs))


def _demo(workshop: Workshop, path: str | None) -> Made:
    if path is not None:
        seal = Path(path) / FILE_NAME
        if not seal.is_file():
            raise ConfigError(f"`demo_model` must be a checkpoint folder with {FILE_NAME}, but {path} is none")
        return Made(Path(path).absolute(), digest(seal))
    source = bundled(BUNDLED_TRAIN)
    return taught(workshop, "models/demo", FULL_STEPS, source.made, (f"data.datasets_root={source.root}",))


def _subject(workshop: Workshop, subject: Subject, model: Judged, options: Options, docs: Path, place: int) -> Numbers:
    real = on_real_robots(workshop, model, Path(options.shared))
    sides = [_side(workshop, subject, model, side, options.rows, docs) for side in subject.sides]
    return {
        "place": place,
        "name": subject.name,
        "title": subject.title,
        "what": subject.what,
        "training": _training(model.made.folder),
        "sides": sides,
        "real": real,
        "bars": [vars(bar) for bar in subject.bars],
        **_record(workshop, (f"models/{subject.name}/", "sides/", "real/")),
    }


def _side(workshop: Workshop, subject: Subject, model: Judged, side: Side, rows: int, docs: Path) -> Numbers:
    answers = judge(workshop, model, side, ground(workshop, side), rows)
    mixture = next(one for one in answers if one.kind == MIXTURE)
    picture, worst = f"{subject.name}-{side.name}.jpg", _worst(mixture)
    if worst:
        draw(worst, mixture.questions, docs / FOLDER / picture)
    return {
        "name": side.name,
        "title": side.title,
        "what": side.what,
        **figures_of(answers),
        "trained_on_share": None if mixture.results is None else mixture.results["trained_on_share"],
        "worst": worst,
        "picture": picture,
    }


def _worst(mixture: Answers) -> list[Numbers]:
    return [] if mixture.results is None else worst_errors(mixture.results, mixture.questions)


def _ladder(workshop: Workshop, options: Options, docs: Path) -> Numbers:
    found = climb(workshop, RUNGS, options.ladder_steps, options.ladder_rows)
    plot_ladder(found["rungs"], docs / FOLDER / "ladder.png")
    return {**found, "full_steps": FULL_STEPS, **_record(workshop, ("ladder/",))}


def _training(checkpoint: Path) -> list[str]:
    """Return what a checkpoint remembers of its training, a line each."""
    record, form = read_record(checkpoint), InputFormat.load(checkpoint)
    lines = []
    if record.data:
        counts = ", ".join(f"{count['total']} {kind}" for kind, count in (record.data.get("counts") or {}).items())
        lines.append(f"last training set: {record.data['rows']} questions ({counts})")
        lines += [f"content hash of its rows: `{record.data['content_hash']}`"] if "content_hash" in record.data else []
        hashes = record.data.get("source_hashes") or {}
        lines += [f"trajectories `{name}`: `{value}`" for name, value in hashes.items()]
    if form is not None:
        size = f"{form.resized_height} x {form.resized_width}" if form.resized_height else "as stored"
        lines.append(f"shown: up to {form.max_frames} frames of a clip, {size}")
    return lines


def _record(workshop: Workshop, prefixes: Sequence[str]) -> Numbers:
    """Return how long the steps of a part took, and with which code and versions."""
    made = {name: one for name, one in workshop.made.items() if name.startswith(tuple(prefixes))}
    parts: dict[str, list[Made]] = {}
    for name, one in made.items():
        parts.setdefault("/".join(name.split("/")[:2]), []).append(one)
    return {
        "times": list(lines_of(parts)),
        "codes": sorted({one.code for one in made.values() if one.code is not None}),
        "versions": {name: version(name) for name in VERSIONS},
    }


def _leave(path: Path, content: Numbers) -> None:
    report_changes(path, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    logger.info("figures: %s", path)


def _code() -> str:
    """Return the commit that is checked out; "unknown" outside a clone."""
    found = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"
