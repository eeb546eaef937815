"""Accuracy and errors while training: exact answer probabilities from the very forward pass that gives the loss.

In: padded batches with answers, as training has them. The pass that gives the loss keeps its cache; the tree of all
scores (`rfm.inference.answering.scored`) then continues it behind the prefix `ANS: `, blind to the answer that stands
there. So a row costs one forward pass and, in batches with progress rows, 101 tokens more, where generating takes a
pass a token. The numbers are those of `rfm evaluate --decoding scored`: the more probable video, the median score.

Rows are taken by sample type, so that few batches mix them; the stock loop spreads them over the processes, gathers
what they predicted and drops what it repeated to make their shares equal. The loss is gathered row by row as well, so
that it is the mean over all answer tokens whatever batches and processes they came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64

from rfm.batch.tokens.conversation import ConversationEncoder
from rfm.batch.tokens.sequences import IGNORE_INDEX
from rfm.errors import ConfigError, DataError
from rfm.inference.answering.answer_tree import AnswerTree, answer_tree
from rfm.inference.answering.distribution import Distribution
from rfm.inference.answering.scored import branch_log_probabilities
from rfm.model.stock.kv_cache import cache_in
from rfm.training.dataset import TrainingSet
from rfm.training.loss import row_losses
from rfm.training.monitoring.batch_facts import BatchFacts, with_row_numbers
from rfm.vqa.answers import valid_answer
from rfm.vqa.schema import CLIP_PREFIXES

KINDS = tuple(CLIP_PREFIXES)
PROGRESS = KINDS.index("progress")
METRICS: Mapping[str, str] = {
    "preference_accuracy": "preference",
    "progress_mae": "progress",
    "progress_rmse": "progress",
    "similarity_accuracy": "similarity",
}
"""Names of the metrics, in the tracker with `eval_` before them, and the sample type that each is of."""


class HeldOut:
    """The rows of an evaluation by sample type, and what is right in each."""

    def __init__(self, data: TrainingSet, encoder: ConversationEncoder) -> None:
        kinds = np.array([KINDS.index(kind) for kind in data.rows["sample_type"]])
        order = np.argsort(kinds, kind="stable")
        self.rows = with_row_numbers(data.rows.select(order))
        self.kinds: Int64[np.ndarray, " n"] = kinds[order]
        self.discrete = data.discrete
        self.truth = _truth(data.rows, kinds, data.discrete)[order]
        self.trees = {KINDS[kind]: answer_tree(encoder, KINDS[kind], discrete=data.discrete) for kind in set(kinds)}

    @property
    def metrics(self) -> list[str]:
        """The metrics that these rows have."""
        return [name for name, kind in METRICS.items() if kind in self.trees]

    def predict(
        self, model: Any, outputs: Any, inputs: Mapping[str, Any], facts: BatchFacts, *, alike: bool = False
    ) -> Float64[torch.Tensor, "b 5"]:
        """Return sample type, prediction, truth, summed loss and answer tokens of each row of a batch.

        `outputs` are those of one pass over prompts and answers, with their cache.

        `alike` lets every process run the tree in every batch, as processes that share their weights must.
        """
        kinds = self.kinds[list(facts.rows)]
        predicted = np.full(len(kinds), np.nan)
        for kind in sorted(set(kinds) | ({PROGRESS} & set(self.kinds) if alike else set())):
            own = kinds == kind
            scores = _scores(model, outputs, inputs, self.trees[KINDS[kind]])
            if own.any():
                predicted[own] = self._answer(kind, _rows(scores, own))
        table = np.column_stack([kinds, predicted, self.truth[list(facts.rows)]])
        on_device = torch.from_numpy(table).to(outputs.logits.device)
        return torch.cat([on_device, row_losses(outputs.logits, inputs["labels"])], dim=1)

    def _answer(self, kind: int, scores: Distribution) -> Float64[np.ndarray, " n"]:
        if kind != PROGRESS:
            return scores.mode()
        return (scores.median() - 1) * 25.0 if self.discrete else scores.median()


def judge(prediction: Any) -> dict[str, float]:
    """Return the metrics of gathered predictions: what the Trainer calls `compute_metrics`."""
    kind, predicted, truth, losses, tokens = prediction.predictions.astype(np.float64).T
    metrics = {"loss": float(losses.sum() / tokens.sum())}
    for number, name in enumerate(KINDS):
        own = kind == number
        if not own.any():
            continue
        error = predicted[own] - truth[own]
        if number == PROGRESS:
            metrics["progress_mae"] = float(np.abs(error).mean())
            metrics["progress_rmse"] = float(np.sqrt((error**2).mean()))
        else:
            metrics[f"{name}_accuracy"] = float((error == 0).mean())
    return metrics


def check_metric(name: str | None, held_out: HeldOut) -> None:
    """Raise `ConfigError` where the metric that chooses the best checkpoint needs rows that are not there."""
    if name is not None and name in METRICS and name not in held_out.metrics:
        raise ConfigError(
            f"`metric_for_best_model` must be one of {', '.join(['loss', *held_out.metrics])} with these rows, but is "
            f"{name}: `eval_dataset_path` has no {METRICS[name]} rows"
        )


def _scores(model: Any, outputs: Any, inputs: Mapping[str, Any], tree: AnswerTree) -> Distribution:
    """Continue the pass over prompts and answers behind the prefix, as if no answer followed it."""
    labels, keep = inputs["labels"], outputs.logits.shape[1]
    width = inputs["input_ids"].shape[1]
    behind = (labels != IGNORE_INDEX).sum(dim=1) - len(tree.prefix)  # tokens of the answer without its prefix
    rows = torch.arange(len(labels), device=labels.device)
    places = torch.arange(width, device=labels.device)
    seen = inputs["attention_mask"] * (places < width - behind[:, None])
    logs = branch_log_probabilities(
        model,
        outputs.logits[rows, keep - 1 - behind].unsqueeze(1),
        cache_in(outputs),
        seen,
        inputs["position_ids"][:, rows, width - 1 - behind].unsqueeze(2),
        tree,
    )
    return Distribution.from_logs(np.array(tree.answers, np.float64), logs.double().cpu().numpy())


def _rows(scores: Distribution, own: np.ndarray) -> Distribution:
    return Distribution(scores.answers, scores.probabilities[own], scores.leftover[own])


def _answer(kind: int, answer: Any, row: int, discrete: bool) -> int:
    try:
        return valid_answer(KINDS[kind], answer, discrete=discrete)
    except DataError as error:
        raise DataError(f"{error} (row {row} of `eval_dataset_path`); `rfm audit` finds all such rows") from error


def _truth(rows: Any, kinds: Int64[np.ndarray, " n"], discrete: bool) -> Float64[np.ndarray, " n"]:
    """Return 1 or 2, or for progress 100 p: as recorded, else as the answer says."""
    answers = zip(kinds.tolist(), rows["answer"], strict=True)
    truth = np.array([_answer(*asked, row, discrete) for row, asked in enumerate(answers)], np.float64)
    progress = kinds == PROGRESS
    if discrete:
        truth[progress] = (truth[progress] - 1) * 25.0
    if "end_progress" in rows.column_names:
        recorded = np.array([np.nan if p is None else p for p in rows["end_progress"]], np.float64)
        known = progress & ~np.isnan(recorded)
        truth[known] = 100.0 * recorded[known]
    return truth
