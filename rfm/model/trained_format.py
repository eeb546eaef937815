"""How a checkpoint was trained to be asked, for engines that do not load its weights themselves."""

from __future__ import annotations

from pathlib import Path
from string import digits
from typing import NamedTuple

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.errors import DataError
from rfm.model.stock.files import ADAPTER_FILE, load_tokenizer, model_config
from rfm.model.stock.preprocessing import load_form, read_spec
from rfm.model.weights.base import base_of


class TrainedFormat(NamedTuple):
    """What a checkpoint says of its inputs: `rfm_config.json`, and its preprocessing parameters."""

    form: InputFormat
    spec: VisionSpec
    of_answers: tuple[int, ...]
    """The tokens that answers consist of: ten digits, and the end of the turn."""


def trained_format(name: str, trust_remote_code: bool = False) -> TrainedFormat | None:
    """Return what a checkpoint folder or hub name says; None where training here did not make it."""
    form = load_form(name)
    if form is None:
        return None
    folder = Path(name)
    named = base_of(folder) if (folder / ADAPTER_FILE).is_file() else name
    spec = read_spec(named, model_config(named, trust_remote_code))
    form.check_family(spec.family)
    return TrainedFormat(form, spec, tuple(load_tokenizer(name).convert_tokens_to_ids([*digits, "<|im_end|>"])))


def named_format(name: str) -> TrainedFormat:
    """Return what a checkpoint says that was named for it; `DataError` where it says nothing."""
    found = trained_format(name)
    if found is None:
        raise DataError(
            f"`input_format` must be a checkpoint that `rfm train` made, but {name} has no rfm_config.json; leave it "
            "out to send frames as they are stored"
        )
    return found
