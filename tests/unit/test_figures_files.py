"""Figures as files: what is written, that equal data gives equal files, that hostile text stays text."""

import csv
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import yaml
from parsed_page import Page
from PIL import Image
from saved_inspection import write_inspect_data
from saved_run import ATTACK, CONFIG, write_run

from sightline.analysis import write_comparison, write_figures
from sightline.analysis.figures import _experiments, read_source
from sightline.cli import main
from sightline.errors import UserError

OF_ANSWERS = {"dependency-histogram", "dependency-mass", "answer-means", "over-progress", "late-over-early",
              "word-classes", "top-words"}  # fmt: skip
TRAINING = {"training-learning", "training-policy", "training-looking"}


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    folder = write_inspect_data(tmp_path_factory.mktemp("seen"))
    target = folder / "figures"
    return target, *write_figures([folder], target)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for name, method, seed in (("a0", "vgpo", 0), ("a1", "vgpo", 1), ("b0", "grpo", 0)):
        run = write_run(folder / name, seed=10 * seed + len(method), samples=3)
        changed = CONFIG | {"method": method, "seed": seed, "method_options": {}}
        (run / "config.yaml").write_text(yaml.safe_dump(changed))
        (run / "samples.json").unlink()
        made.append(run)
    return made


@pytest.fixture(scope="module")
def comparison(runs, tmp_path_factory):
    return Page(write_comparison(runs, tmp_path_factory.mktemp("page") / "comparison.html").read_text())


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_has_its_image_its_drawing_and_its_numbers(inspected):
    target, files, notes = inspected
    assert {path.stem for path in files} == OF_ANSWERS | {"attention"}
    assert notes == ["there are no training curves"]
    assert sorted(files) == sorted(target.iterdir())
    for path in files:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert min(image.size) > 200
                pixels = np.asarray(image.convert("L"))
                edges = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
                assert min(edge.min() for edge in edges) == 255, f"{path.name} is cut off"
        elif path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert len(table(path)) > 0


def test_the_numbers_are_those_of_the_answers(inspected):
    target, _, _ = inspected
    saved = json.loads((target.parent / "inspect.json").read_text())
    answers = [told for row in saved["samples"] for told in row["answers"]]
    counts = [
        int(row["tokens"])
        for row in table(target / "dependency-histogram.csv")
        if row["score"] == "exact_kl/black"
    ]
    assert sum(counts) == sum(len(told["tokens"]) for told in answers)
    right = [told for told in answers if told["correct"]]
    rows = [
        row
        for row in table(target / "over-progress.csv")
        if (row["score"], row["answers"]) == ("visual_focus", "right")
    ]
    assert {int(row["count"]) for row in rows} == {len(right)}
    assert {row["attention_to"]: row["mean"] for row in table(target / "attention.csv")} == {
        "image": "0.4", "question": "0.35", "answer": "0.25",
    }  # fmt: skip


def test_hostile_words_are_neither_markup_nor_formulas(inspected):
    target, _, _ = inspected
    words = {row["word"] for row in table(target / "top-words.csv")}
    assert not {word for word in words if len(word) > 1 and word[0] in "=+-@"}
    for path in target.glob("*.svg"):
        tree = ElementTree.parse(path)
        tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert not tags & {"script", "image", "foreignObject", "a"}
        assert "\u202e" not in path.read_text()


@pytest.mark.parametrize(
    "word", ["$\\frac{1}{0}$", "a$b", "\x00\x1b", "三角形", "W" * 300, "=HYPERLINK(1)", ATTACK]
)
def test_any_word_can_be_drawn(tmp_path, word):
    from sightline.analysis.figures import draw
    from sightline.analysis.figures.canvas import save, styled
    from sightline.analysis.figures.tables import FigureTable

    shown = FigureTable(("score", "word", "mean", "occurrences"), ((word, word, 1.0, 3),))
    with styled():
        svg, _ = save(draw.highest_words(shown), tmp_path, "words")
    ElementTree.parse(svg)


def test_equal_data_gives_equal_files(runs, tmp_path):
    contents = []
    for name in ("one", "two"):
        files, _ = write_figures(runs[:1], tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_runs_that_differ_in_their_seed_are_drawn_as_one(runs, tmp_path):
    files, notes = write_figures(runs, tmp_path)
    assert notes == [
        f"{name} holds no scored answers, so there are no figures of them" for name in ("a0", "a1", "b0")
    ]
    assert {path.stem for path in files} == TRAINING
    rows = table(tmp_path / "training-learning.csv")
    assert {(row["experiment"], row["runs"]) for row in rows} == {("vgpo", "2"), ("grpo", "1")}
    for row in rows:
        assert float(row["lowest"]) <= float(row["mean"]) <= float(row["highest"])


def test_answers_of_all_seeds_are_taken_together(tmp_path):
    sources = [read_source(write_run(tmp_path / name, samples=2 + place)) for place, name in enumerate("ab")]
    ((label, sets),) = _experiments(sources).items()
    assert label == "vgpo"
    assert [(one.name, len(one.answers)) for one in sets] == [("before", 5), ("after", 5)]


def test_what_is_neither_run_nor_inspection_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        write_figures([tmp_path], tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_pages_never_load_matplotlib():
    """It takes a second, and only figures need it."""
    told = "import sys, sightline.analysis; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- the comparison page ---------------------------------------------------------------------------


def test_the_comparison_holds_every_run_and_every_difference(comparison):
    rows = [row for row in comparison.rows() if row[1:3] in (["0", "40"], ["1", "40"])]
    assert [row[0].split()[:2] for row in rows] == [["A1", "a0"], ["A2", "a1"], ["B", "b0"]]
    assert rows[0][3].split("\u202f")[0] == "60.2" and rows[0][4] == "+23.8"
    differing = {
        row[0]: row[1:] for row in comparison.rows() if row[0] in ("method", "seed", "learning_rate")
    }
    assert differing == {"method": ["vgpo", "vgpo", "grpo"], "seed": ["0", "1", "0"]}


def test_every_curve_is_drawn_with_one_line_per_experiment(comparison):
    charts = comparison.all("svg", role="img")
    lines = [attrs["class"] for attrs, _ in comparison.all("polyline")]
    overlays = len(comparison.all("figure", class_="overlay"))
    assert len(charts) == overlays + 3
    assert lines.count("line dash-0") == lines.count("line dash-1") == overlays == 12
    assert len(comparison.all("polygon", class_="line-band")) == overlays  # of the two seeds


def test_hostile_runs_are_text_on_the_comparison(tmp_path):
    run = write_run(tmp_path / "run")
    config = CONFIG | {"method": ATTACK, "task": ATTACK, ATTACK: ATTACK}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    page = Page(write_comparison([run, write_run(tmp_path / "other")], tmp_path / "c.html").read_text())
    assert not {tag for tag, _, _ in page.elements} & {"script", "img", "iframe"}
    for _, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
    assert (
        "The runs are of 2 tasks; their accuracies do not compare."
        in page.all("section", class_="notes")[0][1]
    )


def test_damaged_runs_are_compared_as_far_as_they_go(tmp_path):
    run = write_run(tmp_path / "run")
    for name in ("eval.json", "metrics.jsonl", "config.yaml"):
        (run / name).write_text("{")
    page = Page(write_comparison([run], tmp_path / "c.html").read_text())
    assert "No step was recorded" in "".join(text for _, text in page.all("section"))


def test_a_comparison_of_no_run_is_one_clear_error(tmp_path):
    folder = write_inspect_data(tmp_path / "seen", samples=1)
    with pytest.raises(UserError, match="none of the folders is a run"):
        write_comparison([folder], tmp_path / "c.html")


def test_the_command_draws_and_compares(runs, tmp_path, capsys):
    target = tmp_path / "out"
    assert main(["figures", str(runs[0]), str(runs[2]), "--output_dir", str(target), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["comparison"] == str(target / "comparison.html")
    assert {*report["files"], report["comparison"]} == {str(path) for path in target.iterdir()}
    assert len(report["files"]) == 3 * len(TRAINING)
    assert main(["figures", str(tmp_path / "nowhere")]) == 2
    assert "is not a run folder" in capsys.readouterr().err
