"""The card of an exported dataset: what it was made from, and how its framework loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData

from rfm.export.markdown import code, prose
from rfm.export.training_record import COUNTS
from rfm.files.documents.shapes import fitted

_LOADING = {
    "trl": (
        'from datasets import load_dataset\n\nrows = load_dataset("imagefolder", data_dir="FOLDER", split="train")\n'
        "SFTTrainer(model, train_dataset=rows, args=SFTConfig(max_length=None, completion_only_loss=True, ...))"
    ),
    "llamafactory": "llamafactory-cli train ... --dataset_dir FOLDER --dataset rfm_vqa",
    "ms-swift": "swift sft ... --dataset FOLDER/rows.jsonl",
}


def dataset_card(record: Mapping[str, Any], dataset_path: str, config: Mapping[str, Any]) -> str:
    """Return the text of `README.md`; `record` is `export.json`, `config` the dataset's generation configuration."""
    front = DatasetCardData(
        task_categories=["video-text-to-text"], tags=["robotics", "reward-model", "rfm-vqa"], pretty_name="RFM-VQA rows"
    )
    counted = fitted(config.get("counts") or {}, COUNTS, f"`counts` of {dataset_path}")
    counts = [f"- {prose(kind)}: {count['total']} rows" for kind, count in counted.items() if count["total"]]
    digest = f", content hash {code(record['dataset_hash'])}" if record["dataset_hash"] else ""
    source = f"{code(Path(dataset_path).name)}{digest}"
    lines = [
        f"# {record['rows']} questions about robot videos, for {record['format']}",
        f"Made by `rfm export rows` from {source}; clips are {record['frames']} files, none written twice.",
        *(["The dataset holds\n\n" + "\n".join(counts)] if counts else []),
        f"```\n{_LOADING[record['format']]}\n```",
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(lines) + "\n"
