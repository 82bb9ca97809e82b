"""Two runs side by side: missing samples, clusters, exact p, what the runs do not have in common."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from evaluation_fixtures import PAPO_SPLITS, generation, item, make_image, results_folder
from evaluation_fixtures import conversation as asked

from sightline.analysis.pages.results import write_comparison_page, write_results_page
from sightline.cli import main
from sightline.errors import UserError
from sightline.evaluation.benchmarks import benchmark
from sightline.evaluation.benchmarks.families import Related, families
from sightline.evaluation.benchmarks.load import open_benchmark
from sightline.evaluation.report.comparison import compare
from sightline.evaluation.report.run_differences import differences
from sightline.evaluation.report.shared_problems import shared_clusters
from sightline.evaluation.report.summary import measure
from sightline.evaluation.run.grading import Scored
from sightline.evaluation.run.jsonl_records import write_lines
from sightline.evaluation.run.results import write_results
from sightline.run_folder import write_json


def run_of(path: Path, right: list[list[bool | None]], labels=lambda n: {}, clusters=str, **settings):
    """A run with these samples, right or not, None for one that failed; one row per problem."""
    items = [item(n, labels=labels(n), cluster=clusters(n)) for n in range(len(right))]
    rows = [
        generation(o, None if one is None else f"\\boxed{{{4 if one else 5}}}", sample)
        for o, samples in zip(items, right, strict=True)
        for sample, one in enumerate(samples)
    ]
    most = max(map(len, right))
    decoding = {"samples": most, "temperature": float(most > 1), "top_p": 1.0, "max_new_tokens": {"toy": 9}}
    return results_folder(path, items, rows, **{"decoding": decoding, **settings})


def single(count: int, right: range) -> list[list[bool | None]]:
    return [[n in right] for n in range(count)]


# --- missing samples -----------------------------------------------------------------------------------


def test_every_sample_counts_and_every_problem_once() -> None:
    """Easy problems have four samples, hard ones lost two: pass@2 of all, pass@4 of those that have four."""
    right = [[True] * 4, [True, True, False, False], [False, True, None, None], [False, False, None, None]]
    samples = []
    for n, outcomes in enumerate(right):
        for number, one in enumerate(outcomes):
            text = None if one is None else "x"
            samples.append(Scored(item(n), generation(item(n), text, number), one, text, "text", None))
    found = measure(samples)
    assert found["accuracy"]["value"] == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert found["accuracy"]["n"] == 12
    assert found["pass_at"]["2"]["value"] == pytest.approx((1 + 5 / 6 + 1 + 0) / 4)
    assert (found["pass_at"]["2"]["left_out"], found["pass_at"]["4"]["left_out"]) == (0, 2)
    assert found["pass_at"]["4"]["n"] == 2
    assert found["missing"] == {
        "samples": 4, "share": 0.25, "problems_without": 0, "problems_with_fewer": 2,
    }  # fmt: skip


def test_a_headline_with_more_than_2_percent_missing_is_withheld_unless_asked(tmp_path: Path) -> None:
    folder = run_of(tmp_path, [[None if n < 3 else n % 2 == 0] for n in range(100)])
    results = write_results(folder, "strict")
    page = write_results_page(folder.path).read_text()
    assert results["withheld"] == {"toy": "3.0 % missing"}
    assert "withheld: 3.0 % missing" in folder.markdown.read_text()
    assert "withheld: 3.0 % missing" in page
    assert any("3 problems have none" in one for one in results["warnings"])
    asked_for = write_results(folder, "strict", partial=True)
    assert (asked_for["withheld"], "withheld" in folder.markdown.read_text()) == ({}, False)
    few = run_of(tmp_path / "few", [[None if n < 2 else True] for n in range(100)])
    assert write_results(few, "strict")["withheld"] == {}


def test_a_comparison_with_too_many_missing_is_refused_unless_asked(tmp_path: Path) -> None:
    whole = run_of(tmp_path / "a", single(40, range(20)))
    holes = run_of(tmp_path / "b", [[None if n < 2 else n < 25] for n in range(40)])
    with pytest.raises(UserError, match=r"lacks 2 of 40 samples of toy.*--partial"):
        compare(whole, holes, "strict")
    found = compare(whole, holes, "strict", partial=True)
    assert found["benchmarks"]["toy"]["problems"] == 38
    assert any("2 of B's 40 samples failed" in note for note in found["notes"])


def test_samples_that_were_never_asked_are_missing_too(tmp_path: Path) -> None:
    folder = run_of(tmp_path, single(50, range(30)))
    write_lines(
        folder.generations, [json.loads(row) for row in folder.generations.read_text().split("\n")[:40]]
    )
    assert write_results(folder, "strict")["withheld"] == {"toy": "20.0 % missing"}


# --- clusters ------------------------------------------------------------------------------------------


def test_the_papers_own_mathverse_is_clustered_by_image_and_question(tmp_path: Path) -> None:
    """Five versions of a problem: less and less text over one image, then images that hold the rest."""
    split, rows = PAPO_SPLITS[4], []
    folder = tmp_path / "PAPO_eval/data/images/verse"
    folder.mkdir(parents=True)
    for n in range(20):
        end = f"then the size of angle CED is ()\nChoices:\nA:{40 + n}°\nB:{60 + n}°"
        texts = [f"As shown in triangle ABC, angle B = {n + 30}, DE parallel to BC, {end}",
                 f"In triangle ABC, angle B = {n + 30}, {end}", end, end, "Read it and answer."]  # fmt: skip
        for version, text in enumerate(texts):
            name = f"{n}-{max(version - 2, 0)}.png"
            make_image(1000 + 5 * n + max(version - 2, 0)).save(folder / name)
            rows.append(asked(f"./data/images/verse/{name}", text, "AB"[n % 2]))
    write_lines(tmp_path / f"PAPO_eval/data/{split}.jsonl", rows)
    opened = open_benchmark(
        "papo_eval:mathverse", benchmark("papo_eval:mathverse"), data_dir=tmp_path, accept_differences=True
    )
    assert opened.about["clusters"] == {"count": 20, "effective": 20.0, "by": "image and question"}
    assert len({one.cluster for one in opened.items[:5]}) == 1


def test_variants_belong_together_and_a_form_says_nothing() -> None:
    variants = [
        Related(f"The {kind} function is f(x) = {a} x + {b}. Find its zero.", f"{a}", (), (f"{kind}{a}",))
        for kind in ("first", "second", "third")
        for a, b in zip(range(2, 12), range(12, 22), strict=True)
    ]
    assert [families(variants).count(leader) for leader in (0, 10, 20)] == [10, 10, 10]
    forms = [Related("How many items are there in it?", str(n % 5), (), (str(n),)) for n in range(100)]
    assert families(forms) == list(range(100))
    short = [Related("Find x.", "4", (), (str(n),)) for n in range(5)]
    assert families(short) == list(range(5))
    assert families([*short[:2], Related("What is y?", "3", (), ("1",))]) == [0, 1, 1]


def test_few_effective_clusters_are_said(tmp_path: Path) -> None:
    """One cluster of 200 beside nine of 10."""
    right = [[bool(one)] for one in np.random.default_rng(0).integers(2, size=290)]
    folder = run_of(tmp_path, right, clusters=lambda n: str(max(n - 200, -10) // 10))
    results = write_results(folder, "strict")
    assert any(
        "10 clusters of problems that count as 2.1 of equal size" in one for one in results["warnings"]
    )


def test_problems_are_recognised_across_benchmarks() -> None:
    def known(name: str, rows: list[tuple[str, str, tuple[str, ...]]]):
        return [item(0, cluster=c, fingerprints=f).__class__(f"{name}/{r}", "", "4", (), c, fingerprints=f)
                for r, c, f in rows]  # fmt: skip

    source = {"config": None, "splits": ["test"]}
    sets = {name: {**source, "source": "S"} for name in ("whole", "part")} | {
        "other": {**source, "source": "O"}
    }
    found = shared_clusters(
        {
            "whole": known("whole", [("0", "p1", ()), ("1", "p1", ()), ("2", "whole/2", ("i",))]),
            "part": known("part", [("7", "p1", ()), ("2", "part/2", ())]),
            "other": known("other", [("0", "p1", ()), ("1", "other/1", ("i",))]),
        },
        sets,
    )
    assert found["whole"][0] == found["whole"][1] == found["part"][0] != found["other"][0]
    assert found["whole"][2] == found["part"][1] == found["other"][1]


# --- a comparison --------------------------------------------------------------------------------------


def test_p_is_exact_and_corrected_for_what_is_looked_at(tmp_path: Path) -> None:
    """A solves 4 of 1,000 that B does not: 0.125; parts of a breakdown are corrected for their number."""
    parts = lambda n: {"part": "first" if n < 500 else "second"}  # noqa: E731
    a = run_of(tmp_path / "a", single(1000, range(504)), labels=parts)
    b = run_of(tmp_path / "b", single(1000, range(500)), labels=parts)
    found = compare(a, b, "strict")
    difference = found["benchmarks"]["toy"]["difference"]
    assert (difference["p"], difference["p_corrected"]) == (0.125, 0.125)
    assert difference["low"] < difference["value"] == -0.004 < difference["high"]
    assert found["corrections"] == {"method": "Holm", "benchmarks": 1, "breakdowns": 2}
    second = found["benchmarks"]["toy"]["breakdowns"]["part"]["second"]
    assert (second["p"], second["p_corrected"]) == (0.125, 0.25)


def settings(**known):
    versions = {"torch": "2.1", "pillow": "12", "python": "3.11"}
    return {
        "model": "m",
        "decoding": {"temperature": 0.0, "samples": 1},
        "seed": 0,
        "versions": versions,
        **known,
    }


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"dtype": "bfloat16"}, "dtype: not said and bfloat16"),
        ({"device": "cuda:0"}, "device: not said and cuda:0"),
        ({"processor": {"class": "P", "image settings": "ab"}}, "processor"),
        ({"versions": {"torch": "2.1", "pillow": "13", "python": "3.11"}}, "libraries: pillow 12 and 13"),
        ({"decoding": {"temperature": 0.0, "samples": 1, "max_new_tokens": {"toy": 64}}}, "max_new_tokens"),
        ({"prompt": {"template": "plain"}}, "prompt"),
        ({"protocol": "papo"}, "protocols: not said and papo"),
        ({"git_revision": "abc"}, "revision: not said and abc"),
        ({"sets": {"toy": {"revision": "r2"}}}, "toy: the runs differ in the set: revision not said and r2"),
    ],
)
def test_what_can_change_scores_is_said_first(known, says: str) -> None:
    found = differences(settings(), settings(**known), ["toy"])
    assert len(found.scoring) == 1
    assert says in found.scoring[0]
    assert found.others == ()


def test_what_cannot_is_said_after() -> None:
    other = {"torch": "2.1", "pillow": "12", "python": "3.12", "peft": "1"}
    found = differences(settings(), settings(versions=other, seed=3, weights="w"), ["toy"])
    assert found.scoring == ()
    assert len(found.others) == 3
    sampled = {"temperature": 1.0, "samples": 1}
    assert "seed: 0 and 3" in differences(
        settings(decoding=sampled), settings(decoding=sampled, seed=3), []
    ).scoring[0]  # fmt: skip


def test_truncation_rates_that_differ_are_said(tmp_path: Path) -> None:
    folders = [run_of(tmp_path / name, single(40, range(20))) for name in "ab"]
    rows = [json.loads(line) for line in folders[1].generations.read_text().splitlines()]
    write_lines(folders[1].generations, [{**row, "truncated": n < 8} for n, row in enumerate(rows)])
    assert any("0.0 % of A's answers and 20.0 % of B's were cut" in one
               for one in compare(*folders, "strict")["notes"])  # fmt: skip


def test_several_seeds_and_the_page_of_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    sides = [
        [run_of(tmp_path / f"{name}{seed}", [[bool(draw.random() < chance)] for _ in range(60)], seed=seed)
         for seed in range(3)]
        for name, chance in (("a", 0.4), ("b", 0.8))
    ]  # fmt: skip
    found = compare(sides[0], sides[1], "strict")
    assert found["across"]["runs"] == [3, 3]
    assert found["across"]["probability_of_improvement"]["value"] == 1.0
    assert found["across"]["interquartile_mean"]["difference"]["low"] > 0.2
    assert found["benchmarks"]["toy"]["a"]["n"] == 180
    assert any("fewer than 5 they are too narrow" in note for note in found["notes"])
    write_json(tmp_path / "comparison.json", found)
    page = re.sub(r"\s+", " ", write_comparison_page(tmp_path).read_text())
    assert "Over runs and benchmarks" in page
    assert "corrected (Holm) for 1 benchmark." in page


def test_a_plan_from_the_command_line(tmp_path: Path, capsys) -> None:
    draw = np.random.default_rng(0)
    chances = draw.beta(2, 2, 200)
    for name in "ab":
        run_of(tmp_path / name, [[bool(one) for one in draw.random(4) < c] for c in chances])
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["eval", "--plan", "5", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["benchmarks"]["toy"]
    assert found["problems"]["1"] == pytest.approx(2.8016**2 * 0.4 / 0.05**2, rel=0.25)
    assert found["problems"]["16"] < found["problems"]["4"] < found["problems"]["1"]
    assert main(["eval", "--plan", "0.02"]) == 2
    assert "expected a difference of 0.1 to 100 points" in capsys.readouterr().err
    assert main(["eval", "--plan", "2", runs[0], "--accuracy", "0.5"]) == 2
    assert "--accuracy is measured on the runs" in capsys.readouterr().err
