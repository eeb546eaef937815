"""Logits of a checkpoint by stock classes alone, to be run by the Python of another environment.

    python tests/older_transformers.py CHECKPOINT INPUTS.safetensors LOGITS.safetensors

Needs torch, transformers and safetensors there, and nothing of this package.
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer, __version__


def main(checkpoint: str, inputs: str, logits: str) -> None:
    """Write the logits, and what the tokenizer makes of a text, as tensors."""
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with torch.inference_mode():
        found = model(**load_file(inputs), use_cache=False).logits
    ids = AutoTokenizer.from_pretrained(checkpoint)("ANS: 100<|im_end|>").input_ids
    save_file({"logits": found.contiguous(), "ids": torch.tensor(ids)}, logits, metadata={"version": __version__})


if __name__ == "__main__":
    main(*sys.argv[1:])
