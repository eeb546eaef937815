"""What tests of the simulator need, or the reason why they are skipped."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from rfm.errors import MissingExtraError


def simulator(*others: str) -> None:
    """Skip where the simulator, or one of the other modules, is not there."""
    for name in ("metaworld", "OpenGL", "gymnasium", *others):  # not imported: MuJoCo picks its renderer once
        if find_spec(name) is None:
            pytest.skip(f"needs {name}, of the extra `examples`", allow_module_level=True)
    try:
        from rfm.ingest.metaworld import engine  # noqa: F401
    except MissingExtraError as error:
        pytest.skip(f"the simulator does not run here: {error}", allow_module_level=True)
