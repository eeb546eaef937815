"""`rfm config`: every key of the configuration."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches

from rich.padding import Padding
from rich.text import Text

from rfm.configs.keys import Key, keys
from rfm.console import results, show
from rfm.errors import ConfigError
from rfm.installation.options import ConfigurationOptions


def configuration(options: ConfigurationOptions) -> int:
    """Run `rfm config`.

    Raises:
        ConfigError: no key has one of the words.

    """
    words = [word.lower().replace("-", "_") for word in options.words]
    found = [key for key in keys() if not words or any(word in f"{key.name} {key.meaning}".lower() for word in words)]
    if not found:
        close = get_close_matches(words[0], [key.name.removeprefix("data.") for key in keys()], 1)
        hint = f"did you mean {close[0]}?" if close else "`rfm config` lists all keys"
        raise ConfigError(f"`words` must be found in a key or its meaning, but {', '.join(words)} is in none; {hint}")
    show(lambda: {"keys": [asdict(key) for key in found]}, lambda: _tell(found))
    return 0


def _tell(found: list[Key]) -> None:
    for key in found:
        results().print(Text.assemble((f"{key.name}={key.default}", "bold"), f"  ({key.values})"), soft_wrap=True)
        results().print(Padding(key.meaning, (0, 0, 0, 4), expand=False))
