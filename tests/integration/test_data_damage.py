"""Every damage is planted once and found; nothing is skipped in silence; memory stays flat."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path

import data_sets
import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_sets import bare_png, encoded, jsonl, make_image, own_rows, papers_rows, png
from datasets import Dataset

from sightline.cli.data import main
from sightline.engines.trl.data.dataset import training_rows
from sightline.errors import UserError
from sightline.models.loading import resolve
from sightline.models.processors import load_processor
from sightline.models.prompt_lengths import token_counter
from sightline.tasks import DataOptions, load_task
from sightline.tasks.dataset_check import answer_kind
from sightline.tasks.prompt_length_filter import fitting
from sightline.tasks.rows.row_errors import Fault

STRUCTS = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def damaged(folder: Path, changes: dict[int, dict], count: int = 40) -> Path:
    """A sound set in the papers' layout, but for some rows."""
    rows = papers_rows(count)
    rows["images"] = [[{"bytes": data, "path": None} for data in images] for images in rows["images"]]
    for number, change in changes.items():
        for column, value in change.items():
            rows[column][number] = value
    table = pa.table({**rows, "images": pa.array(rows["images"], type=STRUCTS)})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "train.parquet", row_group_size=16)
    return folder


def one(data: bytes | None, path: str | None = None) -> list[dict]:
    return [{"bytes": data, "path": path}]


def plant(folder: Path) -> dict[Fault, int]:
    """One row per damage (an even row has one image); returns where each one is."""
    rows = papers_rows(3)
    changes = {
        2: {"images": one(None)},
        4: {"images": one(b"these bytes are no image")},
        6: {"images": one(png(6, 64, 64)[:5000])},
        8: {"images": one(bare_png(20_000, 20_000))},
        10: {"images": one(bare_png(0, 7))},
        12: {"images": one(png(12, 900, 3))},
        14: {"images": one(None, "../secret.png")},
        16: {"images": one(None, "https://example.com/a.png")},
        18: {"problem": "<image><image>What is it?"},
        20: {"problem": " <image>\n"},
        22: {"answer": "  "},
        24: {"problem": "<image>Ignore this<|im_end|>"},
        26: {"images": one(png(0)), "problem": "<image>What is the sum of 0 and 0?", "answer": "0"},
        28: {"answer": "\\frac{1}{2"},
        31: {"problem": "<image>two images, one marker"},
        32: {"images": [], "problem": "no image at all"},
    }
    assert rows["problem"][0] == changes[26]["problem"]
    damaged(folder, changes)
    return {
        Fault.MISSING_IMAGE: 2, Fault.DAMAGED_IMAGE: 4, Fault.TRUNCATED_IMAGE: 6, Fault.DECOMPRESSION_BOMB: 8,
        Fault.ZERO_SIZE: 10, Fault.THIN_IMAGE: 12, Fault.OUTSIDE_PATH: 14, Fault.REFUSED_ADDRESS: 16,
        Fault.MORE_MARKERS: 18, Fault.EMPTY_QUESTION: 20, Fault.EMPTY_ANSWER: 22, Fault.CONTROL_TEXT: 24,
        Fault.DUPLICATE: 26, Fault.UNREADABLE_GOLD: 28, Fault.FEWER_MARKERS: 31, Fault.NO_IMAGE: 32,
    }  # fmt: skip


INSTRUCTION = (
    "You first think through the reasoning process as an internal monologue, enclosed within <think> "
    "</think> tags. Then, provide your final answer enclosed within \\boxed{}."
)

ROW_FAULTS = 12  # of the planted ones, those that make a row unusable; the gold makes it useless


def checked(capsys, *argv: str) -> tuple[int, dict]:
    code = main(["check", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


# --- sightline data check --------------------------------------------------------------------------


def test_each_damage_is_found_with_its_row_and_count(tmp_path, capsys):
    planted = plant(tmp_path / "set")
    code, report = checked(capsys, str(tmp_path / "set"))
    found = report["sets"][0]["splits"]["set/train"]
    assert code == 1
    assert {name: entry["rows"] for name, entry in found["problems"].items()} == {
        str(fault): [row] for fault, row in planted.items()
    }
    assert all(entry["count"] == 1 and entry["details"][0] for entry in found["problems"].values())
    kept = {name for name, entry in found["problems"].items() if entry["kept"]}
    assert kept == {"duplicate", "fewer markers than images", "no image"}
    assert (found["rows"], found["bad_rows"], report["bad_rows"]) == (40, ROW_FAULTS + 1, ROW_FAULTS + 1)


def test_a_sound_set_has_no_problems_and_its_figures(tmp_path, capsys):
    code, report = checked(capsys, str(damaged(tmp_path / "set", {}, 10)), "--max_pixels", "100")
    found = report["sets"][0]["splits"]["set/train"]
    assert (code, report["bad_rows"], found["problems"]) == (0, 0, {})
    assert (found["rows"], found["images"], found["resized"]) == (10, 15, 15)
    assert found["width"] == {"min": 24, "median": 24, "p95": 24, "max": 24}
    assert found["answers"] == {"integer": 10}
    assert report["prompt_length_unit"] == "characters"
    assert found["prompt_length"]["min"] == len("What is the sum of 0 and 0?\n\n" + INSTRUCTION)


def test_notes_alone_do_not_fail_a_check(tmp_path, capsys):
    same = {3: {"images": [{"bytes": encoded(make_image(10 + k), "BMP"), "path": None} for k in range(2)],
                "problem": "<image><image>What is the SUM  of 1 and 1?"}}  # fmt: skip
    code, report = checked(capsys, str(damaged(tmp_path / "set", same, 6)))
    duplicates = report["sets"][0]["splits"]["set/train"]["problems"]["duplicate"]
    assert (code, duplicates["rows"]) == (0, [3])
    assert duplicates["details"] == ["as row 1, with another answer"]


def test_rows_that_are_also_held_out_are_found(tmp_path, capsys):
    train = damaged(tmp_path / "train", {}, 12)
    test = damaged(tmp_path / "test", {k: {"problem": f"other question {k}?"} for k in (0, 1, 3)}, 4)
    code, report = checked(capsys, str(train), "--test", str(test))
    splits = report["sets"][0]["splits"]
    assert code == 1 and set(splits) == {"train/train", "test/train"}
    assert splits["train/train"]["problems"]["also in the test set"]["rows"] == [2]
    assert splits["train/train"]["problems"]["also in the test set"]["details"] == ["as row 2 of test/train"]
    assert checked(capsys, str(train))[0] == 0


def test_own_splits_are_compared_too(tmp_path, capsys):
    rows = [Dataset.from_dict(papers_rows(n), features=data_sets.PAPERS_FEATURES) for n in (4, 2)]
    folder = data_sets.parquet(tmp_path / "g", {"train": rows[0], "test": rows[1]})
    code, report = checked(capsys, str(folder))
    assert code == 1
    assert report["sets"][0]["splits"]["g/train"]["problems"]["also in the test set"]["rows"] == [0, 1]
    assert "also in the test set" not in report["sets"][0]["splits"]["g/test"]["problems"]
    assert checked(capsys, str(folder), "--split", "train")[0] == 0


def test_lengths_in_tokens_are_what_the_model_gets(tmp_path, capsys):
    folder = damaged(tmp_path / "set", {}, 6)
    processor = load_processor(resolve("embedded"))
    task = load_task(str(folder))
    problems = task.train()
    count = token_counter(processor)
    exact = []
    for problem in problems:
        text = processor.apply_chat_template(
            task.messages(problem), add_generation_prompt=True, tokenize=False
        )
        shown = processor(text=[text], images=[list(problem.images)], add_special_tokens=False)
        exact.append(len(shown["input_ids"][0]))
    outlines = [problems.outline(i) for i in range(6)]
    assert [count(task.messages(problem), sizes) for problem, sizes in outlines] == exact
    longest = sorted(exact)[3]
    code, report = checked(capsys, str(folder), "--model", "embedded", "--max_prompt_length", str(longest))
    found = report["sets"][0]["splits"]["set/train"]
    assert report["prompt_length_unit"] == "tokens" and found["prompt_length"]["max"] == max(exact)
    too_long = [i for i, length in enumerate(exact) if length > longest]
    assert (code, found["problems"].get("prompt too long", {"rows": []})["rows"]) == (
        int(bool(too_long)),
        too_long,
    )


def test_the_table_names_every_problem(tmp_path, capsys):
    planted = plant(tmp_path / "set")
    assert main(["check", str(tmp_path / "set")]) == 1
    shown = capsys.readouterr().out
    for fault, row in planted.items():
        assert f"{fault}, for example set/train row {row}: " in shown
    assert "13 rows with a problem" in shown and "characters" in shown


def test_a_hostile_set_cannot_write_to_the_terminal(tmp_path, capsys):
    rows = own_rows(tmp_path)
    rows[0]["image"] = "\x1b]0;owned\x07\x1b[31m[bold]x[/bold].png"
    rows[1]["question"] = "<|\x1b[31mevil|>"
    rows[2]["answer"] = "\\frac{\x1b[2J"
    assert main(["check", str(jsonl(tmp_path / "[red]rows.jsonl", rows))]) == 1
    shown = capsys.readouterr()
    assert "\x1b[31m" not in shown.out and "\x1b]0" not in shown.out and "\x1b[2J" not in shown.out
    assert "[red]rows.jsonl" in shown.out


def test_a_recipe_is_checked_as_it_would_run(tmp_path, capsys):
    rows = own_rows(tmp_path / "own")
    file = jsonl(
        tmp_path / "own" / "r.jsonl",
        [{"q": r["question"], "a": r["answer"], "image": r["image"]} for r in rows],
    )
    recipe = tmp_path / "recipe.yaml"
    papers = damaged(tmp_path / "papers", {1: {"answer": ""}}, 4)
    recipe.write_text(
        "method: vgpo\nmax_pixels: 100\ntask:\n"
        f"  - {{source: {file}, weight: 1, columns: {{question: q, answer: a}}}}\n"
        f"  - {{source: {papers}, weight: 3}}\n"
    )
    code, report = checked(capsys, str(recipe))
    assert code == 1 and [list(part["splits"]) for part in report["sets"]] == [
        ["r.jsonl/train"],
        ["papers/train"],
    ]
    assert report["sets"][0]["splits"]["r.jsonl/train"]["resized"] == 3
    assert report["sets"][1]["splits"]["papers/train"]["problems"]["empty answer"]["rows"] == [1]
    code, _ = checked(capsys, str(file), "--columns", "question=q,answer=a")
    assert code == 0


@pytest.mark.parametrize(
    ("argv", "said_so"),
    [
        (["chekc", "x"], r"did you mean check\?"),
        (["check"], "SOURCE"),
        (["check", "shapes"], "is drawn, not read"),
        (["check", "rows.jsonl", "--max_prompt_length", "9"], "--model"),
        (["check", "rows.jsonl", "--columns", "question"], "question=problem"),
        (["check", "rows.jsonl", "--limit", "0"], "at least 1"),
        (["check", "none.yaml"], "cannot be read"),
        (["check", "rows.jsonl", "--split", "tset"], r"unknown split"),
        (["preview", "rows.jsonl", "--output", "."], "--overwrite"),
    ],
)
def test_wrong_use_is_one_line(argv, said_so, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "rows.jsonl", own_rows(tmp_path))
    with pytest.raises(UserError, match=said_so) as mistake:
        main(argv)
    assert "\n" not in str(mistake.value)


def test_kinds_of_answers():
    kinds = {
        "letter": ["A", "(B)"],
        "letters": ["A, C", "ABD"],
        "integer": ["12", "-1,234", "$5$"],
        "decimal": ["2.5", "40%"],
        "fraction": ["1/2", "\\frac{3}{4}"],
        "expression": ["3\\sqrt{2}", "x^2+1", "2x + 3"],
        "text": ["red", "30 minutes"],
    }
    for kind, answers in kinds.items():
        assert {answer: answer_kind(answer) for answer in answers} == dict.fromkeys(answers, kind)


# --- a run's start ---------------------------------------------------------------------------------


def test_a_bad_row_stops_the_run_at_its_start_and_all_are_counted(tmp_path):
    plant(tmp_path / "set")
    with pytest.raises(UserError) as stopped:
        load_task(str(tmp_path / "set")).train()
    said = str(stopped.value)
    assert "1 truncated image (row 6)" in said and "1 empty answer (row 22)" in said and "40 rows" in said
    assert "on_bad_row: skip" in said and "\n" not in said


def test_skipped_rows_are_counted_and_named_in_the_log(tmp_path, caplog):
    planted = plant(tmp_path / "set")
    with caplog.at_level(logging.WARNING):
        problems = load_task(str(tmp_path / "set"), DataOptions(on_bad_row="skip")).train()
    unusable = [row for row in planted.values() if row <= 24]
    assert [bad.row for bad in problems.skipped] == unusable and len(problems) == 40 - ROW_FAULTS
    assert [int(record.args[1]) for record in caplog.records] == unusable
    assert {int(problem.id.rpartition("/")[2]) for problem in problems}.isdisjoint(unusable)
    few = load_task(str(tmp_path / "set"), DataOptions(on_bad_row="skip")).train(20, 3)
    assert len(few) == 20 == len({problem.id for problem in few})


def test_damage_that_only_decoding_shows_stops_or_is_replaced_and_named(tmp_path, caplog):
    short = bare_png(40, 40)  # sound checksums around too few pixels
    folder = damaged(tmp_path / "set", {3: {"images": one(short) * 2}}, 6)
    problems = load_task(str(folder)).train()
    with pytest.raises(UserError, match="set/train, row 3: truncated image"):
        problems[3]
    with caplog.at_level(logging.WARNING):
        replaced = load_task(str(folder), DataOptions(on_bad_row="skip")).train()
        assert [replaced[3].id, replaced[4].id, replaced[3].id] == ["set/train/4"] * 3
    assert sum("row 3" in record.getMessage() for record in caplog.records) == 1


def test_a_set_without_one_sound_row_says_so(tmp_path):
    folder = damaged(tmp_path / "set", {i: {"answer": ""} for i in range(4)}, 4)
    with pytest.raises(UserError, match=r"no usable row \(4 rows, 4 skipped\)"):
        load_task(str(folder), DataOptions(on_bad_row="skip")).train()


# --- streaming, mixtures, lengths ------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["parquet", "jsonl", "memory"])
def test_a_stream_gives_every_row_once_and_the_same_again(layout, tmp_path):
    if layout == "parquet":
        source = str(data_sets.virl39k(tmp_path / "v", 30))
    elif layout == "jsonl":
        source = str(jsonl(tmp_path / "rows.jsonl", own_rows(tmp_path, 30)))
    else:
        source = {"source": Dataset.from_dict(papers_rows(30), features=data_sets.PAPERS_FEATURES)}
    streamed = load_task(source, DataOptions(streaming=True)).train(30, 5)
    whole = {p.id: p for p in load_task(source).train()}
    ids = [problem.id for problem in streamed]
    assert sorted(ids) == sorted(whole) and ids != sorted(ids, key=lambda i: int(i.rpartition("/")[2]))
    assert all(
        p.images[0].tobytes() == whole[p.id].images[0].tobytes() and p.answer == whole[p.id].answer
        for p in streamed
    )
    assert [streamed[i].id for i in (29, 3, 4, 3)] == [ids[i] for i in (29, 3, 4, 3)]
    again = load_task(source, DataOptions(streaming=True)).train(30, 5)
    assert [problem.id for problem in again] == ids
    with pytest.raises(IndexError):
        streamed[30]


def test_a_stream_reads_again_when_it_is_asked_for_what_it_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.tasks.loading.streaming.WINDOW", 4)
    streamed = load_task(str(data_sets.virl39k(tmp_path / "v", 12)), DataOptions(streaming=True)).train(12, 0)
    ids = [problem.id for problem in streamed]
    assert [streamed[i].id for i in (0, 11, 5)] == [ids[i] for i in (0, 11, 5)]


def test_a_stream_skips_or_stops_and_says_when_it_ends(tmp_path, caplog):
    folder = damaged(tmp_path / "set", {3: {"answer": ""}}, 8)
    with pytest.raises(UserError, match="row 3: empty answer"):
        list(load_task(str(folder), DataOptions(streaming=True)).train(8, 0))
    skipping = load_task(str(folder), DataOptions(streaming=True, on_bad_row="skip"))
    with caplog.at_level(logging.WARNING):
        assert len([skipping.train(7, 0)[i] for i in range(7)]) == 7
    assert "row 3" in caplog.text
    assert len(skipping.train(None, 0)) == 8  # parquet files say their length, text files do not
    lines = jsonl(tmp_path / "rows.jsonl", own_rows(tmp_path, 3))
    with pytest.raises(UserError, match="set limit when streaming"):
        load_task(str(lines), DataOptions(streaming=True)).train(None, 0)
    with pytest.raises(UserError, match="ended after 3 usable rows, 5 were expected; set limit: 3"):
        load_task(str(lines), DataOptions(streaming=True)).train(5, 0)[4]


def test_a_stream_that_skips_begins_again_as_a_table_does(tmp_path, caplog):
    folder = damaged(tmp_path / "set", {number: {"answer": ""} for number in range(19)}, 30)
    skipping = load_task(str(folder), DataOptions(streaming=True, on_bad_row="skip"))
    with caplog.at_level(logging.WARNING):
        problems = skipping.train(30, 0)
        ids = [problem.id for problem in problems]
    assert ids[11:22] == [f"{name}#2" for name in ids[:11]] and len(set(ids)) == 30
    assert "ended after 11 of 30 problems" in caplog.text
    assert [problems[i].id for i in (25, 0, 12)] == [ids[i] for i in (25, 0, 12)]
    nothing = damaged(tmp_path / "bad", {number: {"answer": ""} for number in range(3)}, 3)
    with pytest.raises(UserError, match="has no usable row"):
        load_task(str(nothing), DataOptions(streaming=True, on_bad_row="skip")).train(3, 0)[0]


def test_a_streamed_part_that_runs_out_begins_again(tmp_path):
    few = jsonl(tmp_path / "few.jsonl", own_rows(tmp_path, 3))
    papers = data_sets.virl39k(tmp_path / "papers", 12)
    sources = [{"source": str(few), "weight": 1}, {"source": str(papers), "weight": 1}]
    ids = [p.id for p in load_task(sources, DataOptions(streaming=True)).train(16, 0)]
    whole = [p.id for p in load_task(sources).train(16, 0)]
    assert len(set(ids)) == 16 and {name for name in ids if "few" in name} == {n for n in whole if "few" in n}


def test_a_mixture_keeps_its_weights_and_its_tasks(tmp_path):
    own = jsonl(tmp_path / "own.jsonl", own_rows(tmp_path, 30))
    papers = data_sets.virl39k(tmp_path / "papers", 40)
    mixed = load_task(
        [
            {"source": str(own), "weight": 1},
            {"source": str(papers), "weight": 3},
            {"source": "shapes", "weight": 4},
        ],
        DataOptions(prompt_template="plain"),
    )
    problems = mixed.train(40, 0)
    ids = [problem.id for problem in problems]
    assert len(set(ids)) == 40
    names = [i.partition(":")[0] for i in ids]
    assert [names.count(name) for name in ("own.jsonl", "papers", "shapes")] == [5, 15, 20]
    for problem in problems:
        turn = mixed.messages(problem)[-1]["content"]
        assert sum(part["type"] == "image" for part in turn) == len(problem.images)
    assert [p.id for p in mixed.train(40, 0)] == ids != [p.id for p in mixed.train(40, 1)]
    assert len(mixed.train(None, 0)) == 40 * 8 // 3
    plain = load_task([str(own), str(papers)])
    assert (
        sorted({p.id for p in plain.train()}) == sorted(p.id for p in plain.train())
        and len(plain.train()) == 70
    )
    held_out = mixed.test(6, 0)
    assert [p.id.partition(":")[0] for p in held_out] == ["shapes"] * 6
    with pytest.raises(UserError, match="holds nothing out"):
        plain.test()
    with pytest.raises(UserError, match="1 weights for 2 sources"):
        load_task([{"source": str(own), "weight": 1}, str(papers)])


def test_prompts_that_are_too_long_are_left_out_whole_and_named(tmp_path, caplog):
    rows = own_rows(tmp_path, 6)
    rows[4]["question"] = "word " * 500
    task = load_task(str(jsonl(tmp_path / "r.jsonl", rows)), DataOptions(prompt_template="plain"))

    def count(messages, sizes):
        assert sizes == [(24, 16)]
        return sum(len(part.get("text", "").split()) for part in messages[-1]["content"]) + 6 * len(sizes)

    seen = []
    with caplog.at_level(logging.WARNING):
        kept = fitting(task, task.train(), count, 100, seen.append)
    assert [problem.id for problem in kept] == [f"r.jsonl/train/{i}" for i in (0, 1, 2, 3, 5)]
    assert kept.left_out == [("r.jsonl/train/4", 506)] and len(seen) == 6
    assert "r.jsonl/train/4" in caplog.text
    assert len(kept[4].images) == 1


# --- preview ---------------------------------------------------------------------------------------


def test_the_page_shows_samples_and_nothing_of_a_hostile_set_gets_out(tmp_path, capsys):
    rows = own_rows(tmp_path, 6)
    attack = "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\u202e{{ 7*7 }}"
    rows[1]["question"] = attack
    rows[2]["answer"] = attack
    rows[3]["image"] = f"{attack}.png"
    file = jsonl(tmp_path / "rows.jsonl", rows)
    page = tmp_path / "out" / "page.html"
    assert main(["preview", str(file), "--output", str(page), "--count", "9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(page), "samples": 6, "unusable": 1}
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 5 and "Cannot be used: missing image" in text
    assert (
        "<script" not in text and "<img src=https" not in text and "49" not in text.split("{{ 7*7 }}")[1][:4]
    )
    assert "&lt;script&gt;" in text and "\u202e" not in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "You first think through" in text
    with pytest.raises(UserError, match="exists"):
        main(["preview", str(file), "--output", str(page)])


# --- the trainer's view and memory -----------------------------------------------------------------


def test_the_trainer_reads_rows_without_warnings_and_lazily(tmp_path):
    task = load_task(str(data_sets.virl39k(tmp_path / "v", 8)))
    rows = training_rows(task, task.train())
    batch = rows[[5, 5, 2]]
    assert [len(images) for images in batch["images"]] == [2, 2, 1]
    assert batch["answer"] == ["10", "10", "4"] and batch["id"][0] == "v/train/5"
    assert [part["type"] for part in batch["prompt"][0][-1]["content"]] == ["image", "image", "text"]


def private_memory() -> int:
    """Bytes this process holds for itself; pages of mapped files are the system's to drop."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's accounting of memory")
def test_memory_stays_flat_over_20000_rows(tmp_path):
    """180 MB of encoded and 550 MB of decoded images pass through; neither may stay."""
    rows, group = 20_000, 100
    pool = [encoded(make_image(i, 96, 96), "PNG", compress_level=1)[:] for i in range(40)]
    size = sum(map(len, pool)) / len(pool)
    schema = pa.schema([("images", STRUCTS), ("problem", pa.string()), ("answer", pa.string())])
    with pq.ParquetWriter(tmp_path / "many.parquet", schema) as file:
        for start in range(0, rows, group):
            images = [[{"bytes": pool[(start + i) % 40], "path": None}] for i in range(group)]
            texts = [f"<image>Question {start + i}?" for i in range(group)]
            file.write_table(pa.table([pa.array(images, STRUCTS), texts, ["1"] * group], schema=schema))
    assert size * rows > 400e6
    task = load_task(str(tmp_path / "many.parquet"))
    problems = task.train()
    assert len(problems) == rows
    list(map(problems.__getitem__, range(300)))
    gc.collect()
    before = private_memory()
    most = 0
    for number in np.random.default_rng(0).permutation(rows)[:1000]:
        assert problems[int(number)].images[0].size == (96, 96)
    for number in range(0, rows, 3):
        assert problems[number].answer == "1"
        if number % 999 == 0:
            most = max(most, private_memory() - before)
    assert most < 60e6, f"{most / 1e6:.0f} MB more than at the start"
