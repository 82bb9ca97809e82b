"""How a question is put: Jinja templates in a sandbox, images between the pieces of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...errors import UserError, unknown_name

MARKER = "<image>"
"""Where an image belongs in a question's text."""

PLACE = "\ufdd0"
"""Stands for an image inside a template; a noncharacter, removed from all text of a dataset."""

LONGEST = 1_000_000
"""Characters a template may produce."""

_FOLDER = Path(__file__).resolve().parents[1] / "templates"
_VARIABLES = ("question", "content", "choices", "images")
_FILTERS = (
    "trim",
    "upper",
    "lower",
    "title",
    "capitalize",
    "default",
    "length",
    "first",
    "last",
)
"""Filters whose result is about as long as what they are given; `replace` and `join` are not."""

_REFUSED = (
    nodes.Call, nodes.CallBlock, nodes.Macro, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends,
    nodes.Block, nodes.Mul, nodes.Pow, nodes.Mod, nodes.Add, nodes.Concat, nodes.Assign, nodes.AssignBlock,
    nodes.With, nodes.FilterBlock,
)  # fmt: skip
"""What reaches out, or grows a value before a part is written that could be counted."""


@dataclass(frozen=True)
class PromptTemplate:
    """The text of a Jinja template. It sees `question` (also as `content`), `choices` and `images`."""

    name: str
    text: str

    def render(self, pieces: Sequence[str], choices: Sequence[str] | None = None) -> list[str]:
        """The prompt's text around the images: one piece more than there are images.

        `pieces` is the question's text around its images. `choices` become pairs of letter and value.

        Raises:
            UserError: the template fails, does not show the question exactly once, or writes without end.
        """
        question = PLACE.join(clean(piece) for piece in pieces)
        lettered = [
            (letter, clean(value))
            for letter, value in zip(ascii_uppercase, choices or (), strict=False)
            if value
        ]
        shown = {"question": question, "content": question, "choices": lettered, "images": len(pieces) - 1}
        written, length = [], 0
        try:
            for part in _compiled(self.text, self.name).generate(shown):
                written.append(part)
                length += len(part)
                if length > LONGEST:
                    raise UserError(f"prompt template {self.name} writes more than {LONGEST} characters")
        except (TemplateError, TypeError, ValueError, OverflowError, MemoryError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"prompt template {self.name} fails: {type(error).__name__}: {error}") from error
        around = str("".join(written)).split(PLACE)
        if len(around) != len(pieces):
            raise UserError(
                f"prompt template {self.name} shows {len(around) - 1} of {len(pieces) - 1} images; "
                "expected {{ question }} exactly once"
            )
        return around


def clean(text: str) -> str:
    """Text that cannot be taken for an image's place."""
    return text.replace(PLACE, "")


def load_template(name: str | None) -> PromptTemplate:
    """The template called `papers` (the default) or `plain`, or the one in a file.

    A template may show variables, branch, loop once over the choices and use a few filters. It cannot
    call, import, calculate, assign or nest loops, so a foreign file can neither reach out, nor run for
    ever, nor fill the memory.

    Raises:
        UserError: there is no such template or file, or it does what templates may not.
    """
    name = name or "papers"
    built_in = {path.stem: path for path in _FOLDER.glob("*.jinja")}
    path = built_in.get(name) or Path(name).expanduser()
    if name not in built_in and path.suffix not in (".jinja", ".jinja2", ".j2", ".txt"):
        raise UserError(f"{unknown_name('prompt template', name, built_in)}; or give a .jinja file")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"prompt template {name} cannot be read: {error}") from error
    template = PromptTemplate(name, clean(text))
    template.render(["", "?"])
    return template


@lru_cache(maxsize=32)
def _compiled(text: str, name: str) -> Any:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    environment.globals.clear()
    environment.filters = {known: environment.filters[known] for known in _FILTERS}
    try:
        tree = environment.parse(text)
        refused = next(tree.find_all(_REFUSED), None) or _nested_loop(tree) or _collection(tree)
        if refused is not None:
            raise UserError(
                f"prompt template {name}, line {refused.lineno}: {type(refused).__name__} is not allowed; "
                f"use variables, if, one loop, and the filters {', '.join(_FILTERS)}"
            )
        unknown = meta.find_undeclared_variables(tree) - set(_VARIABLES)  # folds constants, so comes second
        if unknown:
            raise unknown_name(f"variable in prompt template {name}:", min(unknown), _VARIABLES)
        return environment.from_string(text)
    except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:  # the last: nested too deep
        raise UserError(f"prompt template {name} is not valid: {' '.join(str(error).split())}") from error


def _nested_loop(tree: nodes.Template) -> nodes.For | None:
    return next(
        (inner for outer in tree.find_all(nodes.For) for inner in _inside(outer).find_all(nodes.For)), None
    )


def _collection(tree: nodes.Template) -> nodes.Node | None:
    """A list, tuple or mapping that holds a variable; written out, it would be one part of any length."""
    return next(
        (
            found
            for found in tree.find_all((nodes.List, nodes.Tuple, nodes.Dict))
            if getattr(found, "ctx", "load") == "load" and next(found.find_all(nodes.Name), None) is not None
        ),
        None,
    )


def _inside(loop: nodes.For) -> nodes.Template:
    return nodes.Template([*loop.body, *loop.else_])


def pieces(question: str, images: int) -> tuple[list[str], int]:
    """The question's text around its images, and how many markers it has.

    Without markers the images come first. With fewer markers than images, the rest follow the
    last marker. With more, the superfluous markers stay text (the caller refuses such rows).
    """
    around = clean(question).split(MARKER)
    markers = len(around) - 1
    if markers > images:
        around = [*around[:images], MARKER.join(around[images:])]
    missing = images - markers
    if missing > 0:
        around = [*around[:-1], *[""] * missing, around[-1]]
    return around, markers


def chat(around: Sequence[str], system_prompt: str | None) -> list[dict[str, Any]]:
    """Chat messages: images between the pieces of text, empty pieces left out."""
    content: list[dict[str, Any]] = []
    for place, text in enumerate(around):
        if place:
            content.append({"type": "image"})
        if text:
            content.append({"type": "text", "text": text})
    user = [{"role": "user", "content": content}]
    if not system_prompt:
        return user
    return [{"role": "system", "content": [{"type": "text", "text": system_prompt}]}, *user]
