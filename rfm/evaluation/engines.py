"""What answers the questions of an evaluation: a checkpoint, a server, vLLM or a baseline, as it is or prompted."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rfm.batch.input_format import InputFormat
from rfm.evaluation.exam import Exam
from rfm.evaluation.options import EvaluateOptions
from rfm.evaluation.rivals.baselines import BASELINES, Baseline
from rfm.evaluation.rivals.prompting import Prompted
from rfm.evaluation.rivals.roboreward import read_question
from rfm.inference.engines.chat import ChatEngine
from rfm.inference.engines.engine import Engine
from rfm.inference.engines.openai import OpenAIEngine
from rfm.inference.engines.vllm import VLLMEngine
from rfm.inference.journal import Journal
from rfm.inference.known.guard import Guard
from rfm.inference.predictor import Predictor
from rfm.inference.ranks import own_gpu
from rfm.model.trained_format import TrainedFormat, named_format, trained_format

logger = logging.getLogger(__name__)


def open_engine(options: EvaluateOptions, exam: Exam) -> Engine:
    """Return what answers the rows: the model, as it is or asked in another way, or the baseline that is named."""
    engine = _open_model(options, exam)
    if isinstance(engine, ChatEngine) and options.server_check:
        engine.guard = _guard(options, engine)
    if options.prompting is None:
        return engine
    question = read_question(options.prompt_file)
    return Prompted(engine, options.prompting, discrete=exam.discrete, question=question)


def _open_model(options: EvaluateOptions, exam: Exam) -> Engine:
    if options.model_path in BASELINES:
        return Baseline(options.model_path, exam.root, discrete=exam.discrete)
    decoding = options.how(discrete=exam.discrete)
    as_video = None if options.frames_as is None else options.frames_as == "video"
    if options.engine == "openai":
        cache = None if options.request_cache is None else Journal(Path(options.request_cache), os.getpid())
        trained = _format_of_served(options)
        return OpenAIEngine(
            str(options.base_url), options.model_path, exam.root, decoding,
            cache=cache, as_video=as_video, trained=trained,
        )  # fmt: skip
    if options.engine == "vllm":
        trust = options.trust_remote_code
        return VLLMEngine(
            options.model_path, exam.root, decoding, as_video=as_video, trust_remote_code=trust,
            dtype=options.dtype or "auto", enforce_eager=options.enforce_eager,
        )  # fmt: skip
    return Predictor.from_checkpoint(
        options.model_path,
        own_gpu(options.device),
        datasets_root=exam.root,
        trust_remote_code=options.trust_remote_code,
        base_model=options.base_model,
        decoding=decoding,
    )


def _guard(options: EvaluateOptions, engine: ChatEngine) -> Callable[[], None] | None:
    """Return what compares the server with the checkpoint that it should have; None where that lies in no folder."""
    folder = Path(options.input_format or options.model_path)
    trained = _known_format(options)
    if trained is None or not folder.is_dir():
        return None
    return partial(Guard(folder, trained, as_video=engine.as_video).check, engine)


def _format_of_served(options: EvaluateOptions) -> TrainedFormat | None:
    found = _known_format(options)
    if found is None:
        logger.warning(
            "frames are sent as they are stored: how the server's %s was trained is not known; if training here made "
            "it, name its folder by --input_format", options.model_path,
        )  # fmt: skip
    return found


def _known_format(options: EvaluateOptions) -> TrainedFormat | None:
    """Return how the model was trained; of a server's, as far as a folder here says it."""
    if options.input_format is not None:
        return named_format(options.input_format)
    if options.engine == "openai" and not Path(options.model_path).is_dir():
        return None
    return trained_format(options.model_path, options.trust_remote_code)


def asked_as_trained(options: EvaluateOptions) -> InputFormat | None:
    """Return how the model's training put its questions, for who has to put some; None where that is not known."""
    found = None if options.model_path in BASELINES else _known_format(options)
    return None if found is None else found.form
