"""Headless Chromium, driven by its DevTools protocol through a pair of pipes.

With ``--remote-debugging-pipe`` the browser reads commands from its descriptor 3 and writes answers
and events to 4, each a JSON object with a NUL byte after it: no port, and no WebSocket.
https://chromedevtools.github.io/devtools-protocol/ has the commands.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class Chromium:
    """A tab of a browser that nobody sees. Close the browser by leaving `chromium`.

    Args:
        commands: What the browser reads.
        messages: What the browser writes.
    """

    def __init__(self, commands: BinaryIO, messages: BinaryIO) -> None:
        self._commands = commands
        self._messages = messages
        self._number = 0
        self._session: str | None = None
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._send("Page.enable")

    def look(self, *, width: int, height: int, dark: bool) -> None:
        """Take a screen of so many CSS pixels, and a colour scheme."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Open a page, and wait until all of it is there."""
        self._send("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in JavaScript, as JSON has it; of a promise, its end.

        Raises:
            RuntimeError: The expression threw something.
        """
        result = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def picture(self) -> bytes:
        """Return what is on the screen, as PNG."""
        return base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"])

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command, and return its result; events that come meanwhile are dropped."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while (message := self._receive()).get("id") != self._number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._messages.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium has ended")
            text += byte
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def chromium(program: str) -> Iterator[Chromium]:
    """Start a browser with an empty profile; end it after the block.

    Args:
        program: The browser's executable.
    """
    read_commands, write_commands = os.pipe()
    read_messages, write_messages = os.pipe()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        os.fdopen(write_commands, "wb") as commands,
        os.fdopen(read_messages, "rb") as messages,
    ):
        browser = _start(program, Path(profile), read_commands, write_messages)
        try:
            yield Chromium(commands, messages)
        finally:
            browser.terminate()
            browser.wait()


def _start(program: str, profile: Path, commands: int, messages: int) -> subprocess.Popen[bytes]:
    """Start the browser with its ends of the pipes as descriptors 3 and 4, and close ours."""
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
    options += ["--force-color-profile=srgb", f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    # The shell moves the pipes to where the browser looks for them: Popen cannot.
    moved = f'exec "$@" 3<&{commands} 4>&{messages}'
    try:
        return subprocess.Popen(
            ["bash", "-c", moved, "bash", program, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, messages),
        )
    finally:
        os.close(commands)
        os.close(messages)
