"""Rows as people bring them: golds as they are written, options, conversations, encodings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli import main
from sightline.errors import UserError
from sightline.rewards import Verdict, accuracy_reward, grade_any
from sightline.tasks import DataOptions, dataset_check, load_task
from sightline.tasks.rows import golds
from sightline.tasks.rows.row_reader import RowText

QUESTION = "How many are there?"


def problems(
    folder: Path, rows: list[dict[str, Any]] | str, name: str = "rows.jsonl", **source: Any
) -> list[Any]:
    written = rows if isinstance(rows, str) else "\n".join(json.dumps(row) for row in rows)
    (folder / name).write_text(written, encoding="utf-8")
    return list(load_task({"source": str(folder / name), **source}).train(None, 0))


WRITTEN = {
    '"true"': "true", "5": "5", '"1e3"': "1e3", '"0.50"': "0.50", '"08"': "08", '"null"': "null",
    '"[1, 2]"': "[1, 2]", '"2024-01-02"': "2024-01-02", "12345678901234567890123": "12345678901234567890123",
    "0.50": "0.50", "1e3": "1e3", "true": "true",
}  # fmt: skip


@pytest.mark.parametrize("form", ["lines", "list", "streamed"])
def test_json_golds_are_what_the_file_says(tmp_path: Path, form: str) -> None:
    cells = [f'{{"question": "{QUESTION} ä", "answer": {cell}}}' for cell in WRITTEN]
    text = "[" + ",\n ".join(cells) + "]" if form == "list" else "\n".join(cells)
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")
    options = DataOptions(streaming=form == "streamed")
    task = load_task(str(tmp_path / "rows.json"), options)
    found = task.train(len(cells) if options.streaming else None, 0)
    assert sorted(found[i].answer for i in range(len(cells))) == sorted(WRITTEN.values())


def test_nested_cells_and_choices_are_as_written(tmp_path: Path) -> None:
    row = '{"a": {"q": "Which?"}, "b": {"gold": "B"}, "choices": ["007", 0.50, "1e3"]}'
    found = problems(tmp_path, row, columns={"question": "a.q", "answer": "b.gold"})
    assert (found[0].question, found[0].answer, found[0].choices) == ("Which?", "B", ("007", "0.50", "1e3"))


@pytest.mark.parametrize(
    ("gold", "choices", "answer_is", "expected"),
    [
        (1, ["cat", "dog", "cow"], "index", "B"),
        (1, ["cat", "dog", "cow"], None, "set answer_is: index"),
        (1, ["1", "2", "3", "4"], None, "could be the index of another"),
        (1, ["1", "2", "3", "4"], "index", "B"),
        (1, ["1", "2", "3", "4"], "text", "1"),
        ("3", ["1", "2", "3", "4"], None, "3"),
        (3, ["cat", "dog", "cow"], "index", "is no index of 3 options"),
        ("dog", ["cat", "dog"], None, "dog"),
        ("bird", ["cat", "dog"], None, "no option earns the gold"),
        ("E", ["cat", "dog"], None, "no option earns the gold"),
        ("bird", ["cat", "dog"], "letter", "is no letter of A, B"),
        ("0.5", [r"\frac{1}{2}", "2"], None, "0.5"),
        ("A, C", ["1", "2", "3"], None, "A, C"),
        ("C", {"A": "x", "C": "y", "D": "z"}, None, "C"),
        ("B", {"A": "x", "C": "y", "D": "z"}, None, "no option earns the gold"),
    ],
)
def test_a_gold_beside_options(
    tmp_path: Path, gold: Any, choices: Any, answer_is: str | None, expected: str
) -> None:
    row = {"question": QUESTION, "answer": gold, "choices": choices}
    source = {"answer_is": answer_is} if answer_is else {}
    if " " not in expected or expected == "A, C":
        assert problems(tmp_path, [row], **source)[0].answer == expected
    else:
        with pytest.raises(UserError, match=expected):
            problems(tmp_path, [row], **source)


@pytest.mark.parametrize(
    "gold", ["<answer> 3 </answer>", "#### 3", "1 + 2 is three\n#### 3", "3 (three)", r"It is \boxed{3}."]
)
def test_a_gold_comes_out_of_its_wrapper(tmp_path: Path, gold: str) -> None:
    assert problems(tmp_path, [{"question": QUESTION, "answer": gold}])[0].answer == "3"


def test_options_keep_their_letters(tmp_path: Path) -> None:
    rows = [
        {"question": QUESTION, "answer": "C", "choices": {"A": "x", "C": "y", "D": "z"}},
        {"question": QUESTION, "answer": "K", "choices": {str(i): f"v{i}" for i in range(1, 12)}},
        {"question": QUESTION, "answer": "A", "choices": ["A. cat", "(B) dog"]},
    ]
    holed, numbered, labelled = problems(tmp_path, json.dumps(rows), "rows.json")
    assert holed.choices == ("x", "", "y", "z")
    assert numbered.choices[10] == "v11"
    assert labelled.choices == ("cat", "dog")
    task = load_task(str(tmp_path / "rows.json"))
    shown = task.messages(holed)[-1]["content"][-1]["text"]
    assert "C. y" in shown or "(C) y" in shown
    assert "B." not in shown


def test_more_options_than_letters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="30 options"):
        problems(tmp_path, [{"question": QUESTION, "answer": "A", "choices": [f"v{i}" for i in range(30)]}])


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": "7"}]},
        {"messages": [{"role": "user", "content": QUESTION}], "solution": "<answer> 7 </answer>"},
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}], "solution": "7"},
        {
            "data_source": "x",
            "prompt": [{"role": "user", "content": QUESTION}],
            "reward_model": {"style": "rule", "ground_truth": "7"},
            "extra_info": {"index": 0},
        },
    ],
    ids=["llava", "ms-swift", "trl", "verl"],
)
def test_conversations_are_read(tmp_path: Path, row: dict[str, Any]) -> None:
    found = problems(tmp_path, [row])[0]
    assert (found.question, found.answer) == (QUESTION, "7")


def test_a_conversation_of_several_questions_is_refused(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "a?"}, {"from": "gpt", "value": "1"}] * 2
    with pytest.raises(UserError, match="2 questions"):
        problems(tmp_path, [{"conversations": turns}])


def test_pandas_index_column(tmp_path: Path) -> None:
    found = problems(tmp_path, ",question,answer\n0,How many?,007\n", "rows.csv")
    assert (found[0].question, found[0].answer) == ("How many?", "007")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_another_encoding_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"question": "q", "answer": "1"}\n'.decode().encode("utf-16"))
    with pytest.raises(UserError, match=r"is UTF-16 text; expected UTF-8"):
        load_task(str(tmp_path / name)).train(None, 0)


@pytest.mark.parametrize(
    ("row", "columns", "golds"),
    [
        ({"answers": ["4", "four", "4"]}, {}, ("4", "four")),
        ({"answers": "4"}, {}, ("4",)),
        ({"answer": "4", "answers": ["four"]}, {}, ("4",)),
        ({"answer": "4", "answers": ["four", "4"]}, {"answers": "answers"}, ("4", "four")),
        ({"golds": ["#### 4", "<answer>four</answer>"]}, {"answers": "golds"}, ("4", "four")),
        ({"more": {"text": [4, "four"]}}, {"answers": "more.text"}, ("4", "four")),
    ],
)
def test_several_answers_are_accepted(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str], golds: tuple[str, ...]
) -> None:
    found = problems(tmp_path, [{"question": QUESTION, **row}], columns=columns)[0]
    assert found.golds == golds
    texts = ["\\boxed{4}", "\\boxed{four}", "\\boxed{5}"]
    given = {"answer": [found.answer] * 3, "accepted_answers": [list(found.accepted)] * 3}
    assert accuracy_reward()(texts, **given) == [1.0, float("four" in golds), 0.0]


def test_a_list_where_one_answer_belongs_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the column as answers"):
        problems(tmp_path, [{"question": QUESTION, "answer": ["4", "four"]}])
    with pytest.raises(UserError, match="1 empty answer"):
        problems(tmp_path, [{"question": QUESTION, "answers": ["", " "]}])


@pytest.mark.parametrize(
    ("question", "gold", "choices"),
    [
        ("Find x.\nChoices:\nA:40°\nB:50°\nC:60°", "B", ("40°", "50°", "60°")),
        ("Which? (A) red (B) blue", "A", ("red", "blue")),
        ("Which? (A) red (B) blue", "red", None),
        ("Find x.", "B", None),
        ("Which of A. and B. is it?", "C", None),
    ],
)
def test_options_are_read_out_of_a_question_whose_gold_is_a_letter(
    tmp_path: Path, question: str, gold: str, choices: tuple[str, ...] | None
) -> None:
    row = {"question": question, "answer": gold, "choices": []}
    found = problems(tmp_path, [row])[0]
    assert (found.answer, found.choices) == (gold, choices)
    asked = load_task({"source": str(tmp_path / "rows.jsonl")}).messages(found)[-1]["content"]
    assert asked[0]["text"].count(question) == 1, "listed once, by the question itself"
    assert asked[0]["text"].count("blue") == question.count("blue")
    if choices:
        right = choices["ABC".index(gold)]
        graded = grade_any([(f"\\boxed{{{right}}}", found.golds, found.choices)])
        assert graded[0].correct


def test_a_gold_that_the_machine_keeps_from_being_judged_is_no_fault_of_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def undecided(items: Any, **_: Any) -> list[Verdict]:
        return [Verdict(None, None, "undecided", "the grading process stopped") for _ in items]

    monkeypatch.setattr(golds, "grade_many", undecided)
    with pytest.raises(UserError, match="was not judged: this machine stops or kills"):
        golds.resolved("the second", ["120°", "140°"], None, False)

    monkeypatch.setattr(dataset_check, "grade_many", undecided)
    found = dataset_check.SplitCheck("train", rows=1)
    dataset_check._grade([(0, RowText((), "120", (), "train", 0))], found)
    assert found.bad == 0
    assert found.as_dict()["problems"]["gold that was not judged"]["count"] == 1


DEEP = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize("column", ["choices", "images"])
def test_a_cell_nested_without_end_makes_its_row_unusable(
    tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"{number}?", "answer": "3"} for number in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row | {column: None}) for row in rows[:2])
                                         + "\n" + json.dumps(rows[2] | {column: DEEP}))  # fmt: skip
    file = str(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match="row 2"):
        list(load_task(file).train(None, 0))
    assert main(["data", "check", file, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["sets"]
    (split,) = found["splits"].values()
    assert split["problems"]["wrong type"]["rows"] == [2]


@pytest.mark.parametrize("depth", [600, 3000])
@pytest.mark.parametrize("form", ["lines", "list"])
def test_a_row_of_lists_in_lists_is_named(tmp_path: Path, depth: int, form: str) -> None:
    rows = ['{"question": "0?", "answer": "1"}',
            f'{{"question": "1?", "answer": "1", "more": {"[" * depth + "]" * depth}}}']  # fmt: skip
    with pytest.raises(UserError, match="line 2: " if form == "lines" else "value 2: "):
        problems(tmp_path, "\n".join(rows) if form == "lines" else f"[{', '.join(rows)}]")
    nested = '{"question": "0?", "answer": "1", "more": ' + "[" * 150 + "]" * 150 + "}"
    assert len(problems(tmp_path, nested)) == 1
