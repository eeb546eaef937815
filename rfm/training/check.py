"""Verify on a dataset what a model is shown and what it learns from: the five checks of `test_vqa_collator.py`.

Each check compares two independent accounts (the row's text and the decoded tokens, the patches and the placeholders,
the labels and the answer) and fails the run where they differ.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any
from unicodedata import normalize

import torch

from rfm.batch.clips import Row
from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.batch.tokens.sequences import IGNORE_INDEX
from rfm.errors import ConfigError, DataError
from rfm.generation.generate import GenerateOptions, generate
from rfm.model import tiny
from rfm.model.load import load_model
from rfm.training.check_options import CheckOptions
from rfm.vqa.answers import valid_answer, write_answer
from rfm.vqa.dataset import frames_root, load_dataset

logger = logging.getLogger(__name__)


def check_collator(options: CheckOptions) -> int:
    """Run the checks; every line logged is something that was verified."""
    with tempfile.TemporaryDirectory() as scratch:
        path = options.dataset_path or str(_small_dataset(Path(scratch) / "dataset", options.num_samples))
        dataset, config = load_dataset(path)
        rows = [dataset[i] for i in range(min(options.num_samples, len(dataset)))]
        logger.info("1. dataset: %d rows in %s, %d of them looked at", len(dataset), path, len(rows))
        collator = _collator(
            options, frames_root(options.datasets_root, path, config, dataset), [row["prompt"] for row in rows]
        )
        logger.info(
            "2. collator: %s, %s mode, %s", options.model_name, _mode(collator), _describe(collator.frames.form)
        )
        batch = collator(rows)
        shapes = {name: tuple(value.shape) for name, value in batch.items() if hasattr(value, "shape")}
        logger.info("3. batch: %s", ", ".join(f"{name} {shape}" for name, shape in shapes.items()))
        _check_frames(collator, batch, rows)
        _check_labels(collator, batch, rows)
        _check_packed(collator, batch, rows)
    logger.info("all checks passed")
    return 0


def _small_dataset(path: Path, rows: int) -> Path:
    return generate(GenerateOptions(output_path=str(path), num_samples=max(rows, 20)))


def _collator(options: CheckOptions, root: Path, texts: list[str]) -> VQACollator:
    loaded = load_model(options.model_name, texts=texts)
    side = tiny.FRAME_SIZE if options.model_name in tiny.PRESETS else None
    form = loaded.form or InputFormat(side, side, use_multi_image=options.use_multi_image)
    if options.use_multi_image and not form.use_multi_image:
        raise ConfigError(
            f"`use_multi_image` must be as {options.model_name} was trained, but that was with videos; leave it out"
        )
    return VQACollator(ConversationEncoder(loaded.tokenizer, loaded.spec), FrameStore(root, loaded.spec, form))


def _mode(collator: VQACollator) -> str:
    return "multi-image" if collator.frames.form.use_multi_image else "video"


def _describe(form: InputFormat) -> str:
    if form.resized_height is None:
        limits = {"at least": form.min_pixels, "at most": form.max_pixels}
        said = [f"{words} {pixels} pixels" for words, pixels in limits.items() if pixels is not None]
        return f"frames as stored{', ' * bool(said)}{' and '.join(said)}"
    return f"frames {form.resized_height} x {form.resized_width} ({form.resize_filter})"


def _check_frames(collator: VQACollator, batch: dict[str, Any], rows: list[Row]) -> None:
    """Placeholders in the text are as many as merged patches, patches vary, and every prompt can be read back."""
    encoder = collator.encoder
    images = collator.frames.form.use_multi_image
    grids = batch["image_grid_thw" if images else "video_grid_thw"]
    pixels = batch["pixel_values" if images else "pixel_values_videos"]
    wanted = int((grids.prod(dim=1) // encoder.spec.merge_size**2).sum())
    placeholders = int((batch["input_ids"] == (encoder.image_pad if images else encoder.video_pad)).sum())
    patches = int(grids.prod(dim=1).sum())
    if placeholders != wanted:
        raise DataError(f"the text must hold {wanted} placeholders, one a visual token, but holds {placeholders}")
    if len(pixels) != patches:
        raise DataError(f"the batch must hold {patches} patches, as its grids say, but holds {len(pixels)}")
    if float(pixels.float().std()) == 0:
        raise DataError("all pixels of the batch are equal: the frames are blank")
    for number, (row, ids) in enumerate(zip(rows, batch["input_ids"], strict=True)):
        if normalize("NFC", row["prompt"]) not in encoder.decode(ids.tolist()):  # as Qwen's tokenizer writes it
            raise DataError(f"row {number}: the prompt can't be read back from its tokens")
    logger.info("4. frames and tokens: %d clips, %d visual tokens, every prompt read back", len(grids), wanted)


def _check_labels(collator: VQACollator, batch: dict[str, Any], rows: list[Row]) -> None:
    """Exactly `ANS: <answer><|im_end|>` carries loss."""
    labels = batch["labels"]
    for number, (row, line) in enumerate(zip(rows, labels, strict=True)):
        learned = collator.encoder.decode(line[line != IGNORE_INDEX].tolist())
        expected = write_answer(valid_answer(row["sample_type"], row["answer"])) + "<|im_end|>"
        if learned != expected:
            raise DataError(f"row {number}: loss must be on {expected!r}, but is on {learned!r}")
    carrying, shown = int((labels != IGNORE_INDEX).sum()), int(batch["attention_mask"].sum())
    logger.info(
        "5. labels: loss on the answer and the end of the turn only, %.1f%% of %d tokens masked",
        100 * (1 - carrying / shown),
        shown,
    )


def _check_packed(collator: VQACollator, batch: dict[str, Any], rows: list[Row]) -> None:
    """The packed batch holds the same tokens, positions, pixels and labels, restarting at each row."""
    packing = VQACollator(collator.encoder, collator.frames, packed=True)
    packed, shown = packing(rows), batch["attention_mask"].bool()
    same = {
        "input_ids": (packed["input_ids"][0], batch["input_ids"][shown]),
        "position_ids": (packed["position_ids"][1:, 0], batch["position_ids"][:, shown]),
        "labels": (packed["labels"][0], batch["labels"][batch["labels"] != IGNORE_INDEX]),
        **{name: (packed[name], batch[name]) for name in batch if name.startswith("pixel_values")},
    }
    for name, (one, other) in same.items():
        if not torch.equal(one, other):
            raise DataError(f"`{name}` of the packed batch must be those of the padded one, but are not")
    starts = int((packed["position_ids"][0, 0] == 0).sum())
    predicted = packed["input_ids"][0, packed["logits_to_keep"] + 1]
    if starts != len(rows) or not torch.equal(predicted, packed["labels"][0]):
        raise DataError(f"the packed batch must hold {len(rows)} rows that predict their answers, but holds {starts}")
    logger.info(
        "6. packed: the same %d tokens, positions, pixels and labels one row after the other (padded: %d)",
        packed["input_ids"].numel(),
        batch["input_ids"].numel(),
    )
