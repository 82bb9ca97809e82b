"""The notebook of examples/ runs from its first cell to its last in a kernel, with fewer steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_steps.ipynb"
RUNNER = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=120, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[2] + "/done.ipynb")
"""


def test_the_notebook(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    settings = notebook.cells[1].source
    assert "STEPS = 20 " in settings
    assert "PROBLEMS = 256 " in settings
    notebook.cells[1].source = settings.replace("20 ", "1 ", 1).replace("256 ", "8 ", 1)
    for cell in notebook.cells:
        cell.source = cell.source.replace("batch_size=256", "batch_size=32")
    nbformat.write(notebook, tmp_path / "short.ipynb")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(tmp_path / "short.ipynb"), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    shown = str(nbformat.read(tmp_path / "done.ipynb", as_version=4))
    assert "after   greedy" in shown
    assert "image/png" in shown
    assert "<think>" in shown, "the trained model answers"
    assert (tmp_path / "runs" / "first-steps" / "report.html").is_file()
