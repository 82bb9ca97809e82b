"""The page that compares runs, in a real browser: quiet, legible, narrow enough, readable without colour."""

import pytest
import yaml
from browser import BROWSER, Browser
from saved_run import ATTACK, write_run

from sightline.analysis import write_comparison

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: chromium, chromium-browser or google-chrome is not installed"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three experiments, one of them with two seeds, one with a hostile name."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for name, method, seed in (("a", "vgpo", 0), ("b", "vgpo", 1), ("c", "vppo", 0), ("d", ATTACK, 0)):
        run = write_run(folder / name, samples=1, seed=seed)
        config = yaml.safe_load((run / "config.yaml").read_text())
        (run / "config.yaml").write_text(yaml.safe_dump(config | {"method": method, "seed": seed}))
        runs.append(run)
    return write_comparison(runs, folder / "comparison.html")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_it_complains_of_nothing_asks_for_nothing_fits_and_stands_out(browser, page, scheme, width):
    browser.open(page, scheme=scheme, width=width)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.faint() == []


def test_experiments_are_told_apart_by_letter_and_dash(browser, page):
    browser.open(page)
    lines = """[...document.querySelector('.overlay').querySelectorAll('g:has(.line)')].map(g => [
      g.querySelector('.line-label').textContent.trim()[0],
      getComputedStyle(g.querySelector('.line')).strokeDasharray, Boolean(g.querySelector('.line-band'))])"""
    shown = sorted(browser.evaluate(lines))
    assert [letter for letter, _, _ in shown] == ["A", "B", "C"]
    assert len({dash for _, dash, _ in shown}) == 3
    assert [band for _, _, band in shown] == [True, False, False]


def test_hostile_names_are_text_and_everything_has_a_name(browser, page):
    browser.open(page)
    assert browser.evaluate("[document.scripts.length, document.images.length]") == [0, 0]
    assert ATTACK in browser.evaluate("document.querySelector('.runs').innerText")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    nodes = [(n["role"]["value"], n.get("name", {}).get("value")) for n in tree if not n.get("ignored")]
    named = ("radio", "image", "region", "heading", "link")
    assert [role for role, name in nodes if role in named and not name] == []
