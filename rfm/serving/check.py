"""`rfm serve --check`: sends a clip through a running server, and says whether its answers go together."""

from __future__ import annotations

import logging
import os

import numpy as np
from jaxtyping import UInt8

from rfm.errors import ServerError
from rfm.scoring.forms import KEY_VARIABLE
from rfm.scoring.remote.client import RewardClient
from rfm.serving.keys import Keys
from rfm.serving.options import ServeOptions, url_of

logger = logging.getLogger(__name__)

_TASK = "push the red block to the right"
_CLOSE = 1e-4


def check(options: ServeOptions) -> int:
    """Ask the server at the options' host and port; ServerError where what it says can't be."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    given = Keys.of_file(options.api_key_file).first()
    key = (given, "api_key_file") if given else (os.environ.get(KEY_VARIABLE), KEY_VARIABLE)
    with RewardClient(url_of(host, options.port), key[0], key_name=key[1], retries=1) as client:
        clip = example()
        progress = client.progress(clip, _TASK)
        curve = client.curve(clip, _TASK)
        pair = client.prefer(clip, clip[:4], _TASK)
        name, fingerprint = client.name, client.description.fingerprint
    if abs(curve.expected[-1] - progress.expected) > _CLOSE or len(curve) != len(clip):
        raise ServerError(
            f"a curve must end in the progress of its clip, {progress.expected:.4f}, but has {len(curve)} points and "
            f"ends in {curve.expected[-1]:.4f}"
        )
    logger.info("%s (%s) answers", name, fingerprint)
    logger.info("progress %.3f, from %.3f at the first frame", progress.expected, curve.expected[0])
    logger.info("preference for the whole clip over its first half %.3f", pair.a)
    return 0


def example() -> UInt8[np.ndarray, "8 64 64 3"]:
    """A red block that moves to the right over a grey table."""
    frames = np.full((8, 64, 64, 3), 150, np.uint8)
    for at, frame in enumerate(frames):
        frame[30:42, 4 + 6 * at : 16 + 6 * at] = (200, 40, 40)
    return frames
