"""Load a dataset with a part of one file damaged, again and again: a program of its own, since it might be ended by it.

`python damage.py DATASET SCRATCH TIMES` writes how many were refused and how many gave rows.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import numpy as np
from datasets import disable_progress_bars

from rfm.audit.reading.questions import read_questions
from rfm.errors import DataError
from rfm.vqa.dataset import load_dataset

OFFSETS = (-1, -7, 0, 2**30, 2**31 - 1)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """One bit, one word, a stretch of zeros or of noise, a repeated stretch, or all from some place on gone."""
    at = rng.randrange(rng.choice([len(whole), min(len(whole), 6000)]))
    word = np.array([rng.choice(OFFSETS)], np.int32).tobytes()
    count = rng.randrange(1, 100)
    change = {
        "bit": bytes([whole[at] ^ 1 << rng.randrange(8)]),
        "word": word,
        "zeros": bytes(count),
        "noise": rng.randbytes(count),
    }
    kind = rng.choice([*change, "cut", "repeat"])
    if kind == "cut":
        return whole[:at]
    if kind == "repeat":
        return whole[:at] + whole[at - count : at] + whole[at:]
    at = at // 4 * 4 if kind == "word" else at
    return whole[:at] + change[kind] + whole[at + len(change[kind]) :]


def main(dataset: Path, scratch: Path, times: int) -> None:
    disable_progress_bars()
    files = {path.name: path.read_bytes() for path in dataset.iterdir()}
    columns = set(load_dataset(dataset)[0].column_names)
    rng = random.Random(0)
    refused = given = 0
    for number in range(times):
        folder = scratch / str(number)
        shutil.copytree(dataset, folder)
        name = rng.choice([*files, *(one for one in files if one.endswith(".arrow"))])
        (folder / name).write_bytes(damaged(files[name], rng))
        try:
            rows, _ = load_dataset(folder)
            read_questions(rows)
            assert all(set(row) == columns for row in rows.to_list())
            given += 1
        except DataError as error:
            if name not in str(error) and str(folder) not in str(error):
                raise AssertionError("it does not say what is damaged") from error
            refused += 1
        shutil.rmtree(folder)
    sys.stdout.write(f"{refused} {given}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
