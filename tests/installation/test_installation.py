import json
import subprocess

import pytest

from rfm.cli import run_command
from rfm.configs.experiment_configs import BOUNDS, DataConfig
from rfm.configs.keys import keys
from rfm.installation.caches import shown_size
from rfm.installation.completion import whole_parser


def document(capsys, name: str, *words: str) -> dict:
    assert run_command((name,), [*words, "--json"], f"rfm {name}") == 0
    return json.loads(capsys.readouterr().out)


def test_every_key_has_meaning_default_and_values():
    found = {key.name.removeprefix("data."): key for key in keys()}
    assert set(found) == set(vars(DataConfig()))
    assert all(key.meaning and key.default and key.values for key in found.values())
    assert (found["max_frames"].default, found["max_frames"].values) == ("16", "2 to 4096")
    assert found["frame_dropping"].default == "0.0"
    assert found["resized_height"].values == "1 to 16384, or null"
    assert found["mixture"].values == "balanced, original"
    assert set(BOUNDS) <= set(found)


def test_config_lists_the_keys_that_have_a_word(capsys):
    names = [key["name"] for key in document(capsys, "config", "max-frames")["keys"]]
    assert names == ["data.max_frames"]
    assert run_command(("config",), ["framez"], "rfm config") == 1
    assert "but framez is in none; did you mean max_frames?" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RFM_CACHE", str(tmp_path))
    (tmp_path / "remote" / "a").mkdir(parents=True)
    (tmp_path / "remote" / "a" / "frames").write_bytes(b"x" * 1500)
    (tmp_path / "metaworld_mini-0123456789ab.unfinished").mkdir()
    (tmp_path / "diary").write_text("mine")
    (tmp_path / "upload").symlink_to(tmp_path / "diary")
    return tmp_path


def test_the_cache_is_listed_with_sizes(folder, capsys):
    found = document(capsys, "cache")
    assert found["folder"] == str(folder)
    assert {one["name"]: one["bytes"] for one in found["entries"]}["remote"] == 1500
    assert {one["name"]: one["what"] for one in found["entries"]}["diary"] is None
    assert shown_size(1500) == "1.5 kB"


def test_clearing_the_cache_deletes_only_what_is_ours(folder):
    assert run_command(("cache",), ["--clear", "--quiet"], "rfm cache") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["diary", "upload"]


def test_the_doctor_says_what_is_here(capsys):
    found = document(capsys, "doctor")
    assert not found["faults"]
    assert found["codecs"]["h264"]
    assert {one["package"] for one in found["packages"]} >= {"torch", "numpy"}
    assert {one["package"] for one in found["extras"]["hdf5"]} == {"h5py"}
    assert "dev" not in found["extras"]
    assert all(disk["free"] > 0 for disk in found["disk"])


def test_all_commands_and_flags_are_there_to_be_completed():
    parser = whole_parser()
    videos = parser._subparsers._group_actions[0].choices["ingest"]._subparsers._group_actions[0].choices["videos"]
    assert {"--max_frames", "--options", "--no_copy"} & set(videos._option_string_actions) >= {"--max_frames"}


def test_the_script_for_bash_is_one_that_bash_takes(capsys):
    pytest.importorskip("shtab", reason="the extra `completion` is not installed")
    assert run_command(("completion",), ["bash"], "rfm completion") == 0
    script = capsys.readouterr().out
    assert "--lora_rank" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
