"""From stored answers to figures: protocols, tolerances, failures, blind views, tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_fixtures import generation, item, results_folder

from sightline.analysis.pages.results import write_results_page
from sightline.evaluation.report.summary import blindness, compare_protocols, measure
from sightline.evaluation.run.grading import Scored, score
from sightline.evaluation.run.jsonl_records import append_lines, read_lines, write_lines
from sightline.evaluation.run.results import write_results
from sightline.evaluation.run.results_folder import ResultsFolder
from sightline.evaluation.tokens.token_summaries import dependence


def verdicts(folder, protocol="strict"):
    return [one.correct for one in score(folder, protocol)]


def test_a_benchmark_s_tolerance_holds_under_strict_alone(tmp_path: Path) -> None:
    items = [item(n, "3.142", tolerance=1e-3) for n in range(5)] + [item(9, "1.2", tolerance=0.05)]
    texts = ["3.142", "3.1415", "3.1435", "\\frac{22}{7}", "about 3.142 m or 5", "1.24"]
    folder = results_folder(
        tmp_path, items, [generation(o, f"\\boxed{{{t}}}") for o, t in zip(items, texts, strict=True)]
    )
    assert verdicts(folder) == [True, True, False, True, False, True]
    assert [one.how for one in score(folder, "strict")][:2] == ["number", "tolerance"]
    assert verdicts(folder, "papo") == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("gold", "accepted", "rule", "texts", "right"),
    [
        ("July 5, 1999", ("5 July 1999",), None, ["5 July 1999", "6 July 1999"], [True, False]),
        ("3", ("three", "4"), None, ["\\text{three}", "4", "5"], [True, True, False]),
        ("CENTRE", (), "contains_words", ["the centre", "\\text{Centre}", "cent re"], [True, True, False]),
        ("5 July", ("July 5",), "contains_words", ["on  July 5, 1999", "July 6"], [True, False]),
        ("x ^ { 2 } + Y", (), "contains_letters", ["x^{2}+Y=1", "x^{2}+y"], [True, False]),
        ("4,5", (), "numbers_in_order",
         ["4,5", "(4, 5)", "rows=\\{4\\} columns=\\{5\\}", "\\{4\\}\\{5\\}", "5,4", "45", "4", "20"],
         [True] * 4 + [False] * 4),
    ],
)  # fmt: skip
def test_accepted_answers_and_the_benchmark_s_own_rule(
    tmp_path: Path,
    gold: str,
    accepted: tuple[str, ...],
    rule: str | None,
    texts: list[str],
    right: list[bool],
) -> None:
    asked = item(0, gold, accepted=accepted, rule=rule)
    answers = [generation(asked, f"\\boxed{{{text}}}", sample=n) for n, text in enumerate(texts)]
    folder = results_folder(tmp_path, [asked], answers)
    assert verdicts(folder) == right
    assert ResultsFolder(tmp_path).items()["toy"]["toy/0"] == asked
    if rule == "contains_words":
        assert verdicts(folder, "papo")[0] is False, "own rules hold under strict alone"
    answers = [generation(asked, texts[0])]
    assert verdicts(results_folder(tmp_path / "no_box", [asked], answers)) == [False]


def test_failed_samples_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    items = [item(n) for n in range(4)]
    texts = ["\\boxed{4}", "\\boxed{5}", None, "no box"]
    folder = results_folder(tmp_path, items, [generation(o, t) for o, t in zip(items, texts, strict=True)])
    measured = measure(score(folder, "strict"))
    assert measured["accuracy"]["value"] == pytest.approx(1 / 3)
    assert measured["accuracy"]["n"] == 3
    assert measured["counts"] == {"no_box": 1, "truncated": 0, "timeout": 0, "failed": 1, "undecided": 0}
    assert measured["rates"]["failed"] == 0.25
    assert measured["rates"]["no_box"] == pytest.approx(1 / 3)


def test_protocols_disagree_where_they_should(tmp_path: Path) -> None:
    """Look-Back accepts any answer holding the gold letter, and E where nothing is boxed ("NONE")."""
    items = [item(0, "A", choices=("1", "2")), item(1, "C"), item(2, "E"), item(3, "B"), item(4, "B")]
    texts = ["\\boxed{1}", "\\boxed{\\frac{1}{2}}", "nothing boxed", "\\boxed{B}", "\\boxed{ABCD}"]
    folder = results_folder(tmp_path, items, [generation(o, t) for o, t in zip(items, texts, strict=True)])
    by_protocol = {name: score(folder, name) for name in ("strict", "papo", "lookback")}
    assert [one.correct for one in by_protocol["strict"]] == [True, False, False, True, False]
    assert [one.correct for one in by_protocol["papo"]] == [False, False, False, True, False]
    assert [one.correct for one in by_protocol["lookback"]] == [False, True, True, True, True]
    found = compare_protocols("strict", by_protocol)
    assert found["lookback"]["differ"] == 4
    assert (found["lookback"]["accepts_more"], found["lookback"]["rejects_more"]) == (3, 1)
    assert found["strict"]["differ"] == 0


def test_a_timeout_is_wrong_and_what_is_undecided_is_not() -> None:
    rows = [
        *((False, "x^9", "timeout"), (False, "9", "crash"), (True, "4", "number")),
        *((None, None, "failed"), (None, "2", "undecided"), (None, "3", "undecided")),
    ]
    samples = [
        Scored(item(n), generation(item(n), None if right is None else "x"), right, answer, how, None)
        for n, (right, answer, how) in enumerate(rows)
    ]
    measured = measure(samples)
    assert measured["accuracy"]["value"] == pytest.approx(1 / 3)
    assert measured["counts"] == {"no_box": 0, "truncated": 0, "timeout": 2, "failed": 1, "undecided": 2}
    assert measured["rates"]["undecided"] == pytest.approx(2 / 6)
    assert measured["rates"]["timeout"] == pytest.approx(2 / 3)


def test_what_the_image_was_worth(tmp_path: Path) -> None:
    """Ten problems, sighted right on eight; blind right on three, of which one the sighted miss."""
    items = [item(n) for n in range(10)]
    seen = [n not in (8, 9) for n in range(10)]
    blind = [n in (0, 1, 9) for n in range(10)]
    rows = [generation(o, f"\\boxed{{{4 if right else 5}}}") for o, right in zip(items, seen, strict=True)]
    rows += [
        generation(o, f"\\boxed{{{4 if right else 5}}}", view="black")
        for o, right in zip(items, blind, strict=True)
    ]
    scored = score(results_folder(tmp_path, items, rows), "strict")
    found = blindness(scored[:10], scored[10:])
    assert found["difference"]["value"] == pytest.approx(0.5)
    assert found["difference"]["low"] < 0.5 < found["difference"]["high"]
    assert found["where_blind_fails"]["value"] == pytest.approx(6 / 7)
    assert found["blind_solved"] == pytest.approx(0.3)


def test_repeated_samples_by_hand(tmp_path: Path) -> None:
    """Two problems, four samples: three right of four, and one right of four with a rival of two votes."""
    items = [item(0), item(1)]
    said = [["4", "4", "4", "5"], ["4", "6", "6", "7"]]
    rows = [
        generation(o, f"\\boxed{{{text}}}", sample)
        for o, texts in zip(items, said, strict=True)
        for sample, text in enumerate(texts)
    ]
    measured = measure(score(results_folder(tmp_path, items, rows), "strict"))
    assert measured["accuracy"]["value"] == 0.5
    assert (measured["accuracy"]["n"], measured["accuracy"]["clusters"]) == (8, 2)
    assert measured["pass_at"]["1"]["value"] == pytest.approx(0.5)
    assert measured["pass_at"]["2"]["value"] == pytest.approx((1 + 0.5) / 2)
    assert measured["majority_at"]["4"]["value"] == pytest.approx((1 + 0) / 2)


def test_token_statistics_by_hand(tmp_path: Path) -> None:
    items = [item(0), item(1), item(2)]
    texts = ["\\boxed{4}", "\\boxed{4}", "\\boxed{5}"]
    folder = results_folder(tmp_path, items, [generation(o, t) for o, t in zip(items, texts, strict=True)])
    common = {"benchmark": "toy", "sample": 0}
    append_lines(
        folder.token_scores,
        [
            {**common, "problem": "toy/0", "exact_kl": [0, 0, 6, 0], "visual_focus": [1.0, 1.0, 0.0, 0.0]},
            {**common, "problem": "toy/1", "exact_kl": [2, 0], "visual_focus": [0.0, 1.0]},
            {**common, "problem": "toy/2", "exact_kl": [0, 0, 0], "visual_focus": [1.0, 0.2, -1.0]},
        ],
    )
    found = dependence(folder, "toy", score(folder, "strict"))
    assert found is not None
    assert (found["answers"], found["tokens"]) == (3, 9)
    assert found["kl_mean"] == pytest.approx(8 / 9)
    assert found["half_of_kl"] == pytest.approx(1 / 9)
    # Scores are (S+1)/2: early 1 and 0.5, late 0.5 and 1; the middle token of an odd answer is neither.
    assert found["right"]["late_over_early"] == pytest.approx((0.5 + 1) / (1 + 0.5))
    assert found["wrong"]["late_over_early"] == 0.0
    assert found["wrong"]["interval"] is None
    assert found["right"]["focus"][0] == pytest.approx((1 + 0.5) / 2)
    assert found["right"]["focus"][1] is None
    assert dependence(folder, "other", []) is None


def test_the_table_holds_every_estimate_and_no_formula(tmp_path: Path) -> None:
    items = [item(n, labels={"skill": "=HYPERLINK(1)" if n % 2 else "plain"}) for n in range(8)]
    rows = [generation(o, f"\\boxed{{{n}}}") for n, o in enumerate(items)]
    folder = results_folder(tmp_path, items, rows, model="=cmd|x")
    write_results(folder, "strict")
    with folder.table.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["model"] for row in table} == {"'=cmd|x"}
    stored = json.loads(folder.results.read_text())["benchmarks"]["toy"]["views"]["sighted"]
    accuracy = next(row for row in table if row["measure"] == "accuracy" and not row["label"])
    assert float(accuracy["low"]) == pytest.approx(stored["accuracy"]["low"])
    labels = {row["label"]: float(row["value"]) for row in table if row["label"]}
    assert labels == {"skill: plain": 0.25, "skill: =HYPERLINK(1)": 0.0}
    assert "| toy | 8 | 12.5 [" in folder.markdown.read_text()


def test_markdown_names_do_not_break_the_table(tmp_path: Path) -> None:
    folder = results_folder(tmp_path, [item(0)], [generation(item(0), "\\boxed{4}")], model="a|b\nc")
    write_results(folder, "strict")
    lines = folder.markdown.read_text().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")


def test_clusters_are_the_unit_of_every_interval(tmp_path: Path) -> None:
    """The same verdicts as one problem's versions and as separate problems: same value, wider interval."""
    random = np.random.default_rng(0)
    right = np.repeat(random.random(40) < 0.5, 5)
    widths = []
    for clusters in (lambda n: str(n // 5), lambda n: str(n)):
        items = [item(n, cluster=clusters(n)) for n in range(200)]
        rows = [generation(o, f"\\boxed{{{4 if r else 5}}}") for o, r in zip(items, right, strict=True)]
        measured = measure(score(results_folder(tmp_path, items, rows), "strict"))
        assert measured["accuracy"]["value"] == pytest.approx(right.mean())
        widths.append(measured["accuracy"]["high"] - measured["accuracy"]["low"])
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(5), rel=0.1)


def several(path: Path, **settings):
    """Three benchmarks of one run: 50 %, and We-Math and DynaMath with answers worked out by hand."""
    names = {"toy": None, "steps": "we_math", "variants": "dyna_math"}
    items = {"toy": [item(n) for n in range(8)]}
    items["steps"] = [
        item(n, cluster=f"2steps/{n // 3}", keys={"step": ("1", "2", "multi")[n % 3]}) for n in range(12)
    ]
    items["variants"] = [item(n, cluster=str(n // 10)) for n in range(20)]
    right = {"toy": lambda n: n < 4, "steps": lambda n: n < 6 or n in (6, 7), "variants": lambda n: n != 3}
    rows = [
        generation(one, f"\\boxed{{{4 if right[name](n) else 5}}}", benchmark=name)
        for name, ones in items.items()
        for n, one in enumerate(ones)
    ]
    folder = results_folder(path, items["toy"], rows, **settings)
    stored = folder.settings()
    about = stored["sets"]["toy"]
    stored["sets"] = {n: {**about, "used": len(items[n]), "aggregate": kind} for n, kind in names.items()}
    folder.write_settings(stored)
    write_lines(
        folder.problems, [{"benchmark": n, **one.as_dict()} for n, ones in items.items() for one in ones]
    )
    return folder


def test_the_markdown_holds_what_a_paper_prints(tmp_path: Path) -> None:
    """Two problems mastered, one with its steps but not the whole right, one with neither; DynaMath right
    in all but one of twenty variants."""
    folder = several(tmp_path)
    results = write_results(folder, "strict")
    text = folder.markdown.read_text()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    rows = {(row[0], row[1]): row[2:] for row in cells}
    assert rows["toy", "8"][0].startswith("50.0 [")
    assert rows["steps", "12"][0].startswith("66.7 [")
    assert rows["variants", "20"][0].startswith("95.0 [")
    assert rows["mean of the benchmarks", ""][0] == "70.6"
    assert results["mean_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 19 / 20) / 3)
    assert rows["steps", "score strict"][0].startswith("62.5 [")
    assert rows["steps", "CM strict"] == ["50.0"]
    assert rows["steps", "rote rate strict"] == ["0.0"]
    assert rows["variants", "worst case"][0].startswith("50.0 [")
    assert cells[0][-4:] == ["no box", "truncated", "time-out", "failed"]


def test_a_run_that_was_stopped_before_a_benchmark_says_nothing_of_it(tmp_path: Path) -> None:
    folder = several(tmp_path)
    kept = [row for row in read_lines(folder.generations) if row["benchmark"] == "toy"]
    write_lines(folder.generations, kept)
    results = write_results(folder, "strict")
    write_results_page(folder.path)
    stored = json.loads(folder.results.read_text())["benchmarks"]["steps"]["views"]["sighted"]
    assert (stored["accuracy"]["value"], stored["samples"]) == (None, 0)
    assert results["mean_accuracy"] is None
    assert "| steps | 12 |  |" in folder.markdown.read_text()
