"""Chromium without a window, for tests of pages: opened, looked at as a person would, asked.

It is driven by its own protocol over two pipes, so that no port is open and nothing is installed
beside the browser. https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip
# The protocol wants its pipes as 3 and 4; first out of the way, where one of them is the other.
START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """Return where it is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page of the browser.

    Attributes:
        complaints: of the page that is open, as its console shows them.
        addresses: that it asked for.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._number, self._rest, self._session = 0, b"", ""
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def open(self, url: str, width: int = 1200, height: int = 1000, dark: bool = False) -> None:
        """Open an address in a window of this size, and wait until it is there."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url="about:blank")
        self.complaints.clear()
        self.addresses.clear()
        self._ask("Page.navigate", url=url)
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 60) -> Any:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + timeout_s
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"{script} is not true; the page: {self.text()[:2000]}"
            time.sleep(0.2)
        return value

    def wait_for_text(self, *words: str) -> str:
        """Wait until all words stand on the page, and return its text."""
        listed = json.dumps(words)
        self.wait_for(f"{listed}.every(word => document.body.innerText.includes(word))")
        return self.text()

    def text(self) -> str:
        """Return what a person can read."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Keep what the window shows, or the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def print(self, path: Path) -> None:
        """Print into a PDF."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._ask("Page.printToPDF")["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._hear(answer)

    def _hear(self, event: dict[str, Any]) -> None:
        """Keep complaints, and which addresses were asked."""
        facts = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.complaints.append(facts["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(facts["exceptionDetails"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.addresses.append(facts["request"]["url"][:200])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._answers], [], [], 60)[0], "the browser does not answer"
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it."""
    to_browser, requests = os.pipe()
    answers, from_browser = os.pipe()
    chromium = find_chromium()
    assert chromium is not None
    browser = subprocess.Popen(
        [sys.executable, "-c", START, str(to_browser), str(from_browser), chromium, *OPTIONS,
         f"--user-data-dir={profile}"],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(requests, answers)
    finally:
        browser.terminate()
        browser.wait(20)
        os.close(requests)
        os.close(answers)
