"""The command line as a program that runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Self

from tests.support import UNIT


class Program:
    """A running ``python -m tlshttp``."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tlshttp", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        assert self._process.stdout is not None
        self.banner = self._process.stdout.readline()
        found = re.search(r"https://\S+?/(?= )", self.banner)
        assert found, self.banner + self.end()[2]
        self.url = found[0]

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def more(self) -> str:
        """Read another line of the output."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def complaint(self) -> str:
        """Read another line of the errors."""
        assert self._process.stderr is not None
        return self._process.stderr.readline()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, with_signal: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it, and return exit status, output and errors; 0: it comes to its end by itself."""
        if self._process.returncode is None and with_signal:
            self._process.send_signal(with_signal)
        out, err = self._process.communicate(timeout=50 * UNIT)
        return self._process.returncode, out, err


class Terminal:
    """A running ``python -m tlshttp`` in a terminal of its own."""

    _BEGIN = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        " os.execv(sys.executable, [sys.executable, '-m', 'tlshttp', *sys.argv[1:]])"
    )

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._BEGIN, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = b""

    def read_until(self, text: bytes) -> None:
        """Read what is shown until it has this text."""
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096)

    def type(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._ours, keys)

    def close(self) -> None:
        """Close the window."""
        if self._ours >= 0:
            os.close(self._ours)
        self._ours = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(50 * UNIT)
        self.close()
