"""The chat template saved with a tiny model: Qwen3-VL's for turns of text, images and videos, without tools.

A video is written as a bare `<|video_pad|>`: from 5.10 on the stock processor puts `<|vision_start|>` and
`<|vision_end|>` around each temporal patch itself, and the released template's outer pair would nest them.
"""

from __future__ import annotations

RELEASED_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
UNNESTED_VIDEO = "<|video_pad|>"

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


def unnest(template: str) -> str:
    """Return a Qwen3-VL template that writes videos without the outer pair of vision tags."""
    return template.replace(RELEASED_VIDEO, UNNESTED_VIDEO)
