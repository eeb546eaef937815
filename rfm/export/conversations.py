"""Rows as the conversations of other frameworks: the same words and the same order of clips as our own training.

In: a row of a VQA dataset and the exported files of its clips. Out: one JSON object a row, in the layout that each
framework documents for supervised fine-tuning:

    trl           `prompt` and `completion` of content parts, `images_file_names` (TRL takes images, not videos)
    llamafactory  `messages` with `<video>` marks, `videos`: a path, or the paths of its frames, for each mark
    ms-swift      the same, with absolute paths: it resolves relative ones only where a video is one file

Sources: TRL 1.16 `dataset_formats` and `prepare_multimodal_messages`; LLaMA-Factory 0.9.5 `data/README.md` and
`converter.py`; ms-swift 4.6 "Custom Dataset" and `replace_tag` of its Qwen templates. Both of the latter take a list of
frames as a video of 2 frames a second, as our own conversation does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rfm.batch.clips import Row
from rfm.batch.tokens.conversation import VIDEO_NAMES
from rfm.errors import DataError
from rfm.vqa.answers import valid_answer, write_answer

Record = dict[str, Any]
Files = Sequence[str]
"""The files of one clip, relative to the export's folder: its frames in order, or one video."""

MARK = "<video>"
_MARKS = re.compile(r"<(image|video|audio)>|<\|[a-z_]+\|>")
"""What these frameworks read as media or control tokens, wherever it stands in a text."""


def check_texts(row: Row) -> None:
    """Raise `DataError` where the answer is none, or the prompt would be read as a control token.

    Ours never reads it so, theirs do.
    """
    _answer(row)
    found = _MARKS.search(row["prompt"] or "")
    if found:
        raise DataError(
            f"`prompt` must not contain {found.group()!r}, which other frameworks read as a control token, "
            f"but is {row['prompt']!r}"
        )


def trl_record(row: Row, clips: Sequence[Files], folder: Path) -> Record:
    """Return a row of a TRL prompt-completion dataset with images, for `load_dataset("imagefolder", …)`."""
    parts: list[dict[str, str | None]] = []
    for name, files in zip(VIDEO_NAMES[row["sample_type"]], clips, strict=True):
        parts += [{"type": "text", "text": name}] if name else []
        parts += [{"type": "image", "text": None}] * len(files)
    parts.append({"type": "text", "text": row["prompt"]})
    answer = [{"type": "text", "text": _answer(row)}]
    return {
        "images_file_names": [path for files in clips for path in files],
        "prompt": [{"role": "user", "content": parts}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def llamafactory_record(row: Row, clips: Sequence[Files], folder: Path) -> Record:
    """Return a row of a LLaMA-Factory dataset in sharegpt format with the tags of OpenAI's messages."""
    return {"messages": _messages(row), "videos": [_video(files) for files in clips]}


def swift_record(row: Row, clips: Sequence[Files], folder: Path) -> Record:
    """Return a row of an ms-swift dataset."""
    place = folder.absolute()
    absolute = [[str(place / path) for path in files] for files in clips]
    return {"messages": _messages(row), "videos": [_video(files) for files in absolute]}


def _messages(row: Row) -> list[dict[str, str]]:
    marks = "".join(f"{name}{MARK}" for name in VIDEO_NAMES[row["sample_type"]])
    return [
        {"role": "user", "content": marks + row["prompt"]},
        {"role": "assistant", "content": _answer(row)},
    ]


def _answer(row: Row) -> str:
    return write_answer(valid_answer(row["sample_type"], row["answer"]))


def _video(files: Files) -> str | list[str]:
    return files[0] if len(files) == 1 and files[0].endswith(".mp4") else list(files)


RECORDS: dict[str, Callable[[Row, Sequence[Files], Path], Record]] = {
    "trl": trl_record,
    "llamafactory": llamafactory_record,
    "ms-swift": swift_record,
}
ROWS_FILES = {"trl": "metadata.jsonl", "llamafactory": "rows.jsonl", "ms-swift": "rows.jsonl"}
"""What the file of all rows is called."""
DATASET_INFO = {
    "rfm_vqa": {
        "file_name": ROWS_FILES["llamafactory"],
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "videos": "videos"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}
"""LLaMA-Factory's `dataset_info.json`: the dataset is `--dataset rfm_vqa --dataset_dir FOLDER`."""
