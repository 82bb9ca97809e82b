"""`sightline watch` in a real browser: it follows a run, keeps what the reader did, and asks nobody else."""

import json
import threading

import pytest
from browser import BROWSER, Browser
from saved_run import ATTACK, metrics, write_run

from sightline.analysis.watch import WatchServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: chromium, chromium-browser or google-chrome is not installed"
    ),
]
ROWS = [json.dumps(row) + "\n" for row in metrics(40)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(autouse=True)
def leave(browser):
    """The page of one test must not go on asking during the next."""
    yield
    browser.open("about:blank")


@pytest.fixture
def run(tmp_path):
    """A run after 10 of 40 steps, the last line half written."""
    folder = write_run(tmp_path / "vgpo-0", samples=3)
    saved = json.loads((folder / "eval.json").read_text())
    (folder / "eval.json").write_text(json.dumps({"before": saved["before"]}))
    (folder / "model" / "config.json").unlink()
    (folder / "metrics.jsonl").write_text("".join(ROWS[:10]) + ROWS[10][:30])
    return folder


@pytest.fixture
def server(run):
    with WatchServer(run, 0, seconds=0.2) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def facts(browser):
    return browser.evaluate("document.querySelector('.facts').innerText")


def wait_for(browser, condition):
    assert browser.evaluate(f"""new Promise(done => {{
      const begun = Date.now();
      const late = () => Date.now() - begun > 60000;
      const look = () => {condition} ? done(true) : late() ? done(false) : setTimeout(look, 50);
      look(); }})""")


def test_it_follows_the_run_and_keeps_quiet(browser, server, run):
    browser.open(server.address)
    assert "10 of 40" in facts(browser)
    (run / "metrics.jsonl").write_text("".join(ROWS[:25]))
    wait_for(browser, "document.querySelector('.facts').innerText.includes('25 of 40')")
    assert browser.evaluate("document.querySelectorAll('.panel').length") == 12
    assert browser.complaints() == []
    assert set(browser.requests()) == {server.address}


def test_what_the_reader_chose_stays(browser, server, run):
    browser.open(server.address)
    browser.evaluate(
        "document.getElementById('score-b').click(), document.getElementById('theme-dark').click()"
    )
    scrolled = browser.evaluate("scrollTo({top: 400, behavior: 'instant'}), scrollY")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(ROWS[10][30:])
    wait_for(browser, "document.querySelector('.facts').innerText.includes('11 of 40')")
    for chosen in ("score-b", "theme-dark"):
        assert browser.evaluate(f"document.getElementById('{chosen}').checked")
    assert browser.evaluate("scrollY") == scrolled


def test_hostile_files_that_come_later_are_text(browser, server, run):
    browser.open(server.address)
    (run / "log.txt").write_text(f"2026-01-01 10:00:00,1 WARNING sightline.x: {ATTACK}\n")
    wait_for(browser, "document.querySelector('[data-part=incidents]').innerText.includes('onerror')")
    assert browser.evaluate("document.querySelectorAll('img[src=x], [onerror]').length") == 0
    assert browser.complaints() == []
    assert set(browser.requests()) == {server.address}


def test_a_lost_server_is_said_and_a_new_one_is_taken_up(browser, run):
    with WatchServer(run, 0, seconds=0.2) as first:
        thread = threading.Thread(target=first.serve_forever, daemon=True)
        thread.start()
        port = first.server_address[1]
        browser.open(first.address)
        first.shutdown()
        thread.join()
    wait_for(browser, "document.getElementById('contact').textContent.includes('No answer')")
    with WatchServer(run, port, seconds=0.2) as again:
        threading.Thread(target=again.serve_forever, daemon=True).start()
        wait_for(browser, "document.getElementById('contact').textContent === ''")
        again.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_narrow_screen(browser, server, scheme):
    browser.open(server.address, width=360, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert browser.complaints() == []


def test_everything_has_a_name(browser, server):
    browser.open(server.address)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node.get("ignored")
    ]
    named = ("radio", "image", "region", "article", "heading", "link", "progressbar")
    assert [role for role, name in nodes if role in named and not name] == []
    assert {"main", "progressbar", "status"} <= {role for role, _ in nodes}


def test_a_page_of_the_folder_cannot_reach_the_server(browser, server, run):
    (run / "report.html").write_text(
        "<script>fetch('/').then(() => document.title = 'reached', () => document.title = 'refused')</script>"
        "<img src='/files/log.txt'>"
    )
    browser.open(f"{server.address}files/report.html")
    wait_for(browser, "document.title === 'refused'")
    assert browser.evaluate("origin") == "null"
