"""How well answers are told without looking: gradient boosting on all that two clips' frame numbers show but progress.

    python benchmarks/blind.py [--rows 60000] [--catalogs bundled synthetic] [--seed 0]
                               [--config_overrides data.mixture=original]

Stronger than the audit's floor (which looks at 40,000 rows): the features are the audit's (directions, counts, turns,
sizes, source, equal frames across the clips) and the matrix of equal frames within and across the clips at MOST shown
places, the instruction, its source, and both together; twice the trees. Trajectories are held out, a half each way.
Bars: preference at most 0.55, progress at least 0.9 of the error of the best constant answer. Some minutes on one core.
`data.mixture=original` is the control: its directions tell.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset
from generation import make_trajectories
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from rfm.audit.reading.questions import Clip, Questions, read_questions
from rfm.audit.viewer import viewer_features
from rfm.configs.compose import load_config
from rfm.generation.columns import record_batch
from rfm.ingest.bundled import bundled_root
from rfm.sampling.sampler import Sampler
from rfm.trajectories.catalog import Catalog, load_catalog

MOST = 8
"""Places of each clip in the matrices of equal frames, evenly chosen: all pairs of 16 would be mostly the same."""
SYNTHETIC = 45_000
PREFIXES = {"preference": ("first_", "second_"), "progress": ("",)}
MOST_TEXTS = 200
"""Instructions and instructions by source that have a code of their own; trees take 255 categories."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--catalogs", nargs="*", default=["bundled", "synthetic"], choices=["bundled", "synthetic"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config_overrides", nargs="*", default=[])
    options = parser.parse_args()
    for name in options.catalogs:
        with tempfile.TemporaryDirectory() as scratch:
            catalog = _catalog(name, Path(scratch))
            print(f"{name}: {len(catalog)} trajectories")
            for kind in PREFIXES:
                _judge(catalog, kind, options)


def _catalog(name: str, scratch: Path) -> Catalog:
    if name == "bundled":
        return load_catalog(bundled_root(), ["metaworld_train"])
    return load_catalog(scratch, make_trajectories(scratch, SYNTHETIC))


def _judge(catalog: Catalog, kind: str, options: argparse.Namespace) -> None:
    """Print how well the answers of a sample type are told, in all and by strategy."""
    ratio = [float(kind == one) for one in ("preference", "progress", "similarity")]
    data = load_config("config", (f"data.sample_type_ratio={ratio}", *options.config_overrides)).data
    sampler = Sampler(catalog, data, total=options.rows, seed=options.seed)
    questions = read_questions(Dataset(_table(sampler, options.rows)))
    features = _features(questions, kind)
    paths = np.stack([questions.clips[prefix].path for prefix in PREFIXES[kind]], axis=1)
    scores, judged = _held_out(features, questions.answer, paths, kind, options.seed)
    constant = np.abs(questions.answer - np.median(questions.answer[judged]))
    for name, of in {"all": judged, **questions.strategies(kind)}.items():
        at = judged & of
        told = scores[at].mean() / (constant[at].mean() if kind == "progress" else 1)
        print(f"  {kind:10} {name:28} {int(at.sum()):6} rows {told:.3f}")


def _table(sampler: Sampler, rows: int) -> pa.Table:
    blocks = (sampler.draw(low, min(low + 10_000, rows)) for low in range(0, rows, 10_000))
    return pa.Table.from_batches([record_batch(sampler, block, discrete=False) for block in blocks])


def _features(questions: Questions, kind: str) -> np.ndarray:
    rows, prefixes = np.arange(len(questions)), PREFIXES[kind]
    _, source = np.unique([_folder(path) for path in questions.paths], return_inverse=True)
    sources = {prefix: source[questions.clips[prefix].path] for prefix in prefixes}
    shown = [_shown(questions.clips[prefix]) for prefix in prefixes]
    text = questions.task.code
    told = [_most_frequent(text), _most_frequent(text * (source.max() + 1) + sources[prefixes[0]])]
    seen = viewer_features(questions, rows, prefixes, sources)
    within = [_equal(frames, frames, upper=True) for frames in shown]
    across = []
    if len(prefixes) == 2:
        one_file = questions.clips["first_"].path == questions.clips["second_"].path
        across = [_equal(*shown, upper=False) * one_file[:, None]]
    return np.concatenate([np.stack(told, axis=1), seen, *within, *across], axis=1).astype(np.float32)


def _folder(path: str) -> str:
    return path.split("/")[0]


def _shown(clip: Clip) -> np.ndarray:
    """Return the frames at MOST places of each clip, first and last included."""
    count = clip.frames.lengths
    place = np.floor(np.linspace(0, 1, MOST) * (count - 1)[:, None] + 0.5).astype(np.int64)
    return np.asarray(clip.frames.values[clip.frames.offsets[:-1, None] + place])


def _equal(one: np.ndarray, other: np.ndarray, *, upper: bool) -> np.ndarray:
    a, b = np.triu_indices(MOST, 1) if upper else (at.ravel() for at in np.indices((MOST, MOST)))
    return one[:, a] == other[:, b]


def _most_frequent(code: np.ndarray) -> np.ndarray:
    """Return codes by frequency; the rare ones share the last."""
    _, at, count = np.unique(code, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-count, kind="stable"))
    return np.minimum(rank[at], MOST_TEXTS)


def _held_out(
    features: np.ndarray, answer: np.ndarray, paths: np.ndarray, kind: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's hit or error by the model that had not seen its trajectories, and whether there was one."""
    side = np.random.default_rng(seed).permutation(int(paths.max()) + 1)[paths] % 2
    inside = (side == side[:, :1]).all(axis=1)
    scores = np.zeros(len(answer))
    settings = {"max_iter": 120, "random_state": 0, "categorical_features": [0, 1], "early_stopping": False}
    for held_out in (0, 1):
        learnt, judged = (np.flatnonzero(inside & (side[:, 0] == one)) for one in (1 - held_out, held_out))
        if kind == "progress":
            model = HistGradientBoostingRegressor(loss="absolute_error", **settings)
            told = model.fit(features[learnt], answer[learnt]).predict(features[judged])
            scores[judged] = np.abs(told - answer[judged])
        else:
            model = HistGradientBoostingClassifier(**settings)
            told = model.fit(features[learnt], answer[learnt]).predict(features[judged])
            scores[judged] = told == answer[judged]
    return scores, inside


if __name__ == "__main__":
    main()
