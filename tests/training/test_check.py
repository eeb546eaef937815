import dataclasses
import logging
import shutil

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from vqa_fakes import fake_dataset, row, write_dataset, write_frames
from worlds import make_world

from rfm.batch import collator
from rfm.batch.tokens import sequences
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.training.check import check_collator
from rfm.training.check_options import CheckOptions


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 12, episodes=3)


def test_a_good_dataset_passes_all_five_checks(dataset, caplog):
    with caplog.at_level(logging.INFO, logger="rfm"):
        assert check_collator(CheckOptions(str(dataset))) == 0
    lines = [record.getMessage() for record in caplog.records if record.name == "rfm.training.check"]
    assert [line.split(":")[0] for line in lines] == [
        "1. dataset",
        "2. collator",
        "3. batch",
        "4. frames and tokens",
        "5. labels",
        "6. packed",
        "all checks passed",
    ]
    assert "12 rows in" in lines[0]
    assert "8 of them looked at" in lines[0]
    assert "video mode, frames 32 x 32 (box)" in lines[1]
    assert "pixel_values_videos (" in lines[2]
    assert "tokens masked" in lines[4]


def test_images_instead_of_videos(dataset, caplog):
    with caplog.at_level(logging.INFO, logger="rfm"):
        assert check_collator(CheckOptions(str(dataset), use_multi_image=True)) == 0
    assert "multi-image mode" in caplog.text


def test_without_a_dataset_a_small_one_is_drawn(tmp_path, monkeypatch, caplog):
    make_world(tmp_path, "metaworld_train")
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(tmp_path))
    with caplog.at_level(logging.INFO, logger="rfm"):
        assert check_collator(CheckOptions(num_samples=3)) == 0
    assert "1. dataset: 20 rows in" in caplog.text
    assert "3 of them looked at" in caplog.text


def test_a_checkpoints_own_format_is_what_is_checked(dataset, tmp_path, caplog):
    folder = random_checkpoint(tmp_path / "final")
    with caplog.at_level(logging.INFO, logger="rfm"):
        assert check_collator(CheckOptions(str(dataset), model_name=str(folder))) == 0
    assert "frames 32 x 32 (box)" in caplog.text
    with pytest.raises(ConfigError, match=r"`use_multi_image` must be as .*final was trained, but that was with"):
        check_collator(CheckOptions(str(dataset), model_name=str(folder), use_multi_image=True))


def test_frames_that_are_not_there(dataset, tmp_path, monkeypatch):
    shutil.copytree(dataset.parent, tmp_path / "copy")
    monkeypatch.setenv("RFM_PROCESSED_DATASETS_PATH", str(tmp_path / "copy" / "root"))
    for path in (tmp_path / "copy" / "root").rglob("*.npz"):
        path.unlink()
    with pytest.raises(DataError, match=r"frames file .*trajectory_\d.npz must exist, but does not"):
        check_collator(CheckOptions(str(dataset)))


def test_blank_frames(tmp_path):
    (path,) = write_frames(tmp_path / "root", 1, levels=(0,))
    rows = [row("progress", "50", "how far?", clip=(path, [0, 5]))]
    with pytest.raises(DataError, match="all pixels of the batch are equal: the frames are blank"):
        check_collator(CheckOptions(str(write_dataset(tmp_path / "vqa", tmp_path / "root", rows))))


def test_indices_past_the_end(tmp_path):
    (path,) = write_frames(tmp_path / "root", 1)
    rows = [row("progress", "50", "how far?", clip=(path, [0, 99]))]
    with pytest.raises(DataError, match=r"`frame_indices\[1\]` must be < 16 \(frames in .*\), but is 99"):
        check_collator(CheckOptions(str(write_dataset(tmp_path / "vqa", tmp_path / "root", rows))))


def test_loss_on_the_prompt(dataset, monkeypatch):
    labels = sequences.padded_labels

    def one_token_too_many(rows, keep):
        return labels([one._replace(answer_tokens=one.answer_tokens + 1) for one in rows], keep)

    monkeypatch.setattr(sequences, "padded_labels", one_token_too_many)
    with pytest.raises(DataError, match=r"row \d: loss must be on 'ANS: \d+<\|im_end\|>', but is on '\\nANS: \d+<\|im"):
        check_collator(CheckOptions(str(dataset)))


def test_loss_on_another_answer(dataset, monkeypatch):
    answer_ids = ConversationEncoder.answer_ids
    monkeypatch.setattr(ConversationEncoder, "answer_ids", lambda self, answer: answer_ids(self, "7"))
    with pytest.raises(DataError, match=r"row 0: loss must be on 'ANS: \d+<\|im_end\|>', but is on 'ANS: 7<\|im_end\|"):
        check_collator(CheckOptions(str(dataset)))


def test_a_prompt_that_is_cut_short(dataset, monkeypatch):
    encode = ConversationEncoder.encode
    monkeypatch.setattr(
        ConversationEncoder, "encode", lambda self, videos, prompt, answer: encode(self, videos, prompt[:20], answer)
    )
    with pytest.raises(DataError, match="row 0: the prompt can't be read back from its tokens"):
        check_collator(CheckOptions(str(dataset)))


def test_patches_that_are_lost(dataset, monkeypatch):
    patchify = collator.patchify

    def lossy(frames, spec, out):
        patches, grid = patchify(frames, spec)
        return patches[:-1], grid

    monkeypatch.setattr(collator, "patchify", lossy)
    with pytest.raises(DataError, match=r"the batch must hold \d+ patches, as its grids say, but holds \d+"):
        check_collator(CheckOptions(str(dataset)))


def test_placeholders_that_are_lost(dataset, monkeypatch):
    padded = collator.padded

    def lossy(rows, pad, **options):
        batch = padded(rows, pad, **options)
        at = torch.isin(batch["input_ids"], rows[0].ids.max()).nonzero()[0]  # the last control token is a video's
        batch["input_ids"][at[0], at[1]] = pad
        return batch

    monkeypatch.setattr(collator, "padded", lossy)
    with pytest.raises(DataError, match=r"the text must hold \d+ placeholders, one a visual token, but holds \d+"):
        check_collator(CheckOptions(str(dataset)))


def test_at_least_one_row():
    with pytest.raises(ConfigError, match="`num_samples` must be at least 1, but is 0"):
        dataclasses.replace(CheckOptions(), num_samples=0)


def test_fewer_rows_than_asked_for(tmp_path):
    assert check_collator(CheckOptions(str(fake_dataset(tmp_path, 2)), num_samples=np.iinfo(int).max)) == 0
