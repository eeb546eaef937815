"""Asks vLLM in this process: `python vllm_in_process.py CHECKPOINT ROWS METHOD… ANSWERS`, in vLLM's own environment."""

import json
import sys
from pathlib import Path

from rfm.inference.answering.decoding import Decoding
from rfm.inference.engines.vllm import VLLMEngine
from rfm.inference.known.guard import Guard
from rfm.model.trained_format import trained_format
from rfm.training.dataset import open_training_set


def main(checkpoint: str, dataset: str, numbers: str, answers: str) -> None:
    """Pass the guard and write the answers of each decoding to so many rows of the dataset."""
    data = open_training_set(dataset)
    rows = [data.rows[index] for index in range(len(data.rows))]
    engine = VLLMEngine(checkpoint, data.root, dtype="float32", enforce_eager=True)
    trained = trained_format(checkpoint)
    Guard(Path(checkpoint), trained, as_video=engine.as_video).check(engine)
    said = {}
    for method, number in json.loads(numbers).items():
        engine.decoding = Decoding(method)
        said[method] = [one.to_json() for one in engine.predict(rows[:number], number, progress=False)]
    Path(answers).write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
