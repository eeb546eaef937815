"""`rfm export vllm`: a full checkpoint as vLLM takes it, with known answers to compare a server with.

In: a full checkpoint. Out: a folder of the same model whose attention heads are as wide as vLLM's kernels want them
(`rfm.model.head_padding`), and `known_answers.json`, which checkpoints of older versions lack. What is written is
loaded again and asked the known questions: where it answers otherwise than the checkpoint, nothing is left behind.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rfm.errors import ConfigError, DataError
from rfm.export.model_card import CARD, write_card
from rfm.export.options import ServableOptions
from rfm.export.training_record import copy_record
from rfm.files import seal
from rfm.files.documents.json_documents import read_json_object
from rfm.files.ownership import Kind, replaced
from rfm.inference.known.answers import VERSION, KnownAnswers, known_answers
from rfm.model.head_padding import WIDTHS, head_width, servable_width, with_wider_heads
from rfm.model.load import LoadedModel, load_model
from rfm.model.stock.files import ADAPTER_FILE, model_config
from rfm.model.weights.fingerprint import model_fingerprint
from rfm.model.weights.saving import written_whole

logger = logging.getLogger(__name__)

REPORT = "vllm_export.json"
TOLERANCES = {"float32": 1e-4}
"""By how much probabilities of the written model may differ, by precision."""
_TOLERANCE = 5e-2


def export_vllm(options: ServableOptions) -> int:
    """Run `rfm export vllm`."""
    folder, output = Path(options.checkpoint), Path(options.output)
    if (folder / ADAPTER_FILE).is_file():
        raise ConfigError(
            f"`checkpoint` must be a full model, but {folder} is an adapter; merge it first: rfm export merge {folder} "
            "--output MERGED"
        )
    plan = {"checkpoint": model_fingerprint(str(folder)), "questions": VERSION}
    output.parent.mkdir(parents=True, exist_ok=True)
    with replaced(output, SERVABLE, overwrite=options.overwrite, plan=plan, whole=_is_whole) as work:
        if work.complete:
            logger.info("%s is complete", output)
            return 0
        with work.anew() as staged:
            _write(folder, staged, output)
            work.publish(flushed=False)
    logger.info("for vLLM: %s; start a server with the line of `rfm serve-command %s`", output, output)
    return 0


def _write(folder: Path, staged: Path, output: Path) -> None:
    loaded = load_model(folder, dtype=model_config(str(folder)).dtype)
    if loaded.form is None:
        raise DataError(
            f"`checkpoint` must be one that `rfm train` made, but {folder} has no rfm_config.json; vLLM takes it as "
            "it is"
        )
    known = known_answers(loaded, loaded.form)
    with written_whole(output, lambda: "and give the command again"):
        _servable(loaded).save(staged, loaded.form)
        copy_record(folder, staged)
        known.save(staged)
    after = load_model(staged, dtype=loaded.model.dtype)
    off = _checked(known, known_answers(after, loaded.form))
    (staged / REPORT).write_text(json.dumps({"largest_difference": off}) + "\n", encoding="utf-8")
    write_card(staged, None, place=output)
    seal.seal(staged)


def _servable(loaded: LoadedModel) -> LoadedModel:
    width = head_width(loaded.model.config)
    if width in WIDTHS:
        return loaded
    wider = servable_width(width)
    if wider is None:
        raise ConfigError(f"`checkpoint` must have heads of at most {WIDTHS[-1]} for vLLM, but has heads of {width}")
    logger.info("attention heads of %d are padded to %d", width, wider)
    return replace(loaded, model=with_wider_heads(loaded.model, wider))


def _checked(own: KnownAnswers, written: KnownAnswers) -> float:
    """Return by how much the probabilities of two models differ; `DataError` where that is more than rounding."""
    off = max(
        abs(share - there.first[digit])
        for here, there in zip(own.answers, written.answers, strict=True)
        for digit, share in here.first.items()
    )
    most = TOLERANCES.get(own.dtype, _TOLERANCE)
    if not off <= most:
        raise DataError(
            f"what is written must answer as the checkpoint does, but probabilities differ by up to {off:.2g}, more "
            f"than {most:g}; nothing was written"
        )
    logger.info("asked %d known questions: probabilities differ by at most %.1g", len(own.answers), off)
    return off


def _is_whole(folder: Path) -> bool:
    return seal.fault(folder) is None


def _own(folder: Path) -> Callable[[str], object]:
    """The files are those that were sealed."""
    try:
        return {seal.FILE_NAME, CARD, *read_json_object(folder / seal.FILE_NAME)}.__contains__
    except DataError:
        return {REPORT, CARD}.__contains__


SERVABLE = Kind("a model for vLLM", "output", (REPORT,), _own)
