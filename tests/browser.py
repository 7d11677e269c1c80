"""Chromium without a window, told what to do through a pipe (Chrome DevTools Protocol)."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support import UNIT, wait_until

__all__ = ["AXE", "CHROMIUM", "Browser", "BrowserError", "Page"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _find_axe() -> Path | None:
    """Find ``axe.min.js`` of npm's axe-core: a newer one by its name, or that of the package."""
    if "TLSHTTP_TEST_AXE" in os.environ:
        return Path(os.environ["TLSHTTP_TEST_AXE"])
    found = importlib.util.find_spec("axe_core_python")
    return (
        None if found is None or found.origin is None else Path(found.origin).parent / "axe.min.js"
    )


AXE = _find_axe()
"""The usual checker of accessibility, to be run in a page; `None`: it is not installed."""

_START = (
    "import fcntl, os, sys\n"
    "ends = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]\n"
    "os.dup2(ends[0], 3); os.dup2(ends[1], 4)\n"
    "os.execv(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from descriptor 3, and answers on 4."""

_OPTIONS = (
    "--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--no-sandbox",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--ignore-certificate-errors", "--disable-dev-shm-usage",
)  # fmt: skip


class BrowserError(Exception):
    """The browser does not do what it was told: for one, since the page is just being left."""


class Browser:
    """A browser that runs.

    Args:
        profile: A folder for what it keeps.
    """

    def __init__(self, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), CHROMIUM,
             *_OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb", buffering=0)
        self._numbers = itertools.count(1)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
        finally:
            self._out.close()
            self._in.close()
            try:
                self._process.wait(60 * UNIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Do something, and return what comes of it.

        Raises:
            BrowserError: Nothing does.
        """
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(answer)
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> Page:
        """Open a page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.go(url)
        return page

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._in.read(65_536)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


class Page:
    """A page that a browser shows."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Do something with the page."""
        return self._browser.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Go somewhere, and wait until that is there."""
        self.call("Page.navigate", url=url)
        assert self.becomes("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def becomes(self, script: str, timeout: float = 60 * UNIT) -> bool:
        """Wait until an expression is true."""
        return wait_until(lambda: self._is_true(script), timeout=timeout)

    def _is_true(self, script: str) -> bool:
        try:
            return bool(self.run(script))
        except BrowserError:  # another page takes the place of this one
            return False

    def click(self, selector: str) -> None:
        """Click on something, and wait for the page that it leads to, if it is a link."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Choose files for a form."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def look(self, *, width: int, dark: bool) -> None:
        """Show the page as a window of this width does, by day or by night."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def photograph(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
