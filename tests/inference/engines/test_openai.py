import base64
import io
import json
import math
import threading

import numpy as np
import pytest
from chat_servers import completion, free_port, position, running, serving
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from patience import PATIENCE
from PIL import Image
from vqa_fakes import preference_row, progress_row, row, similarity_row, write_frames

from rfm.errors import ConfigError, MissingExtraError, RfmError
from rfm.inference.answering.decoding import Decoding
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.engines.replies import answer_probabilities
from rfm.inference.journal import Journal


@pytest.fixture
def rows(tmp_path):
    paths, rng = write_frames(tmp_path, 2), np.random.default_rng(0)
    return [preference_row(paths, rng), progress_row(paths, rng), similarity_row(paths, rng)]


def test_a_busy_or_failing_server_is_asked_again(rows, tmp_path):
    pauses = {
        1: JSONResponse({"error": "busy"}, 429, {"retry-after-ms": "20"}),
        2: JSONResponse({"error": "broken"}, 500, {"retry-after-ms": "20"}),
    }
    with serving(lambda n, body: pauses.get(n, "ANS: 1")) as (url, seen):
        said = OpenAIEngine(url, "m", tmp_path).predict(rows[:1], progress=False)
    assert said[0].text == "ANS: 1"
    assert len(seen) == 3


def test_a_server_that_stays_broken_ends_the_run_and_says_what_to_do(rows, tmp_path):
    with serving(lambda n, body: JSONResponse({"error": "no"}, 503, {"retry-after-ms": "5"})) as (url, seen):
        engine = OpenAIEngine(url, "m", tmp_path, tries=3)
        with pytest.raises(RfmError) as caught:
            engine.predict(rows[:1], progress=False)
    assert len(seen) == 3
    assert str(caught.value).startswith(f"`base_url` {url} gave no answer for model 'm': Error code: 503")
    assert "check address, model and OPENAI_API_KEY, then run the same command again: what was answered is kept" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Response("<html><title>Log in</title>", media_type="text/html"), "its reply must be JSON, but is not: "),
        (Response('{"choices": [', media_type="application/json"), "its reply must be JSON, but is not: "),
        (Response("", media_type="application/json"), "its reply must be JSON, but is not: "),
        (Response(b"\xff\xfe", media_type="application/json"), "its reply must be UTF-8"),
        (Response("[" * 100_000, media_type="application/json"), "its reply must be nested at most 64 deep"),
        (JSONResponse(None), "its reply must be a JSON object, but is nothing"),
        (JSONResponse(["ANS: 1"]), "its reply must be a JSON object, but is a list"),
        (JSONResponse("ANS: 1"), "its reply must be a JSON object, but is a text"),
    ],
)
def test_an_address_that_is_no_chat_server_is_named_with_what_came(rows, tmp_path, reply, reason):
    with serving(lambda n, body: reply) as (url, seen):
        engine = OpenAIEngine(url, "m", tmp_path, cache=Journal(tmp_path / "cache"))
        with pytest.raises(RfmError) as caught:
            engine.predict(rows, progress=False)
    said = str(caught.value)
    assert said.startswith(f"`base_url` {url} must be a server of chat completions, but {reason}")
    assert f"it begins with {reply.body[:20].decode(errors='replace')!r}"[:-1] in said
    assert said.endswith("check the address, which ends in /v1 as a rule")
    assert len(said) < 600
    assert len(seen) == 1, "a page is not asked for again"
    assert len(engine.cache) == 0


CHOICE = {"message": {"role": "assistant", "content": "ANS: 1"}}


def certain(logprob):
    return {"token": "1", "logprob": logprob}


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": []},
        {"choices": None},
        {"choices": "none"},
        {"choices": {"message": {"content": "ANS: 1"}}},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "ANS: 1"}]},
        {"choices": [{"text": "ANS: 1"}]},
        {"choices": [{"message": {"content": ["ANS: 1"]}}]},
        {"choices": [{"message": {"content": 1}}]},
        {"choices": [{**CHOICE, "logprobs": "none"}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": None, "top_logprobs": []}]}}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "1", "top_logprobs": [{"token": "1"}]}]}}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "1", "top_logprobs": [[1]]}]}}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "1", "top_logprobs": [certain(1000)]}]}}]},
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "1", "top_logprobs": [certain("nan")]}]}}]},
        {"error": {"message": "no provider is up \u001b[2J"}},
        {},
    ],
    ids=lambda reply: str(reply)[:60],
)
def test_a_reply_without_a_completion_makes_its_row_unreadable_and_says_what_came(rows, tmp_path, reply):
    with serving(lambda n, body: JSONResponse(reply) if n == 2 else "ANS: 1") as (url, _):
        engine = OpenAIEngine(url, "m", tmp_path, cache=Journal(tmp_path / "cache"))
        said = engine.predict(rows, progress=False)
    assert sorted(one.text for one in said) == ["", "ANS: 1", "ANS: 1"]
    [reason] = [one.unreadable for one in said if one.unreadable]
    begins = "the server gave no answer: the reply must hold `choices` with a `message`, but is '"
    assert reason.startswith(begins + json.dumps(reply)[:30].replace("\\", "\\\\")[:30])
    assert "\x1b" not in reason
    assert len(engine.cache) == 2, "it may answer the next time"


def test_a_message_without_content_is_an_answer_that_can_not_be_parsed(rows, tmp_path):
    silent = JSONResponse({"choices": [{"message": {"role": "assistant", "content": None}}]})
    with serving(lambda n, body: silent) as (url, _):
        [said] = OpenAIEngine(url, "m", tmp_path).predict(rows[:1], progress=False)
    assert (said.text, said.unreadable) == ("", None)


def test_what_was_answered_is_never_asked_again(rows, tmp_path):
    def dies_at_the_third(n, body):
        return "ANS: 2" if n < 3 else JSONResponse({"error": "no"}, 401)

    cache = tmp_path / "cache"
    with serving(dies_at_the_third) as (url, seen):
        with pytest.raises(RfmError):
            OpenAIEngine(url, "m", tmp_path, cache=Journal(cache)).predict(rows, progress=False)
        assert len(seen) == 3
        seen.clear()
        said = OpenAIEngine(url, "m", tmp_path, cache=Journal(cache)).predict(rows, progress=False)
        assert [one.text for one in said] == ["ANS: 2"] * 3
        assert len(seen) == 1
        OpenAIEngine(url, "other", tmp_path, cache=Journal(cache)).predict(rows[:1], progress=False)
        assert len(seen) == 2


def test_requests_run_at_once_and_no_more_than_the_batch_size(tmp_path):
    paths, rng = write_frames(tmp_path, 2), np.random.default_rng(0)
    many = [progress_row(paths, rng) for _ in range(6)]
    barrier, app, most = threading.Barrier(3, timeout=PATIENCE), FastAPI(), []
    under_way, lock = [0], threading.Lock()

    @app.post("/v1/chat/completions")
    def complete(body: dict):  # runs in a thread of its own
        with lock:
            under_way[0] += 1
            most.append(under_way[0])
        barrier.wait()  # three requests must be under way, or this breaks
        with lock:
            under_way[0] -= 1
        return completion("ANS: 50")

    with running(app) as url:
        said = OpenAIEngine(url, "m", tmp_path).predict(many, 3, progress=False)
    assert [one.text for one in said] == ["ANS: 50"] * 6
    assert max(most) == 3


def test_the_request_shows_each_frame_behind_its_videos_name(rows, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with serving(lambda n, body: "ANS: 1") as (url, seen):
        OpenAIEngine(url, "m", tmp_path).predict(rows[2:], max_new_tokens=9, progress=False)
        OpenAIEngine(url, "m", tmp_path, as_video=True).predict(rows[2:], max_new_tokens=9, progress=False)
    images, video = (body["messages"][0]["content"] for body in seen)
    kinds = [part.get("text") or part["type"] for part in images]
    four = ["image_url"] * 4
    assert kinds == ["Reference video:", *four, "Video 1:", *four, "Video 2:", *four, rows[2]["prompt"]]
    assert (seen[0]["model"], seen[0]["max_tokens"], seen[0]["temperature"]) == ("m", 9, 0.0)
    shown = Image.open(io.BytesIO(base64.b64decode(images[1]["image_url"]["url"].partition(",")[2])))
    stored = np.load(tmp_path / rows[2]["reference_npz_path"])["frames"][rows[2]["reference_frame_indices"][0]]
    assert np.array_equal(np.asarray(shown), stored)
    assert [part.get("text") or part["type"] for part in video][:3] == ["Reference video:", "video_url", "Video 1:"]
    url = video[1]["video_url"]["url"]
    assert url.startswith("data:video/jpeg;base64,")
    assert url.count(",") == 4  # the header's, and three between four frames


def test_repeats_have_seeds_of_their_own(rows, tmp_path):
    with serving(lambda n, body: f"ANS: {1 + body['seed'] % 2}") as (url, seen):
        engine = OpenAIEngine(url, "m", tmp_path, Decoding("sample", num_repeats=5, temperature=0.7))
        said = engine.predict(rows[:1], progress=False)
    assert len({body["seed"] for body in seen}) == 5
    assert {body["temperature"] for body in seen} == {0.7}
    assert len(said[0].samples) == 5
    assert said[0].text == max(sorted(set(said[0].samples)), key=said[0].samples.count)


def test_scores_are_read_behind_the_prefix_in_both_orders(rows, tmp_path):
    def reply(n, body):
        first = ("1", {"1": 0.6, "2": 0.2, "x": 0.1}) if n == 1 else ("1", {"1": 0.45, "2": 0.45})
        tokens = [position("ANS"), position(":"), position(" "), position(first[0], **first[1])]
        return JSONResponse(completion("ANS: 1", tokens))

    with serving(reply) as (url, seen):
        engine = OpenAIEngine(url, "m", tmp_path, Decoding("scored", both_orders=True))
        said = engine.predict(rows[:1], progress=False)[0]
    assert said.text == "ANS: 1"
    assert said.probabilities == pytest.approx(((0.75 + 0.5) / 2, (0.25 + 0.5) / 2))
    assert said.leftover == pytest.approx((0.2 + 0.1) / 2)
    assert {(body["logprobs"], body["top_logprobs"]) for body in seen} == {(True, 20)}


def test_where_there_is_no_answer_there_are_no_probabilities():
    def tokens(*words):
        return [[word, [["1", -0.1]]] for word in words]

    assert answer_probabilities(tokens("I", " see"), (1, 2)) is None
    assert answer_probabilities(tokens("ANS:", " 1"), (1, 2)) == pytest.approx([math.exp(-0.1), 0])
    assert answer_probabilities(tokens("well, ANS", ":", " ", "1"), (1, 2)) == pytest.approx([math.exp(-0.1), 0])
    assert answer_probabilities([["ANS:", []], [" none", [[" none", 0.0]]]], (1, 2)) is None


def test_a_refused_or_unreadable_row_says_why(rows, tmp_path):
    lost = row("progress", "5", "how far?", clip=("gone.npz", [0, 1]))
    with serving(lambda n, body: JSONResponse({"error": {"message": "too long"}}, 400)) as (url, _):
        refused, unreadable = OpenAIEngine(url, "m", tmp_path).predict([rows[1], lost], 2, progress=False)
    assert refused.unreadable.startswith("the server gave no answer: Error code: 400")
    assert "too long" in refused.unreadable
    assert "gone.npz" in unreadable.unreadable


def test_what_a_server_can_not_do_is_said(rows, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as caught:
        OpenAIEngine("http://127.0.0.1:1/v1", "m", tmp_path, Decoding("beam"))
    assert str(caught.value) == (
        "`decoding` must be one of greedy, sample, scored with this engine, but is beam; --engine hf has it"
    )
    with (
        serving(lambda n, body: "ANS: 1") as (url, _),
        pytest.raises(ConfigError, match="scored must go with preference or similarity rows here"),
    ):
        OpenAIEngine(url, "m", tmp_path, Decoding("scored")).predict(rows[1:2], progress=False)
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"needs the package openai, .*: pip install 'rfm-vqa\[openai\]'"):
        OpenAIEngine("http://127.0.0.1:1/v1", "m", tmp_path)


def test_without_a_server_the_address_is_named(rows, tmp_path):
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(RfmError, match=f"`base_url` {url} gave no answer for model 'm': Connection error"):
        OpenAIEngine(url, "m", tmp_path, tries=1).predict(rows[:1], progress=False)
