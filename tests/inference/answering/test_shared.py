"""Prefixes of one video asked together: the same probabilities as each alone, and how much is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from tiny_qwen2_5 import SPEC, build_tiny_qwen2_5

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import HeldFrames
from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.errors import DataError
from rfm.frames.spacing import CHOICES, EVENLY, NESTED
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.scored import answer_distribution
from rfm.inference.answering.shared import shared_distribution
from rfm.model.kernels.pixels import accept_uint8
from rfm.model.tiny import build_tiny, tiny_spec

FILM = np.random.default_rng(0).integers(0, 256, (24, 48, 64, 3), np.uint8)
TASKS = ("put the cup down", "open it")


class Subject(NamedTuple):
    model: Any
    encoder: ConversationEncoder

    def store(self, **form: Any) -> HeldFrames:
        return HeldFrames({"film": FILM}, self.encoder.spec, InputFormat(**form))


@pytest.fixture(scope="module", params=["qwen3", "qwen2_5"])
def subject(request: pytest.FixtureRequest) -> Subject:
    model, tokenizer = build_tiny(5)
    spec = tiny_spec()
    if request.param == "qwen2_5":
        model, spec = build_tiny_qwen2_5(tokenizer), SPEC
    with torch.no_grad():  # wide weights make random answers differ from row to row
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 and request.param == "qwen3" else 1)
    accept_uint8(model, spec)
    return Subject(model.eval(), ConversationEncoder(tokenizer, spec))


def rows(choice: str, most: int, ends: range = range(24), tasks: tuple[str, ...] = TASKS[:1]) -> list[dict]:
    shown = [CHOICES[choice](end + 1, most).tolist() for end in ends]
    return [
        {"sample_type": "progress", "prompt": task, "npz_path": "film", "frame_indices": indices}
        for task in tasks
        for indices in shown
    ]


def alone(subject: Subject, store: HeldFrames, asked: list[dict], **tree: Any) -> np.ndarray:
    made = VQACollator(subject.encoder, store, with_answers=False)
    answers = answer_tree(subject.encoder, "progress", **tree)
    said = [answer_distribution(subject.model, made([row]), answers) for row in asked]
    return np.concatenate([np.column_stack([one.probabilities, one.leftover]) for one in said])


def together(subject: Subject, store: HeldFrames, asked: list[dict], batch_size: int = 7, **tree: Any) -> np.ndarray:
    answers = answer_tree(subject.encoder, "progress", **tree)
    said = shared_distribution(subject.model, subject.encoder, store, asked, answers, batch_size)
    return np.column_stack([said.probabilities, said.leftover])


SIZED = {"resized_height": 32, "resized_width": 32}


@pytest.mark.parametrize("choice", [EVENLY, NESTED])
@pytest.mark.parametrize("form", [SIZED, {**SIZED, "use_multi_image": True}, {"max_pixels": 2048}, {}])
def test_every_prefix_is_answered_as_it_is_alone(subject: Subject, choice: str, form: dict) -> None:
    store, asked = subject.store(**form), rows(choice, 8)
    expected, found = alone(subject, store, asked), together(subject, store, asked)
    assert np.abs(found - expected).max() < 1e-4
    assert np.ptp(found[:, :-1] @ np.arange(101.0)) > 1e-3


def test_several_tasks_and_levels(subject: Subject) -> None:
    store, asked = subject.store(**SIZED), rows(EVENLY, 6, range(0, 24, 5), TASKS)
    expected = alone(subject, store, asked, discrete=True)
    assert np.abs(together(subject, store, asked, discrete=True) - expected).max() < 1e-4
    assert np.abs(together(subject, store, asked, 100, discrete=True) - expected).max() < 1e-4


def test_rows_that_show_the_same_and_rows_that_share_nothing(subject: Subject) -> None:
    store = subject.store(**SIZED)
    asked = rows(EVENLY, 4, range(9, 10)) * 2
    asked += [{**asked[0], "frame_indices": [20, 3]}, {**asked[0], "frame_indices": [5]}]
    assert np.abs(together(subject, store, asked) - alone(subject, store, asked)).max() < 1e-4
    assert np.abs(together(subject, store, asked[:1]) - alone(subject, store, asked[:1])).max() < 1e-4


def seen(subject: Subject, call: Callable[[], Any]) -> tuple[int, int]:
    """Temporal patches through the tower, and tokens through the language model."""
    pictures, tokens = [], []
    inner = subject.model.model

    def tower(_: Any, args: tuple, options: dict) -> None:
        grid = options["grid_thw"]
        pictures.append(int(grid[:, 0].sum()))

    def language(_: Any, args: tuple, options: dict) -> None:
        tokens.append(options["inputs_embeds"].shape[0] * options["inputs_embeds"].shape[1])

    hooks = [
        inner.visual.register_forward_pre_hook(tower, with_kwargs=True),
        inner.language_model.register_forward_pre_hook(language, with_kwargs=True),
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return sum(pictures), sum(tokens)


def test_pictures_and_what_nests_are_computed_once(subject: Subject) -> None:
    """24 frames nest whole: 12 pairs and 12 single frames; shown evenly, 8 at most, later prefixes share the tower."""
    store = subject.store(**SIZED)
    nesting = rows(EVENLY, 24)
    pictures, tokens = seen(subject, lambda: together(subject, store, nesting, 24, discrete=True))
    apart, apart_tokens = seen(subject, lambda: alone(subject, store, nesting, discrete=True))
    assert (pictures, apart) == (24, 156)
    assert tokens < 0.5 * apart_tokens
    again, _ = seen(subject, lambda: together(subject, store, rows(EVENLY, 8), 24, discrete=True))
    doubling, _ = seen(subject, lambda: together(subject, store, rows(NESTED, 8), 24, discrete=True))
    assert doubling < again < 84


def test_the_model_is_left_as_it_was(subject: Subject) -> None:
    store, asked = subject.store(**SIZED), rows(EVENLY, 8, range(4))
    before = alone(subject, store, asked)
    subject.model.train()
    try:
        together(subject, store, asked)
        assert subject.model.training
        assert subject.model.model.visual.training
    finally:
        subject.model.eval()
    assert np.array_equal(alone(subject, store, asked), before)
    asked[1]["frame_indices"] = []
    with pytest.raises(DataError, match="`frame_indices` must name frames"):
        together(subject, store, asked)


def test_an_adapter_is_asked_like_its_base(subject: Subject) -> None:
    from peft import LoraConfig, get_peft_model

    store, asked = subject.store(**SIZED), rows(EVENLY, 8, range(6))
    expected = together(subject, store, asked)
    model = get_peft_model(subject.model, LoraConfig(target_modules=["q_proj"]))
    try:
        assert np.abs(together(Subject(model, subject.encoder), store, asked) - expected).max() < 1e-4
    finally:
        model.unload()
