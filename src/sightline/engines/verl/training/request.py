"""What the trainer asks of the workers beside verl's own numbers; plain data that travels with a batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ....methods import Method, load_plugins
from ....methods import method as make_method

KEY = "sightline"
"""The name under which a request travels in a batch's extra information."""


@dataclass(frozen=True)
class Request:
    """Measure a method's scores, or add its terms to the loss."""

    wants: Literal["scores", "terms"]
    method: str
    options: dict[str, Any]
    seed: int
    step: int
    """Optimizer steps done, from which second views are drawn as on the other engine."""
    rows_per_pass: int
    look: bool = False
    """Whether to look, with the scores, at how much the image matters (`blindness_probe`)."""
    aggregation: str = "token-mean"
    """verl's `loss_agg_mode`."""
    plugins: list[str] = field(default_factory=list)
    """What is loaded before the method is built, in a worker that may never have seen it."""
    loss_scale: int | None = None
    """verl's `loss_scale_factor`."""

    def plain(self) -> dict[str, Any]:
        """The request as plain data, from which `request_of` makes it again."""
        return asdict(self)

    def build(self) -> Method:
        """The method that is asked about."""
        load_plugins(self.plugins)
        return make_method(self.method, **self.options)


def request_of(plain: Any) -> Request | None:
    """The request of a batch, if it carries one."""
    return Request(**plain) if plain else None
