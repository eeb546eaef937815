"""A byte-level BPE tokenizer of at most 768 words that splits text as Qwen's does.

In: texts to learn merges from. Out: the stock `Qwen2Tokenizer` with a small vocabulary, so that pre-tokenisation (each
digit apart, the space before a digit apart), normalisation and saved files are those of the real one. `ANS` is one word
whatever the texts say: "ANS: 100" is `ANS`, `:`, a space, `1`, `0`, `0`.

Bytes, control tokens and merges share the 768 words: enough for one token a word in the prompts of the bundled videos,
115 tokens a row instead of 135 with 500 words, and as much time saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AddedToken, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from rfm.files.limits import LONGEST_TEXT
from rfm.vqa.prompts import prompt

VOCABULARY = 768

CONTROL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""Qwen's, in Qwen's order."""

ANSWER_MERGES = [["A", "N"], ["AN", "S"]]

BUILT_IN_TEXTS = (
    "system\nYou are a helpful assistant.",
    "user\n",
    "assistant\n",
    "<0.2 seconds>",
    "<1.2 seconds>",
    "Reference video:",
    prompt("preference", "push the button"),
    prompt("progress", "open the drawer"),
    prompt("progress", "close the door", discrete=True),
    prompt("similarity", "slide the plate into the goal"),
)


def build_tokenizer(texts: Iterable[str] = ()) -> Any:
    """Train on the built-in texts and on those of `texts` that a question may hold; a function of the texts alone."""
    texts = [text for text in texts if len(text) <= LONGEST_TEXT]  # a word of 200 kB takes minutes
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # "AN" and "ANS" are put in front of what is learnt, so two words less are left to learn
    room = VOCABULARY - len(CONTROL_TOKENS) - len(ANSWER_MERGES)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=room, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([*BUILT_IN_TEXTS, *texts], trainer)
    merges = ANSWER_MERGES + [m for m in json.loads(trained.to_str())["model"]["merges"] if m not in ANSWER_MERGES]
    words = list(dict.fromkeys([*alphabet, *("".join(merge) for merge in merges)]))
    return _qwen_tokenizer({word: index for index, word in enumerate(words)}, merges)


def _qwen_tokenizer(vocabulary: dict[str, int], merges: list[list[str]]) -> Any:
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[(left, right) for left, right in merges],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        padding_side="left",
        model_max_length=8192,
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    return tokenizer


CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- else -%}{%- for content in message.content -%}"
    "{%- if content.type == 'image' or 'image' in content -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif content.type == 'video' or 'video' in content -%}{{- '<|video_pad|>' -}}"
    "{%- elif 'text' in content -%}{{- content.text -}}"
    "{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Qwen3-VL's for turns of text, images and videos, without tools; a video is unnested, see `preprocessing.unnest`."""
