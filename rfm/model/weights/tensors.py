"""Weights are whole, or it is an error: files, names, shapes, dtypes and values of a checkpoint's tensors.

Stock loaders draw what a file lacks at random and go on, with a report on the terminal. Here that is a `DataError`
which names file and tensors: `files_of` checks that the files are there and can be read, from their headers alone;
`load_full` that they hold what the model has, no more and no less, by transformers' own account (tied weights are not
missing); `check_values` that what was loaded is finite and not zero throughout, in one pass over memory (0.15 s of
processor time for 1 GB on a CPU).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForImageTextToText

from rfm.errors import DataError
from rfm.files.documents.json_documents import read_json_object
from rfm.model.stock.files import model_config, usable
from rfm.model.stock.hub_names import pinned

WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_REPORT = "transformers.modeling_utils"
"""The logger of the stock report on missing tensors."""
_FLOATS = {"F64", "F32", "F16", "BF16"}
_WAY_OUT = "copy it again or take another checkpoint"


logger = logging.getLogger(__name__)


class Tensor(NamedTuple):
    """What a file's header says of one of its tensors."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def files_of(folder: Path, *, quantized: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a full checkpoint by name, from the headers of its files.

    Raises `DataError` for a file that is missing, can't be read or is not as the index says, and for tensors that are
    no floats, unless the model is saved `quantized`. Pickled weights (`pytorch_model.bin`) are not read.
    """
    sharded = (folder / INDEX_FILE).is_file() and not (folder / WEIGHTS_FILE).is_file()
    tensors = _sharded(folder / INDEX_FILE) if sharded else _header(folder / WEIGHTS_FILE)
    if not quantized:
        _check_floats(tensors)
    return tensors


def adapter_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of an adapter by name, from the header of its file."""
    tensors = _header(folder / ADAPTER_WEIGHTS)
    _check_floats(tensors)
    return tensors


def load_full(name: str, tensors: Mapping[str, Tensor], trust_remote_code: bool, options: Mapping[str, Any]) -> Any:
    """Load the weights of a folder, whose `tensors` are known, or of a hub name; all of them, or `DataError`."""
    plain, revision = pinned(name)
    try:
        with _without_report(), usable(f"the weights of {name}", _WAY_OUT):
            model, info = AutoModelForImageTextToText.from_pretrained(
                plain,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **revision,
                **options,
            )
    except DataError:
        _check_model_shapes(name, tensors, trust_remote_code)  # says more where shapes are the reason
        raise
    check_names(_place(name, tensors), info["missing_keys"], info["unexpected_keys"], [*model.state_dict()])
    return model


def check_names(place: str, missing: Iterable[str], unexpected: Iterable[str], expected: Sequence[str]) -> None:
    """Raise `DataError` where `place` lacks some of the tensors that are expected of it, or has others."""
    lacks, more = sorted(missing), sorted(unexpected)
    own = {name.partition(".")[0] for name in expected}
    strange = [name for name in more if name.partition(".")[0] not in own]
    if lacks or len(strange) < len(more):
        faults = [f"lacks {_some(lacks)}"] if lacks else []
        faults += [f"has {_some(more)} that the model does not have"] if more else []
        raise DataError(
            f"{place} must hold the {len(expected)} tensors of its model, but {' and '.join(faults)}; {_WAY_OUT}"
        )
    if strange:
        logger.warning("%s has %s that the model does not have; they are left aside", place, _some(strange))


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], config: str) -> None:
    """Raise `DataError` where a tensor has another shape than the `config` beside it asks for."""
    for name, tensor in tensors.items():
        if name in wanted and wanted[name] != tensor.shape:
            raise DataError(
                f"{name} in {tensor.file} must have the shape {wanted[name]}, as {config} wants it, but has "
                f"{tensor.shape}; {_WAY_OUT}"
            )


@torch.no_grad()
def check_values(parameters: Iterable[tuple[str, torch.Tensor]], place: str) -> None:
    """Raise `DataError` where a tensor of `place` is not finite, or where a matrix is zero throughout.

    A fresh adapter's `lora_B` is zero: all of them say that it was never trained, which is not decided here.
    """
    for name, tensor in _with_scales(parameters):
        if not tensor.is_floating_point() or tensor.is_meta or not tensor.numel():
            continue
        low, high = (float(end) for end in torch.aminmax(tensor))  # NaN anywhere makes both NaN
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            bad = int((~torch.isfinite(tensor)).sum())
            raise DataError(
                f"weights of {place} must be finite, but {bad} of {tensor.numel()} values of {name} are not; {_WAY_OUT}"
            )
        if low == high == 0 and tensor.ndim > 1 and "lora_B" not in name:
            raise DataError(f"weights of {place} must not be zero throughout, but {name} is; {_WAY_OUT}")


def _with_scales(parameters: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield parameters, and of 4-bit ones the scales of their blocks: a weight that is no number makes such a scale."""
    for name, tensor in parameters:
        yield name, tensor
        state = getattr(tensor, "quant_state", None)
        scales = () if state is None else (state.absmax, state.offset, getattr(state.state2, "absmax", None))
        yield from ((name, scale) for scale in scales if scale is not None)


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep the stock report of what is missing off the terminal: it is an error here, told in one message."""
    stock = logging.getLogger(_REPORT)
    level = stock.level
    stock.setLevel(logging.ERROR)
    try:
        yield
    finally:
        stock.setLevel(level)


def _header(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise DataError(f"Model not found: {file.parent} must hold {file.name}, but does not; {_WAY_OUT}")
    try:
        with safe_open(str(file), framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            return {name: Tensor(file, tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"Model not found: {file} must hold weights, but can't be read ({error}); was its saving or copying "
            f"interrupted? {_WAY_OUT}"
        ) from error


def _sharded(index: Path) -> dict[str, Tensor]:
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not all(_is_file_name(one) for one in places.values()):
        raise DataError(f"`weight_map` of {index} must name a file beside it for each tensor, but does not; {_WAY_OUT}")
    found = {name: _header(index.parent / name) for name in sorted(set(places.values()))}
    for name, file in places.items():
        if name not in found[file]:
            raise DataError(f"{index.parent / file} must hold {name}, as {index.name} says, but does not; {_WAY_OUT}")
    return {name: found[file][name] for name, file in places.items()}


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and Path(value).name == value


def _check_floats(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            raise DataError(
                f"tensors of {tensor.file} must be of {', '.join(sorted(_FLOATS))}, but {name} is {tensor.dtype}; "
                f"{_WAY_OUT}"
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown})" if len(names) <= 3 else f"{len(names)} ({shown}, …)"


def _place(name: str, tensors: Mapping[str, Tensor]) -> str:
    files = {tensor.file for tensor in tensors.values()}
    return str(files.pop()) if len(files) == 1 else name


def _check_model_shapes(name: str, tensors: Mapping[str, Tensor], trust_remote_code: bool) -> None:
    """Raise `DataError` where tensors have other shapes than a model of this configuration."""
    with torch.device("meta"), usable(f"config.json of {name}"):
        model = AutoModelForImageTextToText.from_config(
            model_config(name, trust_remote_code), trust_remote_code=trust_remote_code
        )
    check_shapes(tensors, {key: tuple(value.shape) for key, value in model.state_dict().items()}, "config.json")
