"""Small datasets drawn from a toy world."""

import dataclasses
import json
from pathlib import Path

from datasets import load_from_disk

from rfm.generation.generate import GenerateOptions

ROWS = 1000


def options(world: Path, output: Path, *overrides: str, **changes) -> GenerateOptions:
    where = (f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.eval_datasets=[toy_eval]")
    made = GenerateOptions(
        output_path=str(output),
        num_samples=ROWS,
        num_workers=1,
        config_overrides=(*where, "data.max_frames=4", *overrides),
    )
    return dataclasses.replace(made, **changes)


def config_of(path: Path) -> dict:
    return json.loads((path / "generation_config.json").read_text())


def rows_of(path: Path) -> list[dict]:
    return load_from_disk(str(path)).to_list()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
