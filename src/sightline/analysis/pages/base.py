"""Pages that stand alone: one file, one visual language, nothing loaded from anywhere.

Every page extends `templates/layout.html`. Data reaches the markup only through Jinja2 with
autoescape on, or as a block of JSON that a script writes as text; a content-security policy then
forbids whatever escaping could have missed. Themes and the choice of a score are radio buttons and
`:has()`, so every page can be read without its script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..charts.number_format import numeral, percent, points
from ..tokens.strips import LETTERS, LEVELS, words

UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, direction overrides and lone surrogates: they hide, reorder or cannot be written."""


def printable(value: Any) -> Any:
    """Text with characters that would hide or reorder it spelled out (`\\u202e`); other values unchanged."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", value)


def page(template: str, *, style: str = "", script: str = "", served: bool = False, **content: Any) -> str:
    """The whole text of a page, with its stylesheet and script inside and a policy that allows only those.

    Args:
        template: What extends `layout.html`.
        style: A template of more rules, after those that all pages share.
        script: A file of `templates/`, put in as it stands; its `data` comes through `data_block`.
        served: Whether the page may ask the server it came from for more.
        content: Values for the template.
    """
    environment = _environment()
    rules = [environment.get_template(name).render(letters=LETTERS, levels=LEVELS) for name in _named(style)]
    source = environment.loader.get_source(environment, script)[0] if script and environment.loader else ""
    sheet = "\n".join(rules)
    return environment.get_template(template).render(
        style=Markup(sheet),  # noqa: S704 (our own stylesheet)
        script=Markup(source),  # noqa: S704 (our own script)
        policy=content_policy(sheet, source, served=served),
        **content,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sightline.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=words, numeral=numeral, percent=percent, signed=points)
    return environment


def _named(style: str) -> list[str]:
    return ["style.css", style] if style else ["style.css"]


def content_policy(style: str, script: str = "", *, served: bool = False) -> str:
    """A content-security policy: this one stylesheet and script, images that are part of the page.

    `served` lets the script ask its own server; nothing else is ever loaded, sent or run.
    """
    parts = ["default-src 'none'", f"style-src '{_digest(style)}'", "img-src data:"]
    if script:
        parts.append(f"script-src '{_digest(script)}'")
    if served:
        parts.append("connect-src 'self'")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def data_block(value: Any) -> Markup:
    """`value` as JSON that may stand inside a `<script type="application/json">`, whatever its strings hold.

    `<`, `>` and `&` are written as escapes of JSON, so no tag or comment can begin or end in it;
    characters that would hide or reorder text are spelled out as everywhere on a page.
    """
    text = json.dumps(_spelled(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (no markup can be left in it)


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(key): _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    return printable(value)
