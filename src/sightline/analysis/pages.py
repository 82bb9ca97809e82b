"""Pages that stand alone: one file, one visual language, nothing loaded from anywhere.

Every page extends `templates/layout.html`. Data reaches the markup only through Jinja2 with
autoescape on; a content-security policy then forbids whatever escaping could have missed. The
pages need no script at all: themes and the choice of a score are radio buttons and `:has()`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .numerals import numeral, percent
from .tokens import LETTERS, LEVELS, words

UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, direction overrides and lone surrogates: they hide, reorder or cannot be written."""


def printable(value: Any) -> Any:
    """Text with characters that would hide or reorder it spelled out (`\\u202e`); other values unchanged."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", value)


def page(template: str, **content: Any) -> str:
    """The whole text of a page, with its stylesheet inside and a policy that allows only that."""
    environment = Environment(
        loader=PackageLoader("sightline.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=words, numeral=numeral, percent=percent)
    style = environment.get_template("style.css").render(letters=LETTERS, levels=LEVELS)
    return environment.get_template(template).render(style=style, policy=content_policy(style), **content)


def content_policy(style: str) -> str:
    """A content-security policy: this one stylesheet, pictures that are part of the page, nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
