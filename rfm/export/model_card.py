"""The model card of a checkpoint: `README.md` with the front matter that the Hugging Face hub reads.

Everything in it was recorded: options and data by the training run, metrics by an evaluation, agreement by a merge.
What was not recorded is not said, nor are this machine's folders. The front matter is built by huggingface_hub's
`ModelCardData`.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from rfm.batch.input_format import InputFormat
from rfm.console import one_line
from rfm.errors import DataError
from rfm.export.markdown import code, prose
from rfm.export.results_file import read_results
from rfm.export.training_record import TrainingRecord, read_record, without_folders
from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.shapes import COUNT, NUMBER, TEXT, fields, fitted
from rfm.files.staging import staged_file
from rfm.model.stock.files import ADAPTER_FILE

logger = logging.getLogger(__name__)

CARD = "README.md"
TAG = "rfm-vqa"
"""Of the cards that are written here."""
_LONGEST = 2000
_REPORT = fields({"dtype": TEXT, "rows": COUNT, "largest_difference": NUMBER, "largest_logit": NUMBER})
MERGE_REPORT = "merge.json"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_METRICS = {"preference": ("accuracy",), "similarity": ("accuracy",), "progress": ("mae", "rmse")}
_OPTIONS = (
    "learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "per_device_train_batch_size",
    "gradient_accumulation_steps", "lora_rank", "lora_alpha", "freeze_vision_tower", "quantization", "use_unsloth",
    "use_multi_image", "optim", "weight_decay", "seed", "config_overrides",
)  # fmt: skip


def write_card(folder: Path, evaluation: str | Path | None = None, *, place: Path | None = None) -> Path:
    """Write the card of a checkpoint folder from what lies in it, and from the results file of an evaluation.

    `place` is where the folder will lie, if that is elsewhere: the card names it.
    """
    results = None if evaluation is None else read_evaluation(Path(evaluation))
    path = folder / CARD
    text = model_card(folder, results, place or folder)
    with staged_file(path) as staged:
        staged.write_text(text, encoding="utf-8")
    return path


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read what `rfm evaluate` wrote; raises `DataError` where the file is something else."""
    results = read_results(path, ("dataset_path",))
    if not any(kind in results for kind in _METRICS):
        raise DataError(f"`evaluation` must be a file of `rfm evaluate`, but {path} holds no metrics")
    return results


def model_card(folder: Path, results: Mapping[str, Any] | None, place: Path) -> str:
    """Return the card's text."""
    record = read_record(folder)
    front = _front_matter(folder, record, results, place)
    sections = [f"# {prose(front.model_name)}", _introduction(folder, record)]
    sections += [f"## {title}\n\n{text}" for title, text in _sections(folder, record, results, place) if text]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(
    folder: Path, record: TrainingRecord, results: Mapping[str, Any] | None, place: Path
) -> ModelCardData:
    base = record.options.get("model_name")
    adapter = (folder / ADAPTER_FILE).is_file()
    named = base if base and _is_hub_name(base) else None
    name = record.options.get("run_name") or _run_name(place)
    return ModelCardData(
        base_model=named,
        base_model_relation=("adapter" if adapter else "finetune") if named else None,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="video-text-to-text",
        tags=["robotics", "reward-model", TAG],
        model_name=name,
        eval_results=_eval_results(results) if results else None,
    )


def _is_hub_name(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not Path(name).exists()


def _run_name(folder: Path) -> str:
    """Return a name for a folder; `final` and `checkpoint-500` are called after their run."""
    place = folder.absolute()
    is_part = place.name == "final" or place.name.startswith("checkpoint-")
    return f"{place.parent.name}-{place.name}" if is_part and place.parent.name else place.name


def _eval_results(results: Mapping[str, Any]) -> list[EvalResult]:
    dataset = Path(results["dataset_path"]).name
    return [
        EvalResult(
            task_type="visual-question-answering",
            dataset_type=TAG,
            dataset_name=dataset,
            metric_type=metric,
            metric_name=f"{kind} {metric}",
            metric_value=results[kind][metric],
        )
        for kind, metric, _ in _metrics(results)
    ]


def _metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for kind, names in _METRICS.items():
        for name in names:
            value = (results.get(kind) or {}).get(name)
            if value is not None:
                yield kind, name, value


def _introduction(folder: Path, record: TrainingRecord) -> str:
    kind = "A LoRA adapter" if (folder / ADAPTER_FILE).is_file() else "A vision-language model"
    base = record.options.get("model_name")
    origin = f", fine-tuned from {code(base if _is_hub_name(base) else Path(base).name)}," if base else ""
    return (
        f"{kind}{origin} that judges robot videos: how far a robot got with a task (`ANS: 0` to `ANS: 100`), and which "
        "of two videos made more progress (`ANS: 1` or `ANS: 2`)."
    )


def _sections(
    folder: Path, record: TrainingRecord, results: Mapping[str, Any] | None, place: Path
) -> Iterator[tuple[str, str]]:
    yield "Evaluation", "" if results is None else _evaluation(results)
    yield "Training data", _data(record.data)
    yield "Training", _options(record.options)
    yield "Frames", _frames(InputFormat.load(folder))
    yield "Merge", _merge(folder / MERGE_REPORT)
    yield "Use", _use(folder, shlex.quote(one_line(place.name)).replace("```", "`"))


def _use(folder: Path, named: str) -> str:
    text = f"```\nrfm evaluate --model_path {named} --dataset_path DATASET\n```"
    if not (folder / ADAPTER_FILE).is_file():
        return text
    if not read_json_object(folder / ADAPTER_FILE).get("modules_to_save"):
        return f"{text}\n\nvLLM loads it on its base:\n\n```\nrfm serve-command {named}\n```"
    return (
        f"{text}\n\nThe projector is trained in full (`modules_to_save`), which vLLM refuses in adapters: merge this "
        f"one before it is served there.\n\n```\nrfm export merge {named} --output MERGED\n```"
    )


def _evaluation(results: Mapping[str, Any]) -> str:
    lines = ["| Samples | Metric | Value | 95% interval |", "|---|---|---|---|"]
    for kind, name, value in _metrics(results):
        interval = results[kind].get(f"{name}_interval")
        shown = f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
        lines.append(f"| {results[kind].get('count', '')} {kind} | {name} | {value:.4g} | {shown} |")
    share = results.get("trained_on_share")
    seen = "" if share is None else f" {share:.0%} of its trajectories were in the training data."
    dataset = code(Path(results["dataset_path"]).name)
    return f"On {dataset}, {results['total_samples']} rows.{seen}\n\n" + "\n".join(lines)


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    lines = [f"- dataset: {code(Path(data['dataset_path']).name)}, {data['rows']} rows"]
    if "content_hash" in data:
        lines.append(f"- content hash of the rows: {code(data['content_hash'])}")
    for kind, count in (data.get("counts") or {}).items():
        strategies = ", ".join(f"{prose(name)} {number}" for name, number in count.get("strategies", {}).items())
        lines.append(f"- {prose(kind)}: {count['total']} rows ({strategies})")
    lines += [f"- source {code(name)}: {code(digest)}" for name, digest in (data.get("source_hashes") or {}).items()]
    if data.get("config_overrides"):
        overrides = " ".join(without_folders(data["config_overrides"]))
        lines.append(f"- generated with {code(overrides, _LONGEST)}, seed {prose(data.get('seed'))}")
    return "\n".join(lines)


def _options(options: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {code(json.dumps(without_folders(options[name])), _LONGEST, in_table=True)} |"
        for name in _OPTIONS
        if name in options
    ]
    return "\n".join(["| Option | Value |", "|---|---|", *rows]) if rows else ""


def _frames(form: InputFormat | None) -> str:
    if form is None:
        return ""
    size = f"{form.resized_height} x {form.resized_width} pixels ({prose(form.resize_filter)})"
    shown = "as stored, within the model's pixel budget" if form.resized_height is None else size
    most = "" if form.max_frames is None else f" of up to {form.max_frames} frames"
    mode = "images" if form.use_multi_image else "videos"
    return f"Shown as {mode}{most}, frames {shown}. `rfm_config.json` holds this."


def _merge(path: Path) -> str:
    if not path.is_file():
        return ""
    report = fitted(read_json_object(path), _REPORT, str(path))
    return (
        f"Merged from an adapter in {prose(report['dtype'])}. On {report['rows']} rows the largest difference of "
        f"logits is {report['largest_difference']:.2g}, the largest logit {report['largest_logit']:.2g}."
    )
