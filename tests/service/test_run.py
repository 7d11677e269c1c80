"""A service does what signals ask for, in one process and in several."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.machinery.peers import connect, handshake, read_response, read_to_end, request
from tests.service.program import Service, all_serve, has_ended, running
from tests.support import UNIT, wait_until
from tlshttp import TLSHTTPServer, certs, service
from tlshttp.errors import ConfigurationError
from tlshttp.service._master import Master, _Worker
from tlshttp.service._notify import Notifier
from tlshttp.service._restarts import Restarts
from tlshttp.service._worker import AT_ONCE, DRAIN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork() of Unix")

NUMBERS = [1, 2]


@pytest.mark.parametrize("server", ["plain", "threading"])
@pytest.mark.parametrize("workers", NUMBERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_drains_and_ends_with_0(server: str, workers: int, number: int) -> None:
    """What is under way when the signal comes is answered; the exit status is 0."""
    with running(server=server, workers=workers) as one, ThreadPoolExecutor(1) as pool:
        assert one.ask("/processes") == workers
        slow = pool.submit(one.ask, "/slow")
        one.wait_for_work()
        with handshake(one.address, one.client) as kept:
            kept.sendall(request())
            read_response(kept)
            serving = {one.pid, *one.workers()}  # whoever has answered the last may have gone
            one.tell(number)
            assert slow.result(timeout=30 * UNIT) in serving
            assert kept.recv(1) == b""
        status, errors = one.end()
        assert status == 0, errors
        assert "Traceback" not in errors
        assert f"{signal.Signals(number).name}: draining" in errors


@pytest.mark.parametrize("server", ["plain", "threading"])
@pytest.mark.parametrize("workers", NUMBERS)
def test_a_second_signal_ends_at_once(workers: int, server: str) -> None:
    """A handler that never ends keeps a service until the second signal, and no longer."""
    with running(workers=workers, server=server, drain_timeout=300) as one:
        one.ask()
        with handshake(one.address, one.client) as stuck:
            stuck.sendall(request("/never"))
            one.wait_for_work()
            one.tell(signal.SIGTERM)
            with pytest.raises(Exception, match="timed out"):
                one.process.wait(1 * UNIT)
            if server == "threading":  # the other one has nobody who lets the last ones in
                assert wait_until(lambda: _refuses(one))
            one.tell(signal.SIGTERM)
            status, errors = one.end()  # which waits for less than the time for draining
            name = "{}:{} (handler)".format(*stuck.getsockname())
        assert status == 0, errors
        if (workers, server) != (1, "plain"):  # there the signal ends the handler itself
            assert name in errors
        assert "ending at once" in errors


def _refuses(one: Service) -> bool:
    try:
        connect(one.address).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", NUMBERS)
def test_what_does_not_end_is_named_and_the_service_ends_in_its_time(workers: int) -> None:
    """The time for draining bounds the end, and the log names who has not come to one."""
    with running(workers=workers, drain_timeout=1 * UNIT) as one:
        one.ask()
        with handshake(one.address, one.client) as stuck:
            stuck.sendall(request("/never"))
            name = "{}:{} (handler)".format(*stuck.getsockname())
            one.wait_for_work()
            one.tell(signal.SIGTERM)
            status, errors = one.end()
        assert status == 0
        assert name in errors


@pytest.mark.parametrize("workers", NUMBERS)
def test_sighup_shows_the_new_certificate(workers: int, tmp_path: Path) -> None:
    """After SIGHUP new connections get the renewed certificate; a bad one leaves the old."""
    path = tmp_path / "both.pem"
    certs.self_signed("localhost", "one.test").write(path)
    with running(workers=workers, certfile=str(path)) as one:
        one.ask()
        renewed = certs.self_signed("localhost", "two.test")
        renewed.write(path)
        one.tell(signal.SIGHUP)
        assert wait_until(lambda: _shown(one) == _der(renewed), timeout=30 * UNIT)
        path.write_text("nonsense")
        one.tell(signal.SIGHUP)
        assert "nonsense" not in one.wait_for_line("reloading: ")
        one.tell(signal.SIGTERM)
        status, errors = one.end()
        assert status == 0, errors


def _der(certificate: certs.Certificate) -> bytes:
    return certificate.leaf.public_bytes(Encoding.DER)


def _shown(one: Service) -> bytes | None:
    with handshake(one.address, one.client) as sock:
        return sock.getpeercert(binary_form=True)


def test_a_session_resumes_with_another_worker() -> None:
    """A session ticket of one worker is taken by the others: 100 connections, two full handshakes.

    There are more where none of them came to one of the two workers.
    """
    with running(workers=2) as one:
        assert all_serve(one, 2)
        seen: set[bytes] = set()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
            client.minimum_version = client.maximum_version = version
            session = None
            resumed: list[bool | None] = []
            while len(resumed) < 50 or len(seen) < 2:
                with (
                    connect(one.address) as plain,
                    client.wrap_socket(plain, server_hostname="localhost", session=session) as sock,
                ):
                    resumed.append(sock.session_reused)
                    sock.sendall(request(close=True))
                    seen.add(read_to_end(sock).rpartition(b"\r\n")[2])
                    session = sock.session
            assert resumed == [False] + [True] * (len(resumed) - 1)


def test_a_killed_worker_is_replaced() -> None:
    """The others serve meanwhile, one line says it, and a new one is there soon.

    That the first death is made good without delay is what `Restarts` is tested for, below.
    """
    with running(workers=2) as one:
        assert all_serve(one, 2)
        before = one.workers()
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        assert one.ask() in before - {victim} | one.workers()
        assert wait_until(lambda: len(one.workers() - {victim}) == 2)
        assert all_serve(one, 2)
        assert one.workers() != before
        one.tell(signal.SIGTERM)
        status, errors = one.end()
        assert status == 0
        assert errors.count("has ended by SIGKILL") == 1


def test_workers_that_die_at_once_end_the_service() -> None:
    """After ten quick deaths, with delays that grow, the service gives up and says so."""
    with running(workers=2, dies=True) as one:
        status, errors = one.end()
        assert status == 1
        assert "workers die as soon as they are started" in errors
        assert errors.count("has ended with status 7") >= 10


def test_where_no_descriptors_are_left_the_old_workers_serve_on() -> None:
    """New ones that cannot be started are missed, until there are descriptors again."""
    import resource  # which Windows does not have

    with running(workers=2) as one:
        assert all_serve(one, 2)
        before = one.workers()
        limits = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        one.tell(signal.SIGHUP)
        assert one.wait_for_line("no worker can be started: [Errno 24] Too many open files")
        assert one.ask() in before
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, limits)
        assert wait_until(lambda: not one.workers() & before, timeout=30 * UNIT)
        assert one.ask() in one.workers()
        one.tell(signal.SIGTERM)
        assert one.end()[0] == 0


def test_forks_that_fail_together_do_not_end_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is tried when the delay after the one before is over, however many are wanted."""
    tried: list[int] = []

    def fork() -> int:
        tried.append(len(tried))
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", fork)
    own = certs.self_signed("localhost")
    server = TLSHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, certificate=own)
    master = Master(server, 64, None, Notifier({}))
    with contextlib.closing(master), server:
        master._keep_up()
        assert 1 <= len(tried) < 10
        assert not master._restarts.is_hopeless


@pytest.mark.parametrize("drain_seconds", [0.0, 30.0, None])
def test_impatience_gives_a_worker_no_more_time(drain_seconds: float | None) -> None:
    """However often it is told to leave, the time counts from the first; draining takes no less."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = _Worker(0, ours, 0)
        worker.tell(DRAIN, drain_seconds)
        times = [worker.leaves_by or 0.0]
        for _ in range(5):
            worker.tell(AT_ONCE, 2.0)
            times.append(worker.leaves_by or 0.0)
        assert theirs.recv(10) == DRAIN + 5 * AT_ONCE
    drained, hurried, *later = times
    assert drained >= hurried > 0
    assert later == [hurried] * 4


def test_what_is_printed_before_a_fork_is_not_left_to_each_child(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither stream has anything left that a child would write once more."""
    left: list[str] = []

    def fork() -> int:
        left.append(paths[0].read_text() + paths[1].read_text())
        raise BlockingIOError("no more processes")

    paths = tmp_path / "out", tmp_path / "err"
    own = certs.self_signed("localhost")
    server = TLSHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, certificate=own)
    with paths[0].open("w") as out, paths[1].open("w") as err, monkeypatch.context() as patch:
        for name, value in (("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, value)
        patch.setattr(os, "fork", fork)
        master = Master(server, 1, None, Notifier({}))
        with contextlib.closing(master), server:
            out.write("said, ")
            err.write("complained")
            master._keep_up()
    assert left == ["said, complained"]


def test_workers_leave_when_their_parent_is_killed() -> None:
    """Whoever kills the parent leaves no workers behind."""
    with running(workers=2) as one:
        assert all_serve(one, 2)
        workers = one.workers()
        one.tell(signal.SIGKILL)
        assert wait_until(lambda: all(map(has_ended, workers)), timeout=30 * UNIT)


@pytest.mark.parametrize("workers", NUMBERS)
def test_sigusr2_replaces_the_program_without_a_refused_connection(workers: int) -> None:
    """Clients that ask all the time, on new connections, notice nothing; the old process ends."""
    with running(workers=workers) as one, ThreadPoolExecutor(4) as pool:
        one.ask()
        over = threading.Event()
        answered: set[int] = set()
        asking = [pool.submit(_keep_asking, one, over, answered) for _ in range(4)]
        try:
            old = one.process.pid
            assert wait_until(lambda: bool(answered))
            one.tell(signal.SIGUSR2)
            one.pid, _ = one.next_start()
            assert wait_until(lambda: has_ended(old))
            new = one.workers() if workers > 1 else {one.pid}
            assert wait_until(lambda: bool(answered & new))
        finally:
            over.set()
        for future in asking:
            future.result(timeout=30 * UNIT)
        assert answered - new
        assert one.ask() in new
        os.kill(one.pid, signal.SIGTERM)
        assert wait_until(lambda: has_ended(one.pid), timeout=30 * UNIT)
        assert one.process.wait() == 0


def _keep_asking(one: Service, over: threading.Event, answered: set[int]) -> None:
    while not over.is_set():
        answered.add(one.ask())


def test_a_replacement_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A program that does not start again leaves the old process serving, with a line."""
    path = tmp_path / "both.pem"
    certs.self_signed("localhost").write(path)
    with running(certfile=str(path)) as one:
        one.ask()
        path.unlink()
        one.tell(signal.SIGUSR2)
        assert one.wait_for_line("has not become ready: this one goes on")
        assert one.ask() == one.pid
        one.tell(signal.SIGTERM)
        assert one.end()[0] == 0


def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers out of range, a platform without fork(), another thread: one ConfigurationError."""

    def never() -> TLSHTTPServer:
        raise AssertionError("a server was made")

    with pytest.raises(ConfigurationError) as caught:
        service.run(never, workers=0, drain_timeout=-1)
    assert len(caught.value.findings) == 2
    for absurd in (1025, 10**6, 10**30):
        with pytest.raises(ConfigurationError, match="from 1 to 1024"):
            service.run(never, workers=absurd)
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ConfigurationError, match=r"fork\(\)"):
        service.run(never, workers=2)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigurationError, match="main thread"):
        pool.submit(service.run, never).result()


def test_restarts_are_delayed_only_when_they_follow_quickly() -> None:
    """The first is at once; delays double up to five seconds; one long life makes good."""
    restarts = Restarts()
    delays = []
    for _ in range(9):
        restarts.died(0.1, 100.0)
        delays.append(round(max(0.0, restarts.not_before - 100.0), 3))
    assert delays == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert not restarts.is_hopeless
    restarts.died(60.0, 200.0)
    restarts.died(0.1, 200.0)
    assert not restarts.is_hopeless
    assert restarts.not_before < 200.0


def test_quick_deaths_of_long_ago_are_no_row() -> None:
    """Nine in a minute and one much later end nothing; nine and one right after them do."""
    for pause, is_hopeless in ((10.0, True), (59.0, True), (60.0, False), (1e6, False)):
        restarts = Restarts()
        for _ in range(9):
            restarts.died(0.1, 100.0)
        restarts.died(0.1, 100.0 + pause)
        assert restarts.is_hopeless == is_hopeless, pause


def test_without_room_for_more_those_that_serve_go_on() -> None:
    """Forks that fail end a service only where nobody serves; with others they are tried again."""
    for serve in (True, False):
        restarts = Restarts()
        for number in range(30):
            restarts.could_not_start(100.0 + 5 * number, others_serve=serve)
        assert restarts.is_hopeless == (not serve)
        assert restarts.not_before == 245.0 + (1.0 if serve else 5.0)
