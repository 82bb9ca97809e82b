"""The report in a real browser: quiet, alone, readable in both themes and on a narrow screen."""

from itertools import pairwise

import pytest
from browser import BROWSER, Browser
from saved_run import write_run

from sightline.analysis import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: chromium, chromium-browser or google-chrome is not installed"
    ),
]

LUMINANCE = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const over = (...colours) => { colours.forEach(c => { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); });
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const paper = getComputedStyle(document.body).backgroundColor;
  return selector => [...document.querySelectorAll(selector)].map(element => {
    const style = getComputedStyle(element), raised = getComputedStyle(element.parentElement).backgroundColor;
    return [over(paper, raised, style.backgroundColor), over(style.color)]; });
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(write_run(tmp_path_factory.mktemp("run")))


def backgrounds(browser, selector=".strip .t"):
    return browser.evaluate(
        f"[...document.querySelectorAll('{selector}')].map(t => getComputedStyle(t).backgroundColor)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_complains_and_nothing_is_asked_for(browser, page, scheme):
    browser.open(page, scheme=scheme)
    browser.point_at(".strip .t", 30)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.evaluate("document.images.length") == 12
    decoded = "i => { i.loading = 'eager'; return i.decode().then(() => i.naturalWidth); }"
    assert browser.evaluate(f"Promise.all([...document.images].map({decoded}))") == [64] * 12


def test_the_policy_stops_what_escaping_might_miss(browser, page):
    browser.open(page)
    browser.evaluate("""(document.body.insertAdjacentHTML("beforeend",
      '<img src="x.png" onerror="window.hit = 1"><b style="position: fixed" onclick="window.hit = 1">x</b>'),
      document.body.lastChild.click(), new Promise(done => setTimeout(done, 200)))""")
    assert browser.evaluate("window.hit") is None
    assert browser.evaluate("getComputedStyle(document.body.lastChild).position") == "static"
    assert any("Content Security Policy" in str(said) for said in browser.complaints())
    assert browser.requests() == [page.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser, page, scheme):
    browser.open(page, scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.faint() == []


@pytest.mark.parametrize("width", [360, 600, 1200])
def test_no_width_overflows(browser, page, width):
    browser.open(page, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    outside = browser.evaluate(
        f"""[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide, svg') &&
        e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert outside == []
    room = "(w => w.scrollWidth - w.clientWidth)(document.querySelector('.wide:has(.accuracy)'))"
    assert browser.evaluate(room) == 0


def test_dark_follows_the_system_and_the_reader_may_choose(browser, page):
    paper = "getComputedStyle(document.body).backgroundColor"
    browser.open(page, scheme="light")
    light = browser.evaluate(paper)
    browser.evaluate("document.getElementById('theme-dark').click()")
    dark = browser.evaluate(paper)
    assert light != dark
    browser.open(page, scheme="dark")
    browser.evaluate("document.getElementById('theme-auto').click()")
    assert browser.evaluate(paper) == dark
    browser.evaluate("document.getElementById('theme-light').click()")
    assert browser.evaluate(paper) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("score", ["a", "b"])
def test_every_shade_can_be_read_and_told_apart_without_colour(browser, page, scheme, score):
    browser.open(page, scheme=scheme)
    browser.evaluate(f"document.getElementById('score-{score}').click()")
    tokens = browser.evaluate(f"{LUMINANCE}('.strip .t')")
    for background, ink in tokens:
        lighter, darker = max(background, ink), min(background, ink)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5
    ramp = [background for background, _ in browser.evaluate(f"{LUMINANCE}('.legend.only-{score} .ramp .t')")]
    assert len(ramp) == 9
    assert ramp == sorted(ramp, reverse=scheme == "light")
    assert len(set(ramp)) == 9


def test_choosing_a_score_changes_the_shading_with_mouse_and_keyboard(browser, page):
    browser.open(page)
    first = backgrounds(browser)
    assert len(set(first)) > 4
    browser.evaluate("document.getElementById('score-a').focus()")
    browser.press("ArrowRight")
    assert browser.evaluate("document.getElementById('score-b').checked")
    second = backgrounds(browser)
    assert sum(one != other for one, other in zip(first, second, strict=True)) > len(first) / 4
    shown = "[...document.querySelectorAll('.legend')].filter(e => e.offsetParent).map(e => e.textContent)"
    assert [text.split()[:2] for text in browser.evaluate(shown)] == [["visual", "focus"]]
    browser.evaluate("document.getElementById('score-none').click()")
    assert len(set(backgrounds(browser))) == 1


def test_pointing_at_a_token_shows_its_scores(browser, page):
    browser.open(page, width=360)
    for index in (0, 8, 21):
        browser.point_at(".strip .t", index)
        label, content = browser.evaluate(f"""(() => {{
          const token = document.querySelectorAll('.strip .t')[{index}];
          return [token.dataset.scores, getComputedStyle(token, '::after').content]; }})()""")
        assert content == f'"{label}"'
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


def test_pointing_at_a_curve_shows_its_value(browser, page):
    browser.open(page)
    browser.point_at(".mark rect", 10)
    assert browser.evaluate("getComputedStyle(document.querySelectorAll('.mark circle')[10]).opacity") == "1"


def test_hostile_text_is_read_as_text(browser, page):
    browser.open(page)
    assert browser.evaluate("document.scripts.length") == 0
    assert browser.evaluate("document.styleSheets.length") == 1
    assert "<img src=x onerror=alert(1)>" in browser.evaluate(
        "document.querySelectorAll('.question')[1].innerText"
    )


def test_landmarks_and_headings_form_an_outline(browser, page):
    browser.open(page)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node.get("ignored")
    ]
    assert {"main", "banner", "contentinfo", "table", "article"} <= {role for role, _ in nodes}
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    named = ("radio", "image", "region", "article", "heading", "link")
    assert [role for role, name in nodes if role in named and not name] == []


@pytest.mark.parametrize("left_out", ["samples.json", "metrics.jsonl", "eval.json", "config.yaml"])
def test_pages_of_unfinished_runs_are_as_quiet(browser, tmp_path, left_out):
    folder = write_run(tmp_path, samples=2)
    (folder / left_out).unlink()
    (folder / "model" / "config.json").unlink()
    browser.open(write_report(folder), width=360)
    assert browser.complaints() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert left_out in browser.evaluate("document.querySelector('.notes').innerText")
