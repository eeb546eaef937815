"""What LeRobot's reward-aligned behaviour cloning makes of a parquet of progress, after its `RABCWeights`.

Facts, from lerobot/rewards/sarm/rabc.py and lerobot/utils/sample_weighting.py: rows are found by `index`; the column is
`progress_sparse`, or `progress_dense` in its other mode; rows without progress weigh 1. The gain of a row is the
progress `chunk_size` rows later, or at the last row of its `episode_index`, less its own. A gain above kappa weighs 1,
below 0 it weighs 0, and between them (gain - (m - 2 s)) / (4 s + epsilon), m being the mean (at least 0) and s the
deviation of all gains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

KAPPA, EPSILON = 0.01, 1e-6


def read_gains(file: Path, chunk_size: int, column: str = "progress_sparse") -> dict[int, float]:
    """The gain of each row by its `index`; NaN where it has none."""
    table = pq.read_table(file)
    if column not in table.column_names:
        raise ValueError(f"Column '{column}' not found")
    index, episode = table["index"].to_numpy(), table["episode_index"].to_numpy()
    progress = dict(zip(index.tolist(), table[column].to_numpy(zero_copy_only=False).tolist(), strict=True))
    assert len(progress) == len(index)
    last = {number: index[episode == number].max() for number in np.unique(episode).tolist()}
    later = [min(at + chunk_size, last[of]) for at, of in zip(index.tolist(), episode.tolist(), strict=True)]
    return {at: progress.get(then, np.nan) - progress[at] for at, then in zip(index.tolist(), later, strict=True)}


def read_weights(file: Path, chunk_size: int) -> dict[int, float]:
    """The weight of each row by its `index`."""
    gains = read_gains(file, chunk_size)
    known = np.array([gain for gain in gains.values() if not np.isnan(gain)])
    mean, deviation = max(known.mean(), 0.0), max(known.std(), EPSILON)

    def weight(gain: float) -> float:
        if np.isnan(gain):
            return 1.0
        soft = np.clip((gain - (mean - 2 * deviation)) / (4 * deviation + EPSILON), 0, 1)
        return 1.0 if gain > KAPPA else 0.0 if gain < 0 else float(soft)

    return {at: weight(gain) for at, gain in gains.items()}
