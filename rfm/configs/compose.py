"""Compose `config.yaml` and `key=value` overrides into an `ExperimentConfig` with Hydra.

Faults come out as one ConfigError: an unknown key with the nearest valid one, a value with the type it should have,
a configuration that does not exist with those that do.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from rfm.configs.experiment_configs import ExperimentConfig, validate
from rfm.errors import ConfigError, DataError
from rfm.files.documents.yaml_documents import read_yaml

CONFIG_FOLDER = Path(__file__).parent
_WITHOUT = re.compile(r"^\s*(optional |override )*/?|@.*$|\.yaml$")
"""What Hydra takes from an entry of `defaults` before it looks for the file."""


def load_config(config_name: str = "config", overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Compose and validate a configuration.

    Args:
        config_name: a YAML file in `rfm/configs` without its ending, or the path of a YAML file.
        overrides: `key=value` in Hydra's grammar, e.g. `data.max_frames=8`.

    Raises:
        ConfigError: no such configuration, no YAML within bounds, unknown key, wrong type, or value out of range.

    """
    folder, name = _locate(config_name)
    try:
        _check_files(folder, name)
    except DataError as error:
        raise ConfigError(f"configuration {config_name!r} can't be used: {error}") from error
    for override in overrides:
        _check_key(override)
    composed = _packaged if folder == CONFIG_FOLDER else _composed
    try:
        return validate(_as_dataclass(composed(folder, name, tuple(overrides))))
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(_explain(error, config_name)) from error


def as_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Return the configuration as plain dicts and lists, ready for JSON."""
    return dataclasses.asdict(config)


def config_from(values: Mapping[str, Any]) -> ExperimentConfig:
    """Return the validated configuration that `as_dict` gave; keys that it lacks have their defaults.

    Raises:
        ConfigError: unknown key, wrong type, or value out of range.

    """
    try:
        return validate(_as_dataclass(OmegaConf.create(dict(values))))
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error, "generation_config.json")) from error


def _locate(config_name: str) -> tuple[Path, str]:
    path = Path(config_name)
    if path.suffix in (".yaml", ".yml"):
        candidate = path if path.is_file() else CONFIG_FOLDER / path.name
    else:
        candidate = CONFIG_FOLDER / f"{config_name}.yaml"
    if not candidate.is_file():
        known = ", ".join(sorted(file.stem for file in CONFIG_FOLDER.glob("*.yaml")))
        raise ConfigError(
            f"`config_name` must name a configuration in rfm/configs ({known}) or a YAML file, "
            f"but {config_name!r} is neither"
        )
    return candidate.resolve().parent, candidate.stem


def _check_files(folder: Path, name: str) -> None:
    """Read a user's file, and all that `defaults` lead to from it, within bounds before Hydra does so without."""
    if folder == CONFIG_FOLDER:
        return
    unread, known = [folder / f"{name}.yaml"], set()
    while unread:
        file = unread.pop()
        known.add(file)
        places = [base / f"{one}.yaml" for one in _named(read_yaml(file), file) for base in (folder, file.parent)]
        unread += {place.resolve() for place in places if place.exists()} - known


def _named(content: Any, file: Path) -> Iterator[str]:
    """Yield what the `defaults` of a file name, without folder and ending: `other`, `group/other`."""
    defaults = content.get("defaults") if isinstance(content, dict) else None
    for entry in defaults if isinstance(defaults, list) else ():
        groups = entry if isinstance(entry, dict) else {"": entry}
        for group, chosen in groups.items():
            for one in chosen if isinstance(chosen, list) else [chosen]:
                named = "/".join(_WITHOUT.sub("", str(part)) for part in (group, one)).strip("/")
                if "${" in named:
                    raise DataError(f"{file} must name files in `defaults`, but has `{named[:100]}`; write it out")
                yield named


def _composed(folder: Path, name: str, overrides: tuple[str, ...]) -> DictConfig:
    ConfigStore.instance().store(name="base_config", node=ExperimentConfig)
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder), version_base="1.3"):
        # "++" also sets keys that a file without the schema in its defaults does not have
        return compose(config_name=name, overrides=[f"++{_bracketed(one.lstrip('+'))}" for one in overrides])


_packaged = functools.lru_cache(maxsize=64)(_composed)
"""The same of this package's own files, which stay as they are: a training asks several times, 0.1 s each time."""


def _check_key(override: str) -> None:
    key, separator, _ = override.partition("=")
    if not separator:
        raise ConfigError(f"`config_overrides` must be key=value, but one is {override!r}")
    key = key.lstrip("+~")
    if key not in _leaf_keys(ExperimentConfig()):
        raise ConfigError(f"`config_overrides` must name a known key, but {_unknown(key)}")


def _bracketed(override: str) -> str:
    """Return a list that was given without brackets with them: a shell may take those for a pattern."""
    key, _, value = override.partition("=")
    *path, name = key.split(".")
    node: Any = ExperimentConfig()
    for part in path:
        node = getattr(node, part)
    is_list = typing.get_origin(typing.get_type_hints(type(node)).get(name)) is list
    bare = value.strip() not in ("", "null") and not value.lstrip().startswith("[")
    return f"{key}=[{value}]" if is_list and bare else override


def _unknown(key: str) -> str:
    nearest = difflib.get_close_matches(key, sorted(_leaf_keys(ExperimentConfig())), n=1, cutoff=0.0)[0]
    return f"{key!r} is none; the nearest is {nearest!r}"


def _leaf_keys(node: Any, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaf_keys(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _as_dataclass(composed: DictConfig) -> ExperimentConfig:
    merged = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), composed)
    return cast(ExperimentConfig, OmegaConf.to_object(merged))


def _explain(error: Exception, config_name: str) -> str:
    chain = list(_causes(error))
    for one in chain:
        if isinstance(one, MissingConfigException):
            return (
                f"Could not load {one.missing_cfg_file!r}, which `defaults` of configuration {config_name!r} names; "
                "it may name base_config, _self_ and YAML files beside it"
            )
        if isinstance(one, ConfigKeyError) and one.full_key:
            return f"configuration {config_name!r} must have known keys only, but {_unknown(str(one.full_key))}"
    text, *causes = (" ".join(str(one).split()) for one in chain)
    cause = f": {causes[0]}" if causes and causes[0] not in text else ""
    return f"configuration {config_name!r} can't be used: {text}{cause}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
