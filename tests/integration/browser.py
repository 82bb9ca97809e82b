"""Headless Chromium on a pipe: the DevTools protocol over two file descriptors, no driver, no port.

A page is watched from before it loads: console messages, exceptions, violations of its
content-security policy and every request are kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SILENT = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update",
          "--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars")  # fmt: skip


class Browser:
    """One tab of a headless browser."""

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The browser reads descriptor 3 and writes descriptor 4.
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, BROWSER, *SILENT, f"--user-data-dir={profile}", "--remote-debugging-pipe"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closed in order, so that its profile is written to the end and can be removed."""
        with suppress(OSError, RuntimeError, subprocess.TimeoutExpired):
            self._session = None
            self.call("Browser.close")
            self._process.wait(20)
        os.close(self._out)
        os.close(self._in)
        self._process.kill()
        self._process.wait()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its result; events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._count:
                assert "error" not in reply, reply["error"]
                return reply["result"]
            self.events.append(reply)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError(f"the browser ended with code {self._process.wait()}")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, page: Path | str, *, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Load a file or an address in a window of this size and colour scheme, and wait for it."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key where the focus is: one of `KEYS`, or a character."""
        code = KEYS.get(key, ord(key.upper()[0]))
        typed = {} if key in KEYS else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def point_at(self, selector: str, index: int = 0) -> None:
        """Move the mouse to the middle of an element, after bringing it into the window."""
        find = f"document.querySelectorAll('{selector}')[{index}]"
        place = [-1, -1]
        for _ in range(5):  # what comes into view may take its real size only then
            before = place
            place = self.evaluate(f"""(() => {{
              {find}.scrollIntoView({{block: "center", behavior: "instant"}});
              const box = {find}.getClientRects()[0];
              return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
            if place == before:
                break
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])

    def click(self, selector: str, index: int = 0) -> None:
        """Point at an element and click."""
        self.point_at(selector, index)
        x, y = self.evaluate(f"""(() => {{ const box = document.querySelectorAll('{selector}')[{index}]
          .getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def complaints(self) -> list[Any]:
        """Console messages, exceptions and log entries (policy violations among them) since `open`."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """Addresses that left the page since `open`: neither part of the page nor stopped by its policy."""
        network = [
            (e["method"], e["params"]) for e in self.events if e.get("method", "").startswith("Network.")
        ]
        stopped = {
            p["requestId"] for kind, p in network if kind == "Network.loadingFailed" and "blockedReason" in p
        }
        sent = [
            p for kind, p in network if kind == "Network.requestWillBeSent" and p["requestId"] not in stopped
        ]
        addresses = [params["request"]["url"] for params in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def faint(self, least: float = 4.5) -> list[str]:
        """Texts whose contrast to what lies behind them is below `least` (WCAG 2, level AA)."""
        return self.evaluate(f"({CONTRASTS})().filter(([ratio]) => ratio < {least})")

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """Save what the page looks like, all of it or the window."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(shot["data"]))
        return path


KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const shown = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(value => value / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || element.closest("script, title, desc, noscript, option, .unseen, .skip")) continue;
    if (!element.getClientRects().length) continue;
    const behind = [];
    for (let outer = element; outer; outer = outer.parentElement) {
      behind.unshift(getComputedStyle(outer).backgroundColor);
    }
    const style = getComputedStyle(element), ink = element.closest("svg") ? style.fill : style.color;
    const [one, other] = [shown(behind), shown([...behind, ink])];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, `${element.tagName} ${element.getAttribute("class")}: ${text.slice(0, 40)}`]);
  }
  return found; }"""
