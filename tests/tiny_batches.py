"""Batches of fake rows for a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from vqa_fakes import preference_row, progress_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.tiny import tiny_spec


def fake_rows(root: Path, count: int) -> list[dict]:
    """Rows of two lengths in turn, whose frames are written under `root`."""
    rng, paths = np.random.default_rng(0), write_frames(root, 3)
    return [(preference_row if index % 3 == 0 else progress_row)(paths, rng) for index in range(count)]


def tiny_collator(root: Path, tokenizer: Any, **options: Any) -> VQACollator:
    frames = FrameStore(root, tiny_spec(), InputFormat(32, 32, "box"))
    return VQACollator(ConversationEncoder(tokenizer, tiny_spec()), frames, **options)
