"""The inspect page: what it holds is what the data says, as text, whatever the data holds."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from parsed_page import Page
from patient import patient
from saved_inspection import METHODS, SCORES, VIEWS, inspect_data, write_inspect_data
from saved_run import ATTACK

from sightline.analysis import write_inspection
from sightline.analysis.pages.base import data_block, printable
from sightline.analysis.readers.inspect_data import read_inspection
from sightline.analysis.readers.samples import SavedAnswer
from sightline.analysis.tokens import inspect_payload as details_module
from sightline.analysis.tokens import strips as tokens_module
from sightline.analysis.tokens.shading import LEVELS, weight_shades
from sightline.analysis.tokens.strips import strip
from sightline.errors import UserError
from sightline.evaluation.tokens.inspection import image_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_inspect_data(tmp_path_factory.mktemp("inspect"))


@pytest.fixture(scope="module")
def text(folder):
    return write_inspection(folder).read_text(encoding="utf-8")


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def changed(folder, **changes):
    (folder / "inspect.json").write_text(json.dumps(inspect_data(4) | changes))
    return write_inspection(folder).read_text(encoding="utf-8")


# --- what it shows ---------------------------------------------------------------------------------


def test_every_answer_stands_there_in_full_without_the_script(text):
    strips = [shown for _, shown in Page(text).all("p", class_="strip")]
    assert len(strips) == 8
    for row, shown in zip(inspect_data()["samples"], strips, strict=True):
        told = row["answers"][0]
        assert shown.removesuffix("<|im_end|>") == printable(told["text"])


def test_scores_and_methods_can_be_chosen_and_each_has_a_legend(text):
    page = Page(text)
    ids = [attrs["id"] for attrs, _ in page.all("input", name="score")]
    assert ids == [*(f"score-{letter}" for letter in "abcdeghi"), "score-none"]
    assert len(page.all("p", class_="legend")) == len(SCORES) + len(METHODS)


def test_the_data_holds_the_numbers_of_every_token(text):
    data = data_of(text)
    assert [one["title"] for one in data["scores"]][:2] == ["exact KL, black", "exact KL, patches"]
    assert data["viewOf"] == [0, 1, 2, None, None]
    assert [one["reads"] for one in data["methods"]][1] == "exact KL (patches)"
    for row, shown in zip(inspect_data()["samples"], data["answers"], strict=True):
        told = row["answers"][0]
        assert shown["count"] == len(told["tokens"])
        for score, values in zip(SCORES, shown["scores"], strict=True):
            assert values == pytest.approx(told["scores"][score["name"]], rel=0.006)
        assert shown["maps"][0]["token"] == told["occlusion"][0]["token"]
        places, shares = shown["likeliest"][0]["0"][::2], shown["likeliest"][0]["0"][1::2]
        assert shares == pytest.approx([10_000 * p for p in told["likeliest"]["image"][0][1::2]], abs=0.51)
        vocabulary = inspect_data()["vocabulary"]
        expected = [printable(vocabulary[place]) for place in told["likeliest"]["image"][0][::2]]
        assert [data["vocabulary"][place] for place in places] == expected


def test_alternatives_are_left_out_only_where_all_are_too_many_and_then_of_views_that_change_nothing(
    folder, monkeypatch
):
    told = inspect_data()["samples"][0]["answers"][0]
    everywhere = {str(token) for token in range(len(told["tokens"]))}
    answers = data_of(write_inspection(folder).read_text())["answers"]
    assert all(set(listed) == everywhere for listed in answers[0]["likeliest"])
    total = sum(len(pairs) // 2 for one in answers for view in one["likeliest"] for pairs in view.values())
    monkeypatch.setattr(details_module, "MOST_ALTERNATIVES", total - 1)
    shown = data_of(write_inspection(folder).read_text())["answers"][0]["likeliest"]
    assert set(shown[0]) == everywhere
    for place, view in enumerate(VIEWS, start=1):
        kl = told["scores"][f"exact_kl/{view}"]
        assert set(shown[place]) == {str(t) for t, value in enumerate(kl) if value >= 1e-3}


def test_a_page_of_very_many_tokens_keeps_those_that_depend_most_and_says_so(folder, monkeypatch):
    monkeypatch.setattr(details_module, "MOST_ALTERNATIVES", 200)
    text = write_inspection(folder).read_text()
    data = data_of(text)
    kept = sum(
        len(listed) // 2 for one in data["answers"] for view in one["likeliest"] for listed in view.values()
    )
    assert 0 < kept <= 200
    assert "depend least on the image are left out" in Page(text).all("section", class_="notes")[0][1]
    highest = max(
        (value, number, token)
        for number, row in enumerate(inspect_data()["samples"])
        for token, value in enumerate(row["answers"][0]["scores"]["exact_kl/text_only"])
    )
    assert str(highest[2]) in data["answers"][highest[1]]["likeliest"][0]


@pytest.mark.parametrize(
    ("counts", "longest"),
    [([], 4000), ([10, 20], 4000), ([5000], 100), ([10, 90, 90], 45), ([50, 50], 4000), ([51, 50], 50)],
)
def test_a_page_shows_as_much_of_each_answer_as_all_of_them_allow(monkeypatch, counts, longest):
    monkeypatch.setattr(tokens_module, "PAGE_TOKENS", 100)
    assert tokens_module.longest_shown(counts) == longest
    assert sum(min(count, longest) for count in counts) <= 100


def test_long_answers_are_cut_everywhere_at_the_same_token_and_the_page_says_so(folder, monkeypatch):
    monkeypatch.setattr(tokens_module, "PAGE_TOKENS", 60)
    text = write_inspection(folder).read_text()
    most = tokens_module.longest_shown(len(row["answers"][0]["tokens"]) for row in inspect_data()["samples"])
    assert f"the first {most} tokens are shown" in Page(text).all("section", class_="notes")[0][1]
    first = data_of(text)["answers"][0]
    assert first["count"] == len(inspect_data()["samples"][0]["answers"][0]["tokens"]) > most
    columns = [*first["scores"], *first["weights"], first["logProbs"], *(v for _, v in first["attention"])]
    assert {len(column) for column in columns} == {most}
    assert all(int(token) < most for listed in first["likeliest"] for token in listed)
    assert text.count("more tokens</p>") == sum(one["count"] > most for one in data_of(text)["answers"])


def test_maps_beyond_what_a_page_holds_are_left_out_from_the_last_and_counted(tmp_path, monkeypatch):
    saved = inspect_data(4)
    for row in saved["samples"]:
        row["answers"][0]["occlusion"] *= 3
    monkeypatch.setattr(details_module, "MOST_CELLS", 4 * 2 * 16)
    text = changed(tmp_path, samples=saved["samples"])
    assert [len(one["maps"]) for one in data_of(text)["answers"]] == [2] * 4
    assert "The occlusion maps have 192 cells" in Page(text).all("section", class_="notes")[0][1]


def test_attention_and_the_share_of_the_highest_tenth_are_told(text):
    told = inspect_data()["samples"][0]["answers"][0]
    shown = data_of(text)["answers"][0]["attention"]
    assert [name for name, _ in shown] == ["image", "question", "answer so far"]
    assert [values for _, values in shown] == list(told["attention"].values())
    assert "of the visual dependency (exact KL, black)" in Page(text).all("p", class_="lead")[0][1]


def test_a_page_of_as_many_tokens_as_it_shows_stays_below_15_megabytes(tmp_path, monkeypatch):
    """At a twentieth of the size, images aside."""
    for name in ("MOST_ALTERNATIVES", "MOST_CELLS"):
        monkeypatch.setattr(details_module, name, getattr(details_module, name) // 20)
    answers = 10
    tokens = tokens_module.PAGE_TOKENS // 20 // answers
    folder = write_inspect_data(tmp_path, samples=answers, longest=tokens, hostile=False)
    size = len(re.sub(r'src="data:[^"]*"', "", write_inspection(folder).read_text()))
    assert 20 * size + image_bytes(tokens_module.PAGE_TOKENS) < 15_000_000


def test_images_wait_until_they_are_scrolled_to(text):
    images = Page(text).all("img")
    assert len(images) == 8 * 3
    assert all(attrs["loading"] == "lazy" and attrs["alt"] for attrs, _ in images)


def test_weights_are_shaded_from_nothing_and_what_is_dropped_is_marked():
    told = SavedAnswer("a b c d", True, ("a", " b", " c", " d"), {}, {"vppo": (0.0, 1.0, 2.0, None)})
    (scale,) = weight_shades([told])
    assert (scale.letter, scale.low) == ("g", 0.0)
    classes = [piece.classes for piece in strip(told, [scale]).pieces]
    assert classes == ["t gz", f"t g{round(LEVELS / scale.high)}", f"t g{LEVELS}", "t gn"]


def test_tokens_that_make_up_one_character_are_shaded_by_the_highest():
    told = SavedAnswer("90° +", True, ("90", "\ufffd", "\ufffd", " +"), {"exact_kl": (0.0, 0.1, 8.0, 0.0)})
    scale = details_module.Shade("a", "exact_kl", 0.0, 8.0)
    pieces = strip(told, [scale], labels=False).pieces
    assert [(piece.text, piece.classes, piece.jump) for piece in pieces] == [
        ("90", "t", None), ("°", f"t a{LEVELS}", None), (" +", "t", 3),
    ]  # fmt: skip


# --- what must never happen ------------------------------------------------------------------------


def test_hostile_strings_are_text(text):
    page = Page(text)
    assert len(page.all("script")) == 2
    assert not {tag for tag, _, _ in page.elements} & {"iframe", "object", "embed", "base"}
    for tag, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
    assert ATTACK in [shown for _, shown in page.all("p", class_="question")]
    assert page.all("h1")[0][1] == f"What {ATTACK} sees"
    assert ATTACK in data_of(text)["vocabulary"]
    assert "\u202e" not in text


def test_hostile_names_of_scores_views_and_methods_are_text(tmp_path):
    saved = inspect_data(2)
    for row in saved["samples"]:
        row["views"] = {ATTACK: row["views"]["black"]}
        (told,) = row["answers"]
        told["scores"] = {f"exact_kl/{ATTACK}": told["scores"]["exact_kl/black"]}
        told["weights"] = {ATTACK: told["weights"]["vppo"], "vgpo": told["weights"]["vgpo"]}
        told["likeliest"][ATTACK] = told["likeliest"].pop("black")
    saved["scores"] = [{"name": f"exact_kl/{ATTACK}", "signal": "exact_kl", "view": ATTACK}]
    saved["views"] = [{"name": ATTACK}]
    saved["methods"] = [{"name": ATTACK, "signals": [ATTACK], "view": ATTACK, "options": {}}]
    page = Page(changed(tmp_path, **saved))
    assert len(page.all("script")) == 2
    assert len(page.all("input", name="score")) == 4
    for tag, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on")], tag
        assert attrs.get("src") != "x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@patient()
@given(JSON)
def test_a_block_of_data_holds_no_markup_and_loses_nothing(value):
    block = data_block({"value": value, "attack": ATTACK + "<!-- ]]> & \u2028"})
    assert isinstance(block, Markup)
    assert not set(block) & set("<>&\u2028\u2029")
    assert json.loads(block)["attack"] == printable(ATTACK + "<!-- ]]> & \u2028")
    if isinstance(value, str):
        assert json.loads(block)["value"] == printable(value)


def test_the_policy_allows_this_script_and_nothing_else(text):
    (policy,) = [
        attrs["content"]
        for attrs, _ in Page(text).all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    script = re.search(r"<script>(.*)</script>", text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy and "unsafe" not in policy
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert risky not in script


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "that `sightline inspect` wrote"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "has the schema None, expected 'sightline.inspect/1'"),
        ('{"schema": "sightline.inspect/9"}', "written by another version"),
    ],
)
def test_what_is_no_inspection_is_one_clear_error(tmp_path, content, said):
    if content is not None:
        (tmp_path / "inspect.json").write_text(content)
    with pytest.raises(UserError, match=said.replace("[", r"\[")):
        write_inspection(tmp_path)
    assert not (tmp_path / "inspect.html").exists()


@pytest.mark.parametrize("key", ["about", "scores", "views", "methods", "vocabulary", "samples"])
@pytest.mark.parametrize("value", [None, 7, "x", [None, 7, {}], {"a": [1]}])
def test_damaged_parts_never_stop_the_page(tmp_path, key, value):
    assert "</html>" in changed(tmp_path, **{key: value})


def test_damaged_answers_are_shown_as_far_as_they_go(tmp_path):
    saved = inspect_data(4)
    told = saved["samples"][0]["answers"][0]
    told |= {
        "scores": {"exact_kl/black": [0.5, "x", None]},
        "weights": {"vgpo": [1.0]},
        "likeliest": {"image": [[0]]},
    }
    told["occlusion"] = [{"token": 0, "image": 0, "rows": 4, "columns": 4, "values": [1.0]}, 7, {"token": -1}]
    saved["samples"][3]["images"] = ["https://example.com/x.png"]
    text = changed(tmp_path, samples=saved["samples"])
    notes = Page(text).all("section", class_="notes")[0][1]
    assert "the numbers of 1 answer do not match the tokens" in notes
    assert "1 image left out" in notes
    assert data_of(text)["answers"][0]["maps"] == []
    assert "example.com" not in text


def test_alternatives_that_point_nowhere_are_left_out(tmp_path):
    folder = write_inspect_data(tmp_path, samples=1)
    saved = inspect_data(1)
    saved["samples"][0]["answers"][0]["likeliest"]["image"][0] = [99_999, 0.5, 0, 0.25, -1, 0.1, 1.5, 0.1, 1]
    (folder / "inspect.json").write_text(json.dumps(saved))
    (one,) = read_inspection(folder).answers
    assert one.likeliest["image"][0] == (("the", 0.25),)
