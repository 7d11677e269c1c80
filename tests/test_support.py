from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import nothing_left_behind, wait_until

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


@contextmanager
def something_is_left(named: str) -> Iterator[None]:
    """Fail unless the block leaves something behind that is named so."""
    with pytest.raises(AssertionError, match=named), nothing_left_behind(timeout=0.05):
        yield


def test_a_thread_that_still_runs_is_named() -> None:
    """A thread left running fails the test."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="forgotten")
    with something_is_left("thread 'forgotten'"):
        thread.start()
    release.set()
    thread.join()


@needs_proc
def test_an_open_socket_is_named_with_its_port() -> None:
    """A listening socket left open fails the test."""
    with something_is_left(r"socket:\[\d+\] tcp listening on port \d+"):
        listener = socket.create_server(("127.0.0.1", 0))
    listener.close()


@needs_proc
def test_an_open_file_is_named() -> None:
    """A file left open fails the test."""
    with something_is_left(f"file descriptor \\d+: {__file__}"):
        number = os.open(__file__, os.O_RDONLY)
    os.close(number)


@needs_proc
def test_a_child_process_that_still_runs_is_named() -> None:
    """A child process left running fails the test."""
    with something_is_left(r"child process \d+: .*sys\.stdin\.read"):
        child = start("import sys; print('runs', flush=True); sys.stdin.read()")
        assert child.stdout is not None
        child.stdout.readline()  # before that the system may not have its command line
    child.communicate()


@needs_proc
def test_a_child_process_that_nobody_waited_for_is_named() -> None:
    """A child process that ended, but was not waited for, fails the test."""
    with something_is_left(r"child process \d+: \(ended"):
        child = start("print('ended', flush=True)")
        assert child.stdout is not None
        child.stdout.read()
    child.communicate()


def test_what_ends_by_itself_in_time_is_not_left_behind() -> None:
    """A thread that ends within the time limit after the block is fine."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    with nothing_left_behind():
        thread.start()
        release.set()
    assert not thread.is_alive()


def test_waiting_ends_when_the_condition_holds() -> None:
    """The helper asks again until the condition holds."""
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers))


def test_waiting_ends_at_the_time_limit() -> None:
    """The helper gives up, and says so."""
    assert not wait_until(lambda: False, timeout=0.02)


def start(program: str) -> subprocess.Popen[bytes]:
    """Start a Python program with pipes for its standard input and output."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe)
