"""The command line as a program that runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

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

    def more(self) -> str:
        """Read another line of the output."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def end(self, with_signal: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it, and return exit status, output and errors."""
        if self._process.returncode is None:
            self._process.send_signal(with_signal)
        out, err = self._process.communicate(timeout=20 * UNIT)
        return self._process.returncode, out, err
