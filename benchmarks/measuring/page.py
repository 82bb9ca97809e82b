"""Puts what `make bench` measured into docs/performance.md: `make performance`.

Rows and machine of each benchmark go from benchmarks/out/ to docs/measured.json, the plot of growth to
docs/pictures/, and the tables are written between the page's marks. A benchmark that was not run keeps its
rows.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT, DOCS = ROOT / "benchmarks" / "out", ROOT / "docs"
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Goal:
    """What a row should reach: `column` at most `limit`."""

    limit: float
    column: str = "ratio"
    row: str = ""
    """The row whose number is the limit where that is larger."""

    def over(self, rows: Sequence[Mapping[str, Any]]) -> Goal:
        """The goal with its limit taken from `rows`."""
        found = [row["ours"] for row in rows if row["name"] == self.row]
        return replace(self, limit=max(self.limit, *found)) if found else self

    def words(self, unit: str) -> str:
        """As the table says it."""
        if self.column == "ratio":
            return f"≤ {self.limit:.2f}"
        return f"ours ≤ {self.limit:.0f} MB" if unit == "MB" else f"ours ≤ {self.limit:.2f}"


GOALS: dict[str, dict[str, Goal]] = {
    "scoring": {
        "P=600, T=128, G=8, text only": Goal(1 / 3),
        "P=600, T=128, G=8, black, per prompt": Goal(1 / 3),
        "P=1300, T=256, G=8, text only": Goal(1 / 2.5),
        "P=1300, T=256, G=8, black, per prompt": Goal(1 / 2.5),
    },
    "newer_signals": {
        "vepo, 256 tokens": Goal(1.1),
        "pepo, T=2048, G=2": Goal(1.05),
        "pepo, memory beyond vgpo's": Goal(64, "ours"),
    },
    "exact_kl": {"time, 256 tokens": Goal(1.0), "extra memory, 2048 tokens": Goal(96, "ours")},
    "training_pass": {
        "time against stock TRL, P=600, T=128, G=8": Goal(0.24),
        "time against stock TRL, P=1300, T=256, G=8": Goal(0.24),
        "time against share_prompts: false, P=1300, T=256, G=8": Goal(0.38),
        "memory against stock TRL, P=1300, T=256, G=8": Goal(0.35),
        "memory against stock TRL, P=1300, T=256, G=8, checkpointing": Goal(0.35),
        "time against share_prompts: false, P=600, T=4096, G=2": Goal(1.0),
        "memory against share_prompts: false, P=600, T=4096, G=2": Goal(1.0),
    },
    "steps": {
        "grpo against stock TRL": Goal(0.40),
        "vgpo against grpo": Goal(1.10),
        "vppo against grpo": Goal(1.20),
        "pgpo against grpo": Goal(1.20),
        "papo against grpo": Goal(1.45),
        **{f"{name} against grpo": Goal(1.30) for name in ("pepo", "vepo", "tor", "dupl")},
        "main-2, dapo, against share_prompts: false": Goal(0.65),
    },
    "rollouts": {"32 prompts x 8": Goal(1 / 1.6)},
    "growth": {
        "time grows with T as": Goal(1.1, "ours", "multiplications needed grow with T as"),
        "memory grows with T as": Goal(1.1, "ours"),
        "time grows with G as": Goal(1.1, "ours"),
        "memory grows with G as": Goal(1.1, "ours"),
    },
}


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one benchmark in Markdown, with the goal and whether it is reached."""
    lines = ["| | ours | plain | unit | ours / plain | goal | reached |", "|---|---:|---:|---|---:|---|---|"]
    for row in rows:
        goal = GOALS[name].get(row["name"])
        goal = goal and goal.over(rows)
        reached = "" if goal is None else "yes" if row[goal.column] <= goal.limit else "**no**"
        numbers = "" if goal is None else goal.words(row["unit"])
        lines.append(
            f"| {row['name']} | {row['ours']:.2f} | {row['plain']:.2f} | {row['unit']} | {row['ratio']:.2f} "
            f"| {numbers} | {reached} |"
        )
    return "\n".join(lines)


PLOTS = {
    "growth": "![Time and memory of the scoring pass over response length, group size and prompt length]"
    "(pictures/growth.svg)\n\n"
}


def filled(page: str, measured: Mapping[str, Any]) -> str:
    """The page with every marked block written anew."""

    def block(found: re.Match[str]) -> str:
        name = found[2]
        if name not in measured:
            return f"{found[1]}Not measured yet: `make bench`, then `make performance`.\n{found[3]}"
        entry = measured[name]
        rows = table(name, entry["rows"])
        return f"{found[1]}{PLOTS.get(name, '')}{rows}\n\n{entry['machine']}\n{found[3]}"

    return MARKED.sub(block, page)


def main() -> None:
    store = DOCS / "measured.json"
    measured = json.loads(store.read_text()) if store.is_file() else {}
    for name in GOALS:
        if (OUT / f"{name}.json").is_file():
            rows = json.loads((OUT / f"{name}.json").read_text())
            measured[name] = {"machine": (OUT / f"{name}.txt").read_text().strip(), "rows": rows}
    if (OUT / "growth.svg").is_file():
        shutil.copyfile(OUT / "growth.svg", DOCS / "pictures" / "growth.svg")
    store.write_text(json.dumps(measured, indent=1) + "\n")
    page = DOCS / "performance.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
    print(f"{page.relative_to(ROOT)}: {', '.join(measured)}")


if __name__ == "__main__":
    main()
