"""Writes what memory each recipe wants: the table of docs/recipes.md and the recipes' headers.

python recipes/write_sizes.py            the table, printed
python recipes/write_sizes.py --write    the table and the headers, written again

One run's memory, part by part: `sightline plan --config RECIPE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sightline.cli.plan import WANTS, hardware
from sightline.engines.memory import GIB, Architecture, Layout, architecture, checkpoint_bytes, memory
from sightline.engines.registry import plan_of

HERE = Path(__file__).parent
TABLE = HERE.parent / "docs" / "recipes.md"
MARKS = ("<!-- sizes: made by `python recipes/write_sizes.py --write` -->", "<!-- /sizes -->")
COLUMNS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "reference": "reference",
    "gathered": "gathered",
    "activations": "activations",
    "images": "images",
    "sampler": "vLLM",
}


def read(recipe: Path) -> tuple[Architecture, Layout]:
    """A recipe's model and its layout on the hardware that its header names."""
    gpus, card = hardware(str(recipe), None, None)
    plan = plan_of("trl", ["--config", str(recipe)], gpus, card)
    return architecture(plan.model), plan.layout


def recipes() -> list[Path]:
    """The recipes that say what they want, smallest first."""
    wanted = {path: WANTS.search(path.read_text(encoding="utf-8")) for path in HERE.glob("*.yaml")}
    found = [(int(match[1]), path.name, path) for path, match in wanted.items() if match]
    return [path for *_, path in sorted(found)]


def wants(recipe: Path) -> str:
    """What a recipe's header says of its memory, from the formulas."""
    model, layout = read(recipe)
    found = memory(model, layout)
    on_disk = checkpoint_bytes(model, layout) / GIB
    return (
        f"{found.training / GIB:.0f} GiB each in training, {found.sampling / GIB:.0f} in sampling; "
        f"a checkpoint is {on_disk:.0f} GiB"
    )


def table() -> str:
    """The table of docs/recipes.md."""
    ends = ["training", "sampling", "answers at once", "checkpoint"]
    head = ["recipe", "GPUs", *COLUMNS.values(), *ends]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for recipe in recipes():
        model, layout = read(recipe)
        found = memory(model, layout)
        cells = [f"[{recipe.stem}](../recipes/{recipe.name})", f"{layout.gpus} × {layout.card:.0f}"]
        cells += [f"{getattr(found, name) / GIB:.1f}" for name in COLUMNS]
        cells += [f"**{size / GIB:.0f}**" for size in (found.training, found.sampling)]
        cells += [f"{found.sequences:.0f}", f"{checkpoint_bytes(model, layout) / GIB:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write() -> None:
    """Put the table and the headers' numbers where they belong."""
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    TABLE.write_text(f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}", encoding="utf-8")
    for recipe in recipes():
        text = recipe.read_text(encoding="utf-8")
        match = WANTS.search(text)
        assert match is not None
        recipe.write_text(text[: match.start(4)] + wants(recipe) + text[match.end(4) :], encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    else:
        print(table())
