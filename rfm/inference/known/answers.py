"""What a checkpoint answers to the known questions: kept beside its weights, to compare servers with.

`known_answers.json` holds of each question the greedy completion and how probable each first digit is behind `ANS: `,
as the model itself says in its own precision. Cost: two dozen short forwards at the end of a training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import HeldFrames
from rfm.files.documents.json_documents import read_json_object
from rfm.files.documents.shapes import COUNT, TEXT, fields, fitted, leaf, listed, named
from rfm.inference.answering.answer_tree import answer_tree
from rfm.inference.answering.decoding import LONGEST_ANSWER
from rfm.inference.answering.scored import first_shares
from rfm.inference.known.questions import NUMBER, questions
from rfm.inference.predictor import Predictor
from rfm.model.load import LoadedModel

FILE = "known_answers.json"
VERSION = 1
"""Of the questions; answers to others say nothing."""
DIGITS = 4
"""Of shares in the file: behind them the same weights differ from run to run, by how memory happened to lie."""
_SHARE = leaf("a number from 0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1)
_SHAPE = fields(
    {
        "version": COUNT,
        "dtype": TEXT,
        "answers": listed(fields({"text": TEXT, "first": named(_SHARE)}), NUMBER),
    }
)


class Known(NamedTuple):
    """The answer to one question."""

    text: str
    first: dict[str, float]
    """How probable each first digit of an answer is."""


class KnownAnswers(NamedTuple):
    """Of all questions, in order."""

    answers: tuple[Known, ...]
    dtype: str
    """Of the weights that answered."""

    def save(self, folder: Path) -> None:
        """Write the file into a checkpoint folder."""
        rounded = [
            {"text": one.text, "first": {digit: round(share, DIGITS) for digit, share in one.first.items()}}
            for one in self.answers
        ]
        content = {"version": VERSION, "dtype": self.dtype, "answers": rounded}
        (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_known(folder: Path) -> KnownAnswers | None:
    """Read what a checkpoint folder knows; None where it has no file, or one of other questions."""
    path = folder / FILE
    if not path.is_file():
        return None
    content = read_json_object(path)
    if content.get("version") != VERSION:
        return None
    content = fitted(content, _SHAPE, str(path))
    return KnownAnswers(tuple(Known(one["text"], one["first"]) for one in content["answers"]), content["dtype"])


def known_answers(loaded: LoadedModel, form: InputFormat) -> KnownAnswers:
    """Ask a model the questions of its own training, `form`; it is in evaluation mode afterwards."""
    asked = questions(form, loaded.spec)
    held = HeldFrames({name: list(clip) for name, clip in asked.clips.items()}, loaded.spec, form)
    predictor = Predictor(loaded, Path(), form).over(held)
    predictor.compared = True  # with itself
    texts = predictor.predict(asked.rows, 1, LONGEST_ANSWER, progress=False)
    collator = VQACollator(predictor.encoder, held, with_answers=False)
    found = []
    for row, said in zip(asked.rows, texts, strict=True):
        tree = answer_tree(predictor.encoder, row["sample_type"], discrete=bool(form.discrete_progress))
        found.append(Known(said.text, first_shares(loaded.model, collator([row]), tree)))
    return KnownAnswers(tuple(found), str(loaded.model.dtype).removeprefix("torch."))
