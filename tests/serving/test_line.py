"""The line of questions: first come, first served, all of a kind together, and nobody waits for who has left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from rfm.ingest.episode import IngestOptions
from rfm.scoring.given_frames import Clip
from rfm.serving.admission import Admission
from rfm.serving.line import Line
from rfm.serving.problems import Problem
from rfm.serving.questions import Ask, Points, about_a_pair, about_the_end, along
from rfm.serving.reader import Bounds
from rfm.serving.readers import Readers

ASK = Ask("open the drawer", "robot")


def clip(count: int, size: int = 8) -> Clip:
    return Clip(np.zeros((count, size, size, 3), np.uint8), "a clip")


def end_of(count: int, size: int = 8) -> Points:
    return about_the_end(ASK, clip(count, size), 4)


def ran(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def test_the_longest_waiting_takes_all_of_its_kind_along() -> None:
    async def work() -> None:
        line = Line()
        questions = [end_of(2), end_of(3), end_of(2), end_of(2, size=9), end_of(2)]
        for question in questions:
            line.add(question)
        batches = [[one.question for one in await line.batch(2, 0)] for _ in range(4)]
        assert batches == [[questions[0], questions[2]], [questions[1]], [questions[3]], [questions[4]]]
        assert len(line) == 0

    ran(work())


def test_a_batch_that_was_not_asked_stands_where_it_stood() -> None:
    async def work() -> None:
        line = Line()
        first, gone, third = (line.add(end_of(2)) for _ in range(3))
        taken = await line.batch(2, 0)
        gone.answer.cancel()
        line.give_back(taken)
        assert await line.batch(9, 0) == [first, third]

    ran(work())


@pytest.mark.parametrize("gather", [0, 0.02])
def test_workers_that_one_question_wakes_go_on_without_it(gather: float) -> None:
    async def work() -> None:
        line = Line()
        takers = [asyncio.create_task(line.batch(4, gather)) for _ in range(3)]
        await asyncio.sleep(0)
        asked = [line.add(end_of(length)) for length in (2, 2, 3)]
        done, left = await asyncio.wait(takers, timeout=0.5)
        assert sorted((taker.result() for taker in done), key=len) == [asked[2:], asked[:2]]
        asked.append(line.add(end_of(3)))
        assert await left.pop() == asked[3:]

    ran(work())


def test_clips_of_more_frames_than_are_shown_are_of_one_kind() -> None:
    assert end_of(9).kind == end_of(500).kind == end_of(4).kind != end_of(3).kind
    assert len(end_of(500).clip) == 4
    pair = about_a_pair(ASK, clip(30), clip(3), 4)
    assert (len(pair.a), len(pair.b), pair.a.numbered(range(3))) == (3, 3, (0, 15, 29))


def test_a_curve_is_asked_in_pieces_that_hold_only_what_they_show() -> None:
    pieces = [*along(ASK, clip(1000), 4, None)]
    assert len(pieces) == 63
    assert max(len(piece.clip) for piece in pieces) <= 16 * 4
    assert len({piece.kind for piece in pieces}) == 63
    last = pieces[-1]
    assert last.clip.numbered(last.shown[-1]) == (0, 333, 666, 999)


def test_it_is_waited_for_more_of_a_kind_but_not_for_long() -> None:
    async def work() -> None:
        line = Line()
        first = line.add(end_of(2))
        waiting = asyncio.create_task(line.batch(3, 0.05))
        await asyncio.sleep(0)
        second = line.add(end_of(2))
        start = time.monotonic()
        assert await waiting == [first, second]
        assert 0.02 < time.monotonic() - start < 2
        for _ in range(3):
            line.add(end_of(2))
        assert len(await line.batch(3, 1000)) == 3

    ran(work())


def test_who_leaves_is_not_answered() -> None:
    async def work() -> None:
        line = Line()
        left, stays = line.add(end_of(2)), line.add(end_of(2))
        line.drop(left)
        assert await line.batch(5, 0) == [stays]
        waiting = asyncio.create_task(line.batch(5, 0))
        gone = line.add(end_of(2))
        line.drop(gone)
        later = line.add(end_of(3))
        assert await waiting == [later]
        line.drop(later)  # it is being answered: nothing to do

    ran(work())


def test_admission_counts_before_memory_is_taken() -> None:
    admission = Admission(2, 100)
    with admission.request() as first, admission.request() as second:
        with pytest.raises(Problem, match="at most 2 requests are taken on at a time") as refused, admission.request():
            pass
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
        first.take(60)
        with pytest.raises(Problem, match="of which 60 are taken, but this one needs 50 more") as refused:
            second.take(50)
        assert refused.value.status == 429
        with pytest.raises(Problem, match="may hold at most 100 bytes, but needs 101") as refused:
            first.take(41)
        assert refused.value.status == 413
        second.take(40)
    assert (admission.requests, admission.bytes) == (0, 0)


def test_a_file_does_not_wait_for_a_reader_for_ever() -> None:
    async def work() -> None:
        readers = Readers(0, Bounds(1, 1, 1), 1, 0.01)
        try:
            await readers.read(memoryview(b"a video"), "`clip`", IngestOptions())
        finally:
            await readers.stop()

    with pytest.raises(Problem, match="no reader came to it within 0 seconds; ask again") as problem:
        ran(work())
    assert (problem.value.status, problem.value.retry_after) == (503, 5)
