"""A shell in a terminal: in tmux where that is installed, else in one that has no window."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from tests.support import UNIT, wait_until

__all__ = ["Shell", "open_shell", "wait_for_end"]

_SIZE = ("-x", "250", "-y", "100")
"""Letters and lines: no sentence is broken, and all of them are seen at once."""


class Shell(Protocol):
    """A terminal in which a shell waits for commands."""

    def type(self, keys: str) -> None:
        r"""Press keys: ``\r`` is Enter, ``\x03`` Ctrl-C."""

    def until(self, text: str, timeout: float = 50 * UNIT) -> str:
        """Wait until a text is on the screen, and return all that is; after seconds, fail."""

    def close(self) -> None:
        """Close the window; the kernel hangs up on whoever runs in it."""


@contextlib.contextmanager
def open_shell(folder: Path) -> Iterator[Shell]:
    """Open a terminal, and close it after the block.

    Args:
        folder: The current folder of the shell, and its home.
    """
    environ = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    for name in ("ENV", "TMUX", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TLSHTTP_AUTHORITY"):
        environ.pop(name, None)
    tmux = shutil.which("tmux")
    shell = _Bare(folder, environ) if tmux is None else _Tmux(tmux, folder, environ)
    try:
        yield shell
    finally:
        shell.close()


def wait_for_end(process: int) -> None:
    """Wait until a process has ended, though it is not our child."""
    try:
        ending = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        assert select.select([ending], [], [], 50 * UNIT)[0], "it goes on"
    finally:
        os.close(ending)


class _Tmux:
    """A window of a tmux of its own."""

    def __init__(self, program: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._tmux = (program, "-u", "-S", str(folder / "tmux"), "-f", os.devnull)
        subprocess.run(
            [*self._tmux, "new-session", "-d", *_SIZE, "-c", str(folder), "/bin/sh"],
            env=environ, check=True, timeout=50 * UNIT,
        )  # fmt: skip
        self._server = int(self._do("display-message", "-p", "#{pid}"))

    def type(self, keys: str) -> None:
        self._do("send-keys", "-H", *(f"{byte:02x}" for byte in keys.encode()))

    def until(self, text: str, timeout: float = 50 * UNIT) -> str:
        assert wait_until(lambda: text in self._screen(), timeout=timeout), self._screen()
        return self._screen()

    def close(self) -> None:
        if self._server:
            self._do("kill-server")
            wait_for_end(self._server)
            self._server = 0

    def _screen(self) -> str:
        return self._do("capture-pane", "-p", "-J")

    def _do(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, timeout=50 * UNIT
        )
        return done.stdout


class _Bare:
    """A terminal as the kernel has it."""

    # Who leads a session is given the terminal that it opens.
    _BEGIN = 'exec 0<>"$0" 1>&0 2>&0; exec /bin/sh'

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        os.set_blocking(self._ours, False)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", self._BEGIN, os.ttyname(theirs)],
            cwd=folder, env=environ, start_new_session=True, pass_fds=[theirs],
        )  # fmt: skip
        os.close(theirs)
        self._shown = b""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, text: str, timeout: float = 50 * UNIT) -> str:
        assert wait_until(lambda: text in self._screen(), timeout=timeout), self._shown
        return self._screen()

    def close(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1
            self._process.wait(50 * UNIT)

    def _screen(self) -> str:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._ours, 65_536):
                self._shown += piece
        return self._shown.decode().replace("\r\n", "\n")
