"""Training metaworld-small: all lessons in turn, and on after a stop."""

import shutil
from pathlib import Path

from worlds import make_world

from rfm.metaworld_small.recipe import SIDE, release, train_model
from rfm.model.load import load_model
from rfm.model.stock.preprocessing import load_form


def test_all_lessons_train_one_model_and_a_stopped_run_goes_on(tmp_path: Path):
    root = make_world(tmp_path / "root", "metaworld_train", episodes=18, tasks=3, scene="table")
    make_world(tmp_path / "root", "metaworld_more", episodes=18, tasks=3, scene="table")
    final = train_model(root, tmp_path / "run", steps=6)
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
    assert train_model(root, tmp_path / "run", steps=6) == final
    assert weights.read_bytes() == before
    released = release(final, tmp_path / "released")
    assert {path.name for path in released.iterdir()} >= {"config.json", "trained_on.npy", "training_data.json"}
    assert not (released / "training_args.bin").exists()
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in released.iterdir())
    assert load_model(released).form == form
