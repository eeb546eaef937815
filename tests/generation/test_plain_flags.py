import pytest

from rfm.configs.compose import load_config
from rfm.errors import ConfigError
from rfm.generation.options import GenerateOptions


def test_plain_flags_set_the_keys_of_the_configuration():
    options = GenerateOptions(
        "out", datasets=("a-b", "c"), datasets_root="/data/it's here, all", max_frames=8, shares=("progress=2",)
    )
    data = load_config(options.config_name, options.overrides).data
    assert data.train_datasets == data.eval_datasets == ["a-b", "c"]
    assert (data.datasets_root, data.max_frames) == ("/data/it's here, all", 8)
    assert data.sample_type_ratio == [0, 2, 0]


def test_without_them_the_configuration_is_as_it_was():
    assert GenerateOptions("out", config_overrides=("data.seed=1",)).overrides == ("data.seed=1",)


@pytest.mark.parametrize("share", ["prefernce=1", "preference=much", "preference=-1", "preference", "progress=inf"])
def test_shares_name_types_and_numbers(share):
    with pytest.raises(ConfigError, match="`shares` must be of preference, progress, similarity, each once, as in"):
        GenerateOptions("out", shares=(share,))


def test_a_key_is_not_given_twice():
    with pytest.raises(ConfigError, match=r"`max_frames` and `data\.max_frames` must not be given together; both say"):
        GenerateOptions("out", max_frames=8, config_overrides=("data.max_frames=4",))


def test_verification_takes_a_root_that_has_moved():
    assert GenerateOptions("", verify="data", datasets_root="/new").moved == {"datasets_root": "/new"}
