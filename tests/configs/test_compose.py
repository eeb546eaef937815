import json
from pathlib import Path

import pytest

from rfm.configs.compose import as_dict, load_config
from rfm.configs.experiment_configs import DataConfig, ExperimentConfig
from rfm.errors import ConfigError


def test_the_yaml_file_says_what_the_schema_says():
    assert load_config() == ExperimentConfig()


def test_overrides_of_every_kind():
    data = load_config(
        overrides=[
            "data.max_frames=8",
            "data.sample_type_ratio=[1,0,0]",
            "data.train_datasets=[a,org/b]",
            "data.preference_strategy_ratio={rewind:3,suboptimal:1}",
            "data.discrete_progress=true",
            "++data.seed=7",
        ]
    ).data
    assert (data.max_frames, data.sample_type_ratio, data.train_datasets) == (8, [1.0, 0.0, 0.0], ["a", "org/b"])
    assert data.preference_strategy_ratio == {"rewind": 3, "suboptimal": 1}
    assert (data.discrete_progress, data.seed) == (True, 7)


def test_one_configuration_leaves_nothing_behind_for_the_next():
    load_config(overrides=["data.train_datasets=[a]", "data.max_frames=8"])
    assert load_config() == ExperimentConfig()


def test_a_change_to_one_configuration_reaches_no_other():
    load_config().data.train_datasets.append("mine")
    assert load_config() == ExperimentConfig()


def test_variables_are_read_anew(monkeypatch):
    for root in ("/a", "/b"):
        monkeypatch.setenv("ROOT_OF_MINE", root)
        assert load_config(overrides=["data.datasets_root=${oc.env:ROOT_OF_MINE}"]).data.datasets_root == root


def test_the_resolved_configuration_is_plain_json():
    data = {"preference_strategy_ratio": {"rewind": 1}}
    config = load_config(overrides=["data.preference_strategy_ratio={rewind:1}"])
    assert json.loads(json.dumps(as_dict(config))) == {"data": {**vars(DataConfig()), **data}}


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "data.max_frmes=8",
            "`config_overrides` must name a known key, but 'data.max_frmes' is none; the nearest is 'data.max_frames'",
        ),
        ("max_frames=8", "the nearest is 'data.max_frames'"),
        ("data.sample_ratio=[1,0,0]", "the nearest is 'data.sample_type_ratio'"),
        ("data.max_frames", "`config_overrides` must be key=value, but one is 'data.max_frames'"),
        ("~data.max_frames", "must be key=value"),
        ("data.max_frames=many", "data.max_frames=many: Value 'many' of type 'str' could not be converted to Integer"),
        ("data.max_frames=7.5", "Value '7.5' of type 'float' could not be converted to Integer"),
        ("data.max_frames=null", "field 'data.max_frames' is not Optional"),
        ("data.sample_type_ratio=[half,half,0]", "Value 'half' of type 'str' could not be converted to Float"),
        ("data.sample_type_ratio=[0.7,0.3", "can't be used: no viable alternative at input '[0.7,0.3'"),
        ("data.sample_type_ratio=[0,0,0]", "`data.sample_type_ratio` must have a share above 0, but is all zeros"),
        ("data.sample_type_ratio=[1,0]", "must be three shares >= 0 (preference, progress, similarity), but is [1.0"),
        ("data.sample_type_ratio=[-1,1,1]", "must be three shares >= 0"),
        (
            "data.source_weights=unifrom",
            "must be uniform, proportional, a temperature or a mapping by data source, but",
        ),
        ("data.source_weights=[1,2]", "a temperature or a mapping by data source, but is [1, 2]"),
        ("data.source_weights=true", "a temperature or a mapping by data source, but is True"),
        ("data.source_weights=0.5", "must be a temperature of at least 1, but is 0.5; 1 is proportional"),
        ("data.source_weights={}", "`data.source_weights` must name sources, but is an empty mapping; leave it out"),
        ("data.source_weights={a:0,b:-1,c:1}", "must have weights above 0, but has a=0, b=-1; leave a source out of"),
        ("data.source_weights={a:lots}", "must have weights above 0, but has a='lots'"),
        ("data.sample_type_ratio=[nan,1,1]", "must be three shares >= 0"),
        ("data.max_frames=1", "`data.max_frames` must lie between 2 and 4096, but is 1"),
        ("data.min_progress_gap=0", "`data.min_progress_gap` must lie between 0.01 and 1, but is 0.0"),
        ("data.traj_same_source_prob=1.5", "`data.traj_same_source_prob` must lie between 0 and 1, but is 1.5"),
        ("data.resize_filter=sinc", "`data.resize_filter` must be one of box, bilinear, bicubic, lanczos, but is"),
        ("data.progress_pred_type=guess", "`data.progress_pred_type` must be one of absolute_wrt_total_frames, "),
        ("data.progress_step=3", "`data.progress_step` must divide 100, but is 3; try 1, 5 or 10"),
        ("data.resized_height=32", "`data.resized_height` and `data.resized_width` must be given together"),
        ("data.min_pixels=0", "`data.min_pixels` must lie between 1 and"),
    ],
)
def test_a_wrong_override_is_refused(override, text):
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[override])
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("data.train_datasets=my_demos", "train_datasets", ["my_demos"]),
        ("+data.eval_datasets=a/b,c", "eval_datasets", ["a/b", "c"]),
        ("data.sample_type_ratio=1,0,0", "sample_type_ratio", [1.0, 0.0, 0.0]),
        ("data.train_datasets=[my_demos]", "train_datasets", ["my_demos"]),
        ("data.train_datasets= [a, b]", "train_datasets", ["a", "b"]),
    ],
)
def test_a_list_needs_no_brackets(override, name, value):
    assert getattr(load_config(overrides=[override]).data, name) == value


def test_all_faults_come_together():
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["data.max_frames=1", "data.seed=-1", "data.resize_filter=sinc"])
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "`data.max_frames`",
        "`data.seed`",
        "`data.resize_filter`",
    ]


@pytest.mark.parametrize("name", ["confg", "gone.yaml", "somewhere/else"])
def test_a_configuration_that_is_not_there(name):
    with pytest.raises(ConfigError) as caught:
        load_config(name)
    assert str(caught.value) == (
        f"`config_name` must name a configuration in rfm/configs (config) or a YAML file, but {name!r} is neither"
    )


@pytest.mark.parametrize("name", ["config", "config.yaml"])
def test_the_bundled_one_is_found_with_and_without_its_ending(name):
    assert load_config(name) == ExperimentConfig()


def write(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("defaults", ["", "defaults: [base_config, _self_]\n"])
def test_a_file_of_the_users_own(tmp_path, defaults):
    name = write(tmp_path, f"{defaults}data:\n  max_frames: 8\n")
    assert load_config(name, ["data.seed=3"]) == ExperimentConfig(DataConfig(max_frames=8, seed=3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: [base_confg]\n", "Could not load 'base_confg', which `defaults` of configuration"),
        ("data:\n  max_frmes: 8\n", "must have known keys only, but 'data.max_frmes' is none; the nearest is 'data"),
        ("defaults: [base_config, _self_]\ndata:\n  max_frmes: 8\n", "but 'data.max_frmes' is none; the nearest is"),
        ("data:\n  max_frames: many\n", "Value 'many' of type 'str' could not be converted to Integer"),
        ("data: [\n", "while parsing a flow node"),
        ("- data\n", "must be a DictConfig, got ListConfig"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert expected in str(caught.value)
    assert "mine" in str(caught.value)


def test_budgets_of_pixels_that_cannot_hold():
    sizes = ["data.resized_height=32", "data.resized_width=32"]
    with pytest.raises(
        ConfigError, match=r"`data.min_pixels` and `data.max_pixels` must be null with data.resized_height"
    ):
        load_config(overrides=[*sizes, "data.max_pixels=50176"])
    with pytest.raises(ConfigError, match=r"`data.min_pixels` must be <= 100 \(data.max_pixels\), but is 200"):
        load_config(overrides=["data.min_pixels=200", "data.max_pixels=100"])


ALIASES = "a0: &a0 [1, 2]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 8)}]\n" for n in range(9))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ALIASES, "values"),
        ("data: " + "[" * 5000 + "]" * 5000, "deep"),
        ("data: !!python/object/apply:os.system [ls]", "must do without tags"),
        ("data:\n  seed: " + "9" * 5000, "digits"),
    ],
    ids=["aliases", "deep", "tags", "digits"],
)
@pytest.mark.parametrize("named", [False, True], ids=["itself", "by its defaults"])
def test_a_file_of_the_users_is_read_within_bounds(tmp_path, text, fault, named):
    (tmp_path / "other.yaml").write_text(text)
    (tmp_path / "mine.yaml").write_text("defaults: [other, _self_]\n" if named else text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path / "mine.yaml"))
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "defaults",
    [
        "[group/bomb]",
        "[/group/bomb]",
        "[group/bomb.yaml]",
        "[group/bomb@data]",
        "[group: bomb]",
        "[group: [bomb]]",
        "[optional group@data: bomb]",
        "[further]",
        "[group/beside]",
    ],
)
def test_whatever_the_defaults_of_a_file_lead_to_is_read_within_bounds(tmp_path, defaults):
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "bomb.yaml").write_text(ALIASES)
    (tmp_path / "group" / "beside.yaml").write_text("defaults: [bomb, ../group/beside]\n")
    (tmp_path / "further.yaml").write_text("defaults: [mine, further, group: bomb]\n")
    name = write(tmp_path, f"defaults: {defaults}\n")
    with pytest.raises(ConfigError, match=r"can't be used: .*bomb.yaml must hold at most \d+ values"):
        load_config(name)


def test_a_file_is_not_named_by_what_is_only_known_later(tmp_path):
    name = write(tmp_path, "defaults: [base_config, data: '${name}']\n")
    with pytest.raises(ConfigError, match=r"mine.yaml must name files in `defaults`, but has `data/\$\{name\}`; write"):
        load_config(name)
