"""A web server on this machine: plain files in ranges, and what the Hugging Face hub's client asks for."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "f" * 40


class Web(ThreadingHTTPServer):
    """Serves a folder; repositories of the hub are its subfolders `org/name`, all at one commit.

    sent: bytes of content by path. refuse: how many of the next requests for content end with status 503. answers: the statuses of the
    next requests for a file, by its name; the last one stays, and 0 is a line that breaks. etag: whether versions are told by more than
    a date. listing: whether folders are shown as pages of links. need: what the query must be.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.sent: dict[str, int] = {}
        self.refuse = 0
        self.answers: dict[str, list[int]] = {}
        self.etag, self.listing, self.need = True, False, ""
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, repository: str) -> list[Path]:
        return sorted(path for path in (self.folder / repository).rglob("*") if path.is_file())


@contextmanager
def served(folder: Path) -> Iterator[Web]:
    server = Web(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/paths-info/.+", urlsplit(self.path).path)
        if found is None:
            return self._send(404, b"{}")
        asked = json.loads(text)["paths"] if text.startswith(b"{") else [unquote(w.partition(b"=")[2].decode()) for w in text.split(b"&")]
        self._send(200, json.dumps([row for row in self._rows(found[1]) if row["path"] in asked]).encode(), "application/json")

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/(.+))?", path):
            return self._model(found[1], found[3])
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            return self._send(200, json.dumps(self._rows(found[1])).encode(), "application/json")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self._file(self.server.folder / found[1] / found[2], with_body, {"X-Repo-Commit": COMMIT})
        self._file(self.server.folder / path.lstrip("/"), with_body, {})

    def _model(self, repository: str, revision: str | None) -> None:
        if not (self.server.folder / repository).is_dir():
            return self._send(401, b"{}", headers={"X-Error-Code": "RepoNotFound"})
        if revision not in (None, "main", COMMIT):
            return self._send(404, b"{}", headers={"X-Error-Code": "RevisionNotFound"})
        files = [{"rfilename": row["path"], **{key: row[key] for key in ("size", "lfs") if key in row}} for row in self._rows(repository)]
        self._send(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": files}).encode(), "application/json")

    def _rows(self, repository: str) -> list[dict[str, Any]]:
        rows = []
        for path in self.server.files(repository):
            name, content = path.relative_to(self.server.folder / repository).as_posix(), path.read_bytes()
            row = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            if name.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 9}
            rows.append(row)
        return rows

    def _file(self, path: Path, with_body: bool, headers: dict[str, str]) -> None:
        if self.server.need != urlsplit(self.path).query and self.server.need:
            return self._send(403, b"", with_body=with_body)
        if path.is_dir() and self.server.listing:
            links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in sorted(path.iterdir()))
            return self._send(200, links.encode(), "text/html", with_body=with_body)
        if not path.is_file():
            return self._send(404, b"")
        content = path.read_bytes()
        with self.server.lock:
            refused, self.server.refuse = self.server.refuse > 0, max(0, self.server.refuse - 1)
        if refused and with_body:
            return self._send(503, b"busy")
        if answers := self.server.answers.get(path.name):
            status = answers.pop(0) if len(answers) > 1 else answers[0]
            if not status:
                return self.connection.shutdown(socket.SHUT_RDWR)
            if status != 200:
                return self._send(status, b"no", with_body=with_body)
        status, part = 200, content
        headers |= {"Accept-Ranges": "bytes", "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True)}
        if self.server.etag:
            headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            status, part = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        if with_body:
            name = path.relative_to(self.server.folder).as_posix()
            with self.server.lock:
                self.server.sent[name] = self.server.sent.get(name, 0) + len(part)
        self._send(status, part, headers=headers, with_body=with_body)

    def _send(
        self, status: int, body: bytes, kind: str = "application/octet-stream", *, headers: Any = None, with_body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
