"""The one exception for a user's own mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from unicodedata import category

_LISTED = 24
"""Longest table whose names are all listed."""


class UserError(ValueError):
    """A mistake of the user's: one line that says what, what was expected, what came, what to do.

    The command line prints it without a traceback and exits with 2. Everything else that is
    raised is a mistake of ours and keeps its traceback.
    """


def spelled(text: str) -> str:
    """Text for a terminal: control characters and what else it would obey are spelled out (`\\u001b`).

    Names, answers and replies come from models, sets and servers.
    """
    shown = (c if c.isprintable() or c == "\n" or category(c) == "Zs" else f"\\u{ord(c):04x}" for c in text)
    return "".join(shown)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest valid ones first.

    `unknown_name("method", "vgop", METHODS)` reads: unknown method 'vgop'; nearest: vgpo, ...
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if len(names) > _LISTED:
        return UserError(f"unknown {kind} {name!r}; nearest: {', '.join(nearest) or 'none, see --help'}")
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return UserError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(names)}")
