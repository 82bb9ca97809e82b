"""Answers from a server with OpenAI's chat interface: bounded retries, and a failure is no wrong answer."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from ...errors import UserError, unknown_name
from ...image_addresses import png_address
from ...models.generation.generate import Decoding
from .backend import Reply, Request
from .prompt_guard import PromptGuard

API_KEY = "OPENAI_API_KEY"
"""Environment variable whose value, if set, is sent as the bearer token."""
MOST_FAILURES = 50
"""So many failures in a row end the run: the server is gone."""
_MOST_BYTES = 64 * 2**20
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_STOP = frozenset({401, 403, 404})
_LONGEST_PAUSE = 30.0
_PIECE = 2**16
_GARBAGE = (
    OSError,
    http.client.HTTPException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What a broken line, or a reply that is not what it should be, is noticed by."""


class ServerBackend:
    """A server at `url` (ending in `/v1`, as a rule), asked by several threads at once."""

    name = "server"
    exact = False
    processor: Any = None

    def __init__(
        self, url: str, model: str, *, concurrency: int = 16, seconds: float = 300.0, tries: int = 3,
        pause: float = 0.5, guard: PromptGuard | None = None,
    ):  # fmt: skip
        """Check that the server is there and serves `model`.

        With a `guard`, the image tokens of every prompt are compared where the server tells them, as vLLM's.

        Raises:
            UserError: it is not, or the address is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"--backend must be hf, vllm or an address such as http://localhost:8000/v1, got {url!r}"
            )
        self.url, self.model = url.rstrip("/"), model
        self.seconds, self.tries, self.pause = seconds, tries, pause
        self.at_once, self.concurrency = 4 * concurrency, concurrency
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        handlers = [urllib.request.ProxyHandler({})] if here else []
        self._opener = urllib.request.build_opener(*handlers, _NoRedirects)
        self._failures = 0
        self._guard, self._tells_ids = guard, False
        self._one_at_a_time = Lock()
        self._check()

    def answers(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        """One reply per request; what still fails after `tries` is said in `Reply.failed`.

        Raises:
            UserError: the server refuses this client or model, or the last `MOST_FAILURES` all failed.
        """
        if self._failures >= MOST_FAILURES:
            raise UserError(
                f"{self.url}: the last {self._failures} requests all failed; what was answered is stored. "
                "Start the same command again with --resume once the server is up"
            )
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="sightline-asking") as threads:
            replies = list(threads.map(lambda request: self._ask(request, decoding), requests))
        for reply in replies:
            self._failures = self._failures + 1 if reply.failed else 0
        return replies

    def _ask(self, request: Request, decoding: Decoding) -> Reply:
        asked = chat_request(self.model, request, decoding)
        if self._tells_ids:
            asked["return_token_ids"] = True
        body = json.dumps(asked).encode()
        failed = ""
        for attempt in range(self.tries):
            try:
                received = self._fetch("/chat/completions", body)
                reply = _reply(received)
                self._compare(request, received.get("prompt_token_ids"))
                return reply
            except urllib.error.HTTPError as error:
                failed = f"HTTP {error.code}: {_said(error)}"
                if error.code in _STOP:
                    raise UserError(
                        f"{self.url} answers {failed}; check the address, the model's name ({self.model}), "
                        f"and {API_KEY} if it wants a key"
                    ) from error
                if error.code not in _AGAIN:
                    break
                wait = _retry_after(error)
            except UserError:
                raise
            except _GARBAGE as error:
                late = isinstance(getattr(error, "reason", error), TimeoutError)
                failed = (
                    f"no answer within {self.seconds:g} s" if late else f"{type(error).__name__}: {error}"
                )
                wait = 0.0
            if attempt + 1 < self.tries:
                time.sleep(min(_LONGEST_PAUSE, max(wait, self.pause * 2**attempt)))
        return Reply(None, failed=failed[:300])

    def _compare(self, request: Request, ids: Any) -> None:
        """Refuse a server that made other image tokens of the request's images than the processor does."""
        if self._guard is not None and isinstance(ids, list):
            with self._one_at_a_time:  # a tokenizer serves one thread
                self._guard.check_images(request.prompt, ids)

    def _fetch(self, path: str, body: bytes | None = None, seconds: float | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(API_KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310 (checked in __init__)
        limit = seconds or self.seconds
        deadline = time.monotonic() + limit
        with self._opener.open(request, timeout=limit) as reply:
            return json.loads(_read(reply, deadline))

    def _check(self) -> None:
        try:
            listed = self._fetch("/models", seconds=min(self.seconds, 20.0))
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise UserError(f"{self.url} wants a key (HTTP {error.code}); set {API_KEY}") from error
            return  # not every server lists its models
        except (ValueError, RecursionError):
            return
        except (OSError, http.client.HTTPException) as error:
            raise UserError(
                f"no server answers at {self.url} ({getattr(error, 'reason', error)}); start one, such as "
                f"`vllm serve {self.model} --port 8000`, and give its address ending in /v1"
            ) from error
        entries = listed.get("data") if isinstance(listed, dict) else None
        entries = entries if isinstance(entries, list) else []
        known = [entry.get("owned_by") for entry in entries if isinstance(entry, dict)]
        self._tells_ids = self._guard is not None and "vllm" in known  # others may refuse the question
        names = [str(entry.get("id")) for entry in entries if isinstance(entry, dict)]
        if names and self.model not in names:
            raise unknown_name(f"model at {self.url}:", self.model, names)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key is never carried to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def chat_request(model: str, request: Request, decoding: Decoding) -> dict[str, Any]:
    """The body of a request: messages with the images as data addresses where the prompt has them."""
    images = iter(request.prompt.images)
    messages = [
        {**message, "content": [_part(part, images) for part in message["content"]]}
        if isinstance(message["content"], list)
        else message
        for message in request.prompt.messages
    ]
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "seed": request.seed % 2**31,
    }
    return {**body, "top_p": decoding.top_p} if decoding.temperature > 0 else body


def _part(part: Any, images: Any) -> Any:
    if part.get("type") != "image":
        return part
    return {"type": "image_url", "image_url": {"url": png_address(next(images).convert("RGB"))}}


def _read(reply: Any, deadline: float) -> bytes:
    """The body of a reply: a server that sends a byte now and then is as late as one that sends none."""
    content = bytearray()
    while piece := reply.read1(_PIECE):
        content += piece
        if len(content) > _MOST_BYTES:
            raise ValueError(f"a reply of more than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("it takes too long")
    if reply.length:
        raise http.client.IncompleteRead(b"", reply.length)
    return bytes(content)


def _reply(received: Any) -> Reply:
    choice = received["choices"][0]
    content = choice["message"]["content"]
    if content is None and choice.get("finish_reason") == "length":
        content = ""  # cut off while it was still thinking
    if not isinstance(content, str):
        raise ValueError(f"the answer is {type(content).__name__}, expected text")
    usage = received.get("usage")
    used = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return Reply(content, choice.get("finish_reason") == "length", used if type(used) is int else None)


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return " ".join(error.read(2000).decode("utf-8", "replace").split())[:200]
    except (OSError, http.client.HTTPException):
        return str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After") or 0.0)
    except ValueError:
        return 0.0
