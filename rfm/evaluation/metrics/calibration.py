"""Calibration of answer probabilities: are answers given 80% right in 80% of the rows? No torch.

Two kinds of events are binned by their predicted probability: "the answer is 1" for pairs, and "the score is at least
t" for each of the thresholds of a progress distribution (10, 20, …, 100; levels 2 to 5). The expected calibration error
is the mean over events of the distance between predicted and observed frequency of their bin (Guo et al. 2017,
arXiv 1706.04599, on the event instead of on the top answer). The temperature T divides log-probabilities; it is fitted
on a validation set as the one of least negative log-likelihood, which is convex in 1 / T.

Rows without probabilities (a text that was generated) can't take part and are counted by whoever selects the rows.

Shape legend: n rows, k answers, e events.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from rfm.evaluation.metrics.accuracy import Numbers, mean
from rfm.evaluation.metrics.bootstrap import group_codes, interval, interval_of, ratio

BINS = 10
COLDEST, HOTTEST = 0.05, 20.0
"""Bounds of fitted temperatures."""
_LEAST = 1e-12
"""What a probability of 0 counts as in a likelihood."""


def calibration_metrics(
    probability: Float64[np.ndarray, "n k"],
    right: Int64[np.ndarray, " n"],
    group: np.ndarray,
    events: Float64[np.ndarray, " t"],
    answers: Float64[np.ndarray, " k"],
) -> Numbers:
    """Return ECE, Brier score and reliability of "answer >= t" for each t of `events`, and the log-likelihood.

    `right` is the index of the right answer among `answers`.
    """
    predicted = np.stack([probability[:, answers >= event].sum(axis=1) for event in events], axis=1)
    observed = (answers[right][:, None] >= events).astype(np.float64)
    each_group = np.repeat(group, len(events))
    numbers = event_calibration(predicted.reshape(-1), observed.reshape(-1), each_group)
    loss = negative_log_likelihood(probability, right)
    return {"rows": len(right), "nll": mean(loss), "nll_interval": interval(loss, group), **numbers}


def event_calibration(
    predicted: Float64[np.ndarray, " e"], observed: Float64[np.ndarray, " e"], group: np.ndarray
) -> Numbers:
    """Return ECE and Brier score of events (0 or 1) with 95% intervals, and the reliability data by bin."""
    codes, groups = group_codes(group)
    at = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    cell = codes * BINS + at
    sums = [
        np.bincount(cell, values, groups * BINS).reshape(groups, BINS)
        for values in (np.ones(len(predicted)), predicted, observed)
    ]

    def ece(weights: Float64[np.ndarray, "r g"]) -> Float64[np.ndarray, " r"]:
        count, expected, happened = (weights @ part for part in sums)
        return ratio(np.abs(expected - happened).sum(axis=1), count.sum(axis=1))

    squares = (predicted - observed) ** 2
    return {
        "events": len(predicted),
        "ece": float(ece(np.ones((1, groups)))[0]) if groups else None,
        "ece_interval": interval_of(ece, groups),
        "brier": mean(squares),
        "brier_interval": interval(squares, group),
        "reliability": _reliability(*(part.sum(axis=0) for part in sums)),
    }


def negative_log_likelihood(
    probability: Float64[np.ndarray, "n k"], right: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return -log of what the right answer was given, in nats."""
    return -np.log(np.maximum(probability[np.arange(len(right)), right], _LEAST))


def fit_temperature(probability: Float64[np.ndarray, "n k"], right: Int64[np.ndarray, " n"]) -> float:
    """Return the temperature of least negative log-likelihood, within [COLDEST, HOTTEST]; 1 for no rows."""
    if not len(right):
        return 1.0

    logs = _logs(probability)
    of_right = logs[np.arange(len(right)), right]

    def loss(log_sharpness: float) -> float:
        sharpness = np.exp(log_sharpness)
        return float((logsumexp(sharpness * logs, axis=1) - sharpness * of_right).mean())

    found = minimize_scalar(loss, bounds=(-np.log(HOTTEST), -np.log(COLDEST)), method="bounded")
    return float(np.exp(-found.x))


def at_temperature(probability: Float64[np.ndarray, "n k"], temperature: float) -> Float64[np.ndarray, "n k"]:
    """Return p^(1/T), divided by its sum."""
    return softmax(_logs(probability) / temperature, axis=1)


def _logs(probability: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "n k"]:
    return np.log(np.maximum(probability, np.finfo(np.float64).tiny))


def _reliability(
    count: Float64[np.ndarray, " b"], expected: Float64[np.ndarray, " b"], happened: Float64[np.ndarray, " b"]
) -> list[Numbers]:
    """Return for each bin that has events its bounds, count, mean prediction and observed frequency."""
    return [
        {
            "from": at / BINS,
            "to": (at + 1) / BINS,
            "count": int(count[at]),
            "predicted": float(expected[at] / count[at]),
            "observed": float(happened[at] / count[at]),
        }
        for at in np.flatnonzero(count)
    ]
