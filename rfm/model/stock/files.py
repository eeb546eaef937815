"""Stock configuration and tokenizer, read from files that may be damaged.

What stock classes raise over a file of the wrong content is of no one kind: a TypeError, a ZeroDivisionError, a plain
Exception of the tokenizers' Rust code. Here all of it becomes one `DataError` that names the file and the way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from rfm.errors import DataError, RfmError
from rfm.model.stock.hub_names import candidates, out_of_reach, pinned

ADAPTER_FILE = "adapter_config.json"
CONTROL_TOKENS = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
"""What must have one number in a model's configuration and in its tokenizer."""


@contextmanager
def usable(what: str, way_out: str = "copy it again or take another checkpoint") -> Iterator[None]:
    """DataError "`what` can't be used (reason); `way_out`" for whatever stock code raises inside, but for memory."""
    try:
        yield
    except (RfmError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise DataError(f"{what} can't be used ({reason_of(error)}); {way_out}") from error


def reason_of(error: Exception) -> str:
    """Return the line of an error that says most, with its type where that alone would be a riddle."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith("size mismatch")), lines[0] if lines else "")
    plain = isinstance(error, (OSError, ValueError)) and first
    return first if plain else f"{type(error).__name__}: {first}".removesuffix(": ")


def model_config(name: str, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a folder or hub name; raises `DataError` where there is none."""
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise DataError(f"Model not found: {folder} holds neither config.json nor {ADAPTER_FILE}{candidates(folder)}")
    plain, revision = pinned(name)
    if folder.is_dir():
        with usable(f"Model not found: config.json in {folder}"):
            return AutoConfig.from_pretrained(plain, trust_remote_code=trust_remote_code)
    away = out_of_reach(name)
    try:
        return AutoConfig.from_pretrained(
            plain, trust_remote_code=trust_remote_code, local_files_only=away is not None, **revision
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"Model not found: {name} is neither a folder here nor a model that the Hugging Face hub gives "
            f"({away or reason_of(error)}); check the spelling and the network, or pass a checkpoint folder such as "
            "OUTPUT_DIR/final"
        ) from error


def load_tokenizer(name: str, trust_remote_code: bool = False) -> Any:
    """Load a tokenizer that pads on the left, which saving does not keep; nor does it keep where it came from."""
    plain, revision = pinned(name)
    with usable(f"the tokenizer of {name}"):
        tokenizer = AutoTokenizer.from_pretrained(plain, trust_remote_code=trust_remote_code, **revision)
        for from_where in ("is_local", "local_files_only"):  # or a run that is gone on with would save another file
            tokenizer.init_kwargs.pop(from_where, None)
    tokenizer.padding_side = "left"
    return tokenizer


def check_tokenizer(tokenizer: Any, config: Any, name: str) -> None:
    """Raise `DataError` where a tokenizer is not of the model: numbers of control tokens, size of the vocabulary."""
    wanted = {token: getattr(config, field) for field, token in CONTROL_TOKENS.items()}
    vocabulary = tokenizer.get_vocab()
    has = {token: vocabulary.get(token) for token in wanted}
    rows, highest = config.get_text_config().vocab_size, max(vocabulary.values(), default=-1)
    if has != wanted or highest >= rows:
        raise DataError(
            f"the tokenizer of {name} must be of its model, with {wanted} and numbers below {rows}, but it has {has} "
            f"and numbers up to {highest}; copy its files again or take another checkpoint"
        )
