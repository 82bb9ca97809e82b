"""A hub on this machine: as much of the real one's protocol as `datasets`, and uploads of models, ask for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves `root/OWNER/NAME/...` as datasets at one commit; ids under `gated/` need a token."""

    protocol_version = "HTTP/1.1"
    root: Path
    asked: list[str]

    def do_GET(self):
        self._answer(send=True)

    def do_HEAD(self):
        self._answer(send=False)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(f"POST {self.path}")
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            name = json.loads(body)["name"]
            owner = json.loads(body).get("organization") or "me"
            if owner == "forbidden":
                return self._json({"error": "You may not write here"}, 403)
            (self.root / owner / name).mkdir(parents=True, exist_ok=True)
            return self._json({"url": f"http://127.0.0.1/{owner}/{name}", "id": f"{owner}/{name}"})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            return self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False,
                                          "oid": None} for f in files]})  # fmt: skip
        if "/commit/" in path:
            return self._commit(self._folder(path.removeprefix("/api/models/")), body)
        if "/paths-info/" in path:
            folder = self._folder(path.removeprefix("/api/datasets/"))
            try:
                names = json.loads(body)["paths"]
            except ValueError:
                names = parse_qs(body.decode())["paths"]
            return self._json(
                [self._entry(folder, folder / name) for name in names if (folder / name).exists()]
            )
        return self._json({}, 404)

    def _answer(self, send: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/"):
            name = path.removeprefix("/api/datasets/")
            folder = self._folder(name)
            if not folder.is_dir():
                return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            if self._refused(name):
                return self._json({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
            if "/revision/" in name and name.rpartition("/")[2] not in ("main", COMMIT):
                return self._json({"error": "Invalid rev"}, 404, {"X-Error-Code": "RevisionNotFound"})
            if "/tree/" in name:
                below = folder / "/".join(name.split("/")[4:])
                recursive = "recursive=true" in self.path.lower()
                found = sorted(below.rglob("*") if recursive else below.iterdir()) if below.is_dir() else []
                return self._json([self._entry(folder, file) for file in found])
            files = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
            owner = "/".join(name.split("/")[:2])
            return self._json(
                {"id": owner, "sha": COMMIT, "private": False, "gated": False, "disabled": False, "tags": [],
                 "siblings": [{"rfilename": file} for file in files]}
            )  # fmt: skip
        if path.startswith("/datasets/") and "/resolve/" in path:
            name, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            target = self.root / name / file
            if self._refused(name):
                return self._json({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
            if revision not in ("main", COMMIT):
                return self._json({}, 404, {"X-Error-Code": "RevisionNotFound"})
            if not target.is_file():
                code = "EntryNotFound" if (self.root / name).is_dir() else "RepoNotFound"
                return self._json({}, 404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT})
            data = target.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if send:
                self.wfile.write(data)
            return None
        return self._json({}, 404)

    def _commit(self, folder: Path, body: bytes) -> None:
        """Write the files of a commit whose uploads are all inline."""
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                target = folder / entry["value"]["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(base64.b64decode(entry["value"]["content"]))
        return self._json(
            {
                "commitUrl": f"http://{self.headers['Host']}/{folder.parent.name}/{folder.name}/commit/{COMMIT}",
                "commitOid": COMMIT,
            }
        )

    def _folder(self, name: str) -> Path:
        return self.root / "/".join(name.split("/")[:2])

    def _refused(self, name: str) -> bool:
        return name.startswith("gated/") and "Authorization" not in self.headers

    @staticmethod
    def _entry(folder: Path, file: Path) -> dict:
        path = str(file.relative_to(folder))
        if file.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
        data = file.read_bytes()
        return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": path}

    def _json(self, content, status: int = 200, headers: dict | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a running hub, and the list of what it was asked."""
    asked: list[str] = []
    handler = type("OneHub", (Hub,), {"root": root, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
