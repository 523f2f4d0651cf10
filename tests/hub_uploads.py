"""A hub on this machine that takes uploads: enough of its interface for the real client."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest


@dataclass
class Uploads:
    """A hub where the owner of `token` may write repositories whose names begin with `owner`/."""

    token: str = "secret"
    owner: str = "user"
    private: dict[str, bool] = field(default_factory=dict)
    """Of each repository whether it is private."""
    files: dict[str, bytes] = field(default_factory=dict)
    """By repository and path; those of a commit come all at once."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by digest, which a commit names."""


@contextmanager
def accepting(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has the client in this process upload to such a hub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.body()
            path = unquote(urlsplit(self.path).path)
            if large := re.fullmatch(r"/large/(\w+)", path):
                assert hashlib.sha256(body).hexdigest() == large[1]
                uploads.stored[large[1]] = body
                return self.reply({})
            if self.headers.get("authorization") != f"Bearer {uploads.token}":
                return self.reply({"error": "Invalid credentials"}, 401)
            if path == "/api/validate-yaml":
                return self.reply({"errors": [], "warnings": []})
            if path == "/api/repos/create":
                wanted = json.loads(body)
                owner, name = wanted["organization"], wanted["name"]
                if owner != uploads.owner:
                    return self.reply({"error": "no rights"}, 403)
                uploads.private[f"{owner}/{name}"] = wanted["visibility"] == "private"
                return self.reply({"url": f"{self.address}/{owner}/{name}"})
            if re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
                objects = json.loads(body)["objects"]
                return self.reply(
                    {
                        "transfer": "basic",
                        "objects": [{**each, "actions": self.actions(each)} for each in objects],
                    }
                )
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(preupload|commit)/main)?", path)
            if found is None or found[1] not in uploads.private:
                return self.reply({}, 404, {"X-Error-Code": "RepoNotFound"})
            name = found[1]
            if found[2] is None:
                private = uploads.private[name]
                return self.reply({"id": name, "sha": "1" * 40, "private": private, "siblings": []})
            if found[2] == "preupload":
                files = [each["path"] for each in json.loads(body)["files"]]
                modes = {
                    file: "lfs" if file.endswith(".safetensors") else "regular" for file in files
                }
                return self.reply(
                    {
                        "files": [
                            {"path": f, "uploadMode": mode, "shouldIgnore": False}
                            for f, mode in modes.items()
                        ]
                    }
                )
            self.commit(name, [json.loads(line) for line in body.splitlines()])
            self.reply(
                {"commitUrl": f"{self.address}/{name}/commit/{'2' * 40}", "commitOid": "2" * 40}
            )

        do_GET = do_POST = do_PUT = answer  # noqa: N815 the names that http.server calls

        def body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def actions(self, wanted: dict[str, Any]) -> dict[str, Any]:
            return {"upload": {"href": f"{self.address}/large/{wanted['oid']}"}}

        def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    uploads.files[f"{name}/{value['path']}"] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    uploads.files[f"{name}/{value['path']}"] = uploads.stored[value["oid"]]

        @property
        def address(self) -> str:
            return f"http://{self.headers['host']}"

        def reply(
            self, value: Any, status: int = 200, headers: dict[str, str] | None = None
        ) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            given = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            for name, each in {**given, **(headers or {})}.items():
                self.send_header(name, each)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
