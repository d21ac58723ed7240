"""A headless Chromium, driven by its DevTools protocol over a pipe."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE = 30.0


def found() -> str | None:
    """Return the browser's program; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab, and what it has said and asked for since it was opened."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.ask(method, params, self._session)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, path: Path) -> None:
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._browser.until(
            lambda: any(event["method"] == "Page.loadEventFired" for event in self.events)
        )

    def mouse(self, x: float, y: float, kind: str = "mouseMoved") -> None:
        pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(x, y, kind)

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def screenshot(self, *, full: bool = False) -> bytes:
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=full)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        answer = self.ask(
            "Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69
        )
        return base64.b64decode(answer["data"])

    @property
    def complaints(self) -> list[str]:
        """Errors, warnings and messages of the console."""
        said = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in said]

    @property
    def requests(self) -> list[str]:
        """What was asked of the network, the page itself left out, and data in URLs."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls[1:] if not url.startswith("data:")]


class Browser:
    """The process, and the pipe to it."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, of: int) -> None:
        self._process, self._to, self._of = process, to, of
        self._number, self._rest = 0, b""
        self._pages: dict[str, Page] = {}
        self._answers: dict[int, dict[str, Any]] = {}

    def ask(
        self, method: str, params: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        self.until(lambda: number in self._answers)
        answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def until(self, done: Any) -> None:
        end = time.monotonic() + _PATIENCE
        while not done():
            assert self._process.poll() is None, "the browser has ended"
            ready, _, _ = select.select([self._of], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            *whole, self._rest = (self._rest + os.read(self._of, 2**20)).split(b"\0")
            for one in map(json.loads, whole):
                if "id" in one:
                    self._answers[one["id"]] = one
                elif one.get("sessionId") in self._pages:
                    self._pages[one["sessionId"]].events.append(one)

    def page(self) -> Page:
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, session["sessionId"])
        self._pages[session["sessionId"]] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        return page


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile in `folder`, for a while."""
    program = found()
    assert program is not None
    theirs, to = os.pipe()
    of, its = os.pipe()
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--hide-scrollbars",
        "--remote-debugging-pipe",
        f"--user-data-dir={folder}",
    )
    # its pipes are the descriptors 3 and 4
    script = f'exec "$0" "$@" 3<&{theirs} 4>&{its}'
    process = subprocess.Popen(
        ["bash", "-c", script, program, *flags],
        pass_fds=(theirs, its),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(theirs)
    os.close(its)
    try:
        yield Browser(process, to, of)
    finally:
        os.close(to)
        try:
            # the end of the pipe is the end of it
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(of)
