"""A hub of our own: the few requests that huggingface_hub makes, answered on this machine."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rfm.export import hub


class Hub(ThreadingHTTPServer):
    """Keeps what was created and committed."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool | None] = {}
        self.refuse: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refuse:
            self.answer({"error": "no"}, self.server.refuse)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.files.setdefault(name, {})
            self.server.private[name] = asked.get("private", asked.get("visibility") == "private")
            self.answer({"url": f"{self.server.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in self.path:
            repository = self.path.split("/api/")[1].split("/", 1)[1].split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[repository][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": f"{self.server.address}/{repository}/commit/0", "commitOid": "0" * 40})
        else:
            self.answer({"error": f"unexpected {self.path}"}, 404)

    def do_GET(self):
        if self.server.refuse and self.path.endswith("/auth-check/write"):
            self.answer({"error": "no"}, self.server.refuse)
            return
        self.answer({"id": "me/x", "sha": "0" * 40, "siblings": [], "private": False})

    def answer(self, content, status=200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def fake_hub(monkeypatch):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_to(monkeypatch, server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield server
    server.shutdown()
    server.server_close()


def point_to(monkeypatch, address: str) -> None:
    """Let huggingface_hub talk to `address`; it has read its environment already."""
    from huggingface_hub import constants, hf_api
    from huggingface_hub.hf_api import HfApi

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(hf_api.api, "endpoint", address)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)  # made anew, with the address above
    monkeypatch.setattr(hub, "HfApi", lambda: HfApi(endpoint=address))
