"""The protocol of chat completions as engines here speak it: what is sent, and what comes back.

Frames travel as PNG, which loses nothing: as JPEG they cost 15 of 160 answers. A video without a codec is its frames,
set apart by commas, vLLM's own form; it names them JPEG and reads any.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Part = dict[str, Any]
Request = dict[str, Any]
"""A body without the model: messages, max_tokens, temperature, seed, top_p, logprobs, and what only vLLM knows."""
Completion = dict[str, Any]
"""`text`; `logprobs`: of each token its text and the most probable ones' with their log-probabilities, or None; and
`prompt_tokens`, or None."""

TOP = 20
"""How many of the most probable tokens are asked for: what servers grant at most."""
NEUTRAL: Request = {"top_k": -1, "repetition_penalty": 1.0}
"""What vLLM would take from the model's `generation_config.json`: released ones cut draws to 20 tokens, or say 1.05."""
CONTINUED: Request = {"continue_final_message": True, "add_generation_prompt": False}
"""Makes vLLM go on with the last message where it ends."""
VLLM_ONLY = (*NEUTRAL, *CONTINUED, "logprob_token_ids")
"""Fields that other servers refuse or pass over."""


class Refusal(Exception):
    """A request was understood and will not be answered."""


def text_part(text: str) -> Part:
    """Return words as a part of a message."""
    return {"type": "text", "text": text}


def image_part(frame: UInt8[np.ndarray, "h w 3"]) -> Part:
    """Return a frame as a part of a message."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_encoded(frame)}"}}


def video_part(frames: UInt8[np.ndarray, "t h w 3"]) -> Part:
    """Return frames as one video."""
    images = ",".join(_encoded(frame) for frame in frames)
    return {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{images}"}}


def begun(request: Request, answer: str, tokens: Sequence[int]) -> Request:
    """Return the request for the one token that follows `answer`; only vLLM takes it.

    It asks how probable `tokens` are, or the most probable ones where there are none: among those even a digit of 5e-4
    was missing.
    """
    messages = [*request["messages"], {"role": "assistant", "content": answer}]
    wanted = {"logprob_token_ids": list(tokens)} if tokens else {}
    return {
        **request,
        **CONTINUED,
        **wanted,
        "messages": messages,
        "max_tokens": 1,
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": TOP,
    }


def _encoded(frame: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
