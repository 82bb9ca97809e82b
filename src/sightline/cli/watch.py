"""`sightline watch RUN`: follow a run in the browser while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..analysis.watch import PORT, WatchServer
from ..errors import UserError
from . import DONE, screen
from .arguments import VerbParser


def main(argv: Sequence[str]) -> int:
    """Serve the page of one run until interrupted."""
    args = parser().parse_args(list(argv))
    if not 0 <= args.port <= 65535:
        raise UserError(f"--port must be from 0 to 65535, got {args.port}")
    with WatchServer(Path(args.run), args.port) as server:
        print(f"{server.address} follows {args.run}; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            screen.say("stopped")
    return DONE


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "watch",
        "Follow a run in the browser: curves, newest rollouts, incidents. Reads the run's files only, "
        "listens on this machine only; a finished run can be looked at too.",
        "sightline watch runs/demo",
    )
    options.add_argument("run", metavar="RUN", help="the run's folder, finished or not")
    options.add_argument(
        "--port", type=int, default=PORT, help=f"port on 127.0.0.1 (default {PORT}; 0: a free one)"
    )
    return options
