"""Nobody's results are replaced unasked."""

import json
from dataclasses import replace

import pytest
from vqa_fakes import fake_dataset

from rfm.audit.options import AuditOptions
from rfm.audit.run import audit
from rfm.audit.statistics.command import StatisticsOptions, statistics
from rfm.errors import ConfigError
from rfm.evaluation.compare import CompareOptions, compare
from rfm.evaluation.evaluate import evaluate_checkpoint
from rfm.evaluation.options import EvaluateOptions
from rfm.pages.results.command import ReportOptions, report


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 12, episodes=3)


@pytest.fixture
def options(dataset, tmp_path):
    return EvaluateOptions("constant", str(dataset), str(tmp_path / "results.json"), device="cpu")


def test_the_same_evaluation_may_be_repeated_and_no_other(options, tmp_path):
    first = json.loads(json.dumps(evaluate_checkpoint(options)))
    again = evaluate_checkpoint(replace(options, batch_size=3, max_unreadable=2))
    assert json.loads(json.dumps(again)) == first
    for other in ({"model_path": "random"}, {"max_samples": 3}, {"baselines": ("random",)}):
        with pytest.raises(ConfigError, match=r"`output_path` .*results.json exists; add --overwrite to replace it"):
            evaluate_checkpoint(replace(options, **other))
        assert json.loads((tmp_path / "results.json").read_text()) == first
    assert evaluate_checkpoint(replace(options, max_samples=3, overwrite=True))["total_samples"] == 3


@pytest.mark.parametrize("text", ["precious", "[1]", "{}", '{"model_path": "constant"}'])
def test_a_file_of_other_content_is_kept(options, tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=r"`output_path` .*results.json exists; add --overwrite to replace it"):
        evaluate_checkpoint(options)
    assert (tmp_path / "results.json").read_text() == text
    assert not (tmp_path / "results.json.answers").exists()


def test_reports_of_all_commands_are_kept(dataset, options, tmp_path):
    evaluate_checkpoint(options)
    results, taken, picture = options.output_path, tmp_path / "taken.json", tmp_path / "taken.png"
    taken.write_text("precious")
    picture.write_text("precious")
    calls = {
        "output_path": (
            lambda **more: audit(AuditOptions((str(dataset),), output_path=str(taken), **more)),
            lambda **more: statistics(StatisticsOptions((str(dataset),), output_path=str(taken), **more)),
            lambda **more: compare(CompareOptions(results, results, output_path=str(taken), **more)),
        ),
        "plot": (lambda **more: statistics(StatisticsOptions((str(dataset),), plot=str(picture), **more)),),
        "plot_path": (lambda **more: report(ReportOptions((results,), plot_path=str(picture), **more)),),
    }
    for name, commands in calls.items():
        for command in commands:
            with pytest.raises(ConfigError, match=rf"`{name}` .*taken\.\w+ exists; add --overwrite to replace it"):
                command()
            assert {taken.read_bytes(), picture.read_bytes()} >= {b"precious"}
            command(overwrite=True)
            (picture if "plot" in name else taken).write_text("precious")
