"""The page of results in a real browser: quiet, alone, filtered by its buttons, and narrow enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import BROWSER, Browser
from evaluation_fixtures import generation, item, make_image, results_folder

from sightline.analysis.pages.results import write_results_page
from sightline.evaluation.run.kept_images import keep_image
from sightline.evaluation.run.results import write_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: chromium, chromium-browser or google-chrome is not installed"
    ),
]
SHOWN = "[...document.querySelectorAll('.sample')].filter(s => getComputedStyle(s).display !== 'none').length"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run")
    (path / "images").mkdir()
    items = [item(n, "A" if n == 5 else "4", labels={"kind": "odd" if n % 2 else "even"}) for n in range(24)]
    rows = [
        generation(
            one,
            "\\boxed{AB}" if n == 5 else f"<think> {'long ' * 60}</think> \\boxed{{{4 if n % 3 else 5}}}",
            images=[keep_image(path / "images", make_image(n))],
        )
        for n, one in enumerate(items)
    ]
    rows += [generation(one, "\\boxed{4}", view="black") for one in items[:6]]
    folder = results_folder(path, items, rows)
    write_results(folder, "strict")
    return write_results_page(path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 600), ("light", 360)])
def test_it_complains_of_nothing_asks_for_nothing_and_fits(browser, page, scheme, width) -> None:
    browser.open(page, scheme=scheme, width=width)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_filters_show_what_they_say(browser, page) -> None:
    browser.open(page)
    assert browser.evaluate(SHOWN) == 24
    for kind, count in (
        ("wrong", 9),
        ("right", 15),
        ("disagreeing", 1),
        ("blind", 5),
        ("failed", 0),
        ("all", 24),
    ):
        browser.evaluate(f"document.querySelector('#show-{kind}').click()")
        assert browser.evaluate(SHOWN) == count, kind
        said = browser.evaluate(f"document.querySelector('#show-{kind}').parentElement.textContent")
        assert f"({count})" in said
