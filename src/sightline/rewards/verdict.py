"""What a grader is asked, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass

UNDECIDED = "undecided"

HOWS = (
    *("letter", "choice", "text", "number", "list", "equation", "polynomial", "symbolic"),
    *("no box", "empty", "no gold", "too long", "timeout", "crash", UNDECIDED),
)
"""Every way a verdict is reached."""


@dataclass(frozen=True)
class Question:
    """One answer to be compared with one gold."""

    protocol: str
    """A key of `PROTOCOLS`."""
    answer: str
    """The content of a box."""
    gold: str
    choices: tuple[str, ...] = ()
    """The values of the options A, B, …; empty if there are none."""


@dataclass(frozen=True)
class Verdict:
    """One response, judged against one gold answer."""

    correct: bool | None
    """Whether the response's answer is the gold answer; None if that could not be found out (`undecided`)."""
    answer: str | None
    """What stood in the last box; option letters are given bare ("B", "A, C"). None without a box."""
    how: str
    """How it was decided, one of `HOWS`:

    - by comparison: "letter", "choice", "text", "number", "list", "equation", "polynomial", "symbolic";
    - without one: "no box", "empty", "no gold", "too long";
    - not at all, scored wrong, since the answer takes too much computing or ends the process that reads
      it: "timeout", "crash";
    - not at all, and neither right nor wrong, since the machine kept it from being judged: "undecided".
    """
    why_not: str | None
    """One line on why it was not accepted; None if it was."""
