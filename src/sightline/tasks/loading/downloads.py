"""Images behind public addresses, fetched only where a run allows it."""

from __future__ import annotations

import ipaddress
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from ..rows.row_errors import Fault, UnusableRow

TIMEOUT = 20
"""Seconds a server may stay silent."""


def download(address: str, most_bytes: int) -> bytes:
    """The content behind an http(s) address of a public host; redirects are held to the same rule.

    Raises:
        UnusableRow: another scheme, a host inside the network, no answer, or too much of it.
    """
    _check(address)
    opener = urllib.request.build_opener(_PublicRedirects)
    try:
        with opener.open(address, timeout=TIMEOUT) as reply:
            data = reply.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise UnusableRow(Fault.MISSING_IMAGE, f"{address[:80]}: {error}"[:200]) from error
    if len(data) > most_bytes:
        raise UnusableRow(Fault.DECOMPRESSION_BOMB, f"{address[:80]} sends more than {most_bytes} bytes")
    return data


class _PublicRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _check(newurl)
        except UnusableRow:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableRow(Fault.REFUSED_ADDRESS, f"{address[:80]}; expected http:// or https://")
    if not is_public(parts.hostname):
        raise UnusableRow(Fault.REFUSED_ADDRESS, f"{address[:80]} lies inside this network")


def is_public(host: str) -> bool:
    """Whether every address of a host is reachable from anywhere: a set must not read our own services."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError) as error:
        raise UnusableRow(Fault.MISSING_IMAGE, f"cannot find host {host[:80]}: {error}") from error
    return all(ipaddress.ip_address(str(entry).split("%")[0]).is_global for entry in found)
