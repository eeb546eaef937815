"""vLLM in this process as an engine: many rows at once, for those who have the GPU for it.

It is asked in the same chat messages as a server: a checkpoint of ours with frames in the size that it was trained on,
which vLLM's own processor leaves alone, since the checkpoint's preprocessing files say so. vLLM brings its own torch
and belongs into its own environment; no extra here installs it (docs/engines.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rfm.batch.tokens.conversation import FRAMES_PER_SECOND
from rfm.errors import MissingExtraError
from rfm.files import seal
from rfm.inference.answering.decoding import GREEDY, Decoding
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.engines.messages import CONTINUED, NEUTRAL, Completion, Refusal, Request
from rfm.model.stock.hub_names import pinned
from rfm.model.trained_format import trained_format
from rfm.model.weights.fingerprint import decides_answers, model_fingerprint

WHOLE_VIDEOS = {"num_frames": -1, "fps": FRAMES_PER_SECOND}
"""Unless it is told so, vLLM keeps 32 frames of a video and takes it for one of one frame a second."""


class VLLMEngine(ChatEngine):
    """Loads a full or merged checkpoint into vLLM."""

    def __init__(
        self,
        model_path: str,
        datasets_root: Path,
        decoding: Decoding = GREEDY,
        *,
        as_video: bool | None = None,
        trust_remote_code: bool = False,
        dtype: str = "auto",
        enforce_eager: bool = False,
    ) -> None:
        trained = trained_format(model_path, trust_remote_code)
        stock_video = True if trained is None and as_video is None else as_video
        super().__init__(datasets_root, decoding, as_video=stock_video, trained=trained)
        self.model_path = model_path
        self._vllm = _import_vllm()
        seal.check(Path(model_path), decides_answers)  # vLLM takes whatever weights are there
        plain, revision = pinned(model_path)
        self._llm = self._vllm.LLM(
            model=plain, **revision, trust_remote_code=trust_remote_code, dtype=dtype, enforce_eager=enforce_eager,
            media_io_kwargs={"video": WHOLE_VIDEOS},
        )  # fmt: skip

    @property
    def is_vllm(self) -> bool:
        """It is."""
        return True

    def identity(self) -> dict[str, Any]:
        """Return the checkpoint's fingerprint."""
        asked = {"as_video": self.as_video, "form": repr(self.trained)}
        return {"engine": "vllm", "model": model_fingerprint(self.model_path), **asked}

    def complete(self, requests: Sequence[Request], at_once: int) -> list[Completion | Refusal]:
        """Hand all requests over in one call, which vLLM batches by itself; if it refuses, one by one."""
        try:
            return self._chat(requests)
        except ValueError as error:  # a prompt that is too long ends the whole call
            if len(requests) == 1:
                return [Refusal(str(error))]
        return [self.complete([request], 1)[0] for request in requests]

    def _chat(self, requests: Sequence[Request]) -> list[Completion | Refusal]:
        """Answer requests that all begin an answer, or all go on with one."""
        continued = {name: value for name, value in requests[0].items() if name in CONTINUED}
        conversations = [request["messages"] for request in requests]
        settings = [self._settings(request) for request in requests]
        outputs = self._llm.chat(conversations, settings, use_tqdm=False, **continued)
        return [_completion(output) for output in outputs]

    def _settings(self, request: Request) -> Any:
        own = ("temperature", "max_tokens", "seed", "top_p", "logprob_token_ids", *NEUTRAL)
        given = {name: request[name] for name in own if name in request}
        most = None if "logprob_token_ids" in given else request.get("top_logprobs")
        return self._vllm.SamplingParams(logprobs=most, **given)


def _completion(answered: Any) -> Completion:
    """Return vLLM's completion: of each position it maps token ids to objects with text and log-probability."""
    output, counted = answered.outputs[0], len(answered.prompt_token_ids)
    if output.logprobs is None:
        return {"text": output.text, "logprobs": None, "prompt_tokens": counted}
    logprobs = []
    for token, position in zip(output.token_ids, output.logprobs, strict=True):
        top = [[one.decoded_token or "", one.logprob] for one in position.values()]
        logprobs.append([position[token].decoded_token or "", top])
    return {"text": output.text, "logprobs": logprobs, "prompt_tokens": counted}


def _import_vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError(
            "--engine vllm needs vLLM, which is not installed: pip install vllm in an environment of its own, beside "
            "rfm-vqa; or serve the checkpoint elsewhere and take --engine openai --base_url http://HOST:8000/v1"
        ) from error
    return vllm
