"""Qwen's real byte-pair encoding and the released chat templates, to compare with."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AddedToken, Qwen2Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from rfm.model.tiny_tokenizer import CONTROL_TOKENS

SPLITS = Path(__file__).parents[1] / ".pytest_cache" / "d"

QWEN3_TEMPLATE = """\
{%- set image_count = namespace(value=0) %}
{%- set video_count = namespace(value=0) %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.content is string %}
            {{- message.content }}
        {%- else %}
            {%- for content in message.content %}
                {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                    {%- set image_count.value = image_count.value + 1 %}
                    {%- if add_vision_id %}Picture {{ image_count.value }}: {% endif -%}
                    <|vision_start|><|image_pad|><|vision_end|>
                {%- elif content.type == 'video' or 'video' in content %}
                    {%- set video_count.value = video_count.value + 1 %}
                    {%- if add_vision_id %}Video {{ video_count.value }}: {% endif -%}
                    <|vision_start|><|video_pad|><|vision_end|>
                {%- elif 'text' in content %}
                    {{- content.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

QWEN2_5_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def render(template: str, content: list[dict[str, Any]]) -> str:
    messages = [{"role": "user", "content": content}]
    rendered, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=True)
    return rendered[0]


@cache
def qwen_tokenizer() -> Any:
    """Qwen's ranks as vocabulary and merges: a merge is how a word splits when only earlier ranks may join."""
    content = (Path(find_spec("dashscope").origin).parent / "resources" / "qwen.tiktoken").read_bytes()
    ranks = {
        base64.b64decode(word): int(rank) for word, rank in (line.split() for line in content.splitlines() if line)
    }
    letters = byte_letters()
    spell = {word: "".join(letters[byte] for byte in word) for word in ranks}
    merges = [
        (spell[word[:at]], spell[word[at:]])
        for word, at in zip(joined_words(ranks), split_places(content, ranks).tolist(), strict=True)
    ]
    tokenizer = Qwen2Tokenizer(vocab={spell[word]: rank for word, rank in ranks.items()}, merges=merges)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    return tokenizer


def joined_words(ranks: dict[bytes, int]) -> list[bytes]:
    return [word for word in sorted(ranks, key=ranks.__getitem__) if len(word) > 1]


def split_places(content: bytes, ranks: dict[bytes, int]) -> np.ndarray:
    """Where each word splits; kept beside pytest's own cache, since finding 151,387 places takes seconds."""
    file = SPLITS / f"qwen_splits_{hashlib.sha256(content).hexdigest()[:16]}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, np.array([split(word, ranks) for word in joined_words(ranks)], np.uint8))
        partial.replace(file)  # whole or not at all: several workers may write it at once
    return np.load(file)


def byte_letters() -> dict[int, str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def split(word: bytes, ranks: dict[bytes, int]) -> int:
    """The place where the last merge joins a word's two parts; merging is tried where several places could be it."""
    limit = ranks[word]
    known = [at for at in range(1, len(word)) if max(ranks.get(part, limit) for part in (word[:at], word[at:])) < limit]
    return known[0] if len(known) == 1 else merged(word, ranks)


def merged(word: bytes, ranks: dict[bytes, int]) -> int:
    """The place that is left when all parts of lower rank than the word's have been joined."""
    limit, parts = ranks[word], [word[index : index + 1] for index in range(len(word))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        index = min(range(len(joined)), key=joined.__getitem__)
        assert joined[index] < limit, word
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    return len(parts[0])
