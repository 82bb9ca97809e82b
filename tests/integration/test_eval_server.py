"""An OpenAI-compatible server, small and in this process: what it is sent, and what its failures become."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.errors import UserError
from sightline.evaluation.backends import Request
from sightline.evaluation.backends.server import MOST_FAILURES, ServerBackend
from sightline.evaluation.benchmarks import benchmark
from sightline.evaluation.benchmarks.load import open_benchmark
from sightline.evaluation.run.ask import EvalPlan, ask, seed_of
from sightline.evaluation.run.jsonl_records import read_generations
from sightline.evaluation.run.results import write_results
from sightline.evaluation.run.results_folder import ResultsFolder
from sightline.evaluation.run.start import describe, start_run
from sightline.models.generation.generate import Decoding, Prompt
from sightline.tasks import ShapesTask
from sightline.views import Black, Noise

Answer = Callable[[dict[str, Any], int], tuple[int, Any]]
"""(body, number of the request) -> (status, what is sent back); status 0: these bytes and nothing else."""
MODEL = "some/model"


class Server:
    """A server whose chat answers are a function's."""

    def __init__(self, answer: Answer):
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send(200, {"data": [{"id": MODEL}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                    number = len(outer.bodies)
                self.send(*answer(body, number))

            def send(self, status: int, content: Any) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    if status == 0:
                        self.close_connection = True
                        self.wfile.write(data)
                        return
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    return  # the client gave up waiting

            def log_message(self, *_: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def chat(text: Any, **known: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **known}
    return {"choices": [choice], "usage": {"completion_tokens": 7}}


def connected(server: Server, **known: Any) -> ServerBackend:
    return ServerBackend(server.url, MODEL, **{"concurrency": 4, "seconds": 5.0, "pause": 0.001, **known})


def asking(count: int = 6) -> list[Request]:
    task = ShapesTask()
    problems = task.test(count, 0)
    return [Request(Prompt(task.messages(problems[n]), list(problems[n].images)), n) for n in range(count)]


def test_answers_come_back_in_order_with_what_the_server_says_of_them() -> None:
    def answer(body: dict[str, Any], number: int) -> tuple[int, Any]:
        time.sleep(0.01 * (body["seed"] % 3))
        return 200, chat(f"seed {body['seed']}", finish_reason="length" if body["seed"] == 2 else "stop")

    with serving(answer) as server:
        replies = connected(server).answers(asking(), Decoding(20))
    assert [reply.text for reply in replies] == [f"seed {n}" for n in range(6)]
    assert [reply.truncated for reply in replies] == [False, False, True, False, False, False]
    assert {reply.tokens for reply in replies} == {7}
    assert all("Authorization" not in sent for sent in server.headers)


def test_a_key_is_sent_as_a_bearer_token(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-mine")
    with serving(lambda body, n: (200, chat("x"))) as server:
        connected(server).answers(asking(1), Decoding(20))
    assert server.headers[0]["Authorization"] == "Bearer key-of-mine"


def test_passing_failures_are_tried_again() -> None:
    seen: Counter[int] = Counter()

    def answer(body: dict[str, Any], number: int) -> tuple[int, Any]:
        seen[body["seed"]] += 1
        if seen[body["seed"]] < 3:
            return (500, b"overloaded") if body["seed"] % 2 else (200, b"{not json")
        return 200, chat("at last")

    with serving(answer) as server:
        replies = connected(server).answers(asking(), Decoding(20))
    assert [reply.text for reply in replies] == ["at last"] * 6
    assert set(seen.values()) == {3}


@pytest.mark.parametrize(
    ("status", "content", "says", "tries"),
    [
        (500, b"out of memory", "HTTP 500: out of memory", 3),
        (503, b"", "HTTP 503", 3),
        (400, b"prompt too long", "HTTP 400: prompt too long", 1),
        (302, b"", "HTTP 302", 1),
        (200, b"[]", "TypeError", 3),
        (200, {"choices": []}, "IndexError", 3),
        (200, chat(None), "the answer is NoneType, expected text", 3),
        (200, chat([{"type": "text"}]), "the answer is list, expected text", 3),
        (200, {"choices": None}, "TypeError", 3),
        (200, {"choices": {"0": 1}}, "KeyError", 3),
        (200, b"[" * 100_000, "RecursionError", 3),
        (0, b"\x00\xff garbage\r\n\r\n", "BadStatusLine", 3),
        (0, b"", "RemoteDisconnected", 3),
        (0, b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{", "IncompleteRead", 3),
    ],
)
def test_what_keeps_failing_has_failed_and_says_why(status, content, says, tries) -> None:
    with serving(lambda body, n: (status, content)) as server:
        (reply,) = connected(server).answers(asking(1), Decoding(20))
        assert len(server.bodies) == tries
    assert reply.text is None
    assert says in (reply.failed or "")


@pytest.mark.parametrize("usage", [None, "many", [], {}, {"completion_tokens": True}])
def test_an_answer_counts_whatever_the_server_says_of_its_length(usage: Any) -> None:
    with serving(lambda body, n: (200, {**chat("x"), "usage": usage})) as server:
        (reply,) = connected(server).answers(asking(1), Decoding(20))
    assert (reply.text, reply.tokens, reply.failed) == ("x", None, None)


def test_a_server_that_sends_a_byte_now_and_then_is_late() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def drip() -> None:
            while not done.is_set():
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 9999\r\n\r\n")
                    while not done.wait(0.05):
                        connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(UserError, match="no server answers"):
            ServerBackend(url, MODEL, seconds=0.4)
        done.set()


def test_thinking_that_was_cut_off_is_an_answer_without_text() -> None:
    with serving(lambda body, n: (200, chat(None, finish_reason="length"))) as server:
        (reply,) = connected(server).answers(asking(1), Decoding(20))
    assert (reply.text, reply.truncated, reply.failed) == ("", True, None)


def test_a_server_that_does_not_answer_in_time() -> None:
    released = threading.Event()

    def answer(body: dict[str, Any], number: int) -> tuple[int, Any]:
        if body["seed"] == 1:
            released.wait(20)
        return 200, chat("x")

    with serving(answer) as server:
        replies = connected(server, seconds=0.2, tries=2).answers(asking(3), Decoding(20))
        released.set()
    assert [reply.text for reply in replies] == ["x", None, "x"]
    assert replies[1].failed == "no answer within 0.2 s"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_ends_the_run(status: int) -> None:
    says = f"HTTP {status}: no; check the address, the model's name"
    with serving(lambda body, n: (status, b"no")) as server, pytest.raises(UserError, match=says):
        connected(server).answers(asking(1), Decoding(20))


def test_a_server_that_is_gone_ends_the_run_after_many_failures() -> None:
    with serving(lambda body, n: (500, b"")) as server:
        backend = connected(server, tries=1, concurrency=16)
        backend.answers(asking(1) * MOST_FAILURES, Decoding(20))
        with pytest.raises(UserError, match=r"the last 50 requests all failed.*--resume"):
            backend.answers(asking(1), Decoding(20))


def test_addresses_that_are_none_and_models_it_does_not_serve() -> None:
    with pytest.raises(UserError, match="hf, vllm or an address such as http://localhost:8000/v1, got 'hff'"):
        ServerBackend("hff", MODEL)
    with pytest.raises(UserError, match="got 'file:///etc/passwd'"):
        ServerBackend("file:///etc/passwd", MODEL)
    with pytest.raises(UserError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        ServerBackend("http://127.0.0.1:9/v1", MODEL)
    says = r"unknown model at .*'some/modle': did you mean some/model"
    with serving(lambda body, n: (200, chat("x"))) as server, pytest.raises(UserError, match=says):
        ServerBackend(server.url, "some/modle")


# --- a whole run against it --------------------------------------------------------------------------


def brightness(body: dict[str, Any]) -> int:
    """The largest value of the first image that a request shows."""
    content = body["messages"][0]["content"]
    address = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return max(high for _, high in image.getextrema())


def test_a_run_counts_failures_apart_and_asks_them_again(tmp_path: Path) -> None:
    shapes = open_benchmark("shapes", benchmark("shapes"), limit=12)
    plan = EvalPlan({"sighted": None, "black": Black(), "noise": Noise()}, samples=2, temperature=1.0)
    asked_of = {
        seed_of(0, ("shapes", view, item.id, sample)) % 2**31: item
        for view in plan.views for item in shapes.items for sample in range(2)
    }  # fmt: skip
    broken = {"on": True}

    def answer(body: dict[str, Any], number: int) -> tuple[int, Any]:
        item = asked_of[body["seed"]]
        assert body["messages"][0]["content"][-1]["text"] == item.question
        if broken["on"] and item.id == shapes.items[3].id:
            return 500, b"cannot"
        known = item.answer if brightness(body) > 0 else "nothing to see"
        return 200, chat(f"<think> hm </think> \\boxed{{{known}}}")

    folder = ResultsFolder(tmp_path)
    with serving(answer) as server:
        settings = describe(MODEL, "server", [shapes], plan, {"template": "its own"}, {})
        start_run(folder, settings, [shapes])
        ask(folder, [shapes], plan, connected(server, tries=1))
        failed = [one for one in read_generations(folder.generations) if one.failed]
        found = write_results(folder, "strict")["benchmarks"]["shapes"]
        asked = len(server.bodies)
        broken["on"] = False
        start_run(folder, settings, [shapes])
        ask(folder, [shapes], plan, connected(server, tries=1))
        repaired = write_results(folder, "strict")["benchmarks"]["shapes"]

    assert len(failed) == 6
    sighted = found["views"]["sighted"]
    assert sighted["counts"]["failed"] == 2
    assert sighted["accuracy"]["value"] == 1.0
    assert sighted["accuracy"]["n"] == 22
    assert asked == 72
    assert len(server.bodies) == 78
    assert repaired["views"]["sighted"]["counts"]["failed"] == 0
    assert repaired["views"]["black"]["accuracy"]["value"] == 0.0
    assert repaired["views"]["noise"]["accuracy"]["value"] == 1.0
    assert repaired["blind"]["black"]["difference"]["value"] == 1.0
    assert repaired["tokens"] is None
    everything = read_generations(folder.generations)
    assert len({one.key for one in everything}) == len(everything) == 72
