"""The table of families in docs/training.md: a row is written where its family was run."""

from __future__ import annotations

from pathlib import Path

from sightline.engines.image_placeholders import check_server_prompts
from sightline.errors import UserError
from sightline.models.loading import load_model

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
HEAD = "| family | vLLM beside the trainer (colocate) | vLLM as a server |"


def server_column(folder: Path) -> str:
    """What a server could be sent: no server was asked, since new weights go to it over NCCL."""
    loaded = load_model(str(folder))

    def fits(several: bool) -> bool:
        try:
            check_server_prompts(loaded.processor, loaded.model.config, several)
        except UserError:
            return False
        return True

    return "not run" if fits(True) else "not run; two images refused" if fits(False) else "refused"


def write_row(family: str, colocate: str, server: str) -> None:
    """Put the row of `family` into the page's table, in the place of the one that is there."""
    lines = PAGE.read_text().splitlines()
    first = lines.index(HEAD) + 2
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))
    rows = {line.split("|")[1].strip(): line for line in lines[first:last]}
    rows[f"`{family}`"] = f"| `{family}` | {colocate} | {server} |"
    PAGE.write_text("\n".join([*lines[:first], *(rows[name] for name in sorted(rows)), *lines[last:]]) + "\n")
