"""A hub on this machine: enough of its interface for the real client to stream data sets from."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest

Repositories = dict[tuple[str, str], dict[str, bytes]]
"""Files by path, by (owner/name, revision)."""


@contextmanager
def serve(repositories: Repositories) -> Iterator[str]:
    """The address of a hub with these data sets. Commit k is forty times the digit k."""
    commits = {key: str(number) * 40 for number, key in enumerate(repositories, 1)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = unquote(urlsplit(self.path).path)
            api = re.fullmatch(
                r"/api/(?:datasets|models)/([^/]+/[^/]+?)(?:/(revision|tree|paths-info)/(.+))?",
                path,
            )
            file = re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/(\w+)/(.+)", path)
            if api and api[2] in (None, "revision"):
                self.repository(api[1], api[3] or "main")
            elif api:
                commit, _, folder = api[3].partition("/")
                self.reply(self.entries(self.files(api[1], commit), folder, body))
            elif file and file[3] in self.files(file[1], file[2]):
                self.content(self.files(file[1], file[2])[file[3]], file[2])
            else:
                self.missing("EntryNotFound")

        do_GET = do_HEAD = do_POST = answer  # noqa: N815 the names that http.server calls

        def repository(self, name: str, revision: str) -> None:
            known = {r: commits[n, r] for n, r in repositories if n == name}
            commit = revision if revision in known.values() else known.get(revision)
            if not known:
                self.missing("RepoNotFound")
            elif commit is None:
                self.missing("RevisionNotFound")
            else:
                self.reply({"id": name, "sha": commit, "siblings": []})

        def files(self, name: str, commit: str) -> dict[str, bytes]:
            return next(
                (f for k, f in repositories.items() if (k[0], commits[k]) == (name, commit)), {}
            )

        def entries(
            self, files: dict[str, bytes], folder: str, body: bytes
        ) -> list[dict[str, Any]]:
            """What a folder holds, or with a body what is known of the paths it names."""
            entries: dict[str, dict[str, Any]] = {}
            for name, content in files.items():
                file = {"type": "file", "oid": "0" * 40, "size": len(content), "path": name}
                parents = [parent.as_posix() for parent in PurePosixPath(name).parents][:-1]
                folders = {p: {"type": "directory", "oid": "0" * 40, "path": p} for p in parents}
                entries |= {name: file, **folders}
            if body:
                return [entries[path] for path in json.loads(body)["paths"] if path in entries]
            whole = "recursive=true" in self.path.lower()
            return [
                entry
                for path, entry in entries.items()
                if PurePosixPath(path).parent == PurePosixPath(folder)
                or (whole and PurePosixPath(path).is_relative_to(folder or "."))
            ]

        def content(self, content: bytes, commit: str) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
            # The client's cache knows a file's content by its tag.
            tag = hashlib.sha1(content).hexdigest()
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if wanted:
                end = min(int(wanted[2] or len(content) - 1), len(content) - 1)
                headers["Content-Range"] = f"bytes {wanted[1]}-{end}/{len(content)}"
                content = content[int(wanted[1]) : end + 1]
            self.send(206 if wanted else 200, content, headers)

        def reply(self, value: Any) -> None:
            self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def missing(self, code: str) -> None:
            self.send(404, b"", {"X-Error-Code": code})

        def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub(
    repositories: Repositories, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counter[str]]:
    """Has the client in this process ask such a hub, and counts how often it looks up each name."""
    names: Counter[str] = Counter()
    look_up = huggingface_hub.HfApi.repo_info

    def counted(self: Any, repo_id: str, **options: Any) -> Any:
        names[repo_id] += 1
        return look_up(self, repo_id, **options)

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", counted)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    with serve(repositories) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield names


def answers_of(repositories: Repositories, program: str, names: Sequence[str]) -> dict[str, Any]:
    """What `program` prints for each name, a line of JSON, with these data sets on the hub.

    One process asks for them all, because its start takes seconds.
    """
    with serve(repositories) as address:
        command = [sys.executable, "-c", program, *names]
        environment = {**os.environ, "HF_ENDPOINT": address}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))
