"""The table of this package's commands: where each has its options and its function, and what is said of it."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command's options and function are, as `module:name`, and what it does."""

    options: str
    function: str
    summary: str
    group: str
    """Of `GROUPS`."""
    example: str
    tables: bool = False
    """Whether it prints tables, or one document instead (`rfm.console.show`)."""


GROUPS = {
    "trajectories": "recordings -> datasets of trajectories",
    "questions": "datasets of trajectories -> questions with answers",
    "training": "questions -> a model",
    "judging": "what a model is worth",
    "rewards": "a model's scores of videos",
    "this installation": "what is here, and whether it works",
}
"""What commands are for, in the order of the work."""

COMMANDS: dict[tuple[str, ...], Command] = {
    ("ingest", "videos"): Command(
        "rfm.ingest.sources.videos:IngestVideosOptions",
        "rfm.ingest.sources.videos:ingest_videos_command",
        "videos and folders of pictures -> trajectory dataset",
        "trajectories",
        "rfm ingest videos my_videos --task_from folder --output datasets",
    ),
    ("ingest", "lerobot"): Command(
        "rfm.ingest.lerobot.episodes:IngestLeRobotOptions",
        "rfm.ingest.lerobot.episodes:ingest_lerobot_command",
        "a LeRobot dataset (v2.0, v2.1, v3.0)",
        "trajectories",
        "rfm ingest lerobot lerobot/pusht --output datasets",
    ),
    ("ingest", "rlds"): Command(
        "rfm.ingest.sources.rlds:IngestRldsOptions",
        "rfm.ingest.sources.rlds:ingest_rlds_command",
        "TFRecord shards of RLDS datasets (Open X-Embodiment)",
        "trajectories",
        "rfm ingest rlds bridge/1.0.0 --output datasets",
    ),
    ("ingest", "hdf5"): Command(
        "rfm.ingest.hdf5.episodes:IngestHdf5Options",
        "rfm.ingest.hdf5.episodes:ingest_hdf5_command",
        "HDF5 demonstrations (robomimic, LIBERO, ALOHA)",
        "trajectories",
        'rfm ingest hdf5 lift.hdf5 --task "lift the cube" --output datasets',
    ),
    ("ingest", "zarr"): Command(
        "rfm.ingest.sources.zarr:IngestZarrOptions",
        "rfm.ingest.sources.zarr:ingest_zarr_command",
        "Zarr replay buffers (diffusion_policy, UMI)",
        "trajectories",
        'rfm ingest zarr pusht.zarr --task "push the T" --output datasets',
    ),
    ("ingest", "mcap"): Command(
        "rfm.ingest.mcap.episodes:IngestMcapOptions",
        "rfm.ingest.mcap.episodes:ingest_mcap_command",
        "MCAP files and ROS 2 bags",
        "trajectories",
        'rfm ingest mcap bags --task "open the drawer" --output datasets',
    ),
    ("ingest", "rbm"): Command(
        "rfm.ingest.rbm.episodes:IngestRbmOptions",
        "rfm.ingest.rbm.episodes:ingest_rbm_command",
        "datasets of RFM and Robometer",
        "trajectories",
        "rfm ingest rbm rbm-1m-ood --output datasets",
    ),
    ("ingest", "roboreward"): Command(
        "rfm.ingest.sources.roboreward:IngestRoboRewardOptions",
        "rfm.ingest.sources.roboreward:ingest_roboreward_command",
        "RoboReward: videos with rewards from 1 to 5",
        "trajectories",
        "rfm ingest roboreward RoboReward --output datasets",
    ),
    ("ingest", "roboarena"): Command(
        "rfm.ingest.sources.roboarena:IngestRoboArenaOptions",
        "rfm.ingest.sources.roboarena:ingest_roboarena_command",
        "RoboArena: sessions with partial success by policy",
        "trajectories",
        "rfm ingest roboarena RoboArena --output datasets",
    ),
    ("ingest", "metaworld"): Command(
        "rfm.ingest.metaworld.command:IngestMetaworldOptions",
        "rfm.ingest.metaworld.command:ingest_metaworld_command",
        "simulate and film MetaWorld episodes",
        "trajectories",
        "rfm ingest metaworld --output datasets/metaworld --episodes_per_task 2",
    ),
    ("manifest",): Command(
        "rfm.ingest.listing.template:ManifestOptions",
        "rfm.ingest.listing.template:manifest_command",
        "list the videos and picture folders in a folder, to fill in",
        "trajectories",
        "rfm manifest my_videos",
    ),
    ("merge",): Command(
        "rfm.ingest.merge:MergeDatasetsOptions",
        "rfm.ingest.merge:merge_command",
        "several trajectory datasets -> one",
        "trajectories",
        "rfm merge datasets/mine datasets/lift --output datasets/both",
    ),
    ("validate",): Command(
        "rfm.ingest.validate:ValidateOptions",
        "rfm.ingest.validate:validate_command",
        "check trajectory datasets whole, fix counts and shapes",
        "trajectories",
        "rfm validate mine --datasets_root datasets",
    ),
    ("generate",): Command(
        "rfm.generation.options:GenerateOptions",
        "rfm.generation.generate:generate",
        "trajectory datasets -> VQA dataset",
        "questions",
        "rfm generate --num_samples 10000 --output_path data",
    ),
    ("split",): Command(
        "rfm.splits.command:SplitOptions",
        "rfm.splits.command:split",
        "trajectories -> train, validation and test sides",
        "trajectories",
        "rfm split --datasets mine --split train=0.8,test=0.2 --output split.json",
        tables=True,
    ),
    ("audit",): Command(
        "rfm.audit.options:AuditOptions",
        "rfm.audit.run:audit",
        "check the labels, shortcuts and files of VQA datasets",
        "questions",
        "rfm audit data",
        tables=True,
    ),
    ("stats",): Command(
        "rfm.audit.statistics.command:StatisticsOptions",
        "rfm.audit.statistics.command:statistics",
        "count what datasets consist of",
        "questions",
        "rfm stats data",
        tables=True,
    ),
    ("browse",): Command(
        "rfm.pages.browsing.options:BrowseOptions",
        "rfm.pages.browsing.command:browse",
        "datasets -> one page: film strips, answers and why, what is wrong",
        "questions",
        "rfm browse data",
    ),
    ("train",): Command(
        "rfm.training.options:TrainOptions",
        "rfm.training.command:train_command",
        "fine-tune a Qwen-VL model",
        "training",
        "rfm train --dataset_path data --model_name Qwen/Qwen3-VL-4B-Instruct --output_dir run",
    ),
    ("evaluate",): Command(
        "rfm.evaluation.options:EvaluateOptions",
        "rfm.evaluation.evaluate:evaluate",
        "judge a checkpoint on a dataset",
        "judging",
        "rfm evaluate --model_path run/final --dataset_path test --output_path results.json",
        tables=True,
    ),
    ("bench", "roboreward"): Command(
        "rfm.evaluation.benchmarks.options:RoboRewardOptions",
        "rfm.evaluation.benchmarks.roboreward:bench_roboreward",
        "judge a checkpoint on RoboRewardBench",
        "judging",
        "rfm bench roboreward RoboRewardBench --model_path run/final",
        tables=True,
    ),
    ("bench", "rbm"): Command(
        "rfm.evaluation.benchmarks.options:RbmOptions",
        "rfm.evaluation.benchmarks.rbm:bench_rbm",
        "judge a checkpoint on evaluation sets of RFM and Robometer",
        "judging",
        "rfm bench rbm rbm-1m-ood --model_path run/final",
        tables=True,
    ),
    ("score",): Command(
        "rfm.scoring.videos.options:ScoreOptions",
        "rfm.scoring.videos.command:score",
        "how far did the robot get in these videos",
        "rewards",
        'rfm score episode.mp4 --task "open the drawer"',
        tables=True,
    ),
    ("serve",): Command(
        "rfm.serving.options:ServeOptions",
        "rfm.serving.command:serve",
        "a reward model over HTTP, for policies elsewhere",
        "rewards",
        "rfm serve --model run/final --port 8000",
    ),
    ("serve-command",): Command(
        "rfm.export.options:ServeCommandOptions",
        "rfm.export.serve_command:serve_command",
        "the line that starts a vLLM server for a checkpoint",
        "rewards",
        "rfm serve-command run/final",
    ),
    ("prefer",): Command(
        "rfm.scoring.videos.options:PreferOptions",
        "rfm.scoring.videos.command:prefer",
        "which of two videos got further",
        "rewards",
        'rfm prefer a.mp4 b.mp4 --task "open the drawer"',
        tables=True,
    ),
    ("compare",): Command(
        "rfm.evaluation.compare:CompareOptions",
        "rfm.evaluation.compare:compare",
        "which of two results is better",
        "judging",
        "rfm compare results_a.json results_b.json",
        tables=True,
    ),
    ("export", "merge"): Command(
        "rfm.export.options:MergeOptions",
        "rfm.export.merge:export_merge",
        "adapter -> full model, verified",
        "training",
        "rfm export merge run/final --output merged",
    ),
    ("export", "vllm"): Command(
        "rfm.export.options:ServableOptions",
        "rfm.export.servable:export_vllm",
        "full model -> one that vLLM takes",
        "training",
        "rfm export vllm run/final --output servable",
    ),
    ("export", "rows"): Command(
        "rfm.export.options:RowsOptions",
        "rfm.export.rows:export_rows",
        "VQA dataset -> TRL, LLaMA-Factory or ms-swift, frames as files",
        "training",
        "rfm export rows data --format trl --output rows",
    ),
    ("export", "card"): Command(
        "rfm.export.options:CardOptions",
        "rfm.export.card_command:export_card",
        "write a checkpoint's model card anew",
        "training",
        "rfm export card run/final --evaluation results.json",
    ),
    ("export", "push"): Command(
        "rfm.export.options:HubOptions",
        "rfm.export.hub:export_push",
        "upload a checkpoint to the Hugging Face hub",
        "training",
        "rfm export push run/final --hub_model_id me/my-model",
    ),
    ("relabel",): Command(
        "rfm.scoring.relabelling.options:RelabelOptions",
        "rfm.scoring.relabelling.command:relabel",
        "progress of every frame -> LeRobot's sample weights, a column, a parquet",
        "rewards",
        "rfm relabel my_lerobot --model_path run/final --output progress.parquet",
    ),
    ("report",): Command(
        "rfm.pages.results.command:ReportOptions",
        "rfm.pages.results.command:report",
        "show results files as tables, Markdown, a picture or a page",
        "judging",
        "rfm report results.json",
        tables=True,
    ),
    ("check-collator",): Command(
        "rfm.training.check_options:CheckOptions",
        "rfm.training.check:check_collator",
        "verify what the model is shown and learns",
        "questions",
        "rfm check-collator --dataset_path data",
    ),
    ("config",): Command(
        "rfm.installation.options:ConfigurationOptions",
        "rfm.installation.configuration:configuration",
        "every key of --config_overrides: meaning, default, bounds",
        "questions",
        "rfm config frames",
        tables=True,
    ),
    ("doctor",): Command(
        "rfm.installation.options:DoctorOptions",
        "rfm.installation.doctor:doctor",
        "versions, device, video codecs, disk, what each extra needs",
        "this installation",
        "rfm doctor --json",
        tables=True,
    ),
    ("cache",): Command(
        "rfm.installation.options:CacheOptions",
        "rfm.installation.caches:cache",
        "what is kept that can be made again: where, how large; clear it",
        "this installation",
        "rfm cache --clear",
        tables=True,
    ),
    ("completion",): Command(
        "rfm.installation.options:CompletionOptions",
        "rfm.installation.completion:completion",
        "a script by which a shell completes commands and flags",
        "this installation",
        "rfm completion bash > ~/.local/share/bash-completion/completions/rfm",
    ),
    ("demo",): Command(
        "rfm.demo_options:DemoOptions",
        "rfm.demo:run",
        "the whole way on the bundled robot videos",
        "this installation",
        "rfm demo --output_dir demo",
    ),
}
