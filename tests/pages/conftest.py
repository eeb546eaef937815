from __future__ import annotations

import pytest
from pages.browsers import browser

from rfm.generation.generate import GenerateOptions, generate


@pytest.fixture(scope="module")  # while it runs, no other test of this process can have an event loop
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    """Questions about the bundled videos."""
    path = tmp_path_factory.mktemp("bundled") / "questions"
    return generate(GenerateOptions(output_path=str(path), num_samples=60, num_workers=1))
