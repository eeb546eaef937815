"""`rfm export merge`: a LoRA adapter becomes part of its base model's weights, and the result is verified.

In: the folder of an adapter. Out: a full checkpoint (weights, tokenizer, preprocessing files, `rfm_config.json`, what
it remembers of its training, `merge.json`, a model card) that `AutoModelForImageTextToText` and `rfm evaluate` load.
The merged weights are loaded again from the folder and asked the same rows as the adapter on its base; where their
logits differ by more than the tolerance nothing is left behind. W + BA is added up in float32 and rounded once. The
same command given again finds its result complete.

An adapter that was trained on 4-bit weights belongs to those: its base is loaded in 4 bits (bitsandbytes), compared,
and turned back into full weights before the merge. Merged into the original weights it would be another model.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset

from rfm.batch.collator import Batch, VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.export.agreement import Agreement, Logits, answer_logits, compare, encode_rows
from rfm.export.hub import check_hub, push_folder
from rfm.export.model_card import CARD, MERGE_REPORT, read_evaluation, write_card
from rfm.export.options import MergeOptions
from rfm.export.training_record import copy_record, read_record
from rfm.files import seal
from rfm.files.documents.json_documents import read_json_object
from rfm.files.ownership import Kind, replaced
from rfm.inference.known.answers import known_answers
from rfm.model.device import resolve_device
from rfm.model.load import LoadedModel, load_model
from rfm.model.quantization import nf4, trained_quantized
from rfm.model.stock.files import ADAPTER_FILE
from rfm.model.weights.adapter import load_adapter
from rfm.model.weights.base import base_of
from rfm.model.weights.fingerprint import model_fingerprint
from rfm.model.weights.saving import written_whole
from rfm.vqa.dataset import frames_root, load_dataset

logger = logging.getLogger(__name__)

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Share of the largest logit by which merged and unmerged may differ: rounding of the weights, a few units in the last
place through all layers (measured with `tiny`: 1e-6 and 1e-2)."""
_TOLERANCE_4BIT = 5e-2
"""4-bit kernels compute with weights that are dequantised in other blocks."""


class _Setting(NamedTuple):
    """How both models are loaded."""

    folder: Path
    device: torch.device
    dtype: torch.dtype
    quantized: bool
    """Whether the adapter was trained on 4-bit weights."""
    trust_remote_code: bool
    base_model: str | None


class _Rows(NamedTuple):
    """What both models are asked."""

    dataset: Dataset
    root: Path
    """Where the frames are."""
    content: str
    """A name of the dataset's content."""
    number: int


def export_merge(options: MergeOptions) -> int:
    """Run `rfm export merge`."""
    merge(options)
    return 0


def merge(options: MergeOptions) -> Agreement:
    """Merge, verify and save; raises `DataError` where the merged model answers differently."""
    setting = _setting(options)
    output = Path(options.output)
    if options.evaluation is not None:
        read_evaluation(Path(options.evaluation))
    if options.push_to_hub:
        check_hub(options.hub_model_id, private=options.hub_private_repo)
    rows = _rows(options)
    plan = _plan(setting, options, rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replaced(output, MERGED, overwrite=options.overwrite, plan=plan, whole=_is_whole) as work:
        if work.complete:
            logger.info("%s is complete", output)
        else:
            with work.anew() as staged:
                _merge(setting, options, rows, staged, output)
                work.publish(flushed=False)
    agreement = _recorded(output)
    logger.info(
        "merged model: %s; on %d rows logits differ by %.2g at most (largest logit %.3g), %d of %d answer tokens agree",
        output, agreement.rows, agreement.largest_difference, agreement.largest_logit,
        agreement.same_choice, agreement.tokens,
    )  # fmt: skip
    if options.push_to_hub:
        push_folder(output, options.hub_model_id)
    return agreement


def _plan(setting: _Setting, options: MergeOptions, rows: _Rows) -> dict[str, Any]:
    """Return all that determines what is written: the weights, what is verified, and what the card says."""
    base = base_of(setting.folder, setting.base_model)
    sealed = setting.folder / seal.FILE_NAME
    return {
        "adapter": model_fingerprint(str(setting.folder), base),
        "record": seal.digest(sealed) if sealed.is_file() else None,
        "dtype": str(setting.dtype),
        "rows": [rows.content, rows.number],
        "tolerance": _tolerance(options, setting),
        "evaluation": seal.digest(Path(options.evaluation)) if options.evaluation is not None else None,
    }


def _is_whole(folder: Path) -> bool:
    return seal.fault(folder) is None


def _merge(setting: _Setting, options: MergeOptions, rows: _Rows, staged: Path, output: Path) -> None:
    """Fill the folder with a model that is verified."""
    processor, batches, before = _ask_unmerged(setting, rows)
    with written_whole(output, lambda: "and give the command again"):
        _merged_weights(setting).save_pretrained(str(staged))
        processor.save_processor(staged, processor.form or InputFormat())
        copy_record(setting.folder, staged)
    after = load_model(staged, dtype=setting.dtype, device=setting.device)
    agreement = compare(before, answer_logits(after.model, batches))
    _check(agreement, _tolerance(options, setting), setting)
    if after.form is not None:
        known_answers(after, after.form).save(staged)
    _describe(staged, agreement, setting.dtype)
    write_card(staged, options.evaluation, place=output)
    seal.seal(staged)


def _own(folder: Path) -> Callable[[str], object]:
    """The files of a merged model are those that were sealed."""
    try:
        return {seal.FILE_NAME, CARD, *read_json_object(folder / seal.FILE_NAME)}.__contains__
    except DataError:
        return {MERGE_REPORT, CARD}.__contains__


MERGED = Kind("a merged model", "output", (MERGE_REPORT,), _own)


def _setting(options: MergeOptions) -> _Setting:
    folder = Path(options.checkpoint)
    if not (folder / ADAPTER_FILE).is_file():
        found = "is a full model already" if (folder / "config.json").is_file() else f"has no {ADAPTER_FILE}"
        raise DataError(f"`checkpoint` must be the folder of an adapter, but {folder} {found}")
    device = resolve_device(options.device)
    wanted = options.dtype
    if wanted == "auto":
        wanted = "bfloat16" if device.type == "cuda" else "float32"
    quantized = trained_quantized(folder)
    return _Setting(folder, device, getattr(torch, wanted), quantized, options.trust_remote_code, options.base_model)


def _ask_unmerged(setting: _Setting, rows: _Rows) -> tuple[LoadedModel, list[Batch], Logits]:
    """Return all but the weights of the adapter on its base, the rows, and its logits; the weights are let go."""
    loaded = _load_unmerged(setting)
    batches = _batches(loaded, rows)
    return replace(loaded, model=None), batches, answer_logits(loaded.model, batches)


def _load_unmerged(setting: _Setting) -> LoadedModel:
    return load_model(
        setting.folder,
        dtype=setting.dtype,
        device=setting.device,
        trust_remote_code=setting.trust_remote_code,
        base_model=setting.base_model,
    )


def _merged_weights(setting: _Setting) -> Any:
    """Return the stock model with W + BA in the wanted dtype, added up in float32."""
    base = base_of(setting.folder, setting.base_model)
    quantization = nf4(base, setting.dtype) if setting.quantized else None
    dtype = setting.dtype if setting.quantized else torch.float32
    loaded = load_model(base, dtype=dtype, quantization=quantization, trust_remote_code=setting.trust_remote_code)
    model = loaded.model.dequantize() if setting.quantized else loaded.model
    merged = load_adapter(model.float(), setting.folder).merge_and_unload(safe_merge=True)
    return merged.to(setting.dtype)


def _rows(options: MergeOptions) -> _Rows:
    path = options.dataset or read_record(Path(options.checkpoint)).data.get("dataset_path")
    if path is None:
        raise ConfigError(
            f"`dataset` must name rows to verify on: {options.checkpoint} does not say what it was trained on; "
            "pass --dataset"
        )
    dataset, config = load_dataset(path)
    root = frames_root(options.datasets_root, path, config, dataset)
    content = config.get("content_hash") or dataset._fingerprint
    return _Rows(dataset, root, content, min(options.num_rows, len(dataset)))


def _batches(loaded: LoadedModel, rows: _Rows) -> list[Batch]:
    """Return the rows that both models are asked, spread over the dataset."""
    store = FrameStore(rows.root, loaded.spec, loaded.form or InputFormat())
    collator = VQACollator(ConversationEncoder(loaded.tokenizer, loaded.spec), store)
    places = (place * len(rows.dataset) // rows.number for place in range(rows.number))
    return encode_rows(collator, [rows.dataset[place] for place in places])


def _tolerance(options: MergeOptions, setting: _Setting) -> float:
    if options.tolerance is not None:
        return options.tolerance
    return _TOLERANCE_4BIT if setting.quantized else TOLERANCES[setting.dtype]


def _check(agreement: Agreement, tolerance: float, setting: _Setting) -> None:
    if not agreement.relative <= tolerance:  # NaN fails too
        raise DataError(
            f"the merged model must give the logits of the adapter in {setting.folder}, but on {agreement.rows} rows "
            f"they differ by up to {agreement.largest_difference:.3g}, which is {agreement.relative:.2g} of the largest"
            f" logit and more than `tolerance` {tolerance:g}; nothing was written. Merge in --dtype float32"
        )


def _describe(folder: Path, agreement: Agreement, dtype: torch.dtype) -> None:
    report = {**agreement._asdict(), "dtype": str(dtype).removeprefix("torch.")}
    (folder / MERGE_REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _recorded(folder: Path) -> Agreement:
    report = read_json_object(folder / MERGE_REPORT)
    return Agreement(**{name: report[name] for name in Agreement._fields})
