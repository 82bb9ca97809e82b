"""The inspect page in a real browser: pointing, keys, filters, methods, themes, narrow screens, attacks."""

import pytest
from browser import BROWSER, Browser
from saved_inspection import inspect_data, write_inspect_data
from saved_run import ATTACK

from sightline.analysis import write_inspection

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: chromium, chromium-browser or google-chrome is not installed"
    ),
]
TOKENS = ".strip .t"
SHOWN = "[...document.querySelectorAll('article:not([hidden])')].map(a => a.querySelector('h3').textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_inspection(write_inspect_data(tmp_path_factory.mktemp("inspect")))


def panel(browser):
    return browser.evaluate("document.getElementById('details').innerText")


def chosen(browser):
    return browser.evaluate("[...document.querySelectorAll('.chosen')].map(t => t.textContent)")


def choose(browser, name, value):
    browser.evaluate(
        f"(e => {{ e.value = {value!r}; ['input', 'change'].forEach(k => e.dispatchEvent(new Event(k))); }})"
        f"(document.getElementById('{name}'))"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_complains_and_nothing_is_asked_for(browser, page, scheme):
    browser.open(page, scheme=scheme)
    for index in (0, 5, 21):
        browser.point_at(TOKENS, index)
    choose(browser, "find", "bar")
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_pointing_at_a_token_explains_it(browser, page):
    browser.open(page)
    told = inspect_data()["samples"][0]["answers"][0]
    index = told["tokens"].index(" bar")
    browser.point_at(TOKENS, index)
    said = panel(browser)
    assert said.startswith("×\n·bar"), said
    assert f"token {index + 1} of {len(told['tokens'])}" in said
    for words in ("exact KL, black", "visual focus", "vgpo", "vppo", "pgpo", "with the image", "dropped"):
        assert words in said
    kl = told["scores"]["exact_kl/black"]
    rank = 1 + sum(value > kl[index] for value in kl)
    assert f"{rank} of {len(kl)}" in said


def test_a_click_holds_a_token_and_escape_lets_it_go(browser, page):
    browser.open(page)
    browser.click(TOKENS, 3)
    held = chosen(browser)
    browser.point_at(TOKENS, 6)
    assert chosen(browser) == held
    browser.press("Escape")
    assert chosen(browser) == []
    assert browser.evaluate("document.getElementById('details').hidden")
    browser.point_at(TOKENS, 7)
    assert chosen(browser) != held


def test_arrow_keys_walk_through_an_answer_and_are_spoken(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelector('.strip').focus()")
    walked = []
    for _ in range(3):
        browser.press("ArrowRight")
        walked += chosen(browser)
    tokens = inspect_data()["samples"][0]["answers"][0]["tokens"]
    assert walked == tokens[:3]
    assert browser.evaluate("document.getElementById('spoken').textContent").startswith("token 3 of")
    browser.press("End")
    assert chosen(browser) == [tokens[-1]]


def test_keys_turn_pages_and_choose_shading_unless_someone_types(browser, page):
    browser.open(page)
    here = "document.activeElement.getAttribute('aria-label')"
    browser.press("j")
    browser.press("j")
    assert browser.evaluate(here) == "Problem 2"
    browser.press("k")
    assert browser.evaluate(here) == "Problem 1"
    browser.press("2")
    assert browser.evaluate("document.getElementById('score-b').checked")
    browser.press("/")
    browser.press("j")
    assert browser.evaluate("document.getElementById('find').value") == "j"
    browser.evaluate("document.getElementById('shortcuts').click(), document.activeElement.blur()")
    browser.press("1")
    assert browser.evaluate("document.getElementById('score-b').checked")


def test_choosing_a_method_shows_what_it_drops_and_what_it_keeps(browser, page):
    browser.open(page)
    browser.click("#score-h")
    style = f"""[...document.querySelector('article').querySelectorAll('{TOKENS}')].map(t => {{
      const s = getComputedStyle(t); return [s.textDecorationLine, s.backgroundColor]; }})"""
    told = inspect_data()["samples"][0]["answers"][0]
    for (line, background), weight in zip(browser.evaluate(style), told["weights"]["vppo"], strict=True):
        assert (line == "line-through") == (weight == 0)
        assert ("/ 0)" in background or background == "rgba(0, 0, 0, 0)") == (weight == 0)
    browser.evaluate("document.querySelector('.strip').focus()")
    browser.press("ArrowRight")
    assert "weight 0 under vppo" in panel(browser)


def test_the_slider_goes_from_method_to_method(browser, page):
    browser.open(page)
    shown = "document.querySelector('input[name=score]:checked').id"
    browser.click("#method")
    assert browser.evaluate(shown) == "score-h"
    for key, letter in (("ArrowRight", "i"), ("ArrowRight", "i"), ("ArrowLeft", "h"), ("ArrowLeft", "g")):
        browser.press(key)
        assert browser.evaluate(shown) == f"score-{letter}"
    assert browser.evaluate("document.getElementById('method').getAttribute('aria-valuetext')") == "vgpo"
    browser.click("#score-i")
    assert browser.evaluate("document.getElementById('method').value") == "2"
    browser.evaluate("document.getElementById('method').focus()")
    browser.press("1")
    assert browser.evaluate(shown) == "score-a"


@pytest.mark.parametrize("width", [1280, 700])
def test_a_token_stays_where_it_is_when_it_is_pointed_at(browser, page, width):
    browser.open(page, width=width)
    browser.evaluate("document.querySelectorAll('article')[3].scrollIntoView({behavior: 'instant'})")
    token = "document.querySelectorAll('article')[3].querySelectorAll('.t')[5]"
    place = f"(b => [b.x, b.y])({token}.getClientRects()[0])"
    browser.point_at("article:nth-of-type(4) h3")
    before = browser.evaluate(place)
    browser.point_at("article:nth-of-type(4) .strip .t", 5)
    assert len(chosen(browser)) == 1
    browser.point_at("article:nth-of-type(4) h3")
    assert browser.evaluate(place) == before


def test_the_panel_tells_where_attention_goes_and_nothing_covers_it(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelectorAll('article')[3].scrollIntoView({behavior: 'instant'})")
    browser.click("article:nth-of-type(4) .strip .t", 5)
    said = panel(browser)
    assert "image" in said and "40.0" in said and "answer so far" in said
    there = "(b => document.elementFromPoint(b.x + 2, b.y + b.height / 2).closest('#details') !== null)"
    assert browser.evaluate(f"{there}(document.querySelector('#details h3').getBoundingClientRect())")


def test_filters_and_order(browser, page):
    browser.open(page)
    rows = inspect_data()["samples"]
    numbers = {
        verdict: [f"Problem {n}" for n, row in enumerate(rows, 1) if row["answers"][0]["correct"] is wanted]
        for verdict, wanted in (("correct", True), ("wrong", False), ("ungraded", None))
    }
    for verdict, expected in numbers.items():
        choose(browser, "by-verdict", verdict)
        assert browser.evaluate(SHOWN) == expected
        assert browser.evaluate("document.getElementById('count').textContent").startswith(
            f"{len(expected)} of 8"
        )
    choose(browser, "by-verdict", "")
    choose(browser, "find", "no such words")
    assert browser.evaluate(SHOWN) == []
    assert browser.evaluate("document.getElementById('none').offsetParent !== null")
    choose(browser, "find", "")
    choose(browser, "by-kind", "count")
    assert browser.evaluate(SHOWN) == [
        f"Problem {n}" for n, row in enumerate(rows, 1) if row["kind"] == "count"
    ]
    choose(browser, "by-kind", "")
    choose(browser, "order", "-1")
    means = [sum(kl) / len(kl) for kl in (row["answers"][0]["scores"]["exact_kl/black"] for row in rows)]
    ordered = sorted(range(len(rows)), key=lambda place: -means[place])
    assert browser.evaluate(SHOWN) == [f"Problem {place + 1}" for place in ordered]


def test_a_token_with_a_map_shows_it_on_the_image(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelector('article').scrollIntoView()")
    browser.point_at(".mapped-token")
    assert browser.evaluate("document.querySelectorAll('.frame .map span').length") == 16
    shown = inspect_data()["samples"][0]["answers"][0]["occlusion"][0]["values"]
    most = browser.evaluate(
        "[...document.querySelectorAll('.frame .map span')].findIndex(s => s.className === 'most')"
    )
    assert most == shown.index(max(shown))
    caption = browser.evaluate("document.querySelector('.mapped:not([hidden])').textContent")
    assert f"row {most // 4 + 1}, column {most % 4 + 1}" in caption
    boxes = browser.evaluate(
        "['.frame .map', '.frame img'].map(s => document.querySelector(s).getBoundingClientRect().width)"
    )
    assert abs(boxes[0] - boxes[1]) < 1


def test_hostile_text_is_read_as_text(browser, page):
    browser.open(page)
    browser.click("article:nth-of-type(2) .strip .t", 0)
    assert browser.evaluate("document.querySelectorAll('script').length") == 2
    assert browser.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert ATTACK.replace(" ", "·") in panel(browser)
    assert browser.evaluate("document.querySelectorAll('#details img, #details script').length") == 0
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_the_policy_stops_what_escaping_might_miss(browser, page):
    browser.open(page)
    browser.evaluate("""(document.body.insertAdjacentHTML("beforeend",
      '<img src="https://example.com/x.png" onerror="window.hit = 1">'),
      document.body.append(Object.assign(document.createElement("script"), {textContent: "window.hit = 2"})),
      new Promise(done => setTimeout(done, 200)))""")
    assert browser.evaluate("window.hit") is None
    assert any("Content Security Policy" in str(said) for said in browser.complaints())
    assert browser.requests() == [page.as_uri()]


@pytest.mark.parametrize("width", [360, 700, 1200])
@pytest.mark.parametrize("token", [0, 4, 40])
def test_no_width_overflows_and_the_panel_never_covers_its_token(browser, page, width, token):
    browser.open(page, width=width)
    browser.click(TOKENS, token)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    box = browser.evaluate(
        "(b => [b.left, b.right, b.height])(document.getElementById('details').getBoundingClientRect())"
    )
    assert box[0] >= 0 and box[1] <= width and box[2] <= 900
    covered = browser.evaluate("""(() => {
      const box = document.querySelector('.chosen').getClientRects()[0];
      const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      return there.closest('#details') !== null; })()""")
    assert not covered
    assert browser.evaluate("document.querySelector('.chosen').classList.contains('held')")


def test_it_can_be_read_without_the_script(browser, page):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        root = browser.call("DOM.getDocument")["root"]["nodeId"]
        ask = lambda selector: browser.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]  # noqa: E731
        assert len(ask(".strip")) == 8
        assert len(ask(".scripted[hidden]")) == len(ask(".scripted")) > 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shading", ["a", "d", "h", "none"])
def test_every_text_stands_out(browser, page, scheme, shading):
    browser.open(page, scheme=scheme)
    browser.evaluate(f"document.getElementById('score-{shading}').click()")
    browser.click(TOKENS, 3)
    assert browser.faint() == []


def test_everything_has_a_name(browser, page):
    browser.open(page)
    browser.click(TOKENS, 2)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node.get("ignored")
    ]
    named = (
        "radio",
        "image",
        "region",
        "article",
        "heading",
        "link",
        "button",
        "combobox",
        "searchbox",
        "slider",
        "group",
    )
    assert [role for role, name in nodes if role in named and not name] == []
    assert {"complementary", "searchbox", "slider", "combobox", "status"} <= {role for role, _ in nodes}
