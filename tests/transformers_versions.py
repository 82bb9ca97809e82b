"""Runs the tests of the model families under other versions of transformers, each in its environment.

    make test-versions                              # the lowest, verl's and the newest
    make test-versions VERSIONS="5.6.2 5.24.0"

An environment holds transformers alone and what it wants otherwise; all else is the one of `make test`. The
result is a table, which is put into docs/families.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree  # our own file

from tiny_models import FAMILIES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-versions"
DOCS = ROOT / "docs/families.md"
BEGIN, END = "<!-- versions: made by make test-versions -->", "<!-- end of versions -->"
TESTS = (
    "tests/integration/test_families_scoring.py", "tests/integration/test_families_engine.py",
    "tests/integration/test_families_sharing.py", "tests/integration/test_families_generation.py",
    "tests/unit/test_families.py", "tests/unit/test_self_test.py", "tests/unit/test_loading.py",
    "tests/unit/test_generation.py",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One test under one version."""

    name: str
    family: str
    """The family that its parameters name; "" for a test of none."""
    failed: bool
    wants_torchvision: bool


def environment(version: str) -> Path:
    """The Python of an environment with this version of transformers over the one that runs here."""
    python = FOLDER / version / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / version)], check=True)
        site = subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        (Path(site) / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"transformers=={version}"], check=True)
    return python


def outcomes(python: Path, version: str) -> list[Outcome]:
    """Every test of the families under this Python."""
    report = FOLDER / f"{version}.xml"
    subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", "--tb=short", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        wrong = [part for part in case if part.tag in ("failure", "error")]
        parameters = re.split(r"[\[\]-]", case.get("name", ""))
        family = next((name for name in parameters if name in FAMILIES), "")
        said = " ".join((part.get("message") or "") + (part.text or "") for part in wrong)
        found.append(Outcome(case.get("name", ""), family, bool(wrong), "torchvision" in said))
    return found


def table(results: dict[str, list[Outcome]]) -> str:
    """A row for each family, a column for each version; below it the names of what fails."""
    rows = [["family", *results], ["---"] * (len(results) + 1)]
    for family in (*FAMILIES, ""):
        cells = [_cell([one for one in found if one.family == family]) for found in results.values()]
        rows.append([family or "tests of no family", *cells])
    failing: dict[str, list[str]] = defaultdict(list)
    for version, found in results.items():
        for one in found:
            if one.failed and not one.wants_torchvision:
                failing[one.name].append(version)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += [f"- `{name}` fails under {', '.join(versions)}" for name, versions in failing.items()]
    return "\n".join(lines)


def _cell(found: list[Outcome]) -> str:
    failed = [one for one in found if one.failed]
    if failed and all(one.wants_torchvision for one in failed):
        return f"{len(failed)} of {len(found)} want torchvision"
    return f"{len(failed)} of {len(found)} fail" if failed else f"{len(found)} pass"


def into_docs(text: str) -> None:
    """Put the table between its marks."""
    page = DOCS.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Test the versions one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("versions", nargs="+", help="versions of transformers")
    versions = parser.parse_args().versions
    FOLDER.mkdir(exist_ok=True)
    results = {}
    for version in versions:
        results[version] = outcomes(environment(version), version)
        print(f"transformers {version}: {_cell(results[version])}", flush=True)
    text = table(results)
    print(text)
    into_docs(text)


if __name__ == "__main__":
    main()
