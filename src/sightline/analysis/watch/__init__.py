"""A run followed in the browser while it trains: files in, one page out, on the loopback address."""

from .server import PORT, WatchServer

__all__ = ["PORT", "WatchServer"]
