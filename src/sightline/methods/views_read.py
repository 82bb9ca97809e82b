"""Which second view each signal and each term reads, checked when a method is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import UserError
from ..objectives import Term
from ..signals import signal, split_view
from ..value_checks import known_names
from ..views import View


def check_views(
    owner: str,
    view: View | None,
    views: Mapping[str, View],
    signals: Sequence[str],
    terms: Sequence[Term],
) -> None:
    """Raise unless every second view is read, and everything that reads one says which of several."""
    if view is not None and views:
        raise UserError(f"{owner}: give one view, or several views by name, not both")
    if wrong := [name for name in views if not name or "/" in name]:
        raise UserError(f"{owner}: a view's name is not empty and has no '/', got {wrong[0]!r}")
    comparing = [name for name in signals if signal(name).compares_views]
    if comparing and view is None and not views:
        raise UserError(f"{owner}: {comparing[0]} compares two views; give a view, as view='patches'")
    if view is not None and not comparing and not terms:
        raise UserError(f"{owner}: nothing reads the {view.name} view; leave view out")
    readers = [("signal", name, split_view(name)[1]) for name in comparing]
    readers += [("term", term.name, term.view) for term in terms if term.reads_view or term.view]
    known = views or ({} if view is None else {view.name: view})
    for kind, name, chosen in readers:
        if chosen is not None:
            known_names(f"view of {kind} {name}", [chosen], known)
        elif views:
            first = next(iter(views))
            wanted = f"{name}/{first}" if kind == "signal" else f"view: {first}"
            raise UserError(
                f"{owner}: say which view {kind} {name} reads, as {wanted}; there are {', '.join(views)}"
            )
    if unread := [name for name in views if name not in [chosen for _, _, chosen in readers]]:
        raise UserError(f"{owner}: no signal or term reads view {unread[0]}; leave it out")
