"""vLLM in this process as an engine: many rows at once on a GPU, for those who have it.

It is asked in the same chat messages as a server: a checkpoint of ours with frames in the size that it was trained on,
which vLLM's own processor leaves alone, since the checkpoint's preprocessing files say so. vLLM brings its own torch
and belongs into its own environment; no extra here installs it. This module was written against the documented
`LLM.chat` of vLLM 0.11 and has not been run: no GPU was at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rfm.batch.tokens.conversation import FRAMES_PER_SECOND
from rfm.errors import MissingExtraError
from rfm.files import seal
from rfm.inference.answering.decoding import GREEDY, Decoding
from rfm.inference.engines.chat import ChatEngine, Completion, Refusal, Request
from rfm.model.stock.hub_names import pinned
from rfm.model.trained_format import trained_format
from rfm.model.weights.fingerprint import decides_answers, model_fingerprint

_WHOLE_VIDEOS = {"num_frames": -1, "fps": FRAMES_PER_SECOND}
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
    ) -> None:
        trained = trained_format(model_path, trust_remote_code)
        stock_video = True if trained is None and as_video is None else as_video
        super().__init__(datasets_root, decoding, as_video=stock_video, trained=trained)
        self.model_path = model_path
        self._vllm = _import_vllm()
        seal.check(Path(model_path), decides_answers)  # vLLM takes whatever weights are there
        plain, revision = pinned(model_path)
        media = {"video": _WHOLE_VIDEOS}
        self._llm = self._vllm.LLM(model=plain, **revision, trust_remote_code=trust_remote_code, media_io_kwargs=media)

    def identity(self) -> dict[str, Any]:
        """Return the checkpoint's fingerprint."""
        asked = {"as_video": self.as_video, "form": repr(self.trained)}
        return {"engine": "vllm", "model": model_fingerprint(self.model_path), **asked}

    def complete(self, requests: Sequence[Request], at_once: int) -> list[Completion | Refusal]:
        """Hand all requests over in one call, which vLLM batches by itself."""
        settings = [
            self._vllm.SamplingParams(
                temperature=request["temperature"],
                max_tokens=request["max_tokens"],
                seed=request.get("seed"),
                logprobs=request.get("top_logprobs"),
            )
            for request in requests
        ]
        outputs = self._llm.chat([request["messages"] for request in requests], settings, use_tqdm=False)
        return [_completion(output.outputs[0]) for output in outputs]


def _completion(output: Any) -> Completion:
    """Return vLLM's completion: of each position it maps token ids to objects with text and log-probability."""
    if output.logprobs is None:
        return {"text": output.text, "logprobs": None}
    logprobs = []
    for token, position in zip(output.token_ids, output.logprobs, strict=True):
        top = [[one.decoded_token or "", one.logprob] for one in position.values()]
        logprobs.append([position[token].decoded_token or "", top])
    return {"text": output.text, "logprobs": logprobs}


def _import_vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError(
            "--engine vllm needs vLLM, which is not installed: pip install vllm in an environment of its own, beside "
            "rfm-vqa; or serve the checkpoint elsewhere and take --engine openai --base_url http://HOST:8000/v1"
        ) from error
    return vllm
