import json
import re

import pytest
from checkpoints import random_adapter, random_checkpoint
from huggingface_hub import ModelCard

from rfm.errors import DataError
from rfm.export.card_command import export_card
from rfm.export.model_card import model_card, write_card
from rfm.export.options import CardOptions
from rfm.export.training_record import write_record

RESULTS = {
    "dataset_path": "/data/held_out",
    "total_samples": 30,
    "trained_on_share": 0.0,
    "preference": {"count": 20, "accuracy": 0.95, "accuracy_interval": [0.9, 0.98]},
    "progress": {"count": 10, "mae": 5.25, "rmse": 8.5, "mae_interval": None},
}
GENERATION = {
    "content_hash": "bbcb1177",
    "counts": {"preference": {"total": 21, "strategies": {"rewind": 5, "suboptimal": 16}}},
    "config_overrides": ["data.max_frames=4"],
    "seed": 42,
    "source_hashes": {"toy_train": "d7a76884"},
    "datasets_root": "/secret/place",
}


@pytest.fixture
def checkpoint(tmp_path):
    folder = random_checkpoint(tmp_path / "run" / "final")
    options = {"model_name": "Qwen/Qwen3-VL-4B-Instruct", "learning_rate": 2e-5, "lora_rank": None, "run_name": None}
    write_record(folder, options, "/data/train_10k", 21, GENERATION)
    return folder


def test_the_front_matter_is_the_hub_own(checkpoint, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    card = ModelCard.load(write_card(checkpoint, tmp_path / "results.json"))
    assert card.data.base_model == "Qwen/Qwen3-VL-4B-Instruct"
    assert card.data.library_name == "transformers"
    assert card.data.model_name == "run-final"
    values = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert values == {"preference accuracy": 0.95, "progress mae": 5.25, "progress rmse": 8.5}


def test_everything_in_it_was_recorded(checkpoint):
    text = model_card(checkpoint, RESULTS, checkpoint)
    for part in (
        "| 20 preference | accuracy | 0.95 | 0.9 to 0.98 |",
        "| 10 progress | mae | 5.25 |  |",
        "dataset: `train_10k`, 21 rows",
        "content hash of the rows: `bbcb1177`",
        "preference: 21 rows (rewind 5, suboptimal 16)",
        "source `toy_train`: `d7a76884`",
        "generated with `data.max_frames=4`, seed 42",
        "| learning_rate | `2e-05` |",
        "frames 32 x 32 pixels (box)",
        "0% of its trajectories were in the training data",
    ):
        assert part in text
    assert "/secret" not in text


def test_what_was_not_recorded_is_not_said(tmp_path):
    stock = random_checkpoint(tmp_path / "stock")
    text = model_card(stock, None, stock)
    for part in ("## Evaluation", "## Training", "fine-tuned from", "base_model", "model-index"):
        assert part not in text


def test_a_base_model_that_is_a_folder_is_no_link(checkpoint):
    write_record(checkpoint, {"model_name": str(checkpoint)}, "x", 1, {})
    text = model_card(checkpoint, None, checkpoint)
    assert "base_model:" not in text
    assert "fine-tuned from `final`" in text


def test_an_evaluation_must_be_one(checkpoint, tmp_path):
    with pytest.raises(
        DataError, match=r"a results file of `rfm evaluate`, but can't be read: .* must exist, but does"
    ):
        export_card(CardOptions(str(checkpoint), str(tmp_path / "none.json")))
    (tmp_path / "other.json").write_text('{"total_samples": 1, "dataset_path": "d"}')
    with pytest.raises(DataError, match="holds no metrics"):
        export_card(CardOptions(str(checkpoint), str(tmp_path / "other.json")))
    with pytest.raises(DataError, match="holds no model"):
        export_card(CardOptions(str(tmp_path)))


STRANGE = "x`</code><script>alert(1)</script>\n# heading\n![p](http://a/b)|c\x1b[2J"


def test_words_of_strangers_are_no_markup(checkpoint):
    """Names, hashes and options of a record stand as they are: no heading, no tag, no link, no cell."""
    options = {"model_name": STRANGE, "run_name": STRANGE, "config_overrides": [STRANGE], "lr_scheduler_type": STRANGE}
    counts = {STRANGE: {"total": 2, "strategies": {STRANGE: 2}}}
    generation = {"content_hash": STRANGE, "source_hashes": {STRANGE: STRANGE}, "counts": counts, "seed": STRANGE}
    write_record(checkpoint, options, f"/data/{STRANGE}", 2, generation | {"config_overrides": [STRANGE]})
    results = RESULTS | {"dataset_path": f"d/{STRANGE}"}
    body = model_card(checkpoint, results, checkpoint.parent / STRANGE.replace("/", "")).split("---", 2)[2]
    lines = body.splitlines()
    assert [line for line in lines if line.startswith("#") and "heading" in line] == [
        line for line in lines[:3] if line
    ]
    assert "\x1b" not in body
    html = markdown(body)
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<h1>") == 1
    tables = [line for line in lines if line.startswith("| ") and "scheduler" in line]
    assert len(re.findall(r"(?<!\\)\|", tables[0])) == 3


def markdown(text: str) -> str:
    """Return HTML as pages that show cards make it."""
    from markdown_it import MarkdownIt  # comes with rich

    return MarkdownIt("commonmark").enable("table").render(text)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"rows": "many"}, 'training_data.json `rows` must be a whole number from 0 on, but is "many"'),
        ({"counts": {"progress": 3}}, "training_data.json `counts.progress` must be an object, but is 3"),
        ({"source_hashes": ["a"]}, 'training_data.json `source_hashes` must be an object, but is ["a"]'),
        ({"config_overrides": "a=1"}, 'training_data.json `config_overrides` must be a list, but is "a=1"'),
        ({"dataset_path": None}, "training_data.json `dataset_path` must be a text, but is null"),
    ],
)
def test_a_record_of_another_form_is_named(checkpoint, changed, fault):
    file = checkpoint / "training_data.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(DataError) as caught:
        model_card(checkpoint, None, checkpoint)
    assert fault in str(caught.value)


@pytest.mark.parametrize("whole", [True, False])
def test_a_card_says_whether_vllm_loads_the_adapter(checkpoint, tmp_path, whole):
    adapter = random_adapter(tmp_path / "tuned" / "final", checkpoint, whole_projector=whole)
    text = model_card(adapter, None, adapter)
    assert ("vLLM refuses in adapters: merge this one before it is served there" in text) == whole
    assert ("rfm export merge final --output MERGED" in text) == whole
    assert ("vLLM loads it on its base:\n\n```\nrfm serve-command final\n" in text) != whole
    assert "vLLM" not in model_card(checkpoint, None, checkpoint)


def test_a_page_that_somebody_wrote_is_not_replaced_unasked(tmp_path):
    checkpoint = random_checkpoint(tmp_path / "final")
    export_card(CardOptions(str(checkpoint)))
    export_card(CardOptions(str(checkpoint)))  # its own card is
    (checkpoint / "README.md").write_text("# My thesis\n")
    with pytest.raises(DataError, match=r"README.md must be a card that rfm wrote, but is not; keep it elsewhere, or"):
        export_card(CardOptions(str(checkpoint)))
    assert (checkpoint / "README.md").read_text() == "# My thesis\n"
    export_card(CardOptions(str(checkpoint), overwrite=True))
    assert "rfm-vqa" in (checkpoint / "README.md").read_text()
