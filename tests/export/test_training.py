"""What a training run leaves for others: its record, its model card, and the hub."""

import json

import pytest
from hub_fakes import fake_hub  # noqa: F401
from huggingface_hub import ModelCard
from vqa_fakes import fake_dataset

from rfm.errors import ConfigError, RfmError
from rfm.training.options import TrainOptions
from rfm.training.run import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fake_dataset(tmp_path_factory.mktemp("data"), 4, episodes=2)


def options(dataset, output, **changes) -> TrainOptions:
    values = {
        "dataset_path": str(dataset),
        "model_name": "tiny",
        "output_dir": str(output),
        "max_steps": 1,
        "gradient_accumulation_steps": 1,
        "dataloader_num_workers": 0,
        "save_steps": 1,
        "report_to": "none",
        "gradient_checkpointing": False,
    }
    return TrainOptions(**{**values, **changes})


def test_the_final_model_has_a_card_and_remembers_its_data(dataset, tmp_path):
    final = train(options(dataset, tmp_path / "out", lora_rank=2))
    card = ModelCard.load(final / "README.md")
    assert card.data.library_name == "peft"
    assert "fine-tuned from `tiny`" in card.text
    data = json.loads((final / "training_data.json").read_text())
    assert (data["dataset_path"], data["rows"]) == (str(dataset), 4)


def test_the_final_model_is_uploaded_when_it_is_complete(dataset, tmp_path, fake_hub):  # noqa: F811
    made = options(dataset, tmp_path, push_to_hub=True, hub_model_id="me/judge", hub_private_repo=True)
    final = train(made)
    stored = fake_hub.files["me/judge"]
    held = {path.name: path.read_bytes() for path in final.iterdir()}
    del held["training_args.bin"]
    assert held.keys() <= stored.keys()
    assert {name for name in held if held[name] != stored[name]} == {"training_data.json", "training_options.json"}
    assert not [name for name, content in stored.items() if str(tmp_path.parent).encode() in content]
    assert fake_hub.private["me/judge"] is True


def test_the_trainer_uploads_checkpoints_where_that_is_asked_for(dataset, tmp_path, fake_hub):  # noqa: F811
    made = options(dataset, tmp_path, push_to_hub=True, hub_model_id="me/judge", hub_strategy="all_checkpoints")
    train(made)
    assert {"model.safetensors", "checkpoint-1/model.safetensors", "README.md"} <= set(fake_hub.files["me/judge"])


def test_a_hub_that_refuses_is_known_before_training(dataset, tmp_path, fake_hub):  # noqa: F811
    fake_hub.refuse = 401
    with pytest.raises(RfmError, match=r"the hub answers: .*; run `hf auth login` or set HF_TOKEN"):
        train(options(dataset, tmp_path / "out", push_to_hub=True, hub_model_id="me/judge"))
    assert not (tmp_path / "out").exists()


def test_options_of_the_hub_must_be_able_to_take_effect():
    with pytest.raises(ConfigError, match="`hub_model_id` must name the repository to upload to with `push_to_hub`"):
        TrainOptions("x", push_to_hub=True)
    with pytest.raises(ConfigError, match="`push_to_hub` must be set for the other options of the hub"):
        TrainOptions("x", hub_model_id="me/judge")
