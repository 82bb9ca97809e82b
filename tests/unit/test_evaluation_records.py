"""Results folders: nothing is lost, repeated or mixed, whatever state a run left its files in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_fixtures import generation, item, results_folder
from small_disk import fill, small_disk

from sightline.errors import UserError
from sightline.evaluation.run.ask import seed_of
from sightline.evaluation.run.grading import read_scores, score
from sightline.evaluation.run.jsonl_records import append_lines, read_generations, read_lines, recover
from sightline.evaluation.run.results import write_results
from sightline.evaluation.run.results_folder import ResultsFolder


def test_a_line_that_was_cut_off_is_left_out_and_the_rest_kept(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    append_lines(file, [{"a": 1}, {"b": "zwei\n\u2028\ud800"}])
    whole = file.read_bytes()
    for cut in range(len(whole) - 1, len(whole) - 20, -1):
        file.write_bytes(whole[:cut])
        assert read_lines(file) == [{"a": 1}]
    file.write_bytes(whole)
    assert read_lines(file) == [{"a": 1}, {"b": "zwei\n\u2028\ud800"}]


def test_half_a_line_gives_way_to_what_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    for left in ("", '{"a": 1}\n', '{"a": 1}\n{"b": ' + '"x' * 100_000, '{"half'):
        file.write_text(left)
        append_lines(file, [{"c": 3}])
        assert read_lines(file) == [{"a": 1}] * left.count("\n") + [{"c": 3}]


def test_a_disk_that_takes_a_part_of_the_lines_keeps_none_of_them(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        file = disk / "lines.jsonl"
        append_lines(file, [{"a": 1}])
        ballast = fill(disk, 8192)
        with pytest.raises(OSError, match="No space left"):
            append_lines(file, [{"b": "x" * 100_000}])
        assert file.read_text() == '{"a": 1}\n'
        ballast.unlink()
        append_lines(file, [{"b": "x" * 100_000}])
        assert len(read_lines(file)) == 2


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": 1}\n{"b": \n{"c": 3}\n')
    with pytest.raises(UserError, match="line 2 is no JSON"):
        read_lines(file)
    file.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(UserError, match="line 2 is no JSON object but list"):
        read_lines(file)


def test_recovery_keeps_what_was_answered_and_takes_out_the_rest(tmp_path: Path) -> None:
    one, two = item(1), item(2)
    answered, failed = generation(one, "\\boxed{4}"), generation(two, None)
    file = tmp_path / "generations.jsonl"
    append_lines(file, [vars(answered), vars(failed)])
    with file.open("a") as lines:
        lines.write('{"benchmark": "toy", "view"')
    assert [kept.key for kept in recover(file)] == [answered.key]
    assert [kept.key for kept in read_generations(file)] == [answered.key]
    content = file.read_bytes()
    recover(file)
    assert file.read_bytes() == content
    assert recover(tmp_path / "absent.jsonl") == []


def test_a_sample_that_is_there_twice_or_lacks_a_field_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "generations.jsonl"
    answered = vars(generation(item(1), "x"))
    append_lines(file, [answered, answered])
    with pytest.raises(UserError, match="line 2: toy sighted toy/1 0 is there twice"):
        read_generations(file)
    file.unlink()
    append_lines(file, [{key: value for key, value in answered.items() if key != "seed"}])
    with pytest.raises(UserError, match="line 1 lacks seed"):
        read_generations(file)


def test_scores_of_other_answers_or_protocols_are_refused(tmp_path: Path) -> None:
    items = [item(1), item(2)]
    folder = results_folder(tmp_path / "run", items, [generation(one, "\\boxed{4}") for one in items])
    with pytest.raises(UserError, match="no scores by strict; run `sightline score"):
        read_scores(folder, "strict")
    score(folder, "strict")
    assert [one.correct for one in read_scores(folder, "strict")] == [True, True]

    folder.scores("papo").write_bytes(folder.scores("strict").read_bytes())
    with pytest.raises(UserError, match="line 1 is by protocol strict"):
        read_scores(folder, "papo")

    changed = [generation(items[0], "\\boxed{4}"), generation(items[1], "\\boxed{5}")]
    results_folder(folder.path, items, changed)
    with pytest.raises(UserError, match="line 2 is about another generation"):
        read_scores(folder, "strict")
    results_folder(folder.path, items, changed[:1])
    with pytest.raises(UserError, match="2 verdicts on 1 generations"):
        read_scores(folder, "strict")


def test_answers_to_problems_of_another_run_are_refused(tmp_path: Path) -> None:
    folder = results_folder(tmp_path, [item(1)], [generation(item(2), "\\boxed{4}")])
    with pytest.raises(UserError, match="toy/2 of toy, which is not in problems"):
        score(folder, "strict")


@pytest.mark.parametrize("content", [None, "just text", "[1]", "a: [", "a: 1"])
def test_a_folder_that_is_no_results_folder(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match="no results folder"):
        ResultsFolder(tmp_path).settings()


def test_seeds_belong_to_the_sample_alone() -> None:
    key = ("toy", "sighted", "toy/1", 0)
    others = [
        ("toy", "sighted", "toy/1", 1),
        ("toy", "black", "toy/1", 0),
        ("toy", "sighted", "toy/2", 0),
        ("t", "oy", "sighted", 0),
    ]
    assert seed_of(3, key) == seed_of(3, key)
    assert len({seed_of(3, key), seed_of(4, key), *(seed_of(3, other) for other in others)}) == 6
    assert all(0 <= seed_of(n, key) < 2**62 for n in range(100))


def test_results_are_a_function_of_the_folder(tmp_path: Path) -> None:
    items = [item(n, "4") for n in range(6)]
    answers = [generation(one, f"\\boxed{{{n}}}") for n, one in enumerate(items)]
    folder = results_folder(tmp_path, items, answers)
    write_results(folder, "strict")
    first = folder.results.read_bytes(), folder.table.read_bytes(), folder.markdown.read_bytes()
    write_results(folder, "strict")
    assert first == (folder.results.read_bytes(), folder.table.read_bytes(), folder.markdown.read_bytes())
    accuracy = json.loads(first[0])["benchmarks"]["toy"]["views"]["sighted"]["accuracy"]
    assert accuracy["value"] == pytest.approx(1 / 6)
    assert folder.scored == ["strict", "papo", "lookback"]
