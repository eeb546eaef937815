"""Uploads by the real huggingface_hub to a server on this machine."""

import pytest
from checkpoints import random_checkpoint
from hub_fakes import fake_hub, point_to  # noqa: F401

from rfm.errors import ConfigError, RfmError
from rfm.export.hub import check_hub, export_push
from rfm.export.options import HubOptions


def test_a_checkpoint_is_uploaded_whole(fake_hub, tmp_path):  # noqa: F811
    folder = random_checkpoint(tmp_path / "final")
    (folder / "optimizer.pt").write_text("large")
    assert export_push(HubOptions(str(folder), "me/judge", hub_private_repo=True)) == 0
    expected = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "optimizer.pt"}
    stored = fake_hub.files["me/judge"]
    assert {name: stored[name] for name in expected} == expected
    assert set(stored) - set(expected) <= {".gitattributes"}
    assert fake_hub.private["me/judge"] is True


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
