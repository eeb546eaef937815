"""Models by their name on a hub that can't be asked."""

import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ASKS = """
from rfm.errors import DataError
from rfm.model.stock.hub_names import commit_of
from rfm.model.stock.files import model_config

print(commit_of("me/gone"))
try:
    model_config("me/gone")
except DataError as error:
    print(error)
"""


@pytest.fixture
def dumb():
    """A server that takes connections and says nothing; `calls` has one entry a connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.server.calls.append(self.client_address)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.calls = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_hub_that_does_not_answer_is_given_up_at_once(dumb, tmp_path):
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{dumb.server_address[1]}",
        "HF_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NO_PROXY": "127.0.0.1",
    }
    run = subprocess.run([sys.executable, "-c", ASKS], env=environment, capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert said[0] == "None"
    assert said[1].startswith(
        "Model not found: me/gone is neither a folder here nor a model that the Hugging Face hub gives "
        "(the hub can't be reached: "
    )
    assert len(dumb.calls) <= 2  # stock loaders make six tries a file
    assert "Retrying" not in run.stderr
