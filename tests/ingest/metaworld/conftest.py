"""The bundled episodes and their stored states, and the simulator, where it is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from simulated import BUNDLE, Arrays

from rfm.ingest.metaworld.bundle import Row, read_manifest


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_manifest(BUNDLE)


@pytest.fixture(scope="module")
def states() -> Arrays:
    with np.load(BUNDLE / "states.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def simulator():
    """The module that simulates, where the libraries for it are installed."""
    for name in ("metaworld", "OpenGL"):  # not imported here: MuJoCo picks its renderer once, and the engine says which
        if find_spec(name) is None:
            pytest.skip(f"re-simulating needs {name}, of the extra `sim`")
    from rfm.errors import MissingExtraError

    try:
        from rfm.ingest.metaworld import simulate
    except MissingExtraError as error:
        pytest.skip(f"re-simulating is not possible here: {error}")
    return simulate
