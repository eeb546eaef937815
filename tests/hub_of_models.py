"""A hub that models are downloaded from: what huggingface_hub and transformers ask of one, answered on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "5" * 40


class ModelHub(ThreadingHTTPServer):
    """Serves the files of a folder as the only revision of the repository `me/model`."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self.asked: list[tuple[str, str]] = []
        """Files that were fetched, and the range of bytes that was asked for."""
        self.cuts = 0
        """How many answers with weights are to break off half-way."""
        self.halted: threading.Event | None = None
        """Where it is not None: the answer with weights stops half-way and sets it."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fetched(self) -> list[str]:
        return [name for name, _ in self.asked]


class Answers(BaseHTTPRequestHandler):
    server: ModelHub

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        words = unquote(self.path.partition("?")[0]).strip("/").split("/")
        if words[:4] == ["api", "models", "me", "model"]:
            return self._describe(words[4:])
        if words[:3] == ["me", "model", "resolve"]:
            return self._file(words[3], "/".join(words[4:]), body)
        return self._refuse("RepoNotFound", "Repository not found")

    def _describe(self, words):
        if len(words) > 1 and words[1] not in ("main", COMMIT):
            return self._refuse("RevisionNotFound", f"Invalid rev id: {words[1]}")
        if words[:1] == ["tree"]:
            listed = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in self.server.files]
            return self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        described = {"id": "me/model", "modelId": "me/model", "sha": COMMIT, "private": False}
        described["siblings"] = [{"rfilename": name} for name in self.server.files]
        return self._send(200, json.dumps(described).encode(), {"Content-Type": "application/json"})

    def _file(self, revision, name, body):
        if revision not in ("main", COMMIT):
            return self._refuse("RevisionNotFound", f"Invalid rev id: {revision}")
        if name not in self.server.files:
            return self._refuse("EntryNotFound", "Entry not found")
        content = self.server.files[name]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not body:
            return self._send(200, content, headers, body=False)
        asked = self.headers.get("Range", "")
        self.server.asked.append((name, asked))
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(206 if start else 200, content[start:], headers, stop=name.endswith(".safetensors"))

    def _send(self, status, content, headers, body=True, stop=False):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        if stop and self.server.halted is not None:
            self.wfile.write(content[: len(content) // 2])
            self.server.halted.set()
            self.rfile.read(1)  # until the other side has gone
        elif stop and self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(content[: len(content) // 2])
        else:
            self.wfile.write(content)

    def _refuse(self, code, message):
        text = json.dumps({"error": message}).encode()
        self._send(404, text, {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"})

    def log_message(self, *_):
        pass
