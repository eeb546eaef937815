import json
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from vqa_fakes import preference_row, progress_row, row, write_frames

from rfm.batch.bad_rows import NUMBER_COLUMN, SKIP, STOP, BadRows, left_out, summary
from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.frames.npz.file import write_npz
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import build_tiny, tiny_spec

FILM = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def faulty(root):
    """Clips that cannot be shown, each with the text that says why."""
    np.savez(root / "floats.npz", frames=FILM.astype(np.float32))
    np.savez(root / "grey.npz", frames=FILM[..., :1])
    np.savez(root / "flat.npz", frames=FILM[0])
    np.savez(root / "pickled.npz", frames=np.array([{"a": 1}], dtype=object))
    np.savez(root / "none.npz", other=FILM)
    (root / "text.npz").write_text("not a zip")
    write_npz(root / "whole.npz", FILM)
    (root / "cut.npz").write_bytes((root / "whole.npz").read_bytes()[:-5000])
    write_npz(root / "jpeg.npz", FILM, "jpeg")
    data = bytearray((root / "jpeg.npz").read_bytes())
    data[300:600] = bytes(300)
    (root / "jpeg.npz").write_bytes(data)
    return {
        "missing.npz": "frames file .*missing.npz must exist, but does not",
        "floats.npz": "`frames` in .*floats.npz must be uint8, but is float32",
        "grey.npz": r"frames in .*grey.npz must have shape \(T, H, W, 3\)",
        "flat.npz": r"frames in .*flat.npz must have shape \(T, H, W, 3\)",
        "pickled.npz": "must hold numbers, but is a pickled array, which is never loaded",
        "none.npz": "none.npz must hold an array `frames`, but holds other",
        "text.npz": "text.npz must be a readable .npz",
        "cut.npz": "cut.npz must be a readable .npz",
        "jpeg.npz": "frame 0 in .*jpeg.npz must be a JPEG image",
        "../outside.npz": "must lie under the datasets root",
        "film.avi": "video .*film.avi must exist",
        "notes.txt": "must end in one of .npz",
    }


def rows_of(root):
    """Good and bad rows in turn, numbered."""
    paths, rng = write_frames(root, 3), np.random.default_rng(0)
    bad = [row("progress", "5", "how far?", clip=(path, [0, 2])) for path in faulty(root)]
    bad.append(row("preference", "1", "which?", first=(paths[0], [0, 5]), second=(paths[1], [0, 99])))
    bad.append(row("progress", "5", "how far?", clip=(paths[0], [-1, 2])))
    bad.append(row("progress", None, "how far?", clip=(paths[0], [0, 2])))
    rows = [entry for wrong in bad for entry in (preference_row(paths, rng), wrong, progress_row(paths, rng))]
    return [entry | {NUMBER_COLUMN: number} for number, entry in enumerate(rows)]


def collator(root, policy, **options):
    model, tokenizer = build_tiny(0)
    encoder, frames = ConversationEncoder(tokenizer, tiny_spec()), FrameStore(root, tiny_spec(), InputFormat())
    return model, VQACollator(encoder, frames, bad_rows=BadRows(policy, root / "out" / "bad.jsonl"), **options)


def test_every_kind_of_fault_stops_with_row_and_file_named(tmp_path):
    _, made = collator(tmp_path, STOP)
    rows = rows_of(tmp_path)
    for place, text in enumerate(faulty(tmp_path).values()):
        number = 3 * place + 1
        with pytest.raises(DataError, match=rf"^row {number}: .*{text}.*; repair its file, or leave such rows out by"):
            made(rows[3 * place : 3 * place + 3])
    with pytest.raises(DataError, match=r"^row 37: `frame_indices\[1\]` must be < 16 \(frames in .*\), but is 99"):
        made(rows[36:39])
    with pytest.raises(DataError, match=r"^row 40: `frame_indices\[0\]` must be >= 0, but is -1"):
        made(rows[39:42])
    with pytest.raises(
        DataError, match=r"^row 43: `answer` must be a whole number from 0 to 100 for progress, but is None"
    ):
        made(rows[42:])
    assert not (tmp_path / "out").exists()


def test_outside_training_a_bad_row_stops_too(tmp_path):
    _, made = collator(tmp_path, STOP)
    plain = VQACollator(made.encoder, made.frames)
    with pytest.raises(DataError, match=r"^row 1: frames file .*missing.npz must exist, but does not$"):
        plain(rows_of(tmp_path)[:3])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_rows_leave_the_batch_of_the_good_ones(tmp_path, packed, workers):
    _, made = collator(tmp_path, SKIP, packed=packed)
    rows = rows_of(tmp_path)
    good = VQACollator(made.encoder, made.frames, packed=packed)
    loader = DataLoader(rows, batch_size=3, collate_fn=made, num_workers=workers)
    for place, batch in enumerate(loader):
        expected = good([rows[3 * place], rows[3 * place + 2]])
        assert batch.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(batch[name], value) if isinstance(value, torch.Tensor) else batch[name] == value
    found = left_out(tmp_path / "out" / "bad.jsonl")
    assert sorted(entry.number for entry in found) == list(range(1, len(rows), 3))
    by_row = {entry.number: entry.reason for entry in found}
    assert "missing.npz must exist" in by_row[1]
    assert "but is 99" in by_row[37]


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_batch_of_bad_rows_alone_has_a_gradient_of_zero_for_every_weight(tmp_path, packed, images):
    model, made = collator(tmp_path, SKIP, packed=packed)
    made.frames = FrameStore(tmp_path, tiny_spec(), InputFormat(use_multi_image=images))
    accept_uint8(model, tiny_spec())
    batch = made([rows_of(tmp_path)[1]])
    loss = model(**batch, num_items_in_batch=torch.tensor(7)).loss
    loss.backward()
    assert loss.item() == 0
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_a_wrong_root_is_no_matter_of_single_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("rfm.batch.bad_rows.TOO_MANY", 4)
    _, made = collator(tmp_path, SKIP)
    rows = rows_of(tmp_path)
    made(rows[:3])
    with pytest.raises(
        DataError, match=r"at most half of the rows may be left out, but 4 of 6 .* row 10: .*root right"
    ):
        list(map(made, ([rows[4]], [rows[7]], [rows[10]])))


def test_the_list_survives_copies_interruptions_and_repetition(tmp_path):
    bad = BadRows(SKIP, tmp_path / "bad.jsonl")
    for policy in (bad, pickle.loads(pickle.dumps(bad))):
        for number in (3, 8):
            policy.handle({NUMBER_COLUMN: number}, DataError(f"file {number} is broken"))
    with bad.file.open("a") as stream:
        stream.write('{"row": 9, "rea')
    found = left_out(bad.file)
    assert [(entry.number, entry.reason) for entry in found] == [(3, "file 3 is broken"), (8, "file 8 is broken")]
    assert len(bad.file.read_text().splitlines()) == 5
    assert json.loads(bad.file.read_text().splitlines()[0]) == {"row": 3, "reason": "file 3 is broken"}
    text = summary(found * 4, 100, bad.file)
    assert text.startswith(
        f"8 of 100 rows could not be read and were not trained on ({bad.file}): row 3: file 3 is broken;"
    )
    assert text.endswith("; and 3 more")


def test_an_unknown_policy(tmp_path):
    with pytest.raises(ConfigError, match="`on_bad_row` must be one of stop, skip, but is 'ignore'"):
        BadRows("ignore", tmp_path)
