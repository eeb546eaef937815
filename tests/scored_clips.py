"""Clips for the reward model, and models that answer them with numbers that differ from clip to clip."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from rfm.batch.input_format import InputFormat
from rfm.inference.predictor import Predictor
from rfm.model.load import load_model
from rfm.scoring.reward_model import RewardModel


def film(count: int, seed: int = 0, size: int = 48) -> np.ndarray:
    """Noise whose brightness changes, so that no two frames are alike."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 128, (count, size, size, 3))
    return (noise + np.linspace(0, 127, count).astype(np.int64)[:, None, None, None]).astype(np.uint8)


@cache
def _wide_tiny() -> Any:
    loaded = load_model("tiny", seed=5)
    with torch.no_grad():  # wide weights make random answers differ from row to row
        for parameter in loaded.model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    return loaded


def random_model(max_frames: int = 8, **form: Any) -> RewardModel:
    """A model of random weights that was trained on clips of so many frames, as far as it says."""
    from pathlib import Path

    made = InputFormat(**{"resized_height": 32, "resized_width": 32, "max_frames": max_frames, **form})
    predictor = Predictor(_wide_tiny(), Path(), made)
    predictor.trained = made
    return RewardModel(predictor)
