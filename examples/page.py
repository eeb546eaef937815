"""docs/policies.md, from docs/results/policies/*.json alone: the same files give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from examples.kept import Numbers
from rfm.evaluation.metrics.bootstrap import interval
from rfm.files.documents.json_documents import read_json_object
from rfm.files.figure import plt, save
from rfm.files.staging import staged_file
from rfm.scoring.success import DEFAULT as SUCCESS

FOLDER, REWARDS_FILE, CLONING_FILE, CHART, PAGE = (
    "results/policies",
    "rewards.json",
    "cloning.json",
    "rewards.png",
    "policies.md",
)
_PAID_BY = {
    "model": "the reward model",
    "dense": "the simulator, densely",
    "sparse": "the simulator, for success",
    "none": "nothing",
}
_WEIGHED_BY = {"model": "the reward model", "labels": "true labels", "none": "nothing, all alike"}
_HEAD = """# Policies from rewards

<!-- written by examples/ from docs/results/policies/*.json; change those, or examples/page.py, and not this page -->

Two experiments with the model as a reward, in simulation (MetaWorld). Success is the simulator's verdict on the last
state of an episode. 95% intervals stand in brackets. Both commands need `pip install -e '.[examples]'`, go on after
a stop, and write this page.
"""


def write_page(docs: Path) -> Path:
    """Write the page and its chart; an experiment that was not run yet says so."""
    parts = [_HEAD]
    for title, command, file, told in (
        ("Learning by the model alone", "policy_from_reward", REWARDS_FILE, _on_rewards),
        ("Imitating attempts by what they are worth", "weighted_cloning", CLONING_FILE, _on_cloning),
    ):
        path = docs / FOLDER / file
        missing = (f"Not run yet; `python -m examples.{command}` runs it.",)
        lines = told(read_json_object(path)) if path.is_file() else missing
        parts.append("\n".join((f"## {title}", "", *lines, "")))
    if (rewards := docs / FOLDER / REWARDS_FILE).is_file():
        _draw(read_json_object(rewards)["runs"], docs / FOLDER / CHART)
    path = docs / PAGE
    with staged_file(path) as staged:
        staged.write_text("\n".join(parts), encoding="utf-8")
    return path


def _on_rewards(told: Numbers) -> Iterator[str]:
    runs = told["runs"]
    seeds = len({one["seed"] for one in runs})
    yield from (
        f"`python -m examples.policy_from_reward` trains Soft Actor-Critic (stable-baselines3) on `{told['task']}`, "
        f"{told['steps']:,} decisions of {told['repeat']} simulator steps, {told['horizon']} an episode. The policy "
        f"sees states; the model sees camera frames, one at the reset, every {told['every']} decisions and at the end, "
        f'is told "{told["words"]}", and pays its last score at each decision. Beside it: MetaWorld\'s dense reward, '
        f"1 for success and 0 otherwise, and nothing. {seeds} seeds each; intervals resample seeds, so that with few "
        "they say little more than the range. Task and settings were chosen by short trainings that the dense reward "
        "paid.",
        "",
        _model(told),
        "",
        f"![success over decisions]({FOLDER}/{CHART})",
        "",
        "| Paid by | Success at the end | Each seed | Success at some time | True progress | The model says "
        f"| It says {SUCCESS.threshold} or more, no success | Success, it says less |",
        "|---|---|---|---|---|---|---|---|",
    )
    for reward, title in _PAID_BY.items():
        if any(one["reward"] == reward for one in runs):
            yield f"| {title} | {' | '.join(_ends([one for one in runs if one['reward'] == reward]))} |"
    yield from (
        "",
        f"After training, {len(runs[0]['ends'])} fresh episodes of each policy without exploration. "
        f"{_gamed([one for one in runs if one['reward'] == 'model'])} Where policies of other rewards succeed and the "
        "model says little, it does not know success when it sees it.",
        "",
        _cost(runs),
    )


def _gamed(runs: Sequence[Numbers]) -> str:
    """Return how much more the model says than is true of the policies that it paid."""
    if not runs:
        return "No policy was paid by the model."
    ends = [(end["predicted"] - end["done"], run["seed"]) for run in runs for end in run["ends"]]
    gap = shown(np.array([more for more, _ in ends]), np.array([seed for _, seed in ends]))
    return f"Of the policies that it paid the model says {gap} more than is true: where that is much, they game it."


def _ends(runs: Sequence[Numbers]) -> Iterator[str]:
    """Yield the cells of one reward: what came out at the end, over all its seeds."""
    ends = [(run["seed"], end) for run in runs for end in run["ends"]]
    group = np.array([seed for seed, _ in ends])
    success, ever = (np.array([float(end[name]) for _, end in ends]) for name in ("success", "ever"))
    done, said = (np.array([end[name] for _, end in ends]) for name in ("done", "predicted"))
    sure = said >= SUCCESS.threshold
    yield shown(success, group)
    yield ", ".join(f"{success[group == seed].mean():.2f}" for seed in np.unique(group))
    for values in (ever, done, said, sure * (1 - success), ~sure * success):
        yield shown(values, group)


def _on_cloning(told: Numbers) -> Iterator[str]:
    runs = told["runs"]
    seeds, episodes = len({one["seed"] for one in runs}), len(runs[0]["successes"])
    yield from (
        "`python -m examples.weighted_cloning` clones attempts of mixed quality: a third successes, a third half done, "
        "a third failures. A small network learns actions from states; an attempt of the value v counts "
        f"exp(v / {told['temperature']}), with v what the reward model says of its video (the value that `rfm relabel` "
        f"writes at its end), or the true label, or nothing. {seeds} trainings of each policy, {episodes} fresh "
        "episodes for each. Intervals resample trainings; other attempts would add to them.",
        "",
        _model(told),
        "",
    )
    for ground in dict.fromkeys(one["ground"] for one in runs):
        yield from _on_ground([one for one in runs if one["ground"] == ground], ground)
        yield from ("", _said_of([one for one in told["attempts"] if one["ground"] == ground]), "")
    yield _cost(runs)


_GROUNDS = {
    "bundled": "Attempts of the bundled videos, whose simulations metaworld-small learned from, filmed otherwise:",
    "fresh": "Attempts that no model learned from:",
}


def _on_ground(runs: Sequence[Numbers], ground: str) -> Iterator[str]:
    weightings = [name for name in _WEIGHED_BY if any(one["weighting"] == name for one in runs)]
    yield from (
        _GROUNDS[ground],
        "",
        f"| Task | {' | '.join(f'weighed by {_WEIGHED_BY[name]}' for name in weightings)} |",
    )
    yield "|---|" + "---|" * len(weightings)
    for task in dict.fromkeys(one["task"] for one in runs):
        of_task = [one for one in runs if one["task"] == task]
        yield f"| {task} | {' | '.join(_success(of_task, name) for name in weightings)} |"
    yield f"| all | {' | '.join(_success(runs, name) for name in weightings)} |"
    for other in [name for name in weightings if name != "model" and "model" in weightings]:
        yield from ("", f"Gain of the model's weights over {_WEIGHED_BY[other]}: {_gain(runs, 'model', other)}.")


def _success(runs: Iterable[Numbers], weighting: str) -> str:
    return shown(*_values(runs, weighting))


def _gain(runs: Sequence[Numbers], one: str, other: str) -> str:
    """Return by how much more often policies succeed, on the same episodes after trainings of the same seeds."""
    (values, group), (beside, same) = _values(runs, one), _values(runs, other)
    if not np.array_equal(group, same):
        raise ValueError(f"{one} and {other} must have the same trainings")
    return shown(values - beside, group)


def _values(runs: Iterable[Numbers], weighting: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the outcome of each episode, and its training."""
    found = [
        (value, f"{one['task']} {one['seed']}")
        for one in runs
        if one["weighting"] == weighting
        for value in one["successes"]
    ]
    return np.array([float(value) for value, _ in found]), np.array([training for _, training in found])


def _said_of(attempts: Sequence[Numbers]) -> str:
    """Return how well the model knows what the attempts were worth."""
    true, said = (np.array([one[name] for one in attempts]) for name in ("true", "said"))
    good = np.array([one["quality"] == "successful" for one in attempts])
    return (
        f"Of these {len(attempts)} attempts the model is {np.abs(true - said).mean():.2f} off on average; it says "
        f"{said[good].mean():.2f} of successes and {said[~good].mean():.2f} of the others, which got to "
        f"{true[~good].mean():.2f}."
    )


def shown(values: np.ndarray, group: np.ndarray) -> str:
    """Return a mean with its interval over groups."""
    mean, bounds = f"{values.mean():.2f}", interval(values, group)
    return mean if bounds is None else f"{mean} [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def _model(told: Numbers) -> str:
    return f"Reward model: {told['model']}, weights `{told['weights']}` (XXH3 of model.safetensors)."


def _cost(runs: Iterable[Numbers]) -> str:
    return f"It took {sum(one['seconds'] for one in runs) / 60:.0f} minutes of one core."


def _draw(runs: Sequence[Numbers], path: Path) -> None:
    """Write the chart of success over decisions: a thin line a seed, a thick one their mean."""
    figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for color, (reward, title) in zip(("tab:red", "tab:blue", "tab:green", "tab:gray"), _PAID_BY.items(), strict=True):
        curves = [one["curve"] for one in runs if one["reward"] == reward]
        if not curves:
            continue
        steps = [point["steps"] for point in curves[0]]
        shares = np.array([[point["successes"] / point["episodes"] for point in curve] for curve in curves])
        axis.plot(steps, shares.T, color=color, alpha=0.3, linewidth=0.8)
        axis.plot(steps, shares.mean(0), "-o", color=color, markersize=3, label=f"paid by {title}")
    axis.set(xlabel="decisions", ylabel="success", ylim=(-0.03, 1.03))
    axis.legend(fontsize=8)
    save(figure, path, dpi=90)
