"""The report page: what it shows is what the files hold, whatever they hold."""

import ast
import base64
import hashlib
import json
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from parsed_page import Page
from patient import patient
from saved_run import ATTACK, CONFIG, EVALUATION, write_run

import sightline.analysis
from sightline.analysis import write_report
from sightline.analysis.pages.base import printable
from sightline.analysis.readers.embedded_images import embedded_image
from sightline.analysis.readers.settings import settings
from sightline.errors import UserError

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()


def report(folder) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def change(path: Path, edit):
    value = json.loads(path.read_text())
    path.write_text(json.dumps(edit(value) or value))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Page:
    return report(write_run(tmp_path_factory.mktemp("run")))


# --- what it shows -------------------------------------------------------------------------------------


def test_accuracy_equals_eval_json(finished):
    shown = [float(attrs["value"]) for attrs, _ in finished.all("data")][:6]
    expected = [
        EVALUATION[when][mode]["value"]
        for mode in ("greedy", "sampled", "blind")
        for when in ("before", "after")
    ]
    assert shown == expected
    texts = [text for _, text in finished.all("data")][:6]
    assert texts == [f"{100 * value:.1f}\u202f%" for value in expected]
    rows = [text for _, text in finished.all("tr") if text.strip().startswith("greedy")]
    assert len(rows) == 1 and "+23.8" in rows[0] and "32.2 to 40.6" in rows[0] and "n = 512" in rows[0]


def test_the_table_of_quantities_equals_metrics_jsonl(tmp_path):
    folder = write_run(tmp_path)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [float(attrs["value"]) for attrs, _ in report(folder).all("data")][6:]
    names = sorted(name for name in rows[0] if name != "step")
    assert len(values) == 4 * len(names)
    for name, (first, last, lowest, highest) in zip(
        names, zip(*[iter(values)] * 4, strict=True), strict=True
    ):
        column = [row[name] for row in rows]
        assert (first, last, lowest, highest) == (column[0], column[-1], min(column), max(column))


def test_the_head_says_what_was_trained_on_what_for_how_long(tmp_path):
    folder = write_run(tmp_path)
    seconds = sum(json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines())
    page = report(folder)
    assert page.all("h1")[0][1].strip() == "vgpo on shapes"
    lead = re.sub("[ \n]+", " ", page.all("p", class_="lead")[0][1])
    assert "embedded" in lead
    assert "greedy accuracy on 512 held-out problems went from 36.3\u202f% to 60.2\u202f%." in lead
    facts = dict(zip([t for _, t in page.all("dt")], [t for _, t in page.all("dd")], strict=True))
    assert facts["Steps"] == "40 of 40"
    assert facts["Seed"] == "0"
    assert facts["Training time"] == f"{round(seconds) // 60} min {round(seconds) % 60} s"
    assert "torch 2.13.0" in facts["Libraries"]


def test_a_change_within_the_intervals_is_not_sold_as_one(tmp_path):
    folder = write_run(tmp_path, samples=1)
    change(
        folder / "eval.json", lambda saved: saved["after"]["greedy"].update(value=0.39, low=0.35, high=0.43)
    )
    lead = report(folder).all("p", class_="lead")[0][1]
    assert "went from 36.3\u202f% to 39.0\u202f%; the 95 % intervals overlap." in lead


def test_incidents_of_the_run_stand_on_its_report(tmp_path):
    folder = write_run(tmp_path, samples=1)
    assert report(folder).all("h2", id="incidents") == []
    (folder / "log.txt").write_text("2026-01-01 10:00:00,1 WARNING sightline.engines: step 7 is skipped\n")
    notes = [text for _, text in report(folder).all("section", class_="notes")]
    assert any("step 7 is skipped" in text for text in notes)


def test_a_reward_that_is_the_accuracy_is_drawn_once(tmp_path):
    folder = write_run(tmp_path, samples=1)
    rows = [{"step": step, "accuracy": step / 9, "reward": step / 9} for step in range(9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    captions = [text for _, text in report(folder).all("figcaption")]
    assert [text for text in captions if "accuracy" in text or "reward" in text] == ["Accuracy accuracy"]


def test_every_setting_stands_there_with_what_set_it(finished):
    found = {row[0]: row[1:] for row in finished.rows() if len(row) == 3}
    assert {name: found[name][1] for name in CONFIG["set_by"]} == CONFIG["set_by"]
    assert found["beta"] == ["0.0", "default"]
    assert found["run_name"] == [ATTACK, "default"]
    assert not {name for name in CONFIG if name not in ("method_options", "set_by", "versions")} - set(found)


def test_settings_show_values_as_yaml_has_them():
    chosen, rest = settings(
        {"a": None, "b": True, "c": {"d": 1e-6}, "e": [1, "x"], "set_by": {"c.d": "flag"}}
    )
    assert [(s.name, s.value, s.origin) for s in chosen] == [("c.d", "1e-06", "flag")]
    assert {s.name: s.value for s in rest} == {"a": "null", "b": "true", "e": "[1, 'x']"}


def test_verdicts_do_not_rest_on_colour(finished):
    verdicts = {" ".join(text.split()) for _, text in finished.all("span", class_="verdict")}
    assert verdicts == {"✓ correct", "✗ wrong"}


def test_every_image_and_chart_has_a_name(finished):
    ids = [attrs["id"] for _, attrs, _ in finished.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    images = finished.all("img")
    assert len(images) == 12
    assert all(attrs["alt"] for attrs, _ in images)
    charts = finished.all("svg", role="img")
    assert len(charts) == 13
    for attrs, text in charts:
        assert all(name in ids for name in attrs["aria-labelledby"].split())
        assert " at step " in text or "95 % interval" in text
    assert all(attrs.get("scope") in ("col", "row") for attrs, _ in finished.all("th"))


# --- what must never happen ----------------------------------------------------------------------------


def test_hostile_strings_are_text(tmp_path):
    folder = write_run(tmp_path, samples=3)
    hostile = {"id": ATTACK, "kind": ATTACK, "question": ATTACK, "answer": ATTACK, "image": ATTACK}
    told = {
        "text": ATTACK,
        "correct": True,
        "tokens": [ATTACK],
        "scores": {ATTACK: [0.5], '"><script>': [0.1]},
    }
    change(folder / "samples.json", lambda rows: rows.append(hostile | {"before": told, "after": told}))
    (folder / "eval.json").write_text(
        json.dumps({"before": {ATTACK: {"value": 0.5, "low": 0, "high": 1, "n": 9}}})
    )
    line = {"step": 41, ATTACK: 1.0, f"scores/{ATTACK}/mean": 1.0, "weights/max": 2.0, "accuracy": 0.5}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    config = CONFIG | {ATTACK: ATTACK, "method": ATTACK, "model": ATTACK, "task": ATTACK, "seed": ATTACK}
    config |= {"versions": {ATTACK: ATTACK}, "git_revision": ATTACK, "set_by": {"seed": ATTACK}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    page = report(folder)
    tags = {tag for tag, _, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base"}
    assert len(page.all("style")) == 1
    assert len(page.all("img")) == 3
    for tag, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
    assert page.all("h1")[0][1].strip() == f"{ATTACK} on {ATTACK}"
    assert [text for _, text in page.all("p", class_="strip")].count(ATTACK) == 2
    assert ATTACK in [text for _, text in page.all("p", class_="question")]


@patient(25)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_answer_survives_the_way_through_the_page(tmp_path_factory, tokens):
    folder = tmp_path_factory.mktemp("run")
    told = {
        "text": "".join(tokens),
        "correct": False,
        "tokens": tokens,
        "scores": {"exact_kl": [0.1] * len(tokens)},
    }
    (folder / "samples.json").write_text(json.dumps([{"question": tokens[0], "before": told}]))
    page = report(folder)
    newlines = re.compile("\r\n?")
    assert page.all("p", class_="strip")[0][1] == newlines.sub("\n", printable("".join(tokens)))
    assert page.all("p", class_="question")[0][1] == newlines.sub("\n", printable(tokens[0]))


def test_characters_that_hide_or_reorder_are_spelled_out():
    assert printable("a\u202eb\u2066\x00\ud800c\n\t") == "a\\u202eb\\u2066\\u0000\\ud800c\n\t"
    assert printable("ünï 图 👩‍🔬 °") == "ünï 图 👩‍🔬 °"


def test_the_page_is_alone_and_its_policy_says_so(finished):
    policies = [
        a["content"] for a, _ in finished.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    style = finished.all("style")[0][1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = [part.strip() for part in policies[0].split(";")]
    assert directives[0] == "default-src 'none'"
    assert f"style-src 'sha256-{digest}'" in directives
    assert "img-src data:" in directives
    assert "unsafe" not in policies[0] and "script-src" not in policies[0]
    assert "url(" not in style and "@import" not in style
    for _, attrs, _ in finished.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_real_images_are_shown(kind):
    content = PNG if kind == "png" else base64.b64encode(b"\xff\xd8\xff" + bytes(20)).decode()
    address = f"data:image/{kind};base64,{content}"
    shown = embedded_image(address)
    assert shown is not None and shown.address == address


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64," + PNG,
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload='alert(1)'/>").decode(),
        "data:image/png;base64," + base64.b64encode(b"<svg onload='alert(1)'/>").decode(),
        "data:image/jpeg;base64," + PNG,
        "data:image/png," + PNG,
        f'data:image/png;base64,{PNG}" onerror="alert(1)',
        f"data:image/png;base64,{PNG}\n",
        f"data:image/png;charset=x;base64,{PNG}",
        "data:image/png;base64," + PNG[:-3],
        f"DATA:image/png;base64,{PNG}",
    ],
)
def test_anything_else_is_no_image(address):
    assert embedded_image(address) is None


def test_refused_images_leave_a_placeholder(tmp_path):
    folder = write_run(tmp_path, samples=2)
    change(folder / "samples.json", lambda rows: rows[0].update(image="https://example.org/x.png"))
    page = report(folder)
    assert len(page.all("img")) == 1
    assert "left out" in page.all("p", class_="placeholder")[0][1]
    assert "example.org" not in "".join(text for _, text in page.all("html"))


# --- what may be missing -------------------------------------------------------------------------------


def notes(page: Page) -> str:
    return " ".join(text for _, text in page.all("section", class_="notes"))


def test_a_finished_run_has_nothing_to_note(finished):
    assert notes(finished) == ""


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "eval.json", "samples.json"])
@pytest.mark.parametrize(
    "content", [None, "", "{", "[1", "null", "[]", "{}", "[[]]", '"x"', "- {", "\xff\x00", "[" * 5000]
)
def test_a_missing_or_damaged_file_leaves_the_rest(tmp_path, name, content):
    folder = write_run(tmp_path, samples=2)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content, encoding="latin-1")
    page = report(folder)
    if content is None and name != "metrics.jsonl":
        assert f"{name} is missing" in notes(page)
    there = {
        "config.yaml": page.all("h1")[0][1].strip() == "vgpo on shapes",
        "metrics.jsonl": any(
            attrs["aria-labelledby"].startswith("curve") for attrs, _ in page.all("svg", role="img")
        ),
        "eval.json": len(page.all("svg", class_="intervals")) == 1,
        "samples.json": len(page.all("article")) == 2,
    }
    assert there.pop(name) is False
    assert all(there.values())


def test_an_interrupted_run_says_what_is_not_there(tmp_path):
    folder = write_run(tmp_path)
    (folder / "model" / "config.json").unlink()
    change(folder / "eval.json", lambda saved: saved.pop("after") and None)
    change(folder / "samples.json", lambda rows: [row.pop("after") for row in rows] and None)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 41, "loss": 0.')
    page = report(folder)
    said = notes(page)
    assert "no trained model" in said
    assert "no accuracy after training" in said
    assert "last line of metrics.jsonl" in said
    assert [row[2] for row in page.rows() if row[0].startswith(("greedy", "sampled", "blind"))] == [
        "not measured"
    ] * 3
    assert len([1 for _, text in page.all("p", class_="empty") if text == "Not recorded."]) == 12


def test_nan_and_null_are_gaps_not_numbers(tmp_path):
    folder = write_run(tmp_path, samples=1)
    rows = [
        {"step": 1, "loss": math.nan, "kl": None, "reward": math.inf},
        {"step": 2, "loss": 0.25, "accuracy": None},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "eval.json").write_text('{"before": {"greedy": {"value": NaN, "low": 0, "high": 1, "n": 5}}}')
    scores = {"exact_kl": [None, math.nan, "x"]}
    told = {"text": "abc", "correct": None, "tokens": ["a", "b", "c"], "scores": scores}
    change(folder / "samples.json", lambda saved: saved[0].update(before=told, after=told))
    page = report(folder)
    text = page.all("main")[0][1]
    assert not re.search(r"\b(nan|NaN|inf|None)\b", text)
    assert [text for _, text in page.all("figcaption")] == ["Loss loss"]
    assert [row for row in page.rows() if row[0] == "loss"] == [["loss", "0.25", "0.25", "0.25", "0.25", "1"]]
    assert "not graded" in text


def test_scores_that_do_not_fit_the_tokens_are_noted(tmp_path):
    folder = write_run(tmp_path, samples=1)
    change(folder / "samples.json", lambda rows: rows[0]["before"]["scores"]["exact_kl"].pop() and None)
    assert "the scores of 1 answer do not match" in notes(report(folder))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
answers = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text() | anything,
        "correct": anything,
        "tokens": st.lists(st.text(max_size=3)) | anything,
        "scores": st.dictionaries(st.text(max_size=5), st.lists(st.floats() | st.none()) | anything)
        | anything,
    },
)


@patient(40)
@given(
    config=st.dictionaries(st.sampled_from(list(CONFIG)), anything) | anything,
    rows=st.lists(st.dictionaries(st.sampled_from(["step", "loss", "kl", "seconds"]), anything) | anything),
    evaluation=st.dictionaries(
        st.sampled_from(["before", "after"]),
        st.dictionaries(
            st.text(max_size=3), st.dictionaries(st.sampled_from(["value", "low", "high", "n"]), anything)
        ),
    ),
    samples=st.lists(
        st.fixed_dictionaries({"image": anything, "before": answers | anything, "after": answers})
    ),
)
def test_nothing_in_the_files_can_stop_the_page(tmp_path_factory, config, rows, evaluation, samples):
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "eval.json").write_text(json.dumps(evaluation))
    (folder / "samples.json").write_text(json.dumps(samples))
    page = report(folder)
    assert len(page.all("article")) == min(len(samples), 48)


def test_a_report_that_cannot_be_written_is_one_clear_line(tmp_path):
    folder = write_run(tmp_path, samples=1)
    (folder / "report.html").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*report\.html"):
        write_report(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="not a run folder"):
            write_report(path)


def test_a_report_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    folder = write_run(tmp_path, samples=1)
    before = {entry.name for entry in folder.iterdir()}
    first = write_report(folder)
    assert first == folder / "report.html"
    (folder / "samples.json").unlink()
    write_report(folder)
    assert {entry.name for entry in folder.iterdir()} == before - {"samples.json"} | {"report.html"}
    assert "<article" not in first.read_text()


def test_the_report_needs_no_engine():
    """Only the standard library, numpy, yaml, jinja2, markupsafe and the package's own light parts."""
    allowed = {"numpy", "yaml", "jinja2", "markupsafe"}
    root = Path(sightline.analysis.__file__).parent
    for file in root.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            elif isinstance(node, ast.ImportFrom) and node.level == 2:
                assert node.module in ("errors", "runs"), file
                continue
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                assert top in allowed or top in __import__("sys").stdlib_module_names, (file, module)
