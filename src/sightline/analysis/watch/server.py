"""The server behind `sightline watch`: one page and a few files of one folder, for this machine alone.

It listens on the loopback address, answers GET and HEAD, changes nothing, and knows every address it
serves beforehand, so that no path of a request ever reaches the file system.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ...errors import UserError
from ..readers.confined_files import open_inside, signature
from .followed_run import FollowedRun
from .page import SERVED, watch_page

PORT = 8642
SECONDS = 3
HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names under which a browser of this machine asks; any other may belong to a page that rebound its own."""

PATIENCE = 10.0
"""Seconds that a request waits for a page that is being made; then it gets the last one."""
WAITING = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">'
    b"<title>Sightline</title><p>The files of this run are being read.</p></html>"
)

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For files of the folder, which anyone may have written: an origin of their own, no way to send anything.
A page's own policy narrows it further."""


class WatchServer(ThreadingHTTPServer):
    """Serves one run folder on the loopback address until it is closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, port: int = PORT, seconds: int = SECONDS) -> None:
        """`port` 0 takes a free one. Raises `UserError` if `folder` is none or the port is taken."""
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; expected the folder of a run, as runs/demo")
        self.followed, self.seconds = FollowedRun(folder), seconds
        self._lock = threading.Lock()
        self._stamp: tuple[Any, ...] | None = None
        self._page = WAITING
        self._making: Future[None] | None = None
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UserError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --port (0: a free one)"
            ) from error

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def page(self) -> bytes:
        """The page at this moment, made anew when a file was written to.

        One thread at a time reads the files, and no lock is held meanwhile: files that take long, or are
        meant to, keep nobody from the last page that was made.
        """
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            making = self._made_or_making(self.followed.stamp())
            if making is None:
                break
            try:
                making.result(left)
            except FutureTimeout:
                break
        with self._lock:
            return self._page

    def _made_or_making(self, stamp: tuple[Any, ...]) -> Future[None] | None:
        """What to wait for if the page is older than `stamp`; None if it is not."""
        with self._lock:
            if self._making is None or self._making.done():
                if stamp == self._stamp:
                    return None
                self._making = Future()
                threading.Thread(target=self._make, args=(stamp, self._making), daemon=True).start()
            return self._making

    def _make(self, stamp: tuple[Any, ...], making: Future[None]) -> None:
        try:
            served = [name for name in SERVED if self.has(name)]
            made = watch_page(self.followed.now(), served, self.seconds).encode()
        except BaseException as error:
            making.set_exception(error)
            return
        with self._lock:
            self._page, self._stamp = made, stamp
        making.set_result(None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hung up is none of our errors."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def has(self, name: str) -> bool:
        """Whether a file of that name is there to be served."""
        file = open_inside(self.followed.folder, name)
        if file is not None:
            file.close()
        return file is not None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: WatchServer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "sightline", ""
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        """The page, or a file of the run."""
        host = self.headers.get_all("Host") or []
        if len(host) != 1 or not _local(host[0]):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "ask for this server as localhost or 127.0.0.1")
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._page()
        elif path.startswith("/files/") and path.removeprefix("/files/") in SERVED:
            self._file(path.removeprefix("/files/"))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    do_HEAD = do_GET  # noqa: N815

    def _page(self) -> None:
        content = self.server.page()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if self.headers.get("If-None-Match") == tag:
            self._head(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
            return
        self._content(
            content, "text/html", {"Content-Security-Policy": "frame-ancestors 'none'", "ETag": tag}
        )

    def _file(self, name: str) -> None:
        file = open_inside(self.server.followed.folder, name)
        if file is None:
            self._refuse(HTTPStatus.NOT_FOUND, f"the run has no {name} yet, or it is no plain file")
            return
        with file:
            size = signature(file).size
            kind = "text/html" if name.endswith(".html") else "text/plain"
            length = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(size)}
            self._head(HTTPStatus.OK, {**length, "Content-Security-Policy": SANDBOX})
            if self.command != "HEAD":
                self._send(file, size)

    def _send(self, file: BinaryIO, size: int) -> None:
        """Exactly `size` bytes, as was promised; a file that shrank meanwhile ends the connection."""
        left = size
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            self.wfile.write(part)
            left -= len(part)
        if left:
            self.close_connection = True

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: HTTPStatus, why: str, **headers: str) -> None:
        self.close_connection = True
        self._content(f"{why}\n".encode(), "text/plain", {"Connection": "close", **headers}, status)

    def _content(
        self, content: bytes, kind: str, headers: dict[str, str], status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        length = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        self._head(status, {**length, **headers})
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse_method(self) -> None:
        """Every other method: nothing here can be changed."""
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", Allow="GET, HEAD")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = refuse_method  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line each."""


def _local(host: str) -> bool:
    """Whether a Host header names this machine, with any port (a forwarded one has another)."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = host
    return name.lower() in HOSTS and (not colon or port.isdecimal())
