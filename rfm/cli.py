"""The command `rfm`, and what the scripts of the specification call.

A command's modules are imported when it runs, so `rfm generate` starts without torch. Errors that the user can act on
are printed as one message with exit status 1; anything else keeps its traceback.
"""

from __future__ import annotations

import errno
import importlib
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from itertools import takewhile
from typing import Any, NamedTuple

from rfm.console import console, set_up_logging
from rfm.errors import ConfigError, RfmError
from rfm.options import parse_options

_ADAPTERS = "rfm.ingest"
"""The group of entry points by which a package brings in `rfm ingest NAME` (rfm/ingest/adapters.py)."""


class Command(NamedTuple):
    """Where a command's options and function are, as `module:name`, and what it does."""

    options: str
    function: str
    summary: str


COMMANDS: dict[tuple[str, ...], Command] = {
    ("ingest", "videos"): Command(
        "rfm.ingest.sources.videos:IngestVideosOptions",
        "rfm.ingest.sources.videos:ingest_videos_command",
        "videos and folders of pictures -> trajectory dataset",
    ),
    ("ingest", "lerobot"): Command(
        "rfm.ingest.lerobot.episodes:IngestLeRobotOptions",
        "rfm.ingest.lerobot.episodes:ingest_lerobot_command",
        "a LeRobot dataset (v2.0, v2.1, v3.0)",
    ),
    ("ingest", "rlds"): Command(
        "rfm.ingest.sources.rlds:IngestRldsOptions",
        "rfm.ingest.sources.rlds:ingest_rlds_command",
        "TFRecord shards of RLDS datasets (Open X-Embodiment)",
    ),
    ("ingest", "hdf5"): Command(
        "rfm.ingest.hdf5.episodes:IngestHdf5Options",
        "rfm.ingest.hdf5.episodes:ingest_hdf5_command",
        "HDF5 demonstrations (robomimic, LIBERO, ALOHA)",
    ),
    ("ingest", "zarr"): Command(
        "rfm.ingest.sources.zarr:IngestZarrOptions",
        "rfm.ingest.sources.zarr:ingest_zarr_command",
        "Zarr replay buffers (diffusion_policy, UMI)",
    ),
    ("ingest", "mcap"): Command(
        "rfm.ingest.mcap.episodes:IngestMcapOptions",
        "rfm.ingest.mcap.episodes:ingest_mcap_command",
        "MCAP files and ROS 2 bags",
    ),
    ("ingest", "rbm"): Command(
        "rfm.ingest.rbm.episodes:IngestRbmOptions",
        "rfm.ingest.rbm.episodes:ingest_rbm_command",
        "datasets of RFM and Robometer",
    ),
    ("ingest", "roboreward"): Command(
        "rfm.ingest.sources.roboreward:IngestRoboRewardOptions",
        "rfm.ingest.sources.roboreward:ingest_roboreward_command",
        "RoboReward: videos with rewards from 1 to 5",
    ),
    ("ingest", "roboarena"): Command(
        "rfm.ingest.sources.roboarena:IngestRoboArenaOptions",
        "rfm.ingest.sources.roboarena:ingest_roboarena_command",
        "RoboArena: sessions with partial success by policy",
    ),
    ("ingest", "metaworld"): Command(
        "rfm.ingest.metaworld.command:IngestMetaworldOptions",
        "rfm.ingest.metaworld.command:ingest_metaworld_command",
        "simulate and film MetaWorld episodes",
    ),
    ("manifest",): Command(
        "rfm.ingest.listing.template:ManifestOptions",
        "rfm.ingest.listing.template:manifest_command",
        "list the videos and picture folders in a folder, to fill in",
    ),
    ("merge",): Command(
        "rfm.ingest.merge:MergeDatasetsOptions", "rfm.ingest.merge:merge_command", "several trajectory datasets -> one"
    ),
    ("validate",): Command(
        "rfm.ingest.validate:ValidateOptions",
        "rfm.ingest.validate:validate_command",
        "check trajectory datasets whole, fix counts and shapes",
    ),
    ("generate",): Command(
        "rfm.generation.options:GenerateOptions",
        "rfm.generation.generate:generate",
        "trajectory datasets -> VQA dataset",
    ),
    ("split",): Command(
        "rfm.splits.command:SplitOptions",
        "rfm.splits.command:split",
        "trajectories -> train, validation and test sides",
    ),
    ("audit",): Command(
        "rfm.audit.options:AuditOptions", "rfm.audit.run:audit", "check the labels, shortcuts and files of VQA datasets"
    ),
    ("stats",): Command(
        "rfm.audit.statistics.command:StatisticsOptions",
        "rfm.audit.statistics.command:statistics",
        "count what VQA datasets consist of",
    ),
    ("train",): Command(
        "rfm.training.options:TrainOptions", "rfm.training.command:train_command", "fine-tune a Qwen-VL model"
    ),
    ("evaluate",): Command(
        "rfm.evaluation.options:EvaluateOptions", "rfm.evaluation.evaluate:evaluate", "judge a checkpoint on a dataset"
    ),
    ("compare",): Command(
        "rfm.evaluation.compare:CompareOptions", "rfm.evaluation.compare:compare", "which of two results is better"
    ),
    ("export", "merge"): Command(
        "rfm.export.options:MergeOptions", "rfm.export.merge:export_merge", "adapter -> full model, verified"
    ),
    ("export", "rows"): Command(
        "rfm.export.options:RowsOptions",
        "rfm.export.rows:export_rows",
        "VQA dataset -> TRL, LLaMA-Factory or ms-swift, frames as files",
    ),
    ("export", "progress"): Command(
        "rfm.scoring.progress_export:ProgressOptions",
        "rfm.scoring.progress_export:export_progress",
        "per-frame progress -> parquet, and a column of a LeRobot dataset",
    ),
    ("export", "card"): Command(
        "rfm.export.options:CardOptions", "rfm.export.model_card:export_card", "write a checkpoint's model card anew"
    ),
    ("export", "push"): Command(
        "rfm.export.options:HubOptions", "rfm.export.hub:export_push", "upload a checkpoint to the Hugging Face hub"
    ),
    ("report",): Command(
        "rfm.evaluation.reports.command:ReportOptions",
        "rfm.evaluation.reports.command:report",
        "show a results file as tables, Markdown or a picture",
    ),
    ("check-collator",): Command(
        "rfm.training.check:CheckOptions",
        "rfm.training.check:check_collator",
        "verify what the model is shown and learns",
    ),
    ("demo",): Command("rfm.demo:DemoOptions", "rfm.demo:run", "the whole way on the bundled robot videos"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `rfm COMMAND …`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in sorted([*COMMANDS, *_brought_in(words)], key=len, reverse=True):
        if tuple(words[: len(name)]) == name:
            sys.exit(run_command(name, words[len(name) :], program=f"rfm {' '.join(name)}"))
    named = list(takewhile(lambda word: not word.startswith("-"), words))
    group = named[:1] if any(name[:1] == tuple(named[:1]) for name in COMMANDS) else []
    asked_for_help = not words or (named == group and words[len(group) :][:1] in (["-h"], ["--help"]))
    stream = sys.stdout if asked_for_help else sys.stderr
    if not asked_for_help:
        stream.write(f"rfm: no command {' '.join(words[:2])!r}\n\n")
    stream.write(_overview(tuple(group)))
    sys.exit(0 if asked_for_help else 2)


def run_script(name: str) -> None:
    """Run one command as a script of its own, with the script's arguments."""
    sys.exit(run_command((name,), sys.argv[1:], program=None))


def run_command(name: tuple[str, ...], arguments: Sequence[str], program: str | None) -> int:
    """Run a command and return its exit status."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # threads that spin at a barrier take the core from the loader's workers: steps of 0.1 s took 1 to 5 s beside them
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _open_streams()
    set_up_logging()
    options = None
    try:
        _check_working_folder()
        cls, function = _resolved(name)
        options = parse_options(cls, program or os.path.basename(sys.argv[0]), arguments)  # noqa: PTH119
        result = function(options)
        sys.stdout.flush()
    except RfmError as error:
        console().print(f"error: {error}", style="bold red", soft_wrap=True)
        return 1
    except OSError as error:
        if error.errno == errno.EPIPE and _nobody_reads():
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # what is left in the buffer would fail again
            return _NOBODY_READS
        if (text := _refused(error, lambda: _after_full(name, options, [*_started_as(program), *arguments]))) is None:
            raise
        console().print(f"error: {text}", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would cut the message off
        text = _way_on(name, options, [*_started_as(program), *arguments])
        console().print(f"interrupted; {text}", style="bold red", soft_wrap=True)
        signal.signal(signal.SIGINT, before)
        return 130
    return result if isinstance(result, int) else 0


_NOBODY_READS = 141
"""What a shell reports of a command whose pipe was closed by its reader, as in `rfm report … | head`."""


def _open_streams() -> None:
    """Make standard streams that were closed take what is written, and let none fail on a letter it does not have.

    A closed one is no stream at all, and the next file that is opened would get its number and its lines.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):  # a stream without a file
        return False


def _check_working_folder() -> None:
    """Refuse to run where relative paths mean nothing, or where records of whole paths could not be written."""
    try:
        here = os.getcwd()  # noqa: PTH109
        here.encode()
    except FileNotFoundError as error:
        raise ConfigError("the working folder must exist, but was deleted; change to another") from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"the working folder must have a name in UTF-8, but is {os.fsencode(here)!r}; rename it"
        ) from error


def _way_on(name: tuple[str, ...], options: Any, command: Sequence[str]) -> str:
    """Return what to do after an interruption of a command that was called like this."""
    if name == ("train",) and options is not None:
        return str(_load("rfm.training.command:way_on_command")(options, command))
    goes_on = name[0] in ("ingest", "generate", "evaluate") or name == ("export", "rows")
    return f"the same command {'goes on where it stopped' if goes_on else 'starts anew, nothing is left half made'}"


def _started_as(program: str | None) -> list[str]:
    """Return the words that a command line began with."""
    if program is None:
        return ["python", sys.argv[0]]
    return ["python", "-m", *program.split()] if sys.argv[0].endswith("__main__.py") else program.split()


_FULL = (errno.ENOSPC, errno.EDQUOT)
_RIGHTS = "must be open to this user, but is not ({}); change its rights, or name another"
_REFUSALS = {
    errno.ENOENT: "must exist, but does not ({}); name another",
    errno.ENOTDIR: "must lie in a folder, but a part of its path is a file ({}); name another",
    errno.EISDIR: "must be a file, but is a folder ({}); name another",
    errno.EEXIST: "must be a folder or free, but a file is there ({}); name another",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "must lie on a disk that can be written to, but does not ({}); name another",
    errno.ENAMETOOLONG: "must have a shorter name ({}); name another",
    errno.ELOOP: "must lead to a file, but its links lead in a circle ({}); name another",
}
"""What is wrong with a path that the system refuses."""


def _refused(error: OSError, after_full: Callable[[], str]) -> str | None:
    """Return what is wrong with the disk or a path, None for any other failure of the system."""
    if error.errno in _FULL:
        where = f" for {error.filename}" if error.filename else ""
        return f"there must be room on the disk{where}, but there is none left ({error.strerror}); {after_full()}"
    if error.errno not in _REFUSALS or not error.filename:
        return None
    return f"{os.fsdecode(error.filename)} {_REFUSALS[error.errno].format(error.strerror)}"


def _after_full(name: tuple[str, ...], options: Any, command: Sequence[str]) -> str:
    """Return what to do after a command that was called like this has filled the disk."""
    if name == ("train",) and options is not None:  # what it has saved has to be named
        return f"free some, then {_way_on(name, options, command)}"
    return "free some, or write elsewhere, and give the command again: it goes on where it can"


def _resolved(name: tuple[str, ...]) -> tuple[Any, Any]:
    """The options and the function of a command, of this package or of another one that brings in an adapter."""
    if name in COMMANDS:
        return _load(COMMANDS[name].options), _load(COMMANDS[name].function)
    points = _adapters()[name[1]]
    if len(points) > 1:
        raise ConfigError(f"rfm {' '.join(name)} must come from one package, but is {_package(*points)}: keep one")
    adapter = _load("rfm.ingest.adapters:load_adapter")(points[0])
    return adapter.options, adapter.run


def _brought_in(words: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Adapters of other packages and what is said of them; looked for only where `words` may mean one."""
    if words and words[0] != "ingest" and not words[0].startswith("-"):
        return {}
    return {("ingest", name): f"an adapter of {_package(*points)}" for name, points in _adapters().items()}


def _adapters() -> dict[str, list[EntryPoint]]:
    """What other packages bring in, by name; their code is not imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=_ADAPTERS):
        found.setdefault(point.name, []).append(point)
    return dict(sorted(found.items()))


def _package(*points: EntryPoint) -> str:
    return " and of ".join(sorted(f"{point.dist.name} {point.dist.version}" for point in points if point.dist))


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _overview(group: tuple[str, ...] = ()) -> str:
    """List the commands, those of a group or all."""
    summaries = [(name, command.summary) for name, command in COMMANDS.items()]
    for name, summary in _brought_in(group).items():
        summaries.append((name, f"{summary}, whose name is taken: it can't be called" if name in COMMANDS else summary))
    width = max(len(" ".join(name)) for name, _ in summaries)
    listed = [(" ".join(name), summary) for name, summary in summaries if name[: len(group)] == group]
    lines = [f"  rfm {name:<{width}}  {summary}" for name, summary in listed]
    return (
        "Vision-language reward models for robots.\n\n" + "\n".join(lines) + "\n\nrfm COMMAND --help lists its flags.\n"
    )
