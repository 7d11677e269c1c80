"""The command line as whoever sits before a terminal has it: a shell, keys and a screen."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.file_server.terminals import Shell, open_shell, wait_for_end
from tests.file_server.test_options import WRONG
from tests.support import UNIT, wait_until

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="ends of programs are waited for as Linux can"
)

COMMAND = shlex.join([sys.executable, "-m", "tlshttp"])


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Open a terminal in an empty folder, which is also the home."""
    with open_shell(tmp_path) as shell:
        yield shell


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP, and the window is closed"])
def test_people_u6_a_program_in_a_terminal(shell: Shell, tmp_path: Path, how: str) -> None:
    """Ctrl-C and SIGTERM end it in good order, SIGHUP reloads, and a closed window ends it."""
    (tmp_path / "run.sh").write_text(f"echo number $$; exec {COMMAND} 0 -b 127.0.0.1\n")
    # The one that waits outlives its window, and tells how the program has ended.
    shell.type("sh -c 'trap : HUP INT; sh run.sh; echo $? > status'\r")
    screen = shell.until("SHA-256 fingerprint")
    found = re.search(r"number (\d+)\n", screen)
    assert found, screen
    process = int(found[1])
    if how == "Ctrl-C":
        shell.type("\x03")
        screen = shell.until("Stopped.")
    elif how == "SIGTERM":
        os.kill(process, signal.SIGTERM)
        screen = shell.until("Stopped.")
    else:
        os.kill(process, signal.SIGHUP)
        screen = shell.until("Reloaded; the certificate is the same.")
        shell.close()
    wait_for_end(process)
    status = tmp_path / "status"
    assert wait_until(lambda: status.exists() and status.read_text() == "0\n")
    assert "Traceback" not in screen


@pytest.mark.thorough
@pytest.mark.timeout(300 * UNIT)
def test_people_u7_what_is_wrong_is_one_line_in_a_terminal(shell: Shell, tmp_path: Path) -> None:
    """A busy port and thirty kinds of wrong arguments: each has one sentence, and status 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = str(other.getsockname()[1])
        rows = [row for row in WRONG.values() if is_told_early(*row)][:30]
        wrong = [((busy, "-b", "127.0.0.1"), "is taken by another program; choose another"), *rows]
        assert len(wrong) == 31
        lines = [f"{COMMAND} {shlex.join(words)}; echo status $?\n" for words, _ in wrong]
        (tmp_path / "all.sh").write_text("".join(["echo begin\n", *lines, "echo end\n"]))
        shell.type(". ./all.sh\r")
        screen = shell.until("\nend\n", 250 * UNIT)
    shown = screen.partition("begin\n")[2].partition("\nend\n")[0].splitlines()
    for (words, says), sentence, status in zip(wrong, shown[::2], shown[1::2], strict=True):
        assert sentence.startswith("python -m tlshttp: "), words
        assert says in sentence
        assert status == "status 2", words


def is_told_early(words: tuple[str, ...], _: str) -> bool:
    """Return whether it is told before anything is imported that serves, and can be typed."""
    return words[0] != "0" and all(word.isprintable() for word in words)
