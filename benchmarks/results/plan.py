"""What is measured: which models on which sides, how many questions, how long the ladder's trainings are.

python -m benchmarks.results                                  all of it, hours
python -m benchmarks.results --demo_model outputs/demo/model/final   the model of `make demo` is there already
python -m benchmarks.results --ladder_steps 1200              a smaller ladder, which the page says
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.results.changes import report_changes
from benchmarks.results.figures import MIXTURE, figures_of
from benchmarks.results.judging import Judged, judge
from benchmarks.results.ladder import RUNGS, climb
from benchmarks.results.page import FOLDER, LADDER, write_card, write_page
from benchmarks.results.plot import plot_ladder
from benchmarks.results.provenance import code_version, record, training_of
from benchmarks.results.real import on_real_robots
from benchmarks.results.recipe import taught
from benchmarks.results.sides import Side, bundled
from benchmarks.results.steps import Made, Workshop
from benchmarks.results.subjects import DEMO, MODELS, SMALL, Subject
from benchmarks.results.worst import draw, worst_errors
from rfm.demo_options import DemoOptions
from rfm.errors import ConfigError
from rfm.evaluation.metrics.accuracy import Numbers
from rfm.files.seal import FILE_NAME, digest
from rfm.files.staging import staged_file
from rfm.ingest.metaworld.slots import TRAIN
from rfm.model.shipped import resolved
from rfm.training.lessons import FRAMES

logger = logging.getLogger(__name__)

FULL_STEPS = DemoOptions().steps
PARTS = ("models", "ladder", "page")


@dataclass(frozen=True)
class Options:
    """Measure what the models are worth, and write docs/results.md with its JSON and pictures."""

    output_dir: str = field(default="outputs/results", metadata={"help": "Folder of the steps: data, models, answers"})
    docs: str = field(default="docs", metadata={"help": "Folder of results.md and results/"})
    card: str = field(
        default="rfm/model/weights_shipped/metaworld-small",
        metadata={"help": "Folder of the card of metaworld-small, which is written where it is judged as it ships"},
    )
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


def run(options: Options) -> None:
    """Measure what is not measured yet, and write JSON, pictures and page."""
    workshop, docs = Workshop(Path(options.output_dir).absolute(), code_version()), Path(options.docs)
    with workshop.alone():
        if "models" in options.only:
            for subject, model in list(_models(workshop, options)):  # a wrong path is told before hours of work
                judged = _subject(workshop, subject, model, options, docs)
                _leave(docs / FOLDER / f"{subject.name}.json", judged)
        if "ladder" in options.only:
            _leave(docs / FOLDER / LADDER, _ladder(workshop, options, docs))
    logger.info("page: %s", write_page(docs))
    if options.small_model is None and (docs / FOLDER / f"{SMALL.name}.json").is_file():
        logger.info("card: %s", write_card(docs, SMALL.name, Path(options.card)))


def _models(workshop: Workshop, options: Options) -> Iterator[tuple[Subject, Judged]]:
    """Yield the models that are asked for; the demo's is trained where none is named."""
    if SMALL.name in options.models:
        path = options.small_model or resolved(SMALL.name)
        yield SMALL, Judged(SMALL.name, _checkpoint("small_model", path), FRAMES)
    if DEMO.name not in options.models:
        return
    if options.demo_model is not None:
        yield DEMO, Judged(DEMO.name, _checkpoint("demo_model", options.demo_model), FRAMES)
    else:
        source = bundled(TRAIN)
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
        "training": training_of(model.made.folder),
        "sides": sides,
        "left_out": [one.title for one in subject.sides if one not in wanted],
        "real": real,
        "bars": [vars(bar) for bar in subject.bars],
        **record(workshop, (f"models/{subject.name}/", "sides/", "sets/", "real/")),
    }


def _side(workshop: Workshop, subject: Subject, model: Judged, side: Side, rows: int, docs: Path) -> Numbers:
    answers = judge(workshop, model, side.name, side.ground(workshop, side.name), rows)
    mixture = next(one for one in answers if one.kind == MIXTURE)
    picture = f"{subject.name}-{side.name}.jpg"
    worst = [] if mixture.results is None else worst_errors(mixture.results, mixture.questions)
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


def _ladder(workshop: Workshop, options: Options, docs: Path) -> Numbers:
    found = climb(workshop, RUNGS, options.ladder_steps, options.ladder_rows)
    plot_ladder(found["rungs"], docs / FOLDER / "ladder.png")
    return {**found, "full_steps": FULL_STEPS, **record(workshop, ("ladder/",))}


def _leave(path: Path, content: Numbers) -> None:
    report_changes(path, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staged:
        staged.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    logger.info("figures: %s", path)
