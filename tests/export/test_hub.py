"""Uploads by the real huggingface_hub to a server on this machine."""

import json

import pytest
from checkpoints import random_checkpoint
from hub_fakes import fake_hub, point_to  # noqa: F401

from rfm.errors import ConfigError, RfmError
from rfm.export.hub import check_hub, export_push, push_folder
from rfm.export.model_card import write_card
from rfm.export.options import HubOptions
from rfm.export.training_record import without_folders, write_record


def test_a_checkpoint_is_uploaded_whole(fake_hub, tmp_path):  # noqa: F811
    folder = random_checkpoint(tmp_path / "final")
    (folder / "optimizer.pt").write_text("large")
    assert export_push(HubOptions(str(folder), "me/judge", hub_private_repo=True)) == 0
    expected = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "optimizer.pt"}
    stored = fake_hub.files["me/judge"]
    assert {name: stored[name] for name in expected} == expected
    assert set(stored) - set(expected) <= {".gitattributes"}
    assert fake_hub.private["me/judge"] is True


def test_nothing_that_is_uploaded_names_this_machines_folders(fake_hub, tmp_path):  # noqa: F811
    folder = random_checkpoint(tmp_path / "run" / "final")
    overrides = [f"data.datasets_root={tmp_path}/robots", f"data.train_datasets=[{tmp_path}/a b,lab/b]", "data.x=1/2"]
    options = {"model_name": "Qwen/Qwen3-VL-4B", "output_dir": "./outputs/x", "datasets_root": None, "lora_rank": 4}
    options |= {"dataset_path": f"{tmp_path}/vqa/", "config_overrides": overrides}
    write_record(folder, options, str(tmp_path / "vqa"), 3, {"config_overrides": overrides, "seed": 1})
    write_card(folder)
    (folder / "training_args.bin").write_bytes(f"a pickle with {tmp_path}".encode())
    kept = (folder / "training_data.json").read_text()
    push_folder(folder, check_hub("me/judge", private=True))
    stored = fake_hub.files["me/judge"]
    assert [name for name, content in stored.items() if str(tmp_path).encode() in content] == []
    assert "training_args.bin" not in stored
    uploaded = json.loads(stored["training_options.json"])
    shown = ["data.datasets_root=robots", "data.train_datasets=[a b,lab/b]", "data.x=1/2"]
    assert uploaded == options | {"dataset_path": "vqa", "config_overrides": shown}
    assert json.loads(stored["training_data.json"])["dataset_path"] == "vqa"
    assert b"data.datasets_root=robots" in stored["README.md"]
    assert (folder / "training_data.json").read_text() == kept, "a merge here still finds its rows"
    assert str(tmp_path) in kept


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/me/data", "data"), ("~/data/", "data"), ("C:\\robots\\day 1", "day 1"), ("a/b", "a/b"),
        ("./outputs", "./outputs"), ("x=/mnt/a", "x=a"), ("x=['/mnt/a', \"/mnt/b\"]", "x=['a', \"b\"]"),
        ("http://127.0.0.1/v1", "http://127.0.0.1/v1"), (["/a/b", 3, None, {"k": "/c/d"}], ["b", 3, None, {"k": "d"}]),
    ],
)  # fmt: skip
def test_absolute_paths_are_cut_down_and_nothing_else_is(given, shown):
    assert without_folders(given) == shown


def test_a_folder_without_a_model_is_not_uploaded(tmp_path):
    with pytest.raises(ConfigError, match=r"`checkpoint` must be the folder of a checkpoint, but .* holds no model"):
        export_push(HubOptions(str(tmp_path), "me/judge"))


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, "run `hf auth login` or set HF_TOKEN"), (403, "the token must have the right to write there")],
)
def test_a_refusal_says_what_to_do(fake_hub, status, text):  # noqa: F811
    fake_hub.refuse = status
    with pytest.raises(RfmError, match=f"me/judge must be a repository that can be written to, but the hub .*{text}"):
        check_hub("me/judge", private=False)


def test_no_network_no_token_and_no_name_are_said(monkeypatch):
    with pytest.raises(ConfigError, match="`hub_model_id` must name the repository"):
        check_hub(None, private=False)
    with pytest.raises(ConfigError, match="`hub_model_id` must be like me/my-model, but is 'a/b/c'"):
        check_hub("a/b/c", private=False)
    with pytest.raises(RfmError, match=r"me/x must be a repository .* HF_HUB_OFFLINE forbids it"):
        check_hub("me/x", private=False)
    point_to(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(RfmError, match=r"me/x must be .* the hub can't be reached .* `rfm export push`"):
        check_hub("me/x", private=False)


@pytest.mark.parametrize("name", ["notes.txt", "more", "gone"])
def test_links_are_not_uploaded(fake_hub, tmp_path, name):  # noqa: F811
    private, folder = tmp_path / "private", tmp_path / "model"
    private.mkdir()
    folder.mkdir()
    (private / "notes.txt").write_text("secret")
    (folder / "config.json").write_text("{}")
    target = {"notes.txt": private / "notes.txt", "more": private, "gone": tmp_path / "nowhere"}[name]
    (folder / name).symlink_to(target)
    with pytest.raises(
        ConfigError, match=f"`checkpoint` must hold its files itself to be uploaded, but .*{name} is a li"
    ):
        export_push(HubOptions(str(folder), "me/model"))
    assert not fake_hub.files
