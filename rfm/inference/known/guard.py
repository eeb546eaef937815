"""Is a server's model asked as it was trained, and is it that model? Looked at before the first row.

In: an engine, and the folder of the checkpoint that its server should have. First a server's own count of tokens is
compared with ours, for a question of two frames and one of as many as training showed (files of a
checkpoint shrink longer videos): that tells frames in another size or number, images in
place of video, another frame rate (Qwen3-VL writes times) and another template. Then the known questions are asked;
what the same number of tokens hides (lossy pictures, other weights, another precision) answers otherwise. Any
difference ends the run: answers to other inputs look like answers.

Cost: fourteen questions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rfm.batch.collator import VQACollator
from rfm.batch.input_format import InputFormat
from rfm.batch.pictures.frame_store import HeldFrames
from rfm.batch.tokens.conversation import FRAMES_PER_SECOND, ConversationEncoder
from rfm.errors import ServerError
from rfm.inference.answering.decoding import LONGEST_ANSWER
from rfm.inference.engines.answer_walk import Shares, begun_text, shares_of
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.engines.messages import Completion, Refusal, begun
from rfm.inference.engines.replies import first_tokens
from rfm.inference.known.answers import FILE, KnownAnswers, read_known
from rfm.inference.known.questions import USUAL_FRAMES, Questions, long_question, questions
from rfm.model.stock.files import load_tokenizer
from rfm.model.trained_format import TrainedFormat

logger = logging.getLogger(__name__)

TOLERANCES = {"float32": 0.005}
TOLERANCE = 0.05
"""By how much the probabilities of a question's first digits may differ in all, by the precision of the known answers;
rounding costs 1e-5 in float32 and up to 0.03 in bfloat16 (measured with the demo's model)."""
KEPT = 32
"""Frames of a video that vLLM keeps unless it is told otherwise."""
AT_ONCE = 4
"""Questions under way."""
_CONTROL = re.compile(r"<\|\w+\|>")
_WAY_OUT = "or pass --no_server_check to go on all the same"


class Count(NamedTuple):
    """Tokens of a question of two frames and of a long one."""

    short: int
    long: int


class Guard:
    """Knows how a checkpoint is asked, and what it answers."""

    def __init__(self, folder: Path, trained: TrainedFormat, *, as_video: bool) -> None:
        self.folder, self.spec, self.of_answers = folder, trained.spec, trained.of_answers
        self.form = replace(trained.form, use_multi_image=not as_video)
        self.as_trained = trained.form
        self.tokenizer = load_tokenizer(str(folder))

    def check(self, engine: ChatEngine) -> None:
        """Ask, compare, and raise `ServerError` where something differs.

        Replies of a cache are no evidence: the server may have been started otherwise since.
        """
        self._check_counts(engine)
        known = read_known(self.folder)
        if known is None or self.form != self.as_trained:
            why = f"has no {FILE} of this version" if known is None else "was trained on another mode than it is sent"
            logger.warning(
                "only the number of tokens was compared with the server's: the checkpoint %s %s, so that lossy "
                "pictures or other weights would not be noticed", self.folder, why,
            )  # fmt: skip
            return
        self._check_answers(engine, known)

    def _check_counts(self, engine: ChatEngine) -> None:
        lengths = [2, max(self.form.max_frames or USUAL_FRAMES, 2)]
        asked = [long_question(frames, self.form, self.spec) for frames in lengths]
        said = [self._ask(engine, one, 1)[0] for one in asked]
        counts = [None if isinstance(one, Refusal) else one.get("prompt_tokens") for one in said]
        if isinstance(said[0], Refusal):
            raise ServerError(f"the server must answer a question about a clip of 2 frames, but does not: {said[0]}")
        wanted = Count(*(self._count(one, self.form) for one in asked))
        if any(type(count) is int and count != own for count, own in zip(counts, wanted, strict=True)):
            raise ServerError(self._other_count(counts, wanted, asked, lengths))
        if counts[0] is None:
            logger.warning("the server does not say how many tokens a question has (`usage`): they are not compared")

    def _other_count(
        self, counts: Sequence[int | None], wanted: Count, asked: Sequence[Questions], lengths: Sequence[int]
    ) -> str:
        likely = [
            words
            for words, other in self._suspects(asked, lengths).items()
            if other != wanted and all(count in (None, one) for count, one in zip(counts, other, strict=True))
        ]
        words = likely[0] if likely else self._unknown(counts, wanted)
        return (
            f"the server must count {wanted.short} and {wanted.long} tokens for questions of {lengths[0]} and "
            f"{lengths[1]} frames, as {self.folder} was trained, but counts {_said(counts[0])} and {_said(counts[1])}: "
            f"{words}; start it as `rfm serve-command {self.folder}` says, {_WAY_OUT}"
        )

    def _suspects(self, asked: Sequence[Questions], lengths: Sequence[int]) -> dict[str, Count]:
        """Return the counts that one fault each would give."""
        own = [self._count(one, self.form) for one in asked]
        images = replace(self.form, use_multi_image=not self.form.use_multi_image)
        cut = long_question(min(lengths[1], KEPT), self.form, self.spec)
        slow = ConversationEncoder(self.tokenizer, self.spec, frames_per_second=1.0)
        return {
            "it shows the frames in another mode (images in place of video, or the other way round)": Count(
                *(self._count(one, images) for one in asked)
            ),
            f"it keeps {KEPT} frames of a video": Count(own[0], self._count(cut, self.form)),
            f"it takes videos for ones of 1 frame a second in place of {FRAMES_PER_SECOND:g}": Count(
                *(self._count(one, self.form, slow) for one in asked)
            ),
            f"it keeps {KEPT} frames of a video, and takes it for one of 1 frame a second": Count(
                own[0], self._count(cut, self.form, slow)
            ),
            "its template puts videos into vision tags once more": Count(own[0] + 2, own[1] + 2),
        }

    def _unknown(self, counts: Sequence[int | None], wanted: Count) -> str:
        more = [None if count is None else count - own for count, own in zip(counts, wanted, strict=True)]
        if more[0] == more[1]:
            return "its chat template is another one (a system prompt, perhaps)"
        return "it shows frames in another size, or another number of them"

    def _count(self, asked: Questions, form: InputFormat, encoder: ConversationEncoder | None = None) -> int:
        """Return the number of tokens of our own conversation."""
        encoder = encoder or ConversationEncoder(self.tokenizer, self.spec)
        collator = VQACollator(encoder, self._held(asked, form), with_answers=False)
        return len(collator.encode(asked.rows[0]).conversation.ids)

    def _held(self, asked: Questions, form: InputFormat) -> HeldFrames:
        return HeldFrames({name: list(clip) for name, clip in asked.clips.items()}, self.spec, form)

    def _ask(
        self, engine: ChatEngine, asked: Questions, length: int, behind: str | None = None
    ) -> list[Completion | Refusal]:
        """Ask for greedy completions, or for the one token that follows the answer begun by `behind`."""
        shown = engine.anew(self._held(asked, self.form))
        bodies = [shown.request(shown.content(row, False), length) for row in asked.rows]
        return shown.complete(
            bodies if behind is None else [begun(body, behind, self.of_answers) for body in bodies], AT_ONCE
        )

    def _check_answers(self, engine: ChatEngine, known: KnownAnswers) -> None:
        asked = questions(self.form, self.spec)
        how = self._probabilities_off(engine, asked, known) if engine.is_vllm else self._texts_off(engine, asked, known)
        if how is not None:
            raise ServerError(self._other_answers(known, how))

    def _probabilities_off(self, engine: ChatEngine, asked: Questions, known: KnownAnswers) -> str | None:
        """Return how the first digits behind `ANS: ` differ; None where they don't."""
        said = self._ask(engine, asked, 1, behind=begun_text(""))
        most = TOLERANCES.get(known.dtype, TOLERANCE)
        off = [
            1.0 if isinstance(one, Refusal) else _distance(shares_of(first_tokens(one["logprobs"])), own.first)
            for one, own in zip(said, known.answers, strict=True)
        ]
        return f"by {max(off):.2g} of the probability, more than {most:g}," if max(off) > most else None

    def _texts_off(self, engine: ChatEngine, asked: Questions, known: KnownAnswers) -> str | None:
        """Return how many greedy answers differ; None where none does."""
        said = self._ask(engine, asked, LONGEST_ANSWER)
        other = sum(
            isinstance(one, Refusal) or _plain(one["text"]) != _plain(own.text)
            for one, own in zip(said, known.answers, strict=True)
        )
        return f"in {other} of {len(said)} answers" if other else None

    def _other_answers(self, known: KnownAnswers, how: str) -> str:
        return (
            f"the server must answer {len(known.answers)} known questions as {self.folder} does, but differs {how} "
            "though it counts the same tokens: pictures that lose something on the way (JPEG), another frame rate, "
            f"other weights, or another precision than {known.dtype}; start it as `rfm serve-command {self.folder}` "
            f"says, {_WAY_OUT}"
        )


def _distance(found: Shares, known: Mapping[str, float]) -> float:
    """Return by how much probabilities differ in all; one that the server did not give may be as large as its least."""
    least = min(found.values(), default=0.0)
    return sum(abs(found.get(digit, min(share, least)) - share) for digit, share in known.items()) / 2


def _plain(text: str) -> str:
    """Return an answer without control tokens, which some servers spell out, and the blanks that others drop."""
    return _CONTROL.sub("", text).strip()


def _said(count: int | None) -> str:
    return "?" if count is None else str(count)
