import json

import numpy as np
import pytest
from checkpoints import random_checkpoint
from vqa_fakes import fake_dataset, row, similarity_row, write_dataset, write_frames

from rfm.cli import run_command
from rfm.errors import ConfigError
from rfm.evaluation.rivals.asking import LocalAsker, ServerAsker, Verdict, asker_of
from rfm.evaluation.rivals.baselines import Baseline
from rfm.evaluation.rivals.gvl import percentages
from rfm.evaluation.rivals.prompting import Prompted, question_about
from rfm.evaluation.rivals.roboreward import Question
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_frames(folder, 3)
    return folder


def path(episode):
    return f"fake/frames/trajectory_{episode}.npz"


def progress(*indices, episode=0):
    return row("progress", "1", "how far?", clip=(path(episode), list(indices)))


def pair(first, second):
    return row("preference", "1", "which?", first=(path(0), first), second=(path(1), second))


class Server(ChatEngine):
    """Answers requests by `reply(request)`; everything before and after is the engine's."""

    def __init__(self, root, reply):
        super().__init__(root)
        self.reply, self.requests = reply, []

    is_vllm = False

    def identity(self):
        return {"engine": "fake"}

    def complete(self, requests, at_once):
        self.requests += requests
        return [self.reply(request) for request in requests]


def frames_in(request):
    return sum(part["type"] == "image_url" for part in request["messages"][0]["content"])


def all_at(value):
    def reply(request):
        return {"text": "\n".join(f"Frame {n}: {value}%" for n in range(1, frames_in(request))), "logprobs": None}

    return reply


def judging(*shares):
    """Say True with these probabilities, one request after the other."""
    left = list(shares)

    def reply(request):
        share = left.pop(0)
        top = [["True", float(np.log(share))], ["False", float(np.log(1 - share))], ["No", -30.0]]
        return {"text": "True", "logprobs": [["True", top]]}

    return reply


def test_gvl_asks_a_server_for_percentages_of_shuffled_frames(root):
    server = Server(root, all_at(70))
    [said] = Prompted(server, "gvl").predict([progress(0, 5, 9, 15)], progress=False)
    assert (said.text, said.score, said.unreadable) == ("ANS: 70", 70, None)
    [request] = server.requests
    texts = [part["text"] for part in request["messages"][0]["content"] if part["type"] == "text"]
    assert texts[1:4] == ["Frame 1:", "Frame 2:", "Frame 3:"]
    assert frames_in(request) == 4
    assert request["max_tokens"] == 64


def test_pairs_go_to_the_clip_of_higher_score_and_equals_to_a_coin(root):
    replies = iter([20, 80, 80, 20])
    server = Server(root, lambda request: all_at(next(replies))(request))
    said = Prompted(server, "gvl").predict([pair([0, 1], [0, 9]), pair([0, 3], [0, 2])], 2, progress=False)
    assert [one.text for one in said] == ["ANS: 2", "ANS: 1"]
    rows = [pair([0, one], [0, two]) for one in range(16) for two in range(16)]
    texts = [one.text for one in Prompted(Server(root, all_at(50)), "gvl").predict(rows, 16, progress=False)]
    assert 90 < texts.count("ANS: 1") < 166
    again = [one.text for one in Prompted(Server(root, all_at(50)), "gvl").predict(rows[::-1], 7, progress=False)]
    assert again[::-1] == texts


def test_an_answer_without_every_frame_is_unparsed(root):
    server = Server(root, lambda request: {"text": "the robot does well", "logprobs": None})
    [said] = Prompted(server, "gvl").predict([progress(0, 5)], progress=False)
    assert (said.text, said.samples, said.score, said.unreadable) == ("", ("the robot does well",), None, None)


def test_topreward_is_the_probability_of_true(root):
    server = Server(root, judging(0.25, 0.9, 0.6))
    [first] = Prompted(server, "topreward").predict([progress(0, 5)], progress=False)
    assert first.score == pytest.approx(25)
    [second] = Prompted(server, "topreward").predict([pair([0, 1], [0, 9])], progress=False)
    assert second.text == "ANS: 1"
    request = server.requests[0]
    assert (request["max_tokens"], request["logprobs"], request["top_logprobs"]) == (1, True, 20)
    assert "Is this statement True or False?" in request["messages"][0]["content"][-1]["text"]
    assert "push" in request["messages"][0]["content"][-1]["text"]


def test_a_word_that_is_not_among_the_most_probable_is_no_more_probable_than_they_are(root):
    reply = {"text": "x", "logprobs": [["x", [["x", -0.1], [" True", -2.0], ["y", -3.0]]]]}
    [verdict] = ServerAsker(Server(root, lambda request: reply)).verdicts([progress(0, 1)], blank=False)
    assert verdict == Verdict(-2.0, -3.0)
    silent = Server(root, lambda request: {"text": "x", "logprobs": None})
    with pytest.raises(ConfigError, match="`prompting` topreward needs log-probabilities, but the server gave none"):
        ServerAsker(silent).verdicts([progress(0, 1)], blank=False)


def saying(*texts):
    left = list(texts)
    return lambda request: {"text": left.pop(0), "logprobs": None}


def test_roboreward_asks_for_a_level_by_its_rubric(root):
    server = Server(root, saying("ANSWER: 4", "ANSWER: 2", "**ANSWER:** 3. Half of it."))
    [said] = Prompted(server, "roboreward").predict([progress(0, 5, 9)], progress=False)
    assert (said.text, said.score, said.samples) == ("ANS: 75", 75, ("ANSWER: 4",))
    [said] = Prompted(server, "roboreward").predict([pair([0, 1], [0, 9])], progress=False)
    assert said.text == "ANS: 2"
    [request, _, _] = server.requests
    assert (request["max_tokens"], frames_in(request)) == (128, 3)
    question = request["messages"][0]["content"][-1]["text"]
    assert "ANSWER: <score>" in question
    assert question.endswith("\nTask: push")
    [said] = Prompted(Server(root, saying("ANSWER: 4")), "roboreward", discrete=True).predict(
        [progress(0, 5)], progress=False
    )
    assert said.text == "ANS: 4"


def test_an_answer_to_another_question_is_none_to_roborewards(root):
    said = Prompted(Server(root, saying("ANS: 50", "ANSWER: 7")), "roboreward").predict(
        [progress(0, 5), progress(0, 6)], 1, progress=False
    )
    assert [(one.text, one.score) for one in said] == [("", None)] * 2
    assert {one.samples for one in said} == {("ANS: 50",), ("ANSWER: 7",)}


def test_other_words_make_other_saved_answers(root):
    one, two = (Prompted(Server(root, None), "roboreward", question=Question(text)) for text in ("{task}?", "{task}!"))
    assert one.identity() != two.identity()


@pytest.mark.parametrize("style", ["gvl", "topreward", "roboreward"])
def test_frames_that_cannot_be_read_are_a_reason(root, style):
    rows = [progress(0, 99), pair([0, 1], [0, 99])]
    reply = {"gvl": all_at(50), "topreward": judging(0.5), "roboreward": saying("ANSWER: 1")}[style]
    said = Prompted(Server(root, reply), style).predict(rows, progress=False)
    assert all("must be < 16" in one.unreadable for one in said)


def test_questions_without_an_answer_are_refused(root):
    with pytest.raises(ConfigError, match="`prompting` gvl must go with preference and progress rows, not similarity"):
        Prompted(Server(root, all_at(1)), "gvl").predict(
            [similarity_row([path(0)], np.random.default_rng(0))], progress=False
        )
    with pytest.raises(ConfigError, match="`prompting` must go with a model, but `model_path` names a baseline"):
        asker_of(Baseline("constant", root))


@pytest.fixture(scope="module")
def local(root):
    return Predictor(load_model("tiny", seed=1, device="cpu"), root)


def test_a_local_model_gives_the_probabilities_of_the_words(local):
    asker = LocalAsker(local)
    one, two = asker.verdicts([progress(0, 5), progress(0, 5, 9, 15)], blank=False)
    assert one.log_true < 0
    [alone] = asker.verdicts([progress(0, 5)], blank=False)
    assert alone == pytest.approx(one, abs=1e-5)
    [blank] = asker.verdicts([progress(0, 5)], blank=True)
    assert abs(blank.log_true - one.log_true) > 1e-6
    assert two != one


def test_a_local_model_sees_each_frame_behind_its_number(local):
    question = question_about(progress(0, 5, 9))
    [said] = LocalAsker(local).complete([question], blank=False)
    assert isinstance(said, str)
    assert percentages(question, said) is None  # random weights write nonsense


@pytest.mark.parametrize("style", ["gvl", "topreward", "roboreward"])
def test_the_whole_command(tmp_path, style):
    model = random_checkpoint(tmp_path / "model" / "final")
    dataset = fake_dataset(tmp_path, 8)
    output = tmp_path / "results.json"
    words = [
        "--model_path",
        model,
        "--dataset_path",
        dataset,
        "--output_path",
        output,
        "--device",
        "cpu",
        "--overwrite",
    ]
    words += ["--prompting", style, "--controls", "blank", "--save_predictions", "--batch_size", "4"]
    assert run_command(("evaluate",), [str(word) for word in words], "rfm evaluate") == 0
    results = json.loads(output.read_text())
    assert results["decoding"]["prompting"] == style
    assert results["preference"]["count"] + results["progress"]["count"] == 8
    if style == "gvl":
        assert results["frame_alignment"]["clips"] == results["frame_alignment"]["undefined"]
        assert results["frame_alignment"]["spearman"] == 0
    elif style == "roboreward":
        assert results["decoding"]["prompt_is_published"] is False
        assert results["progress"]["unparsed"] == results["progress"]["count"]  # random weights write nonsense
    else:
        assert results["progress"]["unparsed"] == results["preference"]["unparsed"] == 0
        scores = [one["predicted"] for one in results["predictions"] if one["sample_type"] == "progress"]
        assert all(score != round(score) for score in scores)


def test_frame_alignment_of_a_model_that_orders_frames(tmp_path):
    from rfm.evaluation.exam import open_exam
    from rfm.evaluation.judge import make_sheets
    from rfm.evaluation.rivals.prompting import frame_alignment
    from rfm.inference.prediction import Prediction

    root = tmp_path / "root"
    write_frames(root, 2)
    rows = [progress(0, 4, 8, 12), progress(0, 6, 9, 15), progress(0, 3, 5, 7, episode=1)]
    exam = open_exam(str(write_dataset(tmp_path / "vqa", root, rows)))
    sheet = make_sheets(exam, np.ones(3, bool))[0]

    def says(row, sign):
        question = question_about(row)
        lines = [f"Frame {n}: {50 + sign * 10 * place}%" for n, place in enumerate(question.order, start=1)]
        return Prediction("ANS: 1", samples=("\n".join(lines),))

    known = {at: says(exam.dataset[at], 1) for at in range(2)}
    assert frame_alignment(exam, sheet, {**known, 2: Prediction("no idea")})["spearman"] == pytest.approx(2 / 3)
    assert frame_alignment(exam, sheet, {**known, 2: says(exam.dataset[2], 1)})["spearman"] == pytest.approx(1)
