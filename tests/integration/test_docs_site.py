"""The documentation site builds without a warning, knows every page, and finds links that lead nowhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    silent = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [*command, "--site-dir", str(site)], capture_output=True, text=True, env=silent, check=False
    )


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    site, docs = tmp_path / "site", ROOT / "docs"
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    written = {path.relative_to(docs).with_suffix(".html").as_posix() for path in docs.rglob("*.md")}
    assert {name.replace("README", "index") for name in written} <= pages
    assert (site / "outside" / "results" / "main-shapes" / "curves-held-out-problems.svg").is_file()
    reference = (site / "reference.html").read_text(encoding="utf-8")
    for name in ("sightline.trainer.Trainer.train", "sightline.shaping.tokens.top_fraction"):
        assert f'id="{name}"' in reference
    assert '"location":"from-trl.html' in (site / "search" / "search_index.json").read_text()
    fetched = (site / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in fetched, "pages need no network"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](../recipes/gone.yaml)", "which does not exist"),
        ("[gone](gone.md)", "gone.md"),
        ("# Here\n\n[gone](index.md#gone)", "#gone"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(text)
    shutil.copy(ROOT / "docs" / "outside_links.py", tmp_path / "docs")
    ours = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = "validation:" + ours.partition("validation:")[2].partition("\n\n")[0]
    settings = ["site_name: x", "hooks: [docs/outside_links.py]", "theme: {name: mkdocs}", "plugins: []"]
    (tmp_path / "mkdocs.yml").write_text("\n".join([*settings, validation, ""]))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stderr
