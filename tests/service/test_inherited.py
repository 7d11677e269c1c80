"""Sockets and readiness pass between systemd and a service by its protocols alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machinery.peers import client_context, read_to_end, request
from tests.service.program import Service, running
from tests.support import UNIT, free_port, wait_until
from tlshttp import service
from tlshttp.errors import ConfigurationError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd's protocols are of Unix")

_LISTS = """
import os, sys
from tlshttp import service
sockets = service.inherited_sockets()
print([(one.name, one.fileno(), one.get_inheritable()) for one in sockets], len(os.environ.keys() &
      {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}), len(service.inherited_sockets()))
"""

_AS_SYSTEMD = """\
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
high = [os.dup2(int(fd), 100 + number) for number, fd in enumerate(sys.argv[1].split(","))]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@contextlib.contextmanager
def three_sockets() -> Iterator[list[int]]:
    """Give descriptors of sockets."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        yield [one.fileno(), two.fileno(), three.fileno()]


def listed(fds: list[int], **environ: str) -> subprocess.CompletedProcess[str]:
    """Have a program, started as systemd does, say what it was given; with these descriptors."""
    return subprocess.run(
        [sys.executable, "-c", _AS_SYSTEMD, ",".join(map(str, fds)), "-c", _LISTS],
        pass_fds=fds,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120 * UNIT,
        check=False,
    )


def test_sockets_come_with_their_names_and_are_taken_once() -> None:
    """They are there in order, no child inherits them, and the variables are gone."""
    with three_sockets() as fds:
        done = listed(fds[:2], LISTEN_FDS="2", LISTEN_FDNAMES="https:health")
    expected = "[('https', 3, False), ('health', 4, False)] 0 0"
    assert done.stdout.strip() == expected, done.stderr


def test_without_names_they_are_unknown() -> None:
    """Old managers give no names."""
    with three_sockets() as fds:
        done = listed(fds[:1], LISTEN_FDS="1")
    assert done.stdout.strip() == "[('unknown', 3, False)] 0 0", done.stderr


def test_what_is_no_socket_is_named() -> None:
    """A descriptor that is a file's is a ConfigurationError with its number."""
    with open(os.devnull) as file:  # noqa: PTH123
        done = listed([file.fileno()], LISTEN_FDS="1")
    assert "the inherited descriptor 3 is no socket" in done.stderr


def test_sockets_of_another_process_are_left_alone() -> None:
    """What our parent was given is not ours, and stays in the environment."""
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getppid())}
    assert service.inherited_sockets(environ) == []
    assert len(environ) == 2
    assert service.inherited_sockets({}) == []


def test_odd_variables_are_named() -> None:
    """Both are named that are no numbers; absurd ones, too."""
    with pytest.raises(ConfigurationError) as caught:
        service.inherited_sockets({"LISTEN_FDS": "many", "LISTEN_PID": "-1"})
    assert len(caught.value.findings) == 2
    for environ in (
        {"LISTEN_FDS": "1", "LISTEN_PID": "9" * 5000},
        {"LISTEN_FDS": "9" * 5000, "LISTEN_PID": str(os.getpid())},
    ):
        with pytest.raises(ConfigurationError, match="is no number") as caught:
            service.inherited_sockets(environ)
        assert len(str(caught.value)) < 100
    with pytest.raises(ConfigurationError, match="more than 1024"):
        service.inherited_sockets({"LISTEN_FDS": "99999", "LISTEN_PID": str(os.getpid())})


# The notify socket ------------------------------------------------------------------------------


class Manager:
    """A service manager that only listens.

    Args:
        address: Where.
    """

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(30 * UNIT)
        self.socket.bind(address)
        self.name = address.replace("\0", "@")

    def next(self) -> dict[str, str]:
        """Return the next message."""
        text = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))

    def next_of(self, kind: str) -> dict[str, str]:
        """Return the next message that has this assignment."""
        while kind not in (message := self.next()):
            pass
        return message


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Return a manager with a socket of either kind."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    address = str(tmp_path / "n") if request.param == "path" else f"\0tlshttp-test-{os.getpid()}"
    one = Manager(address)
    try:
        yield one
    finally:
        one.socket.close()


def test_each_state_is_one_message(manager: Manager) -> None:
    """Ready, reloading with its time, stopping, and a status that cannot add assignments."""
    notifier = service.Notifier({"NOTIFY_SOCKET": manager.name})
    assert notifier.is_heard
    notifier.ready("serving")
    assert manager.next() == {"READY": "1", "STATUS": "serving"}
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    message = manager.next()
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    notifier.stopping()
    assert manager.next() == {"STOPPING": "1"}
    notifier.status("one\nMAINPID=1")
    assert manager.next() == {"STATUS": "one MAINPID=1"}
    notifier.main_process(17)
    assert manager.next() == {"MAINPID": "17"}
    notifier.extend_timeout(1.5)
    assert manager.next() == {"EXTEND_TIMEOUT_USEC": "1500000"}


def test_signs_of_life_come_twice_as_often_as_wanted(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks all the time gives one sign in half the watchdog's time, and no more."""
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"}
    notifier = service.Notifier({**environ, "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_seconds == 0.2
    for milliseconds in range(0, 350, 5):
        now = 1000.0 + milliseconds / 1000
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        notifier.sign_of_life()
    monkeypatch.undo()
    manager.socket.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while manager.next():
            count += 1
    assert count == 4
    assert service.Notifier({**environ, "WATCHDOG_PID": "1"}).watchdog_seconds is None
    assert service.Notifier({**environ, "WATCHDOG_USEC": "x"}).watchdog_seconds is None


def test_nobody_listening_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a manager nothing is sent; one that is gone, or odd, is a line in the log."""
    silent = service.Notifier({})
    silent.ready()
    silent.sign_of_life()
    assert not silent.is_heard
    assert not caplog.records
    service.Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert not service.Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).is_heard
    assert len(caplog.records) == 2


ODD_NAMES = ["/gone", "@gone", "@\udcff", "/\udcff", "/a\0b", "@" + "x" * 300, "@"]
ODD_NUMBERS = ["0", "-1", "1", str(2**64), "9" * 4000, "9" * 9000, "ten"]


def test_odd_variables_of_a_manager_are_no_error() -> None:
    """Whatever they hold, a service that tells how it is goes on."""
    for name, number in itertools.product(ODD_NAMES, ODD_NUMBERS):
        notifier = service.Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": number})
        notifier.ready("a\0b\ud800")
        notifier.sign_of_life()
        notifier.extend_timeout(float("inf"))
        assert notifier.watchdog_seconds == (1e-6 if number == "1" and name != "@" else None)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_a_name_that_is_not_utf_8_is_heard() -> None:
    """The bytes are those of the variable; no number is larger than the manager can count."""
    raw = b"\0tlshttp-\xff-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30 * UNIT)
        manager.bind(raw)
        service.Notifier({"NOTIFY_SOCKET": "@" + os.fsdecode(raw[1:])}).extend_timeout(float("inf"))
        assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=18446744073709551615"


# Services ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_tells_its_manager_how_it_is(tmp_path: Path, workers: int) -> None:
    """Ready comes after listening, reloading and ready for SIGHUP, stopping for SIGTERM."""
    manager = Manager(str(tmp_path / "n"))
    try:
        environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"}
        with running(environ=environ, workers=workers) as one:
            message = manager.next_of("READY")
            assert str(one.port) in message["STATUS"]
            assert one.ask() in (one.pid, *one.workers())
            assert manager.next_of("WATCHDOG")
            one.tell(signal.SIGHUP)
            assert manager.next_of("RELOADING")
            assert manager.next_of("READY")
            one.tell(signal.SIGTERM)
            assert manager.next_of("STOPPING")
            assert one.end()[0] == 0
    finally:
        manager.socket.close()


def test_a_replaced_service_names_its_main_process(tmp_path: Path) -> None:
    """After SIGUSR2 the old process says who the service is now, and not that it stops."""
    manager = Manager(str(tmp_path / "n"))
    try:
        with running(environ={"NOTIFY_SOCKET": manager.name}) as one:
            manager.next_of("READY")
            one.tell(signal.SIGUSR2)
            one.pid, _ = one.next_start()
            assert manager.next_of("MAINPID")["MAINPID"] == str(one.pid)
            assert one.process.wait(30 * UNIT) == 0
            one.tell(signal.SIGTERM)
            assert manager.next_of("STOPPING")
    finally:
        manager.socket.close()


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing"
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_activated_by_a_socket_serves_the_first_request(workers: int) -> None:
    """The first connection starts the service, and it is answered."""
    port = free_port()
    # The service begins when somebody connects, so somebody must while its handle is made.
    answers: list[bytes] = []
    stopped = threading.Event()

    def client() -> None:
        while not answers and not stopped.is_set():
            with contextlib.suppress(ConnectionRefusedError):  # not yet listening
                plain = socket.create_connection(("127.0.0.1", port), 30 * UNIT)
                with plain, client_context().wrap_socket(plain) as sock:
                    sock.sendall(request(close=True))
                    answers.append(read_to_end(sock))

    thread = threading.Thread(target=client)
    thread.start()
    try:
        prefix = ("systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=https")
        with running(*prefix, workers=workers) as one:
            assert one.port == port
            assert wait_until(lambda: bool(answers), timeout=30 * UNIT)
            _assert_drains(one)
    finally:
        stopped.set()
        thread.join()
    assert answers[0].startswith(b"HTTP/1.1 200 ")


def _assert_drains(one: Service) -> None:
    one.tell(signal.SIGTERM)
    assert one.end()[0] == 0
