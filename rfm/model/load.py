"""A model ready to use: weights, tokenizer, preprocessing parameters and input format.

In: a preset of random weights (`tiny`), a model that comes with the package (`metaworld-small`), a hub name, a folder
with a full checkpoint, or one with an adapter that was not merged. Out:
`LoadedModel`. The class comes from the configuration (`AutoModelForImageTextToText`); tokenizer and preprocessing are
kept by ourselves, so that neither torchvision nor `AutoProcessor` is needed.

A folder is as it was saved, or it is an error: its files are compared with their seal, if it has one
(`rfm.files.seal`), the small ones before they are read, and weights are checked by themselves (`weights.tensors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.patches import VisionSpec
from rfm.errors import ConfigError
from rfm.files import seal
from rfm.model import tiny
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.patch_embedding import use_matrix_product
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.quantization import is_quantized, nf4, trained_quantized
from rfm.model.stock.config_file import settle_configs
from rfm.model.stock.files import ADAPTER_FILE, check_tokenizer, load_tokenizer, model_config
from rfm.model.stock.hub_names import place_of
from rfm.model.stock.preprocessing import family_of, load_form, read_processor_files, read_spec
from rfm.model.stock.processor_sizes import with_sizes
from rfm.model.weights import adapter
from rfm.model.weights.base import base_of
from rfm.model.weights.fingerprint import decides_answers, is_weights
from rfm.model.weights.tensors import check_values, files_of, load_full
from rfm.vqa.provenance import FILE as TRAINED_ON


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
    base: str | None = None
    """The base model of an adapter: a folder's absolute path or a hub name."""

    def __post_init__(self) -> None:
        if self.form is not None:
            self.form.check_family(self.spec.family)

    def save(self, folder: Path, form: InputFormat) -> None:
        """Write a whole checkpoint."""
        self.model.save_pretrained(str(folder))
        self.save_processor(folder, form)
        seal.seal(folder)

    def save_processor(self, folder: Path, form: InputFormat) -> None:
        """Complete a folder with weights: tokenizer, preprocessing files, `rfm_config.json`, keys for older versions.

        Whoever calls this seals the folder when all is written.
        """
        self.tokenizer.save_pretrained(str(folder))
        for name, text in with_sizes(self.processor_files, form, self.spec).items():
            (folder / name).write_text(text, encoding="utf-8")
        form.with_budgets(self.spec).save(folder)
        settle_configs(folder)


def load_model(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    attention: str | None = None,
    quantization: Any = None,
    trust_remote_code: bool = False,
    trainable: bool = False,
    base_model: str | None = None,
    seed: int = 0,
    texts: Iterable[str] = (),
) -> LoadedModel:
    """Load by name or folder; `device=None` leaves placement to the caller (the Trainer).

    `attention` is an attention implementation of transformers (None: SDPA, without its loop in the tower),
    `quantization` one of its quantization configurations; `trainable` keeps a loaded adapter open for more training,
    `base_model` takes the place of the base that an adapter records. `seed` and `texts` draw a new `tiny` and train its
    tokenizer. Raises `DataError` ("Model not found: …" where there is nothing to load).
    """
    if str(name) in tiny.PRESETS and base_model is None:
        loaded = _new_tiny(str(name), seed, texts)
        return loaded if device is None else replace(loaded, model=loaded.model.to(device))
    place = place_of(name)
    options = {"dtype": dtype, "attn_implementation": attention, "quantization_config": quantization}
    options = {key: value for key, value in options.items() if value is not None}
    if (Path(place) / ADAPTER_FILE).is_file():
        loaded = _adapter(Path(place), trust_remote_code, trainable, options, base_model)
    elif base_model is None:
        loaded = _full(place, trust_remote_code, options)
    else:
        raise ConfigError(f"`base_model` must be given with an adapter, but {name} is none; leave it out")
    if device is not None and not is_quantized(loaded.model):  # bitsandbytes places 4-bit weights itself
        loaded = replace(loaded, model=loaded.model.to(device))
    named = place if loaded.base is None else f"{place} or its base {loaded.base}"
    check_values(loaded.model.named_parameters(), named)
    return loaded


def check_files(folder: Path) -> None:
    """Raise `DataError` where what a checkpoint's answers depend on, but for its weights, is not as it was sealed."""
    seal.check(folder, lambda name: (decides_answers(name) or name == TRAINED_ON) and not is_weights(name))


def _new_tiny(name: str, seed: int, texts: Iterable[str]) -> LoadedModel:
    model, tokenizer = tiny.build_tiny(seed, texts, tiny.PRESETS[name])
    spec = tiny.tiny_spec()
    accept_uint8(model, spec)
    use_matrix_product(model)
    use_equal_segments(model)
    return LoadedModel(model, tokenizer, spec, name, None, tiny.processor_files(spec))


def _full(place: str, trust_remote_code: bool, options: dict[str, Any]) -> LoadedModel:
    """Load a full checkpoint; what is cheap to check comes first."""
    folder = Path(place)
    check_files(folder)
    config = model_config(place, trust_remote_code)
    family = family_of(config)
    tensors = {}
    if folder.is_dir():
        tensors = files_of(folder, quantized=getattr(config, "quantization_config", None) is not None)
    spec = read_spec(place, config)
    form, files = load_form(place), read_processor_files(place, family)
    tokenizer = load_tokenizer(place, trust_remote_code)
    check_tokenizer(tokenizer, config, place)
    model = load_full(place, tensors, trust_remote_code, options)
    seal.check(folder, is_weights)
    accept_uint8(model, spec)
    use_matrix_product(model)
    if "attn_implementation" not in options:
        use_equal_segments(model)
    return LoadedModel(model, tokenizer, spec, place, form, files)


def _adapter(
    folder: Path, trust_remote_code: bool, trainable: bool, options: dict[str, Any], base_model: str | None
) -> LoadedModel:
    check_files(folder)
    named = base_of(folder, base_model)
    if trained_quantized(folder) and "quantization_config" not in options:  # on other weights it is another model
        options = {**options, "quantization_config": nf4(named, options["dtype"])}
    base = _full(named, trust_remote_code, options)
    tokenizer = load_tokenizer(str(folder), trust_remote_code)
    check_tokenizer(tokenizer, base.model.config, str(folder))
    model = adapter.load_adapter(base.model, folder, trainable=trainable)
    seal.check(folder, is_weights)
    form = load_form(str(folder))
    return replace(base, model=model, tokenizer=tokenizer, name=str(folder), form=form, base=named)
