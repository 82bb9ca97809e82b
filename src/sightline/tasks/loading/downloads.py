"""Images behind public addresses, fetched only where a run allows it.

The host's name is resolved once, every address it has is checked, and the connection is made to a checked
one: a name that answers otherwise a moment later leads nowhere else. Proxies, which resolve names themselves,
are not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from ..rows.row_errors import Fault, UnusableRow

TIMEOUT = 20.0
"""Seconds a server may stay silent."""
TOTAL = 60.0
"""Seconds for all of an image, redirects included, however slowly it drips."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def download(address: str, most_bytes: int) -> bytes:
    """The content behind an http(s) address of a public host; redirects are held to the same rule.

    Raises:
        UnusableRow: another scheme, a host inside the network, no answer in time, or too much of it.
    """
    _check_scheme(address)
    with _time_limit() as limit:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _Handler(limit), _SecureHandler(limit), _PublicRedirects
        )
        try:
            with opener.open(address, timeout=TIMEOUT) as reply:
                data = reply.read(most_bytes + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            why = f"no whole answer within {TOTAL:g} s" if limit.over else f"{error}"
            raise UnusableRow(Fault.MISSING_IMAGE, f"{address[:80]}: {why}"[:200]) from error
        if limit.over:
            raise UnusableRow(Fault.MISSING_IMAGE, f"{address[:80]}: no whole answer within {TOTAL:g} s")
    if len(data) > most_bytes:
        raise UnusableRow(Fault.DECOMPRESSION_BOMB, f"{address[:80]} sends more than {most_bytes} bytes")
    return data


def is_public(host: str) -> bool:
    """Whether every address of a host is reachable from anywhere: a set must not read our own services."""
    return all(_is_public_address(entry[4][0]) for entry in _resolved(host, None))


def _is_public_address(text: Any) -> bool:
    address = ipaddress.ip_address(str(text).split("%")[0])
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(one is None or _is_public_address(one) for one in inner)


def _resolved(host: str, port: int | None) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnusableRow(Fault.MISSING_IMAGE, f"cannot find host {host[:80]}: {error}") from error


def _check_scheme(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableRow(Fault.REFUSED_ADDRESS, f"{address[:80]}; expected http:// or https://")


class _TimeLimit:
    """Ends the connections of one download when its time is over, whatever they are waiting for."""

    def __init__(self, seconds: float):
        self._ended = False
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    @property
    def over(self) -> bool:
        """Whether the time is over; a wait may notice it before the timer does."""
        return self._ended or time.monotonic() >= self._end

    @property
    def left(self) -> float:
        """Seconds that a single wait may take."""
        return max(0.01, min(TIMEOUT, self._end - time.monotonic()))

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection too."""
        with self._lock:
            self._open.append(connection)
            if self._ended:
                self._cut()

    def end(self) -> None:
        """Now."""
        with self._lock:
            self._ended = True
            self._cut()

    def _cut(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


@contextmanager
def _time_limit() -> Iterator[_TimeLimit]:
    limit = _TimeLimit(TOTAL)
    timer = threading.Timer(TOTAL, limit.end)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()


def _connected(host: str, port: int, limit: _TimeLimit) -> socket.socket:
    """A connection to an address of `host` that was checked, as all of them were."""
    found = _resolved(host, port)
    if not all(is_public(str(entry[4][0])) for entry in found):
        raise UnusableRow(Fault.REFUSED_ADDRESS, f"{host[:80]} lies inside this network")
    failed: OSError = OSError(f"{host[:80]} has no address")
    for family, kind, protocol, _, where in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(limit.left)
            limit.watch(connection)
            connection.connect(where)
        except OSError as error:
            connection.close()
            failed = error
            continue
        return connection
    raise failed


class _Connection(http.client.HTTPConnection):
    def __init__(self, limit: _TimeLimit, host: str, **given: Any):
        super().__init__(host, **given)
        self._limit = limit

    def connect(self) -> None:
        self.sock = _connected(self.host, self.port, self._limit)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, limit: _TimeLimit, host: str, **given: Any):
        super().__init__(host, **given)
        self._limit = limit

    def connect(self) -> None:
        plain = _connected(self.host, self.port, self._limit)
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self._limit.watch(self.sock)
        self.sock.do_handshake()


class _Handler(urllib.request.HTTPHandler):
    def __init__(self, limit: _TimeLimit):
        super().__init__()
        self._limit = limit

    def http_open(self, req: Any) -> Any:
        return self.do_open(lambda host, **given: _Connection(self._limit, host, **given), req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, limit: _TimeLimit):
        super().__init__()
        self._limit = limit

    def https_open(self, req: Any) -> Any:
        return self.do_open(lambda host, **given: _SecureConnection(self._limit, host, **given), req)


class _PublicRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        fp.close()  # its body would be read, however long it is
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
