"""The server of `sightline watch`, asked over a real connection: what it gives, and what it refuses."""

import http.client
import socket
import threading

import pytest
from parsed_page import Page
from saved_run import ATTACK, write_run

from sightline.analysis.watch import WatchServer
from sightline.cli import main
from sightline.errors import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "vgpo"
    write_run(folder, samples=3)
    (folder / "log.txt").write_text(f"2026-01-01 10:00:00,1 WARNING sightline.engines: {ATTACK}\n")
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "notes.txt").write_text("private")
    return folder


@pytest.fixture(scope="module")
def server(run):
    with WatchServer(run, 0) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body.decode()


def test_the_page_shows_the_run(server):
    answer, body = ask(server)
    page = Page(body)
    assert answer.status == 200
    assert page.all("h1")[0][1] == "vgpo"
    assert page.all("p", class_="state")[0][1].strip() == "finished"
    assert len(page.all("figure", class_="panel")) == 12
    assert ATTACK in page.all("section", class_="notes")[0][1]
    for tag, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
    assert len(page.all("script")) == 1


def test_every_answer_forbids_what_it_does_not_need(server):
    for path in ("/", "/files/report.html", "/files/log.txt", "/nowhere"):
        answer, _ = ask(server, path)
        for name, value in {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            assert answer.headers[name] == value
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert "Python" not in answer.headers["Server"]
    policy = Page(ask(server)[1]).all("meta")[1][0]["content"]
    assert (
        policy.startswith("default-src 'none'") and "connect-src 'self'" in policy and "unsafe" not in policy
    )


def test_it_listens_on_the_loopback_address_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_files_that_take_long_keep_nobody_from_the_last_page(run, monkeypatch):
    """One reader at a time, and no lock is held while it reads."""
    monkeypatch.setattr("sightline.analysis.watch.server.PATIENCE", 0.3)
    release, entered = threading.Event(), threading.Event()
    with WatchServer(run, 0) as server:
        first = server.page()
        made = server.followed.now

        def slow():
            entered.set()
            release.wait(30)
            return made()

        monkeypatch.setattr(server.followed, "now", slow)
        (run / "log.txt").touch()
        monkeypatch.setattr(server.followed, "stamp", lambda: ("another",))
        assert server.page() == server.page() == first
        assert entered.is_set()
        release.set()
        monkeypatch.setattr("sightline.analysis.watch.server.PATIENCE", 20)
        assert server.page() != b""
        assert server._stamp == ("another",)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:99", "127.0.0.1:8642", "[::1]:80", "[::1]"]
)
def test_names_of_this_machine_are_answered(server, host):
    assert ask(server, Host=host)[0].status == 200


@pytest.mark.parametrize(
    "host",
    [None, "", "example.com", "example.com:8642", "127.0.0.1.example.com", "localhost.example.com:80",
     "127.0.0.1:80@example.com", "0.0.0.0", "localhost:", "localhost:x", "::1"],
)  # fmt: skip
def test_any_other_name_is_not(server, host):
    """A page that rebinds its own name to 127.0.0.1 asks under that name."""
    answer, body = ask(server, Host=host)
    assert answer.status in (400, 421)
    assert "vgpo" not in body


def test_two_hosts_are_refused(server):
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize(
    "path",
    ["/files/notes.txt", "/files/../notes.txt", "/files/..%2fnotes.txt", "/files/%2e%2e/notes.txt", "/files/",
     "/files", "/notes.txt", "//etc/passwd", "/files//etc/passwd", "/files/report.html/", "/..",
     "/files/model/config.json",
     "/files/report.html%00", "/FILES/report.html", "http://localhost/files/notes.txt"],
)  # fmt: skip
def test_nothing_else_is_there(server, path):
    answer, body = ask(server, path)
    assert answer.status == 404
    assert "private" not in body and "root:" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_can_be_changed(server, method):
    answer, _ = ask(server, "/", method, Content_Length="0")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_an_invented_method_is_refused(server):
    assert ask(server, "/", "BREW")[0].status in (405, 501)


def test_head_is_get_without_the_body(server):
    for path in ("/", "/files/eval.json", "/nowhere"):
        got, body = ask(server, path)
        head, nothing = ask(server, path, "HEAD")
        assert (head.status, nothing) == (got.status, "")
        assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(body.encode()))


def test_files_of_the_run_are_text_and_pages_are_in_a_sandbox(server, run):
    answer, body = ask(server, "/files/metrics.jsonl")
    assert (answer.status, body) == (200, (run / "metrics.jsonl").read_text())
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    answer, _ = ask(server, "/files/report.html")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")


def test_a_linked_file_is_not_served(tmp_path):
    run = write_run(tmp_path / "run", samples=1)
    (tmp_path / "secret").write_text("secret")
    (run / "log.txt").symlink_to(tmp_path / "secret")
    with WatchServer(run, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer, body = ask(server, "/files/log.txt")
        page = ask(server)[1]
        server.shutdown()
    assert answer.status == 404 and "secret\n" not in body
    assert "/files/log.txt" not in page


def test_an_unchanged_page_is_not_sent_again(server, run):
    tag = ask(server)[0].headers["ETag"]
    answer, body = ask(server, "/", If_None_Match=tag)
    assert (answer.status, body) == (304, "")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 41, "reward": 0.9}\n')
    answer, body = ask(server, "/", If_None_Match=tag)
    assert answer.status == 200 and "41 of 40" in body


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["{}/nowhere"], "is not a folder"),
        (["{}", "--port", "70000"], "--port must be from 0 to 65535"),
        (["{}", "--port", "x"], "invalid int value"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, capsys, argv, said):
    assert main(["watch", *(word.format(tmp_path) for word in argv)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_port_in_use_is_one_clear_error(server, tmp_path):
    with pytest.raises(UserError, match="choose another --port"):
        WatchServer(tmp_path, server.server_address[1])
