import numpy as np
import pytest
from datasets import Dataset
from tiny_qwen2_5 import SPEC as QWEN2_5
from vqa_fakes import FEATURES, preference_row, progress_row, row, similarity_row, write_frames

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.row_lengths import row_lengths
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import DataError
from rfm.model.tiny import tiny_spec
from rfm.model.tiny_tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()


def dataset(rows):
    return Dataset.from_list(rows, features=FEATURES)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="module")
def rows(root):
    paths, rng = write_frames(root, 3), np.random.default_rng(0)
    made = [make(paths, rng) for make in (preference_row, progress_row, similarity_row) for _ in range(4)]
    odd = row("progress", "100", "ANS: 7 <|im_end|> how far?", clip=(paths[0], [0, 3, 5]))
    return [*made, odd, odd | {"answer": "3"}]


@pytest.mark.parametrize("form", [InputFormat(), InputFormat(48, 64), InputFormat(use_multi_image=True)])
@pytest.mark.parametrize("spec", [tiny_spec(), QWEN2_5])
def test_lengths_equal_those_of_the_collator(root, rows, form, spec):
    encoder, frames = ConversationEncoder(TOKENIZER, spec), FrameStore(root, spec, form)
    collator = VQACollator(encoder, frames)
    lengths = row_lengths(dataset(rows), encoder, frames)
    encoded = [collator.encode(one)[0] for one in rows]
    assert lengths.tokens.tolist() == [len(one.ids) for one in encoded]
    assert lengths.answer.tolist() == [one.answer_tokens for one in encoded]
    pads = [encoder.image_pad, encoder.video_pad]
    assert lengths.visual.tolist() == [int(np.isin(one.ids, pads).sum()) for one in encoded]
    assert lengths.longest == max(lengths.tokens)


def test_no_frame_is_read(root, rows, monkeypatch):
    encoder, frames = ConversationEncoder(TOKENIZER, tiny_spec()), FrameStore(root, tiny_spec(), InputFormat())
    expected = row_lengths(dataset(rows), encoder, frames).tokens
    monkeypatch.setattr(FrameStore, "stored_size", None)
    elsewhere = FrameStore(root / "nowhere", tiny_spec(), InputFormat())
    assert np.array_equal(row_lengths(dataset(rows), encoder, elsewhere).tokens, expected)


def test_without_recorded_shapes_headers_are_read_once_a_file(root, rows, monkeypatch):
    encoder, frames = ConversationEncoder(TOKENIZER, tiny_spec()), FrameStore(root, tiny_spec(), InputFormat())
    expected = row_lengths(dataset(rows), encoder, frames).tokens
    without = dataset(rows).remove_columns([name for name in FEATURES if name.endswith("frames_shape")])
    asked, stored_size = [], FrameStore.stored_size
    monkeypatch.setattr(FrameStore, "stored_size", lambda self, path: asked.append(path) or stored_size(self, path))
    assert np.array_equal(row_lengths(without, encoder, frames).tokens, expected)
    assert sorted(asked) == sorted(set(asked))


def test_blocks_and_selections_change_nothing(root, rows, monkeypatch):
    encoder, frames = ConversationEncoder(TOKENIZER, tiny_spec()), FrameStore(root, tiny_spec(), InputFormat())
    expected = row_lengths(dataset(rows), encoder, frames)
    monkeypatch.setattr("rfm.batch.row_lengths.BLOCK", 3)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = row_lengths(dataset(rows).select(order), encoder, frames)
    assert np.array_equal(shuffled.tokens, expected.tokens[order])
    assert np.array_equal(shuffled.answer, expected.answer[order])


def test_a_row_without_frames_is_named(root, rows):
    encoder, frames = ConversationEncoder(TOKENIZER, tiny_spec()), FrameStore(root, tiny_spec(), InputFormat())
    broken = [*rows, row("preference", "1", "which?", first=("a.npz", [0]), second=("b.npz", []))]
    with pytest.raises(DataError, match=r"`second_frame_indices` must name frames, but is \[\] \(row 14, sample_type"):
        row_lengths(dataset(broken), encoder, frames)
    with pytest.raises(DataError, match=r"`sample_type` must be one of .* but is 'quiz' \(row 0"):
        row_lengths(dataset([row("quiz", "1", "which?")]), encoder, frames)
