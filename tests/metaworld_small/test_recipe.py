"""Training metaworld-small: all lessons in turn, and on after a stop."""

import shutil
from pathlib import Path

import pytest
from worlds import make_world

from rfm.metaworld_small.recipe import LESSONS, SIDE, train_model
from rfm.model.load import load_model
from rfm.model.stock.preprocessing import load_form


def test_lessons_share_all_of_the_steps():
    assert sum(lesson.share for lesson in LESSONS) == pytest.approx(1)


def test_all_lessons_train_one_model_and_a_stopped_run_goes_on(tmp_path: Path):
    root = make_world(tmp_path / "root", "metaworld_train", episodes=18, tasks=3, scene="table")
    final = train_model(root, tmp_path / "run", steps=5)
    form = load_form(str(final))
    assert (form.resized_height, form.resized_width, form.max_frames) == (SIDE, SIDE, 4)
    loaded = load_model(final)
    sizes = loaded.model.config
    assert sizes.text_config.head_dim == 32
    assert sizes.vision_config.hidden_size // sizes.vision_config.num_heads == 32
    weights = final / "model.safetensors"
    assert weights.stat().st_size <= 6_000_000
    before = weights.read_bytes()
    shutil.rmtree(final)
    assert train_model(root, tmp_path / "run", steps=5) == final
    assert weights.read_bytes() == before
