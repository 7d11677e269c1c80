"""Ending and replacing a service while clients ask all the time: nothing is lost."""

from __future__ import annotations

import contextlib
import functools
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.machinery.peers import connect, handshake, read_response, read_to_end, request
from tests.service.program import Service, all_serve, has_ended, running
from tests.support import UNIT, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork() of Unix"),
    pytest.mark.thorough,
]

WORKERS = [1, 2]

TIMES = [
    pytest.param(2, id="twice"),
    pytest.param(
        30, id="thirty-times", marks=[pytest.mark.exhaustive, pytest.mark.timeout(600 * UNIT)]
    ),
]


_IDLE_SECONDS = 0.3
"""Less than connections may be idle when a service ends: half a second."""


class Lost(Exception):
    """An answer did not come, or not whole."""


class Clients:
    """Ask all the time, some on connections that they keep, some on new ones, and check all.

    Args:
        one: Whom they ask.
        is_over: Whether it is no failure any more that a connection cannot be had.
        to_the_last: Whether those that keep connections ask until a response is the last there.
    """

    def __init__(
        self, one: Service, is_over: Callable[[], bool], *, to_the_last: bool = False
    ) -> None:
        self._one = one
        self._is_over = is_over
        self._to_the_last = to_the_last
        self.answers = 0
        self._asked = threading.Barrier(5)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Have them at work, and raise what they have to complain of at the end."""
        with ThreadPoolExecutor(4) as pool:
            kept = [pool.submit(self._ask_on) for _ in range(2)]
            new = [pool.submit(self._ask_anew) for _ in range(2)]
            self._asked.wait(30 * UNIT)
            yield
            for client in (*kept, *new):
                client.result(timeout=60 * UNIT)

    def _ask_on(self) -> None:
        """Ask on connections that are kept, until told that a response is the last, and again."""
        first = True
        while not self._is_over():
            try:
                sock = handshake(self._one.address, self._one.client)
            except OSError:
                if not self._is_over():
                    raise
                return
            with sock:
                sent = time.monotonic()
                while True:
                    before, sent = sent, time.monotonic()
                    try:
                        sock.sendall(request())
                        response = read_response(sock)
                    except (OSError, EOFError):
                        if sent - before < _IDLE_SECONDS:
                            raise
                        break  # closed while it was idle, since this thread did not get to ask
                    self._check(response)
                    if first:
                        self._asked.wait(30 * UNIT)
                        first = False
                    if b"\r\nConnection: close\r\n" in response:
                        break
                    if self._is_over() and not self._to_the_last:
                        return

    def _ask_anew(self) -> None:
        """Ask on a new connection each time."""
        first = True
        while not self._is_over():
            try:
                plain = connect(self._one.address)
            except OSError:
                if not self._is_over():
                    raise
                return
            was_over = self._is_over()  # else it was in the queue before the signal
            try:
                with plain, self._one.client.wrap_socket(plain) as sock:
                    sock.sendall(request(close=True))
                    self._check(read_to_end(sock))
            except (OSError, ssl.SSLError):
                if not was_over:
                    raise
                return
            if first:
                self._asked.wait(30 * UNIT)
                first = False

    def _check(self, response: bytes) -> None:
        head, _, body = response.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 ") or not body.isdigit():
            raise Lost(response)
        self.answers += 1


@contextlib.contextmanager
def ended(over: threading.Event) -> Iterator[None]:
    """Tell clients at the end of the block, however it comes, that it is over."""
    try:
        yield
    finally:
        over.set()


@contextlib.contextmanager
def wrk(one: Service) -> Iterator[None]:
    """Have wrk ask, too, where there is one: it must not notice anything."""
    if shutil.which("wrk") is None:
        yield
        return
    command = ["wrk", "-t1", "-c8", "-d600s", "--timeout", "30s", f"https://127.0.0.1:{one.port}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=30 * UNIT)
    assert "Requests/sec" in output
    assert "Socket errors" not in output
    assert "Non-2xx" not in output


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("workers", WORKERS)
def test_sigterm_under_load_loses_no_response(workers: int, times: int) -> None:
    """All that was asked before the end is answered, and the exit status is 0."""
    for _ in range(times):
        over = threading.Event()
        with running(workers=workers) as one:
            assert all_serve(one, workers)
            clients = Clients(one, over.is_set, to_the_last=True)
            with clients.asking(), ended(over):
                over.set()
                one.tell(signal.SIGTERM)
            status, errors = one.end()
            assert status == 0, errors
            assert "Traceback" not in errors
            assert "has not left in time" not in errors
            assert clients.answers >= 4


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("workers", WORKERS)
def test_a_program_is_replaced_under_load_and_nobody_notices(workers: int, times: int) -> None:
    """No connection is refused, and no response lost, while one process follows the other."""
    over = threading.Event()
    with running(workers=workers) as one:
        assert all_serve(one, workers)
        clients = Clients(one, over.is_set)
        with clients.asking(), ended(over), wrk(one):
            for _ in range(times):
                old = one.pid
                one.tell(signal.SIGUSR2)
                one.pid, _ = one.next_start()
                assert wait_until(functools.partial(has_ended, old), timeout=30 * UNIT)
        one.tell(signal.SIGTERM)
        assert wait_until(functools.partial(has_ended, one.pid), timeout=30 * UNIT)
        assert clients.answers > 4 * times
