"""Any OpenAI-compatible server as an engine: vLLM, SGLang, `transformers serve`, a hosted model.

Requests of a batch run at once, so `batch_size` bounds how many are under way. A busy or failing server is asked again
with growing pauses, or after the time it names (`Retry-After`). What it answered is kept on disk under the request's
hash: an interrupted run pays for nothing twice.

Replies are read here and not by the client, which takes whatever comes for a completion. What is no JSON object comes
from no chat server and ends the run; an object without a usable completion makes its row unreadable, with what came.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from rfm.errors import DataError, MissingExtraError, RfmError
from rfm.files.documents.json_documents import named_kind, parse_json
from rfm.inference.answering.decoding import GREEDY, Decoding
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.engines.messages import VLLM_ONLY, Completion, Refusal, Request
from rfm.inference.journal import Journal
from rfm.model.trained_format import TrainedFormat

KEY_VARIABLE = "OPENAI_API_KEY"
TRIES = 8
"""Of one request; pauses grow from half a second to eight, or last as long as the server says, at most a minute."""
_SHOWN = 200
"""Letters of a reply that a message shows."""
_CERTAIN = 1e-3
"""Largest log-probability: 0, and what servers of low precision may be off by."""


class OpenAIEngine(ChatEngine):
    """Asks a server."""

    def __init__(
        self,
        base_url: str,
        model: str,
        datasets_root: Path,
        decoding: Decoding = GREEDY,
        *,
        cache: Journal | None = None,
        as_video: bool | None = None,
        trained: TrainedFormat | None = None,
        timeout: float = 600.0,
        tries: int = TRIES,
    ) -> None:
        super().__init__(datasets_root, decoding, as_video=as_video, trained=trained)
        self.base_url, self.model, self.cache = base_url, model, cache
        self._openai = _import_openai()
        key = os.environ.get(KEY_VARIABLE) or "none"  # a server of one's own asks for none
        self._client = self._openai.OpenAI(base_url=base_url, api_key=key, max_retries=tries - 1, timeout=timeout)

    def identity(self) -> dict[str, Any]:
        """Return server and model; what runs there under that name can't be known from here."""
        asked = {"as_video": self.as_video, "form": repr(self.trained)}
        return {"engine": "openai", "base_url": self.base_url, "model": self.model, **asked}

    @cached_property
    def is_vllm(self) -> bool:
        """Whether the server says so in its list of models; one without a list is another, and not asked for long."""
        try:
            reply = self._client.with_options(max_retries=1).models.with_raw_response.list().content
        except self._openai.APIStatusError:
            return False
        except self._openai.OpenAIError as error:
            raise self._unreachable(error) from error
        models = self._parsed(reply).get("data")
        owners = [one.get("owned_by") for one in models if isinstance(one, dict)] if isinstance(models, list) else []
        return "vllm" in owners

    def complete(self, requests: Sequence[Request], at_once: int) -> list[Completion | Refusal]:
        """Send requests from `at_once` threads."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self._complete, requests))

    def _complete(self, request: Request) -> Completion | Refusal:
        body = {"model": self.model, **request}
        key = hashlib.sha256(json.dumps([self.base_url, body], sort_keys=True).encode()).hexdigest()
        known: Completion | None = self.cache.get(key) if self.cache is not None else None
        if known is not None:
            return known
        openai = self._openai
        try:
            stock = {name: value for name, value in body.items() if name not in VLLM_ONLY}
            own = {name: value for name, value in body.items() if name in VLLM_ONLY}
            reply = self._client.chat.completions.with_raw_response.create(**stock, extra_body=own).content
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return Refusal(str(error))
        except openai.OpenAIError as error:
            raise self._unreachable(error) from error
        completion = _completion(self._parsed(reply))
        if isinstance(completion, Refusal):
            return completion
        if self.cache is not None:
            self.cache.add({key: completion})
        return completion

    def _unreachable(self, error: Exception) -> RfmError:
        return RfmError(
            f"`base_url` {self.base_url} gave no answer for model {self.model!r}: {error}; check address, model "
            f"and {KEY_VARIABLE}, then run the same command again: what was answered is kept"
        )

    def _parsed(self, reply: bytes) -> dict[str, Any]:
        """Return a reply's object; `RfmError` where it is none, as of a web page at this address."""
        try:
            values = parse_json(reply, "its reply")
            reason = f"its reply must be a JSON object, but is {named_kind(values)}"
        except DataError as error:
            values, reason = None, str(error)
        if isinstance(values, dict):
            return values
        raise RfmError(
            f"`base_url` {self.base_url} must be a server of chat completions, but {reason}; it begins with "
            f"{_beginning(reply.decode(errors='replace'))}; check the address, which ends in /v1 as a rule"
        )


def _completion(reply: dict[str, Any]) -> Completion | Refusal:
    """Return a reply as plain values, which the cache can hold; a refusal where it is no completion."""
    try:
        [choice, *_] = reply["choices"]
        text = choice["message"]["content"]
        if not isinstance(text, (str, type(None))):
            raise TypeError(f"`content` is {named_kind(text)}")
        counted = (reply.get("usage") or {}).get("prompt_tokens")
        return {"text": text or "", "logprobs": _log_probabilities(choice.get("logprobs")), "prompt_tokens": counted}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Refusal(
            f"the reply must hold `choices` with a `message`, but is {_beginning(json.dumps(reply))} ({error})"
        )


def _log_probabilities(held: Any) -> list[Any] | None:
    """Return of each token its text and the most probable ones; an error of `_completion` where `held` is otherwise."""
    if held is None or held["content"] is None:
        return None
    return [
        [_text(token), [[_text(top), _log_probability(top["logprob"])] for top in token["top_logprobs"] or ()]]
        for token in held["content"]
    ]


def _log_probability(value: Any) -> float:
    log = float(value)
    if not log <= _CERTAIN:
        raise ValueError(f"`logprob` must be at most 0, but is {log}")
    return log


def _text(token: Any) -> str:
    if not isinstance(token["token"], str):
        raise TypeError(f"`token` is {named_kind(token['token'])}")
    return token["token"]


def _beginning(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _import_openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(
            "--engine openai needs the package openai, which is not installed: pip install 'rfm-vqa[openai]'"
        ) from error
    return openai
