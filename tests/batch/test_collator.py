import pickle

import numpy as np
import pytest
import torch
from vqa_fakes import preference_row, progress_row, row, similarity_row, write_frames

from rfm.batch.clips import clips_of
from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import FrameStore
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import ConfigError, DataError
from rfm.model.kernels.attention import use_equal_segments
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import build_tiny, tiny_spec

SPEC = tiny_spec()


@pytest.fixture(scope="module")
def model_and_tokenizer():
    model, tokenizer = build_tiny(0)
    accept_uint8(model, SPEC)
    return model.eval(), tokenizer


@pytest.fixture
def paths(tmp_path):
    return write_frames(tmp_path, 3, size=64)


def collator(tokenizer, root, *, images=False, size=32, **options):
    form = InputFormat(size, size, "box", use_multi_image=images)
    return VQACollator(ConversationEncoder(tokenizer, SPEC), FrameStore(root, SPEC, form), **options)


def mixed_rows(paths):
    rng = np.random.default_rng(0)
    return [
        preference_row(paths, rng),
        progress_row(paths, rng),
        similarity_row(paths, rng),
        row("progress", "100", "ANS: 7 <|im_end|> how far?", clip=(paths[0], [0, 3, 5])),
    ]


@pytest.mark.parametrize("images", [False, True])
def test_short_labels_and_kept_logits_give_the_loss_of_full_logits(model_and_tokenizer, tmp_path, paths, images):
    model, tokenizer = model_and_tokenizer
    batch = collator(tokenizer, tmp_path, images=images)(mixed_rows(paths))
    assert batch["logits_to_keep"] == len(["ANS", ":", "_", "1", "0", "0", "end"]) + 1
    full = {name: value for name, value in batch.items() if name not in ("labels", "logits_to_keep")}
    labels = torch.full_like(batch["input_ids"], -100)
    labels[:, -batch["logits_to_keep"] :] = batch["labels"]
    with torch.no_grad():
        short, whole = model(**batch), model(**full, labels=labels)
    assert short.logits.shape[1] == batch["logits_to_keep"]
    assert abs(short.loss.item() - whole.loss.item()) < 1e-6


@pytest.mark.parametrize("images", [False, True])
def test_padding_does_not_change_what_a_row_scores(model_and_tokenizer, tmp_path, paths, images):
    model, tokenizer = model_and_tokenizer
    made = collator(tokenizer, tmp_path, images=images)
    rows = mixed_rows(paths)
    with torch.no_grad():
        together = model(**made(rows)).logits[:, -1]
        alone = torch.cat([model(**made([one])).logits[:, -1] for one in rows])
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)


def test_the_models_own_positions_give_the_same_logits(model_and_tokenizer, tmp_path, paths):
    model, tokenizer = model_and_tokenizer
    batch = collator(tokenizer, tmp_path, with_answers=False)(mixed_rows(paths))
    stock = {name: value for name, value in batch.items() if name != "position_ids"}
    stock["mm_token_type_ids"] = 2 * (batch["input_ids"] == model.config.video_token_id).int()
    with torch.no_grad():
        ours, theirs = model(**batch).logits, model(**stock).logits
    mask = batch["attention_mask"].bool()
    torch.testing.assert_close(ours[mask], theirs[mask])


def test_labels_are_the_answers_and_nothing_else(model_and_tokenizer, tmp_path, paths):
    _, tokenizer = model_and_tokenizer
    rows = mixed_rows(paths)
    batch = collator(tokenizer, tmp_path)(rows)
    for one, labels in zip(rows, batch["labels"], strict=True):
        assert tokenizer.decode(labels[labels != -100]) == f"ANS: {one['answer']}<|im_end|>"
    assert torch.equal(batch["labels"][:, -1], batch["input_ids"][:, -1])


def test_float_patches_equal_uint8_patches_in_the_model(model_and_tokenizer, tmp_path, paths):
    model, tokenizer = model_and_tokenizer
    rows = mixed_rows(paths)
    small, floats = collator(tokenizer, tmp_path)(rows), collator(tokenizer, tmp_path, normalise=True)(rows)
    assert small["pixel_values_videos"].dtype == torch.uint8
    assert floats["pixel_values_videos"].dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(model(**small).logits, model(**floats).logits)


def test_attention_over_equal_segments_equals_the_stock_loop(tmp_path, paths):
    model, tokenizer = build_tiny(0)
    model.eval()
    made = collator(tokenizer, tmp_path, normalise=True)
    uneven = VQACollator(made.encoder, FrameStore(tmp_path, SPEC, InputFormat()), normalise=True)
    one, other = made.encode(mixed_rows(paths)[0]), uneven.encode(mixed_rows(paths)[1])
    with torch.no_grad():
        expected = model(**made.batch([one, other])).logits
        use_equal_segments(model)
        torch.testing.assert_close(model(**made.batch([one, other])).logits, expected)


def test_blank_frames_are_mid_grey(model_and_tokenizer, tmp_path, paths):
    batch = collator(model_and_tokenizer[1], tmp_path, blank_share=1.0)(mixed_rows(paths))
    assert batch["pixel_values_videos"].unique().tolist() == [128]


def test_the_collator_survives_pickling(model_and_tokenizer, tmp_path, paths):
    made = collator(model_and_tokenizer[1], tmp_path)
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(made(mixed_rows(paths))["input_ids"], again(mixed_rows(paths))["input_ids"])


def test_the_cache_changes_nothing_and_stays_within_its_budget(tmp_path, paths):
    form = InputFormat(32, 32)
    frame = 32 * 32 * 3
    small, large = FrameStore(tmp_path, SPEC, form, cache_bytes=5 * frame), FrameStore(tmp_path, SPEC, form)
    rng = np.random.default_rng(0)
    for _ in range(20):
        for reference in clips_of(preference_row(paths, rng)):
            assert np.array_equal(small.clip(reference), large.clip(reference))
            assert small._held <= 5 * frame
            assert small._held == sum(len(frames) for frames in small._cached.values()) * frame


def test_frames_keep_their_size_where_none_is_asked_for(model_and_tokenizer, tmp_path, paths):
    batch = collator(model_and_tokenizer[1], tmp_path, size=None)(mixed_rows(paths)[:1])
    assert batch["video_grid_thw"].tolist() == [[2, 8, 8]] * 2


@pytest.mark.parametrize("kind", ["preference", "progress", "similarity"])
def test_a_null_path_names_row_field_and_way_out(paths, kind):
    clips = {"clip": (None, [0])} if kind == "progress" else {"first": (paths[0], [0]), "second": (None, None)}
    clips |= {"reference": (paths[0], [0])} if kind == "similarity" else {}
    field = "npz_path" if kind == "progress" else "second_npz_path"
    broken = (
        row(kind, "1", "go", **clips)
        if kind == "progress"
        else row(kind, "1", "go", **{**clips, "second": (None, [0])})
    )
    with pytest.raises(DataError) as caught:
        clips_of(broken, 7)
    text = str(caught.value)
    assert text.startswith(f"npz_filepath is None or empty: `{field}`")
    assert f"row 7, sample_type {kind}, a dataset made before the schema fix" in text
    assert "`rfm generate`" in text


def test_a_null_among_frame_indices_is_named(paths):
    with pytest.raises(DataError, match=r"`frame_indices` must hold numbers, but holds nulls \(row 3, frames of fake"):
        clips_of(row("progress", "1", "go", clip=(paths[0], [0, None])), 3)


def test_other_faults_of_rows_are_named(model_and_tokenizer, tmp_path, paths):
    made = collator(model_and_tokenizer[1], tmp_path)
    with pytest.raises(DataError, match=r"`sample_type` must be one of .* but is 'quiz'"):
        made([row("quiz", "1", "go")])
    with pytest.raises(DataError, match="`answer` must be a whole number from 0 to 100 for progress, but is None"):
        made([row("progress", None, "go", clip=(paths[0], [0]))])
    with pytest.raises(ConfigError, match=r"`data.resized_height` must be a positive multiple of 16"):
        collator(model_and_tokenizer[1], tmp_path, size=40)


def test_a_share_of_rows_is_shown_without_content(model_and_tokenizer, paths, tmp_path):
    rng = np.random.default_rng(3)
    rows = [preference_row(paths, rng) for _ in range(40)]
    some = collator(model_and_tokenizer[1], tmp_path, blank_share=0.25)
    shown = [some([one])["pixel_values_videos"] for one in rows]
    blank = [bool((pixels == 128).all()) for pixels in shown]
    assert 3 <= sum(blank) <= 20
    assert torch.equal(torch.cat(shown), some(rows)["pixel_values_videos"])  # whatever the batch
    stock = collator(model_and_tokenizer[1], tmp_path)
    for one, pixels, hidden in zip(rows, shown, blank, strict=True):
        assert torch.equal(pixels, stock([one])["pixel_values_videos"]) != hidden


@pytest.mark.parametrize("answer", ["nan", "0x1e", "3_0", "9" * 5000, "30 ", "101", "٣٠"])
def test_no_row_is_trained_on_whose_answer_is_none(model_and_tokenizer, tmp_path, paths, answer):
    made = collator(model_and_tokenizer[1], tmp_path)
    with pytest.raises(DataError, match="`answer` must be a whole number from 0 to 100 for progress, but is '"):
        made([row("progress", answer, "go", clip=(paths[0], [0, 1]))])


def test_an_answer_in_a_column_of_numbers_is_written_as_the_number(model_and_tokenizer, tmp_path, paths):
    made = collator(model_and_tokenizer[1], tmp_path)
    batches = [made([row("progress", answer, "go", clip=(paths[0], [0, 1]))]) for answer in ("30", 30, 30.0)]
    assert all(torch.equal(batch["input_ids"], batches[0]["input_ids"]) for batch in batches)
