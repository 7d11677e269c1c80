"""Do what a reader of a page does with its code. A program of its own: nothing else imports it.

It reads the page's blocks as JSON from standard input, and runs in an empty folder. All programs
and sessions of a page share one namespace, since a reader copies them one below the other. A
program that serves is visited and ended as Ctrl-C does; a shell command that serves goes on, as in
a second terminal, until the page is over. What is not as the page says goes to standard error, and
the exit status is 1.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import fcntl
import io
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

UNIT: Final = float(os.environ.get("TLSHTTP_TEST_UNIT", "1"))
URL: Final = re.compile(r"https://[\w.\[\]:-]+:\d+|https\+unix://\S+")
OPTIONS: Final = doctest.ELLIPSIS
PYTEST: Final = (
    "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:anyio", "-c", "/dev/null",
    "--rootdir", ".", "--import-mode=importlib",
)  # fmt: skip


class WrongPageError(Exception):
    """The page says what is not so."""


def main() -> int:
    """Run the blocks, and return the exit status."""
    if "--bring-up-loopback" in sys.argv:
        bring_up_loopback()
    reader = Reader()
    place = ""
    try:
        for block in json.load(sys.stdin):
            place = block["place"]
            reader.do(block)
        place = "end of the page"
        reader.run_tests()
    except BaseException:  # what a page's code raises may be anything
        print(f"{place}:", *map(str, reader.log), sep="\n", file=sys.stderr)
        traceback.print_exc()
        return 1
    finally:
        reader.end_commands()
    return 0


def bring_up_loopback() -> None:
    """Have the loopback interface of a new network namespace work."""
    set_flags, up = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP: <linux/sockios.h>, <linux/if.h>
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", up))


class Reader:
    """Somebody who does what a page says."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""
        self.commands: list[Command] = []
        self.tests = 0
        self.log: list[str] = []

    def do(self, block: dict[str, str]) -> None:
        """Do what a reader does with one block."""
        getattr(self, f"do_{block['kind']}")(block["text"], block)

    def do_program(self, text: str, block: dict[str, str]) -> None:
        """Run it in the namespace of the page."""
        serves = serves_for_ever(text)
        code = compile(text, block["place"], "exec")
        console = Console(visit_and_interrupt if serves else None)
        with contextlib.redirect_stdout(console):
            exec(code, self.names)
        self.printed = console.getvalue()
        if serves and not console.answered():
            raise WrongPageError(f"it serves, and nobody answers; it printed:\n{self.printed}")

    def do_session(self, text: str, block: dict[str, str]) -> None:
        """Type it at the prompt, and compare what is answered."""
        examples = doctest.DocTestParser().get_doctest(text, self.names, block["place"], None, 0)
        runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
        report = io.StringIO()
        failed, attempted = runner.run(examples, out=report.write, clear_globs=False)
        self.names.update(examples.globs)
        if failed or not attempted:
            raise WrongPageError(report.getvalue())

    def do_output(self, text: str, block: dict[str, str]) -> None:
        """Compare it with what the block before it has printed."""
        printed = self.printed.removesuffix("\n") + "\n"
        if not doctest.OutputChecker().check_output(text, printed, OPTIONS):
            raise WrongPageError(f"the page says:\n{text}\nwhat is printed:\n{self.printed}")

    def do_file(self, text: str, block: dict[str, str]) -> None:
        """Save it."""
        path = Path(block["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def do_tests(self, text: str, block: dict[str, str]) -> None:
        """Save it for pytest, which runs at the end."""
        self.tests += 1
        Path(f"test_example_{self.tests}.py").write_text(text, encoding="utf-8")

    def run_tests(self) -> None:
        """Run what the page has for pytest."""
        if self.tests:
            command = [sys.executable, "-m", "pytest", *PYTEST]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or "skipped" in done.stdout:
                raise WrongPageError(done.stdout + done.stderr)

    def do_shell(self, text: str, block: dict[str, str]) -> None:
        """Give it to a shell, and wait until it has ended or serves."""
        command = Command(text)
        self.commands.append(command)
        command.settle()
        self.printed = command.console.getvalue()
        self.log.append(f"$ {text}{self.printed}")

    def end_commands(self) -> None:
        """End what still serves, as Ctrl-C does."""
        for command in self.commands:
            command.end()


class Console(io.StringIO):
    """Where a program prints; the first URL that it prints is visited, in a thread."""

    def __init__(self, visit: Callable[[str], bool] | None = None) -> None:
        super().__init__()
        self._visit = visit
        self._visitor: threading.Thread | None = None
        self._answered = False

    def write(self, text: str) -> int:
        """Look for a URL."""
        size = super().write(text)
        found = URL.search(self.getvalue())
        if found and self._visitor is None:
            self._visitor = threading.Thread(target=self._go, args=(found[0],))
            self._visitor.start()
        return size

    def answered(self) -> bool:
        """Wait for the visitor, and return whether there was one who was answered."""
        if self._visitor is not None:
            self._visitor.join()
        return self._answered

    def _go(self, url: str) -> None:
        if self._visit is not None:
            self._answered = self._visit(url)


class Command:
    """A command in a shell, in a terminal of its own."""

    def __init__(self, text: str) -> None:
        self.settled = threading.Event()
        self.console = Console(self._visited)
        self.process = subprocess.Popen(
            ["bash", "-e", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def settle(self) -> None:
        """Wait until it has ended well, or serves.

        Raises:
            WrongPageError: It failed.
        """
        settled = self.settled.wait(100 * UNIT)
        if not settled or self.process.poll():
            status = self.process.poll()
            raise WrongPageError(f"exit status {status}:\n{self.console.getvalue()}")

    def end(self) -> None:
        """End it, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        self._reader.join()
        self.console.answered()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.console.write(line)
        self.process.wait()
        self.settled.set()

    def _visited(self, url: str) -> bool:
        answered = is_served(url)
        if answered:
            self.settled.set()
        return answered


def serves_for_ever(text: str) -> bool:
    """Whether a program calls ``serve_forever()`` itself, and not in a thread or a function."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "serve_forever"
        for node in _outside_functions(ast.parse(text))
    )


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from _outside_functions(child)


def visit_and_interrupt(url: str) -> bool:
    """Ask for the page, press Ctrl-C, and return whether somebody answered."""
    try:
        return is_served(url)
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def is_served(url: str) -> bool:
    """Whether a server answers: with a response, or by asking for a client certificate."""
    if url.startswith("https+unix://"):
        return listens(url.removeprefix("https+unix://"))
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, context=anybody, timeout=50 * UNIT):
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except (ssl.SSLError, ConnectionResetError):
        return True


def listens(path: str) -> bool:
    """Whether somebody listens on a socket with a path."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


if __name__ == "__main__":
    sys.exit(main())
