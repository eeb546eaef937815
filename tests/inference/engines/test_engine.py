from dataclasses import dataclass, field

import pytest
from vqa_fakes import preference_row, row

from rfm.errors import ConfigError
from rfm.inference.engines.engine import Engine, length_batches
from rfm.inference.journal import Journal
from rfm.inference.prediction import Prediction
from rfm.inference.ranks import Ranks
from rfm.inference.rows import row_digest, row_length, videos_swapped


def rows_of_lengths(*lengths):
    return [row("progress", "5", "how far?", clip=(f"{i}.npz", list(range(n)))) for i, n in enumerate(lengths)]


@dataclass
class Echo(Engine):
    """Says each row's path; remembers what it was asked."""

    name: str = "echo"
    asked: list = field(default_factory=list)

    def identity(self):
        return {"name": self.name}

    def answer(self, rows, max_new_tokens, *, blank_frames=False):
        self.asked.append([one["npz_path"] for one in rows])
        return [Prediction(f"{one['npz_path']} {blank_frames}") for one in rows]


def test_batches_are_of_one_type_and_similar_length_and_answers_in_the_rows_order():
    rows = rows_of_lengths(2, 9, 4, 9, 6)
    rows.insert(2, row("preference", "1", "which?", first=("a", [0]), second=("b", [0])))
    assert length_batches(rows, 2) == [[1, 4], [5, 3], [0], [2]]
    engine = Echo()
    said = engine.predict([*rows[:2], *rows[3:]], 2, progress=False)
    assert [one.text for one in said] == [f"{i}.npz False" for i in range(5)]
    assert engine.asked == [["1.npz", "3.npz"], ["4.npz", "2.npz"], ["0.npz"]]


def test_processes_take_turns_at_the_same_batches():
    rows = rows_of_lengths(*range(1, 12))

    class Ear(Ranks):
        def gather(self, mine):
            heard.update(mine)
            return {index: {"text": ""} for index in range(len(rows))} if mine else {}

    alone, heard, asked = Echo(), {}, []
    alone.predict(rows, 3, progress=False)
    for rank in range(2):
        engine = Echo()
        engine.ranks = Ear(rank, 2)
        engine.predict(rows, 3, progress=False)
        asked += engine.asked
    assert sorted(asked) == sorted(alone.asked)
    assert sorted(heard) == list(range(len(rows)))


def test_a_finished_batch_is_not_asked_again(tmp_path):
    rows = rows_of_lengths(1, 3, 5, 7)
    first, second = Echo(), Echo()
    first.journal, second.journal = Journal(tmp_path), None
    expected = first.predict(rows, 2, progress=False)
    second.journal = Journal(tmp_path)
    assert second.predict(rows, 2, progress=False) == expected
    assert second.asked == []
    assert second.predict(rows, 2, blank_frames=True, progress=False)[0].text == "0.npz True"
    other = Echo("another model")
    other.journal = Journal(tmp_path)
    other.predict(rows, 2, progress=False)
    assert len(other.asked) == 2


def test_what_an_interrupted_run_left_is_dealt_out_evenly(tmp_path):
    rows = rows_of_lengths(*range(1, 13))
    alone = Echo()
    alone.journal = Journal(tmp_path)
    alone.predict(rows, 2, progress=False)
    lines = alone.journal.file.read_text().splitlines(keepends=True)
    alone.journal.file.write_text("".join(lines[:4]))

    class Both(Ranks):
        def gather(self, mine):
            return {**{index: {"text": ""} for index in range(12)}, **mine} if len(mine) > 4 else dict(mine)

    shares = []
    for rank in range(2):
        engine = Echo()
        engine.ranks, engine.journal = Both(rank, 2), Journal(tmp_path, 1 + rank)
        engine.predict(rows, 2, progress=False)
        engine.journal.file.unlink()
        shares.append(engine.asked)
    assert [len(share) for share in shares] == [2, 2]
    assert sorted(shares[0] + shares[1]) == sorted(alone.asked[2:])


def test_a_batch_with_a_missing_answer_is_asked_as_a_whole(tmp_path):
    rows = rows_of_lengths(1, 3, 5, 7)
    engine = Echo()
    engine.journal = Journal(tmp_path)
    engine.predict(rows, 2, progress=False)
    lines = engine.journal.file.read_text().splitlines(keepends=True)
    engine.journal.file.write_text("".join(lines[:3]))
    again = Echo()
    again.journal = Journal(tmp_path)
    again.predict(rows, 2, progress=False)
    assert again.asked == [engine.asked[1]]


def test_a_row_is_named_by_what_it_shows():
    one, other = rows_of_lengths(3, 3)
    assert row_digest(one) == row_digest({**one, "answer": "7", "data_gen_strategy": "rewind"})
    assert len({row_digest(one), row_digest(other), row_digest(one, 1), row_digest({**one, "prompt": "x"})}) == 4
    broken = [{**one, "npz_path": None}, {**one, "npz_path": None, "frame_indices": None}]
    assert row_digest(broken[0]) != row_digest(broken[1])
    assert row_length(broken[0]) == (0, len("how far?"))
    assert row_length(one) == (2, len("how far?"))


def test_swapped_videos_change_places_with_all_their_columns():
    import numpy as np

    one = {**preference_row(["a", "b"], np.random.default_rng(0)), "first_trajectory_id": "x", "chosen_is_first": True}
    one |= {"second_trajectory_id": "y", "second_only": 3}
    swapped = videos_swapped(one)
    assert (swapped["first_npz_path"], swapped["second_npz_path"]) == (one["second_npz_path"], one["first_npz_path"])
    assert (swapped["first_trajectory_id"], swapped["second_trajectory_id"]) == ("y", "x")
    assert swapped["second_only"] == 3
    assert videos_swapped(swapped) == one


def test_wrong_sizes_are_refused():
    with pytest.raises(ConfigError, match="`batch_size` and `max_new_tokens` must be >= 1, but are 2 and 0"):
        Echo().predict([], 2, 0)
