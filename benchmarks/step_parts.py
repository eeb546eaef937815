"""Parts of a training step in the sizes of Qwen3-VL-4B, each beside what the stock model does, forward and backward.

    python benchmarks/step_parts.py [--tokens 4096] [--repeats 3]

Patch embedding of one row of 32 frames at 224 x 224 (a matrix product against Conv3d); attention of a tower layer over
its temporal patches (one batch against a loop); attention of one language layer over packed rows of about 900 tokens
(by segments against the mask that transformers builds from `position_ids`). One thread, or the GPU where there is one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from transformers.masking_utils import find_packed_sequence_indices

from rfm.model.kernels.attention import attend, segment_ends

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{DEVICE}, {DTYPE}, torch {torch.__version__}")
    for name, stock, ours in (patches(), tower(), packed(options.tokens)):
        torch.testing.assert_close(ours().float(), stock().float(), rtol=2e-2, atol=2e-3)
        before, now = (seconds(part, options.repeats) for part in (stock, ours))
        print(f"{name}: stock {1e3 * before:.1f} ms, ours {1e3 * now:.1f} ms, {before / now:.1f} times faster")


Part = tuple[str, Callable[[], torch.Tensor], Callable[[], torch.Tensor]]


def patches() -> Part:
    conv = torch.nn.Conv3d(3, 1024, (2, 16, 16), stride=(2, 16, 16), device=DEVICE, dtype=DTYPE)
    pixels = torch.randn(3136, 3 * 2 * 16 * 16, device=DEVICE, dtype=DTYPE)
    return (
        "patch embedding, 3136 patches",
        lambda: conv(pixels.view(-1, 3, 2, 16, 16)).view(-1, 1024),
        lambda: torch.nn.functional.linear(pixels, conv.weight.flatten(1), conv.bias),
    )


def tower(segments: int = 16, length: int = 196) -> Part:
    query, key, value = heads(16, 16, segments * length, 64)
    ends = torch.arange(segments + 1, device=DEVICE, dtype=torch.int32) * length

    def loop() -> torch.Tensor:
        split = zip(*(part.split([length] * segments, dim=2) for part in (query, key, value)), strict=True)
        parts = [torch.nn.functional.scaled_dot_product_attention(*part).transpose(1, 2) for part in split]
        return torch.cat(parts, dim=1)

    return (
        f"tower attention, {segments} segments of {length}",
        loop,
        lambda: attend(query, key, value, ends, length, scaling=64**-0.5),
    )


def packed(tokens: int) -> Part:
    lengths = [900 + 7 * index for index in range(tokens // 1000)]
    lengths.append(tokens - sum(lengths))
    positions = torch.cat([torch.arange(length) for length in lengths]).to(DEVICE)
    query, key, value = heads(32, 8, tokens, 128)

    def masked() -> torch.Tensor:
        rows = find_packed_sequence_indices(positions[None])[0]
        mask = (rows[:, None] == rows[None]) & torch.ones(tokens, tokens, dtype=torch.bool, device=DEVICE).tril()
        repeated = (part.repeat_interleave(4, dim=1) for part in (key, value))  # as stock code does beside a mask
        attended = torch.nn.functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask[None, None])
        return attended.transpose(1, 2)

    ends = segment_ends(positions)
    longest = max(lengths)
    return (
        f"packed attention, {tokens} tokens in {len(lengths)} rows",
        masked,
        lambda: attend(query, key, value, ends, longest, scaling=128**-0.5, causal=True),
    )


def heads(query: int, key: int, length: int, width: int) -> list[torch.Tensor]:
    shapes = ((1, number, length, width) for number in (query, key, key))
    return [torch.randn(shape, device=DEVICE, dtype=DTYPE, requires_grad=True) for shape in shapes]


def seconds(part: Callable[[], torch.Tensor], repeats: int) -> float:
    """Return the shortest of some forward and backward passes, which other work on the machine disturbs least."""
    times = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        part().sum().backward()
        wait()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
