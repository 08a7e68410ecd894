"""A headless Chromium, driven through its DevTools pipe: no driver program, no package, no port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

__all__ = ["Browser", "Tab", "browser"]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
#: Chromium reads commands from descriptor 3 and writes answers to 4, each ended by a zero byte.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 30.0


@dataclass
class Browser:
    """One process; events of all tabs are kept in `events`."""

    commands: int
    answers: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0
    _rest: bytes = b""

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """The result of a DevTools command. Raises AssertionError when it fails or takes too long."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while (message := self.read()).get("id") != self._count:
            self.events.append(message)
        assert "error" not in message, (method, message["error"])
        return dict(message["result"])

    def read(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select([self.answers], [], [], end - time.monotonic())
            part = os.read(self.answers, 1 << 20) if ready else b""
            assert part, "the browser says nothing any more"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def open(self, file: Path, width: int, height: int = 900, *, dark: bool = False) -> Tab:
        """Load `file` in a new tab of that size, in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(browser=self, session=session)
        for domain in ("Page", "Log", "Runtime", "Network"):
            tab.call(f"{domain}.enable")
        tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[scheme])
        tab.call("Page.navigate", url=file.absolute().as_uri())
        while not tab.events("Page.loadEventFired"):
            self.events.append(self.read())
        return tab


@dataclass(frozen=True)
class Tab:
    """A page that has loaded."""

    browser: Browser
    session: str

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a DevTools command on this tab."""
        return self.browser.call(method, self.session, **params)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What the browser told of this tab under `method` so far."""
        mine = (event for event in self.browser.events if event.get("sessionId") == self.session)
        return [event["params"] for event in mine if event["method"] == method]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh browser with the empty profile folder `profile`; it is gone when the block ends.

    Raises AssertionError where no Chromium is installed: the page's tests cannot be done without.
    """
    program = shutil.which("chromium")
    assert program, "these tests need Chromium (the command chromium); install the package chromium, or run `make test`"
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    words = [
        sys.executable,
        "-c",
        LAUNCH,
        str(theirs_in),
        str(theirs_out),
        program,
        *FLAGS,
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        words, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    found = Browser(commands=ours_out, answers=ours_in)
    try:
        yield found
    finally:
        with suppress(AssertionError, OSError):
            found.call("Browser.close")
        os.close(ours_out)
        os.close(ours_in)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
