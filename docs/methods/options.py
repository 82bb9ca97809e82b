"""Write the options of every method and rule into the pages of this folder, from where they are defined.

python docs/methods/options.py

What an option means and its range stand in the `Args` block of the function that takes it, its default in the
function's signature. Tables between two `<!-- options of ... -->` lines are replaced.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.methods import METHODS
from sightline.shaping import ADJUSTMENTS, SHAPINGS

FOLDER = Path(__file__).parent
BLOCK = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documented(function: Callable[..., Any]) -> dict[str, str]:
    """Option -> what its `Args` entry says, in one line."""
    text = inspect.getdoc(function) or ""
    block = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", block[1], re.MULTILINE) if block else []
    return {name: " ".join(said.split()) for name, said in entries}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Option -> its default; `inspect.Parameter.empty` where it has none."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items()}


def functions() -> dict[str, Callable[..., Any]]:
    """Every method, shaping and adjustment by name."""
    rules = {name: rule.function for name, rule in {**SHAPINGS, **ADJUSTMENTS}.items()}
    return {**METHODS, **rules}


def table(name: str) -> str:
    """The first sentence of a rule, and the options of one method or rule as rows of Markdown."""
    function = functions()[name]
    values = defaults(function)
    if not documented(function):
        return "No options.\n"
    rows = ["| option | default | |", "|---|---|---|"]
    for option, said in documented(function).items():
        value = values[option]
        shown = "" if value is inspect.Parameter.empty else f"`{value!r}`".replace("'", '"')
        rows.append(f"| `{option}` | {shown} | {said.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def sentence(name: str) -> str:
    """What a rule says of itself first; nothing for a method, whose page says it."""
    said = (inspect.getdoc(functions()[name]) or "").split("\n\n")[0].replace("\n", " ")
    return "" if name in METHODS else said + "\n\n"


def written(page: str) -> str:
    """The page with its tables as they have to be."""
    return BLOCK.sub(lambda found: found[1] + sentence(found[2]) + table(found[2]) + found[3], page)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.md")):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
