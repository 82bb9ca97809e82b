"""The page of `sightline data preview`: rows as a model gets them, in one file that runs nothing."""

from __future__ import annotations

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ..analysis.pages.base import content_policy, printable
from ..analysis.tokens.strips import LETTERS, LEVELS
from ..image_addresses import png_address
from ..tasks.problem import Problem, Task

STYLE = """
.row:first-of-type { border-top: 1px solid var(--rule); }
main > .row { margin-top: 1.3rem; }
.turn figure { display: inline-block; margin: .4rem 1rem .4rem 0; vertical-align: top; }
.turn img { max-width: min(100%, 30rem); height: auto; border: 1px solid var(--rule); background: #fff; }
.turn pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 var(--mono); margin: .3rem 0; }
"""
MOST_SIDE = 640
"""Images of a page are made this small, so that it stays one file that opens."""


def shown(task: Task, problem: Problem) -> list[dict[str, Any]]:
    """Messages as the page shows them: images as data addresses, in their places."""
    images = iter(enumerate(problem.images, 1))
    messages = []
    for message in task.messages(problem):
        parts = []
        for part in message["content"]:
            if part["type"] == "text":
                parts.append({"text": part["text"], "address": None})
                continue
            number, image = next(images)
            parts.append(
                {"address": _address(image), "number": number, "size": f"{image.width} × {image.height}"}
            )
        messages.append({"role": message["role"], "parts": parts})
    return messages


def _address(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((MOST_SIDE, MOST_SIDE))
    return png_address(small, optimize=True)


def page(**content: Any) -> str:
    """The page as one file: everything escaped, nothing loaded, no script."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("sightline.tasks"), PackageLoader("sightline.analysis")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common = environment.get_template("style.css").render(letters=LETTERS, levels=LEVELS)
    style = Markup(common + STYLE)  # noqa: S704 (our own stylesheet)
    return environment.get_template("preview.html").render(
        style=style, policy=content_policy(style), **content
    )
