import json
import os

import pytest
from robot_datasets import moving_square, write_roboreward, write_video

from rfm.errors import DataError
from rfm.evaluation.benchmarks import lines as module
from rfm.evaluation.benchmarks.lines import contradicted, origin, read_lines, row_of
from rfm.ingest.sources.roboreward import Recording
from rfm.vqa.schema import SCHEMA


@pytest.mark.parametrize(
    ("name", "reward", "expected"),
    [
        ("robo_arena/a_left.mp4", 5, "natural"),
        ("robo_arena/a_attempt_1_score_2.mp4", 2, "natural"),
        ("bridge/a_attempt_12_score_4.mp4", 4, "temporal"),
        ("bridge/a.mp4", 5, "original"),
        ("bridge/a.mp4", 4, "counterfactual"),
        ("bridge/a_attempt_1_score_5.mp4", 5, "original"),
        ("a.mp4", 1, "counterfactual"),
    ],
)
def test_where_a_line_comes_from_is_told_by_its_name_and_reward(tmp_path, name, reward, expected):
    assert origin(Recording(name, "t", reward, tmp_path)) == expected


@pytest.fixture
def split(tmp_path):
    listed = [
        ("s/a.mp4", "put the cup down", 5),
        ("s/a_1.mp4", "put the spoon down", 2),
        ("s/b_attempt_1_score_3.mp4", "fold", 2),
        ("s/gone.mp4", "t", 1),
        ("../secret.mp4", "t", 1),
        ("s/link.mp4", "t", 1),
        ("s/pipe.mp4", "t", 1),
        ("s/text.mp4", "t", 1),
        ("s/a.mp4", "t", 6),
    ]
    film = moving_square(9, 1)
    videos = {"s/a.mp4": film, "s/a_1.mp4": film, "s/b_attempt_1_score_3.mp4": moving_square(3, 2)}
    folder = write_roboreward(tmp_path / "test", listed, videos)
    write_video(tmp_path / "secret.mp4", film)
    (folder / "s" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    os.mkfifo(folder / "s" / "pipe.mp4")
    (folder / "s" / "text.mp4").write_text("no video")
    (folder / "metadata.jsonl").open("a").write("{broken\n")
    return folder


def test_lines_are_rows_about_videos_where_they_lie(split):
    lines = read_lines(split, 4)
    assert [line.fault is None for line in lines] == [True] * 3 + [False] * 7
    one, other, cut = (row_of(line, split, discrete=False) for line in lines[:3])
    assert (one["npz_path"], one["frame_indices"], one["answer"]) == ("s/a.mp4", [0, 3, 5, 8], "100")
    assert (other["answer"], other["end_progress"], other["data_source"]) == ("25", 0.25, "s")
    assert one["trajectory_id"] == other["trajectory_id"] != cut["trajectory_id"]  # the same bytes
    assert [row["data_gen_strategy"] for row in (one, other, cut)] == ["original", "counterfactual", "temporal"]
    assert [row["quality_label"] for row in (one, other, cut)] == ["successful", "failure", "failure"]
    assert cut["frame_indices"] == [0, 1, 2]

    assert "from 1 to 5" in row_of(lines[0], split, discrete=True)["prompt"]
    assert [row_of(line, split, discrete=True)["answer"] for line in lines[:3]] == ["5", "2", "2"]
    assert contradicted(lines) == 1
    assert all(set(row_of(line, split, discrete=False)) == set(SCHEMA.names) for line in lines)


def test_what_cannot_be_asked_says_why_and_nothing_outside_is_read(split):
    reasons = [line.fault for line in read_lines(split, 4)[3:]]
    expected = [
        "gone.mp4 must exist, but does not",
        "line 5 of .*: `file_name` must lie in the dataset's folder",
        "line 6 of .*: `file_name` must lie in the dataset's folder",
        "pipe.mp4 must be a file, but is a named pipe",
        "text.mp4 must be",
        "line 9 of .*: `reward` must be a whole number from 1 to 5, but is `6`",
        "line 10 of .* must be JSON, but is not",
    ]
    for reason, words in zip(reasons, expected, strict=True):
        with pytest.raises(DataError, match=words):
            raise DataError(reason)


def test_the_first_lines_can_be_taken_and_no_line_is_refused(split):
    assert len(read_lines(split, 4, 2)) == 2
    (split / "metadata.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"metadata.jsonl must list videos, but lists none"):
        read_lines(split, 4)


def test_a_list_of_any_length_is_not_taken_into_memory(split, monkeypatch):
    monkeypatch.setattr(module, "MOST_LINES", 4)
    message = r"metadata.jsonl must list at most 4 videos, but lists more; --max_samples takes the first"
    with pytest.raises(DataError, match=message):
        read_lines(split, 4)
    assert len(read_lines(split, 4, 3)) == 3


def test_what_another_model_said_of_the_label_is_not_read(tmp_path):
    write_roboreward(tmp_path, [], {"s/a.mp4": moving_square(3)})
    line = {"file_name": "s/a.mp4", "task": "t", "reward": 3, "gpt5_mini_check": "the score should be 1"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line))
    [read] = read_lines(tmp_path, 4)
    assert "should be" not in repr(read) + repr(row_of(read, tmp_path, discrete=False))
