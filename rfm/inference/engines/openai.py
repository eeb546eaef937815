"""Any OpenAI-compatible server as an engine: vLLM, SGLang, `transformers serve`, a hosted model.

Requests of a batch run at once, so `batch_size` bounds how many are under way. A busy or failing server is asked again
with growing pauses, or after the time it names (`Retry-After`). What it answered is kept on disk under the request's
hash: an interrupted run pays for nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rfm.errors import MissingExtraError, RfmError
from rfm.inference.answering.decoding import GREEDY, Decoding
from rfm.inference.engines.chat import ChatEngine, Completion, Refusal, Request
from rfm.inference.journal import Journal

KEY_VARIABLE = "OPENAI_API_KEY"
TRIES = 8
"""Of one request; pauses grow from half a second to eight, or last as long as the server says, at most a minute."""


class OpenAIEngine(ChatEngine):
    """Asks a server; `cache` keeps its replies for good, None keeps none."""

    def __init__(
        self,
        base_url: str,
        model: str,
        datasets_root: Path,
        decoding: Decoding = GREEDY,
        *,
        cache: Journal | None = None,
        as_video: bool = False,
        timeout: float = 600.0,
        tries: int = TRIES,
    ) -> None:
        super().__init__(datasets_root, decoding, as_video=as_video)
        self.base_url, self.model, self.cache = base_url, model, cache
        self._openai = _import_openai()
        key = os.environ.get(KEY_VARIABLE) or "none"  # a server of one's own asks for none
        self._client = self._openai.OpenAI(base_url=base_url, api_key=key, max_retries=tries - 1, timeout=timeout)

    def identity(self) -> dict[str, Any]:
        """Return server and model; what runs there under that name can't be known from here."""
        return {"engine": "openai", "base_url": self.base_url, "model": self.model, "as_video": self.as_video}

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
            reply = self._client.chat.completions.create(**body)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return Refusal(str(error))
        except openai.OpenAIError as error:
            raise RfmError(
                f"`base_url` {self.base_url} gave no answer for model {self.model!r}: {error}; check address, model "
                f"and {KEY_VARIABLE}, then run the same command again: what was answered is kept"
            ) from error
        completion = _completion(reply)
        if self.cache is not None:
            self.cache.add({key: completion})
        return completion


def _completion(reply: Any) -> Completion:
    """Return a reply as plain values, which the cache can hold."""
    choice = reply.choices[0]
    logprobs = None
    if choice.logprobs is not None and choice.logprobs.content is not None:
        logprobs = [
            [token.token, [[top.token, top.logprob] for top in token.top_logprobs]] for token in choice.logprobs.content
        ]
    return {"text": choice.message.content or "", "logprobs": logprobs}


def _import_openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(
            "--engine openai needs the package openai, which is not installed: pip install 'rfm-vqa[openai]'"
        ) from error
    return openai
