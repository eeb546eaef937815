"""`import rfm` costs nothing, and its names are what they say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import make_world

import rfm
from rfm.errors import ConfigError, DataError

ROOT = Path(__file__).parents[1]


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, rfm; print(*sorted({'torch', 'numpy', 'datasets', 'rfm.scoring'} & {*sys.modules}), *dir(rfm))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"RewardModel", "generate"} <= {*run.stdout.split()}
    assert not {"torch", "numpy", "datasets", "rfm.scoring"} & {*run.stdout.split()}


def test_every_name_is_there_and_typed() -> None:
    stub = ast.parse((ROOT / "rfm" / "__init__.pyi").read_text())
    typed = {name.asname: one.module for one in stub.body if isinstance(one, ast.ImportFrom) for name in one.names}
    assert {*typed} == {*rfm.__all__}
    for name in rfm.__all__:
        assert getattr(rfm, name).__module__ == typed[name]
        assert getattr(rfm, name).__doc__
    with pytest.raises(AttributeError, match="module 'rfm' has no attribute 'Rewardmodel'"):
        _ = rfm.Rewardmodel  # type: ignore[attr-defined]


def test_the_whole_way_in_a_notebook(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    config = [f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=4"]
    rows = rfm.generate(tmp_path / "data", num_samples=40, num_workers=1, config_overrides=config)
    assert len(rows) == len(rfm.load_dataset(tmp_path / "data")) == 40
    settings = {"gradient_checkpointing": False, "dataloader_num_workers": 0, "report_to": "none", "max_steps": 2}
    final = rfm.train(tmp_path / "data", model_name="tiny", output_dir=tmp_path / "run", bf16=False, **settings)
    assert final == tmp_path / "run" / "final"
    results = rfm.evaluate(final, tmp_path / "data", output_path=tmp_path / "results.json", decoding="scored")
    assert results["asked"]
    curve = rfm.RewardModel.from_pretrained(final).curve(next(world.rglob("*.npz")), "move the square right")
    assert len(curve) == 16


def test_a_split_is_the_rows_of_each_side(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    config = [f"data.datasets_root={world}", "data.train_datasets=[toy_train]", "data.max_frames=4"]
    asked = {"num_samples": 40, "num_workers": 1, "config_overrides": config}
    sides = rfm.generate(tmp_path / "data", split="train=0.75,test=0.25", **asked)
    assert {name: len(rows) for name, rows in sides.items()} == {"test": 10, "train": 30}
    assert sides["test"].to_list() == rfm.load_dataset(tmp_path / "data" / "test").to_list()
    folds = rfm.generate(tmp_path / "folds", folds=2, **asked)
    assert sorted(folds) == ["fold_1/test", "fold_1/train", "fold_2/test", "fold_2/train"]


def test_options_that_are_none() -> None:
    with pytest.raises(ConfigError, match="`num_sample` must be one of the options of GenerateOptions, but is none"):
        rfm.generate("data", num_sample=3)
    with pytest.raises(ConfigError, match="`x` must be one of the options of EvaluateOptions, but is none: model"):
        rfm.evaluate("model", "data", x=1)
    with pytest.raises(DataError, match="nowhere"):
        rfm.load_dataset("nowhere")
