"""The commands there are: the table of this package's, and adapters that other packages bring in.

A command's modules are imported when it runs, so `rfm generate` starts without torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from rfm.errors import ConfigError

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
        "count what datasets consist of",
    ),
    ("browse",): Command(
        "rfm.pages.browsing.options:BrowseOptions",
        "rfm.pages.browsing.command:browse",
        "datasets -> one page: film strips, answers and why, what is wrong",
    ),
    ("train",): Command(
        "rfm.training.options:TrainOptions", "rfm.training.command:train_command", "fine-tune a Qwen-VL model"
    ),
    ("evaluate",): Command(
        "rfm.evaluation.options:EvaluateOptions", "rfm.evaluation.evaluate:evaluate", "judge a checkpoint on a dataset"
    ),
    ("bench", "roboreward"): Command(
        "rfm.evaluation.benchmarks.options:RoboRewardOptions",
        "rfm.evaluation.benchmarks.roboreward:bench_roboreward",
        "judge a checkpoint on RoboRewardBench",
    ),
    ("bench", "rbm"): Command(
        "rfm.evaluation.benchmarks.options:RbmOptions",
        "rfm.evaluation.benchmarks.rbm:bench_rbm",
        "judge a checkpoint on evaluation sets of RFM and Robometer",
    ),
    ("score",): Command(
        "rfm.scoring.videos.options:ScoreOptions",
        "rfm.scoring.videos.command:score",
        "how far did the robot get in these videos",
    ),
    ("serve",): Command(
        "rfm.serving.options:ServeOptions",
        "rfm.serving.command:serve",
        "a reward model over HTTP, for policies elsewhere",
    ),
    ("prefer",): Command(
        "rfm.scoring.videos.options:PreferOptions",
        "rfm.scoring.videos.command:prefer",
        "which of two videos got further",
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
    ("export", "card"): Command(
        "rfm.export.options:CardOptions", "rfm.export.model_card:export_card", "write a checkpoint's model card anew"
    ),
    ("export", "push"): Command(
        "rfm.export.options:HubOptions", "rfm.export.hub:export_push", "upload a checkpoint to the Hugging Face hub"
    ),
    ("relabel",): Command(
        "rfm.scoring.relabelling.options:RelabelOptions",
        "rfm.scoring.relabelling.command:relabel",
        "progress of every frame -> LeRobot's sample weights, a column, a parquet",
    ),
    ("report",): Command(
        "rfm.pages.results.command:ReportOptions",
        "rfm.pages.results.command:report",
        "show results files as tables, Markdown, a picture or a page",
    ),
    ("check-collator",): Command(
        "rfm.training.check:CheckOptions",
        "rfm.training.check:check_collator",
        "verify what the model is shown and learns",
    ),
    ("demo",): Command("rfm.demo:DemoOptions", "rfm.demo:run", "the whole way on the bundled robot videos"),
}


def resolved(name: tuple[str, ...]) -> tuple[Any, Any]:
    """The options and the function of a command, of this package or of another one that brings in an adapter.

    ConfigError where two packages bring it in.
    """
    if name in COMMANDS:
        return load(COMMANDS[name].options), load(COMMANDS[name].function)
    points = _adapters()[name[1]]
    if len(points) > 1:
        raise ConfigError(f"rfm {' '.join(name)} must come from one package, but is {_package(*points)}: keep one")
    adapter = load("rfm.ingest.adapters:load_adapter")(points[0])
    return adapter.options, adapter.run


def brought_in(words: Sequence[str]) -> dict[tuple[str, ...], str]:
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


def load(where: str) -> Any:
    """Import what is at `module:name`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def overview(group: tuple[str, ...] = ()) -> str:
    """List the commands, those of a group or all."""
    summaries = [(name, command.summary) for name, command in COMMANDS.items()]
    for name, summary in brought_in(group).items():
        summaries.append((name, f"{summary}, whose name is taken: it can't be called" if name in COMMANDS else summary))
    width = max(len(" ".join(name)) for name, _ in summaries)
    listed = [(" ".join(name), summary) for name, summary in summaries if name[: len(group)] == group]
    lines = [f"  rfm {name:<{width}}  {summary}" for name, summary in listed]
    return (
        "Vision-language reward models for robots.\n\n" + "\n".join(lines) + "\n\nrfm COMMAND --help lists its flags.\n"
    )
