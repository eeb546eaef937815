"""Every file of a checkpoint damaged at random: the answers of the undamaged one, or one message."""

import json
import random
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_adapter, random_checkpoint

from rfm.errors import RfmError
from rfm.files import seal
from rfm.model.load import load_model
from rfm.vqa.provenance import load_hashes

OTHER_VALUES = (None, True, 0, -1, 10**30, 1e308, "", "x", [], [None], {}, {"a": 1})


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    full = random_checkpoint(folder / "full", trained_on=np.arange(5, dtype=np.uint64))
    return {"full": full, "adapter": random_adapter(folder / "adapter", full)}


def answers(folder: Path) -> torch.Tensor:
    loaded = load_model(folder)
    load_hashes(folder)
    ids = torch.tensor([loaded.tokenizer("push the button\nANS: 4").input_ids])
    with torch.inference_mode():
        return loaded.model(input_ids=ids).logits


def places(values: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield where a JSON value holds values; of lists the first ones."""
    if isinstance(values, dict | list):
        for key, value in list(values.items() if isinstance(values, dict) else enumerate(values))[:40]:
            yield (*path, key)
            yield from places(value, (*path, key))


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(max(len(content), 1))]


def emptied(content: bytes, _: random.Random) -> bytes:
    return b""


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 8))):
        changed[rng.randrange(rng.choice((min(64, len(changed)), len(changed))))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def of_another_type(content: bytes, rng: random.Random) -> bytes:
    try:
        values = json.loads(content)
    except ValueError:
        return flipped(content, rng)
    *path, last = rng.choice(list(places(values)))
    inner = values
    for key in path:
        inner = inner[key]
    inner[last] = rng.choice(OTHER_VALUES)
    return json.dumps(values).encode()


def deleted(_: bytes, __: random.Random) -> None:
    return None


DAMAGES = (cut, emptied, flipped, of_another_type, deleted)


def damaged(source: Path, target: Path, rng: random.Random) -> Iterator[tuple[Path, str, str]]:
    """Yield copies of a checkpoint, each with one file damaged in one way."""
    cases = [(path.name, damage) for path in sorted(source.iterdir()) for damage in DAMAGES]
    rng.shuffle(cases)
    for name, damage in cases:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        content = damage((target / name).read_bytes(), rng)
        if content is None:
            (target / name).unlink()
        else:
            (target / name).write_bytes(content)
        yield target, name, damage.__name__


@pytest.mark.parametrize("kind", ["full", "adapter"])
def test_a_damaged_checkpoint_answers_as_before_or_not_at_all(checkpoints, kind, tmp_path):
    right, refused = answers(checkpoints[kind]), set()
    for folder, name, damage in damaged(checkpoints[kind], tmp_path / "copy", random.Random(7)):
        try:
            assert torch.equal(answers(folder), right), f"{name} {damage}"
        except RfmError:
            refused.add(name)
    assert {"config.json" if kind == "full" else "adapter_config.json", "tokenizer.json", "rfm_config.json"} <= refused


@pytest.mark.parametrize("kind", ["full", "adapter"])
def test_without_a_seal_loading_what_is_damaged_is_no_traceback(checkpoints, kind, tmp_path):
    """As of models from elsewhere; changed bytes of weights can't be known then."""
    source = tmp_path / "unsealed"
    shutil.copytree(checkpoints[kind], source)
    (source / seal.FILE_NAME).unlink()
    refused = set()
    for folder, name, damage in damaged(source, tmp_path / "copy", random.Random(8)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load_model(folder)
                load_hashes(folder)
        except RfmError:
            refused.add((name, damage))
    weights = "model.safetensors" if kind == "full" else "adapter_model.safetensors"
    assert {(weights, damage) for damage in ("cut", "emptied", "deleted")} <= refused
