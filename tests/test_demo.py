import json

import pytest
from PIL import Image
from worlds import make_world

from rfm import demo
from rfm.demo import LESSONS
from rfm.demo_options import DemoOptions
from rfm.errors import ConfigError
from rfm.vqa.dataset import load_dataset
from rfm.vqa.provenance import load_hashes, trajectory_hashes


def test_the_demo_goes_from_videos_to_results_and_a_picture(tmp_path, monkeypatch, capsys):
    root = make_world(tmp_path / "root", "metaworld_train", episodes=18, tasks=3, scene="table")
    make_world(root, "metaworld_eval", episodes=18, tasks=3, seed=1, scene="table")
    monkeypatch.setattr(demo, "bundled_root", lambda: root)
    monkeypatch.setattr(demo, "HELD_OUT_ROWS", 24)
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(root))
    out = tmp_path / "out"
    assert demo.run(DemoOptions(output_dir=str(out), steps=5)) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["total_samples"] == 24
    assert results["trained_on_share"] == 0
    assert set(results["controls"]["blank"]) == {"preference", "progress", "five_levels", "unchanged"}
    assert set(results["baselines"]) == {"constant", "random", "frame_difference"}
    shown = capsys.readouterr().out
    for name, metric, rows in demo.AS_REWARD:
        assert json.loads((out / f"results_{name}.json").read_text())[metric]
        assert all(words in shown for _, words, _ in rows if words != "on one of another scene")
    assert Image.open(out / "progress.png").width > 1000
    seen = set(load_hashes(out / "model" / "final").tolist())
    for number in range(1, len(LESSONS) + 1):
        assert set(trajectory_hashes(load_dataset(out / f"lesson_{number}")[0]).tolist()) <= seen


def test_lessons_share_all_of_the_steps():
    assert sum(lesson.share for lesson in LESSONS) == pytest.approx(1)
    with pytest.raises(ConfigError, match="`steps` must be at least 5, one a lesson, but is 4"):
        DemoOptions(steps=4)
