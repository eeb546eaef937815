"""What is measured: which models on which sides, how many questions, how long the ladder's trainings are.

python -m benchmarks.results                                  all of it, hours
python -m benchmarks.results --demo_model outputs/demo/model/final   the model of `make demo` is there already
python -m benchmarks.results --ladder_steps 1200              a smaller ladder, which the page says
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import safe_open

import rfm
from benchmarks.results.changes import report_changes
from benchmarks.results.figures import MIXTURE, Answers, Numbers, figures_of
from benchmarks.results.judging import Judged, judge
from benchmarks.results.ladder import BUNDLED_TRAIN, RUNGS, climb
from benchmarks.results.page import FOLDER, LADDER, lines_of, write_page
from benchmarks.results.plot import plot_ladder
from benchmarks.results.real import on_real_robots
from benchmarks.results.recipe import taught
from benchmarks.results.sides import Side, bundled, film, from_sets, held_out, of_small, reword
from benchmarks.results.steps import Made, Workshop
from benchmarks.results.worst import draw, worst_errors
from rfm.batch.input_format import InputFormat
from rfm.demo import FRAMES, DemoOptions
from rfm.errors import ConfigError
from rfm.export.training_record import read_record
from rfm.files.seal import FILE_NAME, digest
from rfm.files.staging import staged_file
from rfm.metaworld_small.recipe import FRAMES as SMALL_FRAMES
from rfm.metaworld_small.sides import COMPOSITIONS, OBJECTS, SEEN
from rfm.model.shipped import resolved

logger = logging.getLogger(__name__)

FULL_STEPS = DemoOptions().steps
SMALL_NAME, DEMO_NAME = "metaworld-small", "demo"
MODELS = (SMALL_NAME, DEMO_NAME)
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
    small_model: str | None = field(
        default=None, metadata={"help": "Checkpoint that `make metaworld-small` made (default: the one in the package)"}
    )
    models: tuple[str, ...] = field(default=MODELS, metadata={"help": "Models to judge", "choices": MODELS})
    sides: tuple[str, ...] = field(default=(), metadata={"help": "Only judge on these sides (default: all)"})
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
        named = {side.name for subject in (DEMO, SMALL) for side in subject.sides}
        if unknown := [name for name in self.sides if name not in named]:
            faults.append(f"`sides` must be among {', '.join(sorted(named))}, but one is {unknown[0]!r}")
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


UNSEEN = (*(name for name in (*COMPOSITIONS, *OBJECTS) if name != "drawer-close"),)
"""Tasks that neither model was trained on; closing a drawer the demo has seen."""
DEMO = Subject(
    DEMO_NAME,
    "The demo's model",
    "what `make demo` trains in about twenty minutes of one core, on 15 tasks.",
    (
        Side(
            "seen",
            "new episodes",
            "Held-out episodes of the tasks that it was trained on, in the words of training. Its last settings were "
            "chosen after looking at them.",
            held_out,
        ),
        Side(
            "wordings",
            "new words",
            "The same episodes, asked for in words that no training had.",
            reword,
        ),
        Side(
            "unseen",
            "unseen tasks",
            f"Tasks that it was never trained on, from the camera that it knows: {', '.join(UNSEEN)}.",
            from_sets("compositions", "objects", camera="right", tasks=UNSEEN),
        ),
        Side(
            "camera",
            "another camera",
            "Its tasks, filmed anew from another side and in frames of another size.",
            film(seed=13, episodes_per_task=12, cameras=("side",), sizes=(128,)),
        ),
        Side(
            "afresh",
            "filmed afresh",
            "Its tasks, simulated and filmed anew with another seed: nothing but the seed differs from training.",
            film(seed=12, episodes_per_task=12),
        ),
    ),
)
SMALL = Subject(
    SMALL_NAME,
    "metaworld-small",
    f"the model in the package, trained on {len(SEEN)} tasks from several cameras (`make metaworld-small`).",
    (
        Side(
            "small_seen",
            "new episodes",
            "Held-out episodes of the tasks that it was trained on, in words of training.",
            of_small("seen", "train"),
        ),
        Side(
            "small_wordings",
            "new words",
            "The same episodes, asked for in words that no training had.",
            of_small("wordings", "train"),
        ),
        Side(
            "compositions",
            "unseen compositions",
            f"Tasks whose verb, object and place it has seen, never together: {', '.join(COMPOSITIONS)}.",
            of_small("compositions", "compositions"),
        ),
        Side(
            "objects",
            "unseen objects",
            f"Tasks with things that no task of training shows: {', '.join(OBJECTS)}.",
            of_small("objects", "objects"),
        ),
        Side(
            "small_camera",
            "another camera",
            "Its tasks, filmed anew from another side and in frames of another size.",
            of_small("camera", "camera"),
        ),
        Side(
            "small_afresh",
            "filmed afresh",
            "Its tasks, simulated and filmed anew with another seed.",
            of_small("afresh", "afresh"),
        ),
    ),
    (
        Bar("small_seen", "preference", 0.95),
        Bar("small_seen", "mae", 6.0, least=False),
        Bar("small_seen", "pearson", 0.92),
        Bar("small_seen", "tau_a", 0.85),
        Bar("small_seen", "quality", 0.95),
        Bar("small_seen", "own", 88.0),
        Bar("small_seen", "same_scene_0", 10.0, least=False),
        Bar("small_seen", "same_scene_more", 10.0, least=False),
        Bar("compositions", "preference", 0.8),
        Bar("compositions", "tau_a", 0.5),
    ),
)


def run(options: Options) -> None:
    """Measure what is not measured yet, and write JSON, pictures and page."""
    workshop, docs = Workshop(Path(options.output_dir).absolute(), _code()), Path(options.docs)
    with workshop.alone():
        if "models" in options.only:
            for subject, model in list(_models(workshop, options)):  # a wrong path is told before hours of work
                judged = _subject(workshop, subject, model, options, docs)
                _leave(docs / FOLDER / f"{subject.name}.json", judged)
        if "ladder" in options.only:
            _leave(docs / FOLDER / LADDER, _ladder(workshop, options, docs))
    logger.info("page: %s", write_page(docs))


def _models(workshop: Workshop, options: Options) -> Iterator[tuple[Subject, Judged]]:
    """Yield the models that are asked for; the demo's is trained where none is named."""
    if SMALL_NAME in options.models:
        path = options.small_model or resolved(SMALL_NAME)
        yield SMALL, Judged(SMALL.name, _checkpoint("small_model", path), SMALL_FRAMES)
    if DEMO_NAME not in options.models:
        return
    if options.demo_model is not None:
        yield DEMO, Judged(DEMO.name, _checkpoint("demo_model", options.demo_model), FRAMES)
    else:
        source = bundled(BUNDLED_TRAIN)
        made = taught(workshop, "models/demo", FULL_STEPS, source.made, (f"data.datasets_root={source.root}",))
        yield DEMO, Judged(DEMO.name, made, FRAMES)


def _checkpoint(name: str, path: str) -> Made:
    seal = Path(path) / FILE_NAME
    if not seal.is_file():
        raise ConfigError(f"`{name}` must be a checkpoint folder with {FILE_NAME}, but {path} is none")
    return Made(Path(path).absolute(), digest(seal))


def _subject(workshop: Workshop, subject: Subject, model: Judged, options: Options, docs: Path) -> Numbers:
    real = on_real_robots(workshop, model, Path(options.shared))
    wanted = [one for one in subject.sides if not options.sides or one.name in options.sides]
    sides = [_side(workshop, subject, model, side, options.rows, docs) for side in wanted]
    return {
        "place": MODELS.index(subject.name),
        "name": subject.name,
        "title": subject.title,
        "what": subject.what,
        "training": _training(model.made.folder),
        "sides": sides,
        "left_out": [one.title for one in subject.sides if one not in wanted],
        "real": real,
        "bars": [vars(bar) for bar in subject.bars],
        **_record(workshop, (f"models/{subject.name}/", "sides/", "sets/", "real/")),
    }


def _side(workshop: Workshop, subject: Subject, model: Judged, side: Side, rows: int, docs: Path) -> Numbers:
    answers = judge(workshop, model, side.name, side.ground(workshop, side.name), rows)
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
    weights = sum(math.prod(load.get_slice(name).get_shape()) for load, name in _tensors(checkpoint))
    lines = [f"{weights:,} weights"]
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


def _tensors(checkpoint: Path) -> Iterator[tuple[Any, str]]:
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, "numpy") as opened:
            yield from ((opened, name) for name in opened.keys())  # noqa: SIM118


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
    """Return the last commit that changed the package; "unknown" outside a clone."""
    found = subprocess.run(
        ["git", "-C", str(Path(rfm.__file__).parent), "log", "-1", "--format=%h", "--abbrev=12", "."],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"
