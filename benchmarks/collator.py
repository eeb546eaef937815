"""Rows a second of the collator on one core, beside the stock processor and a plain one, in one run.

    python benchmarks/collator.py [--rows 256] [--batch 8] [--frames 16] [--size 224] [--workers 1]

Rows are preference questions of two clips, from made-up episodes of 32 frames that are kept in each form of file. Ours:
`VQACollator`, padded and packed, from stored and JPEG frames. Beside it:

- stock: `np.load`, PIL frames, `processor.apply_chat_template` and masked labels, as the original did it; needs
  torchvision (`tests/batch/make_stock_values.py` says how), and is told not to enlarge frames: three times the tokens;
- plain: the same without torchvision: `np.load` of compressed frames, PIL, float patches by the stock `patchify`, chat
  template and tokenizer on the whole text, positions by the stock `get_rope_index`.

One process, one thread. Both clocks are printed: on a busy machine the CPU's says what a free core would do.
`--workers` adds rates through loader workers, with what it costs to send batches to the training process.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

# PyPI's torchvision beside a torch for CPUs looks for two operators that are not there; their schemas are enough
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from qwen_stock import QWEN3_TEMPLATE, qwen_tokenizer, render  # noqa: E402
from stock_cases import SPECS  # noqa: E402

from rfm.batch.collator import VQACollator  # noqa: E402
from rfm.batch.input_format import InputFormat  # noqa: E402
from rfm.batch.pictures.frame_store import FrameStore  # noqa: E402
from rfm.batch.pictures.patches import VisionSpec  # noqa: E402
from rfm.batch.tokens.conversation import ConversationEncoder  # noqa: E402
from rfm.frames.npz.file import FORMS, write_npz  # noqa: E402
from rfm.model.stock.preprocessing import unnest  # noqa: E402
from rfm.model.tiny import build_tiny  # noqa: E402
from rfm.vqa.prompts import prompt  # noqa: E402

EPISODES, LENGTH = 24, 32
SPEC: VisionSpec = SPECS["qwen3_vl"]
Row = dict[str, Any]
MEAN = torch.tensor(SPEC.mean).mul(255).view(3, 1, 1)
STD = torch.tensor(SPEC.std).mul(255).view(3, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--baseline_rows", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=16, help="shown a clip")
    parser.add_argument("--size", type=int, default=224, help="height and width of frames")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_episodes(root, options.size)
        tokenizer = qwen_tokenizer()
        print(f"rows of 2 x {options.frames} frames of {options.size} x {options.size}, one process, one thread")
        rates = {name: rate(*job) for name, job in ours(root, tokenizer, options).items()}
        rates |= {name: rate(*job) for name, job in others(root, tokenizer, options).items()}
        report(rates)
        through_workers(root, tokenizer, options)


def make_episodes(root: Path, size: int) -> None:
    """A textured background, smooth light and a square that moves: JPEG images of some 15 KB at 224 x 224."""
    for episode in range(EPISODES):
        rng = np.random.default_rng(episode)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((size, size), Image.BICUBIC)
        still = np.clip(np.asarray(coarse).astype(int) + rng.integers(-5, 6, (size, size, 3)), 0, 255).astype(np.uint8)
        film = np.repeat(still[None], LENGTH, axis=0)
        for index, frame in enumerate(film):
            at = index * (size - size // 5) // LENGTH
            frame[at : at + size // 5, at : at + size // 5] = (230, 60, 40)
        for form in FORMS:
            write_npz(root / f"{form}_{episode}.npz", film, form)


def questions(form: str, count: int, options: argparse.Namespace) -> list[Row]:
    rng = np.random.default_rng(0)
    shape = [options.frames, options.size, options.size, 3]
    rows = []
    for number in range(count):
        ends = rng.integers(LENGTH // 2, LENGTH, 2)
        row: Row = {"sample_type": "preference", "answer": str(1 + number % 2)}
        row["prompt"] = prompt("preference", f"move object {number % 20} to the left")
        for prefix, end, episode in zip(("first_", "second_"), ends, rng.integers(0, EPISODES, 2), strict=True):
            row[f"{prefix}npz_path"] = f"{form}_{episode}.npz"
            row[f"{prefix}frame_indices"] = np.linspace(0, end, options.frames).round().astype(int).tolist()
            row[f"{prefix}frames_shape"] = shape
        rows.append(row)
    return rows


Job = tuple[Callable[[list[Row]], Any], list[Row], int]


def ours(root: Path, tokenizer: Any, options: argparse.Namespace) -> dict[str, Job]:
    encoder, frames = ConversationEncoder(tokenizer, SPEC), FrameStore(root, SPEC, InputFormat())
    padded, packed = VQACollator(encoder, frames), VQACollator(encoder, frames, packed=True)
    stored, jpeg = (questions(form, options.rows, options) for form in ("stored", "jpeg"))
    return {
        "ours, stored frames": (padded, stored, options.batch),
        "ours, stored frames, packed": (packed, stored, options.batch),
        "ours, JPEG frames": (padded, jpeg, options.batch),
    }


def others(root: Path, tokenizer: Any, options: argparse.Namespace) -> dict[str, Job]:
    rows = questions("compressed", options.baseline_rows, options)
    batch = min(options.batch, options.baseline_rows)
    jobs: dict[str, Job] = {"plain, compressed frames": (Plain(root, tokenizer), rows, batch)}
    try:
        stock = Stock(root, tokenizer)
    except ImportError as error:
        print(f"no stock processor here: {str(error).strip().splitlines()[0]}")
        return jobs
    return jobs | {
        "stock, compressed frames": (stock, rows, batch),
        "stock, stored frames": (stock, questions("stored", options.baseline_rows, options), batch),
    }


def rate(collate: Callable[[list[Row]], Any], rows: list[Row], batch: int) -> tuple[float, float]:
    """Return rows a second by the wall's clock and by the CPU's, after one batch that fills caches."""
    collate(rows[:batch])
    wall, cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(rows), batch):
        collate(rows[at : at + batch])
    return len(rows) / (time.perf_counter() - wall), len(rows) / (time.process_time() - cpu)


def report(rates: dict[str, tuple[float, float]]) -> None:
    slowest = min(cpu for _, cpu in rates.values())
    print(f"{'':30} {'rows/s':>8} {'rows/CPU s':>11} {'times the slowest':>18}")
    for name, (wall, cpu) in rates.items():
        print(f"{name:30} {wall:8.1f} {cpu:11.1f} {cpu / slowest:18.1f}")


def through_workers(root: Path, tokenizer: Any, options: argparse.Namespace) -> None:
    for form in ("stored", "jpeg"):
        collate = ours(root, tokenizer, options)["ours, stored frames"][0]
        rows = questions(form, options.rows * options.workers, options)
        loader = DataLoader(rows, batch_size=options.batch, collate_fn=collate, num_workers=options.workers)
        batches = iter(loader)
        for _ in range(options.workers):
            next(batches)
        wall, got = time.perf_counter(), 0
        for one in batches:
            got += len(one["input_ids"])
        print(f"{options.workers} loader workers, {form} frames: {got / (time.perf_counter() - wall):.1f} rows/s")


class Plain:
    """What a first version does, without torchvision."""

    def __init__(self, root: Path, tokenizer: Any) -> None:
        self.root, self.tokenizer = root, tokenizer
        self.template = unnest(QWEN3_TEMPLATE)
        self.model = build_tiny(0)[0].model

    def __call__(self, rows: list[Row]) -> Any:
        texts, pixels, grids = [], [], []
        for row in rows:
            videos = [load_pictures(self.root, row, prefix) for prefix in ("first_", "second_")]
            patched = [self.patches(video) for video in videos]
            pixels += [patches for patches, _ in patched]
            grids += [grid for _, grid in patched]
            texts.append(self.text(row, [grid for _, grid in patched]))
        batch = self.tokenizer(texts, padding=True, padding_side="left", return_tensors="pt")
        pad = self.tokenizer.convert_tokens_to_ids("<|video_pad|>")
        kinds = 2 * (batch["input_ids"] == pad).int()
        positions, _ = self.model.get_rope_index(
            batch["input_ids"], kinds, video_grid_thw=torch.tensor(grids), attention_mask=batch["attention_mask"]
        )
        labels = masked(batch["input_ids"], self.tokenizer)
        return {**batch, "position_ids": positions, "labels": labels, "pixel_values_videos": torch.cat(pixels)}

    def patches(self, video: list[Image.Image]) -> tuple[torch.Tensor, tuple[int, ...]]:
        frames = torch.stack([torch.from_numpy(np.array(frame)).permute(2, 0, 1) for frame in video])
        cut, *grid = Qwen3VLVideoProcessor.patchify(None, ((frames.float() - MEAN) / STD)[None], 16, 2, 2)
        return cut[0], tuple(grid)

    def text(self, row: Row, grids: list[tuple[int, ...]]) -> str:
        text = render(self.template, content(row, [None, None])) + f"ANS: {row['answer']}<|im_end|>"
        for time_, height, width in grids:
            run = "<|vision_start|>" + "<|pad|>" * (height * width // 4) + "<|vision_end|>"
            whole = "".join(f"<{index + 0.25:.1f} seconds>{run}" for index in range(time_))
            text = text.replace("<|video_pad|>", whole, 1)
        return text.replace("<|pad|>", "<|video_pad|>")


class Stock:
    """PIL frames through the stock processor, one row a call as a list of conversations."""

    def __init__(self, root: Path, tokenizer: Any) -> None:
        import torchvision  # noqa: F401
        from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor

        self.root, self.tokenizer = root, tokenizer
        tokenizer.padding_side = "left"
        budget = {"shortest_edge": 4096, "longest_edge": 2**25}
        video = Qwen3VLVideoProcessor(size=budget, do_sample_frames=False, cap_pixels_per_frame=False)
        self.processor = Qwen3VLProcessor(
            Qwen2VLImageProcessor(patch_size=16), tokenizer, video, chat_template=QWEN3_TEMPLATE
        )
        self.model = build_tiny(0)[0].model

    def __call__(self, rows: list[Row]) -> Any:
        conversations, metadata = [], []
        for row in rows:
            videos = [load_pictures(self.root, row, prefix) for prefix in ("first_", "second_")]
            answer = {"role": "user", "content": [{"type": "text", "text": f"ANS: {row['answer']}"}]}
            conversations.append([{"role": "user", "content": content(row, videos)}, answer])
            metadata += [
                {"fps": 2.0, "total_num_frames": len(video), "frames_indices": list(range(len(video)))}
                for video in videos
            ]
        batch = self.processor.apply_chat_template(
            conversations,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"video_metadata": metadata, "padding": True},
        )
        positions, _ = self.model.get_rope_index(
            batch["input_ids"],
            batch["mm_token_type_ids"],
            video_grid_thw=batch["video_grid_thw"],
            attention_mask=batch["attention_mask"],
        )
        return {**batch, "position_ids": positions, "labels": masked(batch["input_ids"], self.tokenizer)}


def load_pictures(root: Path, row: Row, prefix: str) -> list[Image.Image]:
    frames = np.load(root / row[f"{prefix}npz_path"])["frames"]
    return [Image.fromarray(frames[index]) for index in row[f"{prefix}frame_indices"]]


def content(row: Row, videos: list[Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for name, video in zip(("Video 1:", "Video 2:"), videos, strict=True):
        parts += [
            {"type": "text", "text": name},
            {"type": "video"} if video is None else {"type": "video", "video": video},
        ]
    return [*parts, {"type": "text", "text": row["prompt"]}]


def masked(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """Labels as the original made them: everything before the last `ANS` is masked."""
    start = tokenizer.convert_tokens_to_ids("ANS")
    labels = ids.clone()
    for row, line in zip(labels, ids, strict=True):
        row[: int((line == start).nonzero()[-1])] = -100
    return labels


if __name__ == "__main__":
    main()
