"""The card of an exported dataset: what it was made from, and how its framework loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData

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
    counts = [
        f"- {kind}: {count['total']} rows" for kind, count in (config.get("counts") or {}).items() if count.get("total")
    ]
    source = f"`{Path(dataset_path).name}`" + (
        f", content hash `{record['dataset_hash']}`" if record["dataset_hash"] else ""
    )
    lines = [
        f"# {record['rows']} questions about robot videos, for {record['format']}",
        f"Made by `rfm export rows` from {source}; clips are {record['frames']} files, none written twice.",
        *(["The dataset holds\n\n" + "\n".join(counts)] if counts else []),
        f"```\n{_LOADING[record['format']]}\n```",
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(lines) + "\n"
