"""A model ready to use: weights, tokenizer, preprocessing parameters and input format.

In: `tiny` or `tiny-64`, a hub name, a folder with a full checkpoint, or one with an adapter that was not merged. Out:
`LoadedModel`. The class comes from the configuration (`AutoModelForImageTextToText`); tokenizer and preprocessing are
kept by ourselves, so that neither torchvision nor `AutoProcessor` is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.errors import DataError
from rfm.files.documents import read_json_object
from rfm.model import tiny
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.preprocessing import family_of, read_processor_files, read_spec
from rfm.model.quantization import is_quantized, nf4, trained_quantized

ADAPTER_FILE = "adapter_config.json"
BASE_FOLDER = "base"
"""Where training keeps a base model that can't be fetched again by name, beside the checkpoints of its adapter."""


@dataclass(frozen=True)
class LoadedModel:
    """A model and all that is needed to make its inputs and read its outputs."""

    model: Any
    tokenizer: Any
    spec: VisionSpec
    name: str
    form: InputFormat | None
    """How its training made inputs; None for a stock model."""
    processor_files: Mapping[str, str]
    """Name and text of what `AutoProcessor` needs beside the tokenizer's files."""

    def save_processor(self, folder: Path, form: InputFormat) -> None:
        """Write tokenizer, preprocessing files and `rfm_config.json` into a checkpoint folder."""
        self.tokenizer.save_pretrained(str(folder))
        for name, text in self.processor_files.items():
            (folder / name).write_text(text, encoding="utf-8")
        form.save(folder)


def load_model(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    attention: str | None = None,
    quantization: Any = None,
    trust_remote_code: bool = False,
    trainable: bool = False,
    seed: int = 0,
    texts: Iterable[str] = (),
) -> LoadedModel:
    """Load by name or folder; `device=None` leaves placement to the caller (the Trainer).

    `attention` is an attention implementation of transformers (None: SDPA, without its loop in the tower),
    `quantization` one of its quantization configurations; `trainable` keeps a loaded adapter open for more training.
    `seed` and `texts` draw a new `tiny` and train its tokenizer. Raises `DataError` ("Model not found: …") where
    there is nothing to load.
    """
    if str(name) in tiny.PRESETS:
        loaded = _new_tiny(str(name), seed, texts)
    else:
        folder = Path(name)
        if not folder.is_dir() and _is_path(str(name)):
            raise DataError(f"Model not found: {name} is not a folder{_candidates(folder.parent)}")
        options = {"dtype": dtype, "attn_implementation": attention, "quantization_config": quantization}
        options = {key: value for key, value in options.items() if value is not None}
        if (folder / ADAPTER_FILE).is_file():
            loaded = _adapter(folder, trust_remote_code, trainable, options)
        else:
            loaded = _full(str(name), trust_remote_code, options)
    if device is None or is_quantized(loaded.model):  # bitsandbytes places 4-bit weights itself
        return loaded
    return replace(loaded, model=loaded.model.to(device))


def _new_tiny(name: str, seed: int, texts: Iterable[str]) -> LoadedModel:
    model, tokenizer = tiny.build_tiny(seed, texts, tiny.PRESETS[name])
    spec = tiny.tiny_spec()
    accept_uint8(model, spec)
    use_matrix_product(model)
    use_equal_segments(model)
    return LoadedModel(model, tokenizer, spec, name, None, tiny.processor_files(spec))


def _full(name: str, trust_remote_code: bool, options: dict[str, Any]) -> LoadedModel:
    config = model_config(name, trust_remote_code)
    family = family_of(config)
    model = _weights(name, trust_remote_code, options)
    spec = read_spec(name, config)
    accept_uint8(model, spec)
    use_matrix_product(model)
    if "attn_implementation" not in options:
        use_equal_segments(model)
    tokenizer = load_tokenizer(name, trust_remote_code)
    return LoadedModel(model, tokenizer, spec, name, InputFormat.load(Path(name)), read_processor_files(name, family))


def _weights(name: str, trust_remote_code: bool, options: dict[str, Any]) -> Any:
    try:
        return AutoModelForImageTextToText.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"Model not found: the weights of {name} can't be loaded ({reason}); "
            "was its saving interrupted? Take another checkpoint"
        ) from error


def _adapter(folder: Path, trust_remote_code: bool, trainable: bool, options: dict[str, Any]) -> LoadedModel:
    from peft import PeftModel  # half a second to import, and only adapters need it

    named = base_of(folder)
    if trained_quantized(folder) and "quantization_config" not in options:  # on other weights it is another model
        options = {**options, "quantization_config": nf4(named, options["dtype"])}
    base = _full(named, trust_remote_code, options)
    model = PeftModel.from_pretrained(base.model, str(folder), is_trainable=trainable, autocast_adapter_dtype=False)
    tokenizer = load_tokenizer(str(folder), trust_remote_code)
    return replace(base, model=model, tokenizer=tokenizer, name=str(folder), form=InputFormat.load(folder))


def load_tokenizer(name: str, trust_remote_code: bool = False) -> Any:
    """Load a tokenizer that pads on the left, which saving does not keep."""
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    tokenizer.padding_side = "left"
    return tokenizer


def base_of(folder: Path) -> str:
    """Return the base model that an adapter names, or the copy beside it where that was moved."""
    named = read_json_object(folder / ADAPTER_FILE).get("base_model_name_or_path") or ""
    beside = folder.parent / BASE_FOLDER
    if not Path(named).is_dir() and beside.is_dir():
        return str(beside)
    if not named or (_is_path(named) and not Path(named).is_dir()):
        raise DataError(
            f"Model not found: the adapter in {folder} needs its base model {named!r}, which is not there, nor is "
            f"{beside}; put the base back or name it in `base_model_name_or_path` of adapter_config.json"
        )
    return str(named)


def model_config(name: str, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a folder or hub name; raises `DataError` where there is none."""
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise DataError(f"Model not found: {folder} holds neither config.json nor {ADAPTER_FILE}{_candidates(folder)}")
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        if folder.is_dir():
            raise DataError(f"Model not found: config.json in {folder} can't be used ({reason})") from error
        raise DataError(
            f"Model not found: {name} is neither a folder here nor a model that the Hugging Face hub gives ({reason});"
            " check the spelling and the network, or pass a checkpoint folder such as OUTPUT_DIR/final"
        ) from error


def _is_path(name: str) -> bool:
    """Tell a path from a hub name, which has at most one slash and does not start like a path."""
    return (
        name.startswith((".", "/", "~")) or name.count("/") > 1 or (name.count("/") == 1 and Path(name).parent.is_dir())
    )


def _candidates(folder: Path) -> str:
    if not folder.is_dir():
        return f", and neither is {folder}; pass a checkpoint folder such as OUTPUT_DIR/final, or a hub name"
    found = sorted(path for path in folder.iterdir() if path.name == "final" or path.name.startswith("checkpoint-"))
    if not found:
        return "; pass a checkpoint folder such as OUTPUT_DIR/final or OUTPUT_DIR/checkpoint-500"
    return f"; {folder} has {', '.join(path.name for path in found)}: pass for example {found[-1]}"
