import numpy as np
import torch
from torch.utils.data import DataLoader
from vqa_fakes import preference_row, progress_row, similarity_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.room import Room
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.model.tiny import tiny_spec
from rfm.model.tiny_tokenizer import build_tokenizer


def test_parts_that_follow_each_other_are_not_copied():
    room = Room(10, 4)
    parts = [room.take(3), room.take(5)]
    for value, part in enumerate(parts):
        part[:] = value
    joined = room.joined(parts)
    assert joined[:, 0].tolist() == [0] * 3 + [1] * 5
    parts[0][:] = 7
    assert joined[0, 0] == 7


def test_what_does_not_fit_is_put_together():
    room = Room(4, 2)
    first, none = room.take(3), room.take(2)
    assert none is None
    first[:] = 1
    assert room.joined([first, np.full((2, 2), 2, np.uint8)]).tolist() == [[1, 1]] * 3 + [[2, 2]] * 2
    assert room.joined([np.full((2, 2), 2, np.uint8), first]).tolist() == [[2, 2]] * 2 + [[1, 1]] * 3


def test_parts_can_be_given_back():
    room = Room(4, 2)
    kept = room.take(1)
    room.take(3)[:] = 9
    room.give_back(1)
    again = room.take(2)
    again[:], kept[:] = 5, 4
    assert room.joined([kept, again]).tolist() == [[4, 4], [5, 5], [5, 5]]


def collated(tmp_path, shapes, images, workers):
    paths, rng = write_frames(tmp_path, 3, size=48), np.random.default_rng(0)
    rows = [make(paths, rng) for make in (preference_row, progress_row, similarity_row)]
    for row in rows:
        row |= {name: shapes for name, value in row.items() if name.endswith("frames_shape") and value}
    form = InputFormat(use_multi_image=images)
    collator = VQACollator(
        ConversationEncoder(build_tokenizer(), tiny_spec()), FrameStore(tmp_path, tiny_spec(), form), normalise=False
    )
    alone = [collator.encode(row) for row in rows]
    (batch,) = DataLoader(rows, batch_size=3, collate_fn=collator, num_workers=workers)
    pixels = batch["pixel_values" if images else "pixel_values_videos"]
    assert torch.equal(pixels, collator.batch(alone)["pixel_values" if images else "pixel_values_videos"])
    return pixels


def test_shapes_that_rows_have_wrong_cost_nothing_but_time(tmp_path):
    for images in (False, True):
        for shapes in ([4, 48, 48, 3], [4, 16, 16, 3], [4, 64, 900, 3], [0, 0, 0, 0], None):
            collated(tmp_path, shapes, images, workers=0)


def test_patches_made_by_a_worker_arrive(tmp_path):
    assert collated(tmp_path, [4, 48, 48, 3], False, workers=1).is_shared()
