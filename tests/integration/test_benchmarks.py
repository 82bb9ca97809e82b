"""Every published set from a copy with its exact columns: what is asked, what is counted, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import evaluation_fixtures as sets
import pyarrow.parquet as pq
import pytest

from sightline.errors import UserError
from sightline.evaluation.benchmarks import BENCHMARKS, read_benchmarks
from sightline.evaluation.benchmarks.load import open_benchmark
from sightline.rewards import grade_any
from sightline.tasks import DataOptions

EXPECTED = {
    "shapes:pairs": 8, "shapes-2:pairs": 8,
    "mathvista": 4, "mathvista:choice": 1, "mathverse": 10, "mathverse:choice": 5, "mathverse:vision_only": 2,
    "mathverse:vision": 6, "mathverse:vision_choice": 3, "we_math": 13, "mmk12": 2, "geometry3k": 2,
    "logicvista": 6, "counting": 2, "mmmu_pro:standard_10": 2, "mmmu_pro:standard_4": 2, "mmmu_pro:vision": 2,
    "mathvision": 2, "mathvision:mini": 2, "dynamath": 30, "dynamath:variant1": 3, "hallusionbench": 4,
    "hallusionbench:all": 5, "geomath": 1, "mmstar": 3, "pope": 3, "natural_bench": 8,
    "vstar": 3, "vlms_are_blind": 4, "mmvp": 3, "charxiv": 3, "ocrbench": 3,
    "realworldqa": 3, "cv_bench": 3, "chartqa": 3, "hr_bench:4k": 3, "hr_bench:8k": 3,
    **{name: 3 for name in BENCHMARKS if name.startswith("blink:")}, "shapes": 8, "shapes-2": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> Path:
    return sets.write_all(tmp_path_factory.mktemp("copies"))


def opened(name: str, copies: Path, **known):
    known = {"data_dir": copies, "accept_differences": True, **known}
    return open_benchmark(name, BENCHMARKS[name], **known)


def asked(name: str, copies: Path, number: int, **known):
    """Text around the images, number of images, and the item."""
    found = opened(name, copies, **known)
    problem = found.decode(number)
    parts = found.messages(problem)[-1]["content"]
    text = "".join("<image>" if part["type"] == "image" else part["text"] for part in parts)
    return text, problem, found.items[number]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_opens_and_its_golds_are_right(name: str, copies: Path) -> None:
    found = opened(name, copies, limit=8 if BENCHMARKS[name].drawn else None)
    assert len(found.items) == EXPECTED.get(name, 1)
    assert len({item.id for item in found.items}) == len(found.items)
    for index, item in enumerate(found.items):
        problem = found.decode(index)
        messages = found.messages(problem)
        places = sum(part["type"] == "image" for part in messages[-1]["content"])
        assert places == len(problem.images)
        assert problem.id == item.id
    graded = [(f"\\boxed{{{gold}}}", i.golds, i.choices) for i in found.items for gold in i.golds]
    assert all(verdict.correct for verdict in grade_any(graded))


def test_math_vista_asks_its_query_and_grades_letters_and_precision(copies: Path) -> None:
    text, _, choice = asked("mathvista", copies, 0)
    assert text.startswith("<image>Question: Which angle?\nChoices:\n(A) 135°")
    assert text.count("(B)") == 1
    assert "\nA. 135°" not in text
    assert (choice.answer, choice.choices) == ("C", ("135°", "140°", "145°"))
    _, _, decimal = asked("mathvista", copies, 2)
    assert decimal.tolerance == pytest.approx(0.05)
    assert choice.tolerance is None


def test_math_verse_versions_share_a_cluster_and_vision_only_has_its_question_in_the_image(
    copies: Path,
) -> None:
    found = opened("mathverse", copies)
    assert [item.cluster for item in found.items] == ["1"] * 5 + ["2"] * 5
    assert [item.labels["version"] for item in found.items[:5]] == list(sets.VERSIONS)
    text, problem, _ = asked("mathverse:vision_only", copies, 0)
    assert text.startswith("<image>The question is in the image.")
    assert len(problem.images) == 1


def test_we_math_lists_its_options_and_groups_steps(copies: Path) -> None:
    text, _, item = asked("we_math", copies, 0)
    assert "\nA. 45°\nB. 60°\nC. 72°\nD. No correct answer\n" in text
    assert (item.cluster, item.keys["step"], item.labels["step"]) == ("2steps/1", "1", "2steps_1")
    clusters = {item.cluster for item in opened("we_math", copies).items}
    assert clusters == {"2steps/1", "2steps/2", "2steps/3", "3steps/1"}


def test_mmmu_pro_shows_column_k_where_image_k_is_named(copies: Path) -> None:
    text, problem, item = asked("mmmu_pro:standard_4", copies, 1)
    assert "follows <image>?\n\nChoices:\nA. <image>\nB. it's none\nC. $2" in text
    second, first = sets.make_image(83), sets.make_image(82)
    assert [image.tobytes() for image in problem.images] == [second.tobytes(), first.tobytes()]
    assert item.choices == ("<image 1>", "it's none", "$2", "$3")
    assert len(opened("mmmu_pro:standard_10", copies).items[0].choices) == 10
    assert opened("mmmu_pro:vision", copies).items[1].labels == {"subject": "Music"}


def test_dyna_math_holds_ten_variants_of_each_problem(copies: Path) -> None:
    found = opened("dynamath", copies)
    assert {item.cluster for item in found.items} == {"1", "2", "3"}
    assert found.items[3].id == "dynamath/sample_variant2/0"
    assert [item.tolerance for item in found.items[:3]] == [1e-3, None, None]
    assert len({found.decode(index).images[0].tobytes() for index in range(0, 30, 3)}) == 10


def test_hallusion_groups_figures_and_asks_yes_or_no(copies: Path) -> None:
    text, _, item = asked("hallusionbench", copies, 1)
    assert text.startswith("<image>Are they equal? Answer yes or no.")
    assert (item.answer, item.keys["figure"]) == ("no", "VD/illusion/0/0")
    without = opened("hallusionbench:all", copies)
    assert without.decode(4).images == ()
    assert without.items[4].keys["figure"] == ""


def test_the_papers_own_sets_lose_their_baked_in_instruction(copies: Path) -> None:
    text, problem, item = asked("papo_eval:mathverse_v", copies, 0)
    assert text.count("You first think through") == 1
    assert text.startswith("<image>Find x.\n")
    assert (len(problem.images), item.answer) == (1, "B")
    text, _, item = asked("geomath", copies, 0)
    assert (text.startswith("<image>How much?"), item.answer) == (True, "5")


def test_numbered_images_of_other_sets(copies: Path) -> None:
    assert asked("mmk12", copies, 0)[0].startswith("As shown <image>. Which?")
    assert asked("mathvision", copies, 1)[0].startswith("Which piece? <image> of <image2>\n\nChoices:\nA. A")


def test_pixels_and_templates_are_the_run_s(copies: Path) -> None:
    options = DataOptions(prompt_template="plain", system_prompt="Be brief.", max_pixels=1024)
    found = opened("geometry3k", copies, options=options)
    problem = found.decode(0)
    assert problem.images[0].size == (32, 32)
    messages = found.messages(problem)
    assert messages[0] == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert messages[1]["content"][1]["text"] == "Find x."


def test_logic_vista_reports_its_empty_gold(copies: Path) -> None:
    left_out = opened("logicvista", copies).about["golds_left_out"]
    assert left_out == [{"id": "logicvista/6", "gold": "", "why": "the gold is empty"}]
    exact = replace(BENCHMARKS["logicvista"], rows=7)
    assert open_benchmark("logicvista", exact, data_dir=copies).about["differences"] == []


# --- what differs from expectation, and bad input ----------------------------------------------------


def test_another_size_is_an_error_that_shows_both(copies: Path) -> None:
    with pytest.raises(
        UserError, match=r"geometry3k: expected 601 problems, found 2\..*--accept_differences"
    ):
        opened("geometry3k", copies, accept_differences=False)
    about = opened("geometry3k", copies).about
    assert (about["expected"], about["loaded"]) == (601, 2)
    assert about["differences"] == ["expected 601 problems, found 2"]
    exact = replace(BENCHMARKS["geometry3k"], rows=2)
    assert open_benchmark("geometry3k", exact, data_dir=copies).about["differences"] == []


def test_another_number_of_bad_golds_is_an_error(copies: Path) -> None:
    stricter = replace(BENCHMARKS["logicvista"], rows=7, ungradable=0)
    with pytest.raises(UserError, match="expected 0 golds that cannot be graded, found 1"):
        open_benchmark("logicvista", stricter, data_dir=copies)


def rewritten(copies: Path, file: str, to: Path, change) -> Path:
    """A copy of one set with its table changed."""
    target = to / Path(file).parts[0]
    table = pq.read_table(copies / file)
    (to / file).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(change(table), to / file)
    return target


GEOMETRY = "geometry3k/data/test-00000-of-00001.parquet"


def test_missing_columns_are_named_with_those_that_are_there(copies: Path, tmp_path: Path) -> None:
    rewritten(
        copies, GEOMETRY, tmp_path, lambda table: table.rename_columns(["images", "question", "answer"])
    )
    with pytest.raises(
        UserError, match="no column problem; expected problem, answer, images, found images, q"
    ):
        opened("geometry3k", tmp_path)


def test_a_missing_image_is_an_error_and_never_a_smaller_denominator(tmp_path: Path) -> None:
    sets.write(
        tmp_path / "geometry3k/data/test-00000-of-00001.parquet",
        [{"images": [sets.png(1)], "problem": "<image>x?", "answer": "1"},
         {"images": [None], "problem": "<image>y?", "answer": "2"}],
        {"images": sets.List(sets.Image()), "problem": sets.STRING, "answer": sets.STRING},
    )  # fmt: skip
    with pytest.raises(UserError, match=r"1 missing image .row 1. of 2 rows cannot be asked"):
        opened("geometry3k", tmp_path)


def test_an_image_s_file_that_is_gone_is_an_error(copies: Path, tmp_path: Path) -> None:
    split = sets.PAPO_SPLITS[0]
    rewritten(copies, f"PAPO_eval/data/{split}-00000-of-00001.parquet", tmp_path, lambda table: table)
    with pytest.raises(UserError, match="missing image"):
        opened("papo_eval:geometry3k", tmp_path)


def test_golds_that_no_answer_can_match_are_listed(tmp_path: Path) -> None:
    golds = ["4", "  ", "x" * 3000]
    sets.write(
        tmp_path / "geometry3k/data/test-00000-of-00001.parquet",
        [{"images": [sets.png(1)], "problem": "<image>x?", "answer": gold} for gold in golds],
        {"images": sets.List(sets.Image()), "problem": sets.STRING, "answer": sets.STRING},
    )
    with pytest.raises(UserError, match="expected 0 golds that cannot be graded, found 2"):
        opened("geometry3k", tmp_path, accept_differences=False)
    found = opened("geometry3k", tmp_path)
    assert [item.answer for item in found.items] == ["4"]
    assert [entry["id"] for entry in found.about["golds_left_out"]] == ["geometry3k/1", "geometry3k/2"]


def test_a_hub_out_of_reach_says_what_to_set_and_how_to_use_a_copy(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError) as raised:
        open_benchmark("mathvista", BENCHMARKS["mathvista"])
    said = str(raised.value)
    assert "HF_TOKEN" in said
    assert "hf download AI4Math/MathVista --repo-type dataset --local-dir DATA/MathVista" in said
    assert said.endswith("then give --data_dir DATA")
    with pytest.raises(UserError, match="images of PAPOGalaxy/PAPO_eval are files beside its rows"):
        open_benchmark("papo_eval:mmk12", BENCHMARKS["papo_eval:mmk12"])


def test_copies_that_are_none(copies: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        opened("mathvista", tmp_path / "absent")
    (tmp_path / "MathVista").mkdir()
    with pytest.raises(
        UserError, match=r"nothing readable in .*MathVista: expected data/testmini-\*\.parquet"
    ):
        opened("mathvista", tmp_path)


def test_a_user_s_benchmark_from_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    sets.make_image(1).save(tmp_path / "images/a.png")
    (tmp_path / "rows.jsonl").write_text(
        '{"q": "How many?", "gold": 3, "pic": "images/a.png", "level": "easy"}\n'
        '{"q": "How many now?", "gold": "4", "pic": "images/a.png", "level": "hard"}\n'
    )
    (tmp_path / "mine.yaml").write_text(
        "mine:\n  source: rows.jsonl\n  rows: 2\n  labels: {level: level}\n"
        "  columns: {question: q, answer: gold, images: pic}\n"
    )
    found = open_benchmark("mine", read_benchmarks(tmp_path / "mine.yaml")["mine"])
    assert [item.answer for item in found.items] == ["3", "4"]
    assert found.items[1].labels == {"level": "hard"}
    assert found.decode(1).images[0].size == (64, 64)


def test_a_benchmark_of_ones_own_says_several_image_columns_and_a_tolerance(tmp_path: Path) -> None:
    row = {"q": "How much?", "a": "200", "left": sets.png(1), "right": sets.png(2)}
    kinds = {"q": sets.STRING, "a": sets.STRING, "left": sets.Image(), "right": sets.Image()}
    sets.write(tmp_path / "rows.parquet", [row, row], kinds)
    (tmp_path / "own.yaml").write_text(
        "mine:\n  source: rows.parquet\n  columns: {question: q, answer: a, images: [left, right]}\n"
        "  relative_tolerance: 0.05\n"
    )
    found = open_benchmark("mine", read_benchmarks(tmp_path / "own.yaml")["mine"])
    assert len(found.decode(0).images) == 2
    assert found.items[0].tolerance == pytest.approx(10)


def test_a_benchmark_of_ones_own_says_accepted_answers_and_a_paired_score(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"q": "When?", "golds": ["5 July", "July 5"], "pair": 1}\n'
        '{"q": "And then?", "golds": ["6 July"], "pair": 1}\n'
    )
    (tmp_path / "own.yaml").write_text(
        "mine:\n  source: rows.jsonl\n  columns: {question: q, answers: golds, cluster: pair}\n"
        "  paired: {whole pairs: pair}\n  rule: contains_words\n"
    )
    found = open_benchmark("mine", read_benchmarks(tmp_path / "own.yaml")["mine"])
    assert [item.golds for item in found.items] == [("5 July", "July 5"), ("6 July",)]
    assert [item.keys for item in found.items] == [{"whole pairs": "1"}] * 2
    assert (found.about["aggregate"], found.items[0].rule) == ("paired", "contains_words")


@pytest.mark.parametrize(
    ("name", "answer", "correct"),
    [
        ("mmstar", "blue", True), ("mmstar", "B", True), ("mmstar", "red", False),
        ("realworldqa", "blue", True),
        ("cv_bench", "3", True), ("cv_bench", "(B)", True), ("cv_bench", "2", False),
        ("hr_bench:4k", "green", True), ("hr_bench:8k", "C", True), ("hr_bench:4k", "blue", False),
        ("blink:counting", "second", True), ("blink:counting", "A", False), ("pope", "Yes", True),
        ("pope", "no", False), ("natural_bench", "Yes", True), ("natural_bench", "no", False),
        ("vstar", "cotton", True), ("vstar", "B", True), ("vstar", "rubber", False),
        ("vlms_are_blind", "Yes", True), ("mmvp", "open", True), ("mmvp", "(a)", True),
        ("mmvp", "closed", False), ("charxiv", "ACC+", True), ("charxiv", "ACC", False),
    ],
)  # fmt: skip
def test_benchmarks_of_looking_are_graded_by_letter_and_by_value(
    name: str, answer: str, correct: bool, copies: Path
) -> None:
    item = opened(name, copies).items[0]
    assert grade_any([(f"\\boxed{{{answer}}}", item.golds, item.choices)])[0].correct == correct


def test_natural_bench_groups_two_questions_and_two_images(copies: Path) -> None:
    items = opened("natural_bench", copies).items
    assert [item.answer for item in items] == ["yes", "no", "no", "yes", "A", "B", "B", "A"]
    assert [item.keys["question"] for item in items[:4]] == ["0/q0", "0/q0", "0/q1", "0/q1"]
    assert [item.keys["image"] for item in items[4:]] == ["1/i0", "1/i1", "1/i0", "1/i1"]
    assert {item.cluster for item in items} == {"0", "1"}
    assert items[4].choices == ("in", "out")
    text, _, _ = asked("natural_bench", copies, 4)
    assert text.count("out") == 1


def test_options_are_shown_once_and_blink_shows_its_images(copies: Path) -> None:
    assert asked("mmstar", copies, 0)[0].count("green") == 1
    assert asked("cv_bench", copies, 0)[0].count("4") == 1
    assert len(asked("blink:counting", copies, 0)[1].images) == 2
    assert opened("chartqa", copies).items[0].tolerance == pytest.approx(10)
