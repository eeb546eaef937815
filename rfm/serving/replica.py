"""A worker that is a replica of a Ray Serve deployment, as it runs there."""

from __future__ import annotations

import faulthandler
from collections.abc import Sequence

from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from rfm.scoring.remote.description import Description
from rfm.serving.judge import begin
from rfm.serving.load import Load
from rfm.serving.logs import set_up_logs
from rfm.serving.questions import Answer, Fault, Question
from rfm.serving.workers import OTHER_WEIGHTS


class Replica:
    """A model and its answers.

    The first of an application to load its model notes the fingerprint in the cluster. One that comes later, maybe in
    place of one that died, and finds other weights on its disk takes no part: Ray Serve tries again, later and later.
    """

    def __init__(self, load: Load, application: str, seconds: float) -> None:
        set_up_logs()
        self._seconds = seconds
        self._said, self._answer = begin(load)
        if isinstance(self._said, Description):
            key = application.encode()
            _internal_kv_put(key, self._said.fingerprint.encode(), overwrite=False)
            if _internal_kv_get(key) != self._said.fingerprint.encode():
                raise RuntimeError(OTHER_WEIGHTS)

    def describe(self) -> Description | Fault:
        """Return what the model is, or why it can't be used."""
        return self._said

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Return an answer a question. A batch that takes too long ends the process, which Ray Serve then replaces."""
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        try:
            answers: Sequence[Answer] = self._answer(questions)
            return answers
        finally:
            faulthandler.cancel_dump_traceback_later()
