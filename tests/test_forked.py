"""What a forked child begins anew: it has no thread of its parent's, and none of their locks."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import ssl
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import client_context, shake_hands
from tests.engines import CREATE, NEEDS_GROUPS
from tests.must_staple import must_staple
from tests.revocation_lists import make_list
from tests.support import UNIT, wait_until
from tlshttp import certs
from tlshttp._budget import Budget
from tlshttp._engines import chain_ends
from tlshttp._engines.chain_ends import ChainEnds
from tlshttp._engines.moments import refused_from
from tlshttp._machinery.counters import Counters
from tlshttp._machinery.registry import Phase, Registry
from tlshttp._machinery.report import ThrottledLog
from tlshttp._own_files import OwnFiles
from tlshttp.certs import _looking, _reading, _reloading
from tlshttp.certs._reloading import IN_A_LOOK
from tlshttp.certs._revocation import Ledger
from tlshttp.context import ClientAuth
from tlshttp.errors import TLSHTTPError
from tlshttp.pyopenssl._staples import Staples

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()")

BOTH = pytest.mark.parametrize("engine", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS)])


def is_so_in_a_child(what: Callable[[], bool]) -> bool:
    """Return what a function tells in a forked child, that nothing else runs in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        pid = os.fork()
    if pid == 0:
        status = 1
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(50 * UNIT))  # it waits for a lock
        try:
            status = 0 if what() else 1
        except BaseException:  # noqa: BLE001  # whatever it is, the process ends
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture(scope="module")
def authority() -> certs.CertificateAuthority:
    """Return an authority."""
    return certs.CertificateAuthority.generate("forks")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Return what is set while the file system answers."""
    found = threading.Event()
    found.set()
    read = _reading._read_now

    def wait_and_read(path: str, limit: int) -> bytes:
        found.wait(60 * UNIT)
        return read(path, limit)

    monkeypatch.setattr(_reading, "_read_now", wait_and_read)
    yield found
    found.set()


@pytest.mark.parametrize("kind", ["certificate", "list"])
def test_a_look_that_goes_on_is_begun_anew(
    kind: str, tmp_path: Path, authority: certs.CertificateAuthority, answers: threading.Event
) -> None:
    """A stall of the file system during a fork keeps no child from looking afterwards."""
    path = tmp_path / "file.pem"
    store: Any

    def write() -> Any:
        """Write a new one; return it."""
        if kind == "certificate":
            certificate = authority.issue_server("localhost")
            certificate.write(path)
            return certificate
        crl = authority.crl()
        path.write_bytes(crl.public_bytes(Encoding.PEM))
        return (crl,)

    write()
    store = (certs.CertificateStore if kind == "certificate" else certs.CRLStore)(path)
    answers.clear()
    newer = write()
    assert not store.poll(1e9)
    assert store._pending is not None

    def takes_it() -> bool:
        answers.set()
        return wait_until(lambda: store.poll(2e9) or store.current == newer)

    assert is_so_in_a_child(takes_it)
    answers.set()
    assert wait_until(lambda: store.poll(2e9) or store.current == newer)


@BOTH
def test_no_lock_of_another_thread_s_is_left(
    engine: str, tmp_path: Path, authority: certs.CertificateAuthority
) -> None:
    """What a thread of the parent's was at, a child does itself: it shows what is new."""
    path = tmp_path / "both.pem"
    authority.issue_server("localhost").write(path)
    store = certs.CertificateStore(path)
    made = CREATE[engine](store)
    newer = authority.issue_server("localhost")
    newer.write(path)

    def shows_it() -> bool:
        def look() -> bool:
            made.maintain(1e9)
            return bool(made.certificates_in_use()[0].fingerprint == newer.fingerprint())

        return wait_until(look)

    with made._lock, store._lock, made._chain_ends._lock:
        assert is_so_in_a_child(shows_it)


class _TakenUnawares:
    """A lock as it is when a thread has waited for it, and has not got round to saying so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def acquire(self, blocking: bool = True) -> bool:
        """Take it."""
        return self._lock.acquire(blocking)

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    def locked(self) -> bool:
        """Say that nobody has it."""
        return False


class _Admitted:
    """A client with a certificate and a session, both of which may be revoked."""

    def __init__(self, engine: str, authority: certs.CertificateAuthority) -> None:
        self._authority = authority
        self._certificate = authority.issue_client("alice@example.org")
        self._lists = certs.CRLStore.from_crl(make_list(authority, hours=-3))
        self.context: Any = CREATE[engine](
            authority.issue_server("localhost"), crls=[self._lists],
            client_auth=ClientAuth.REQUIRED, client_cas=[authority.certificate.leaf],
        )  # fmt: skip
        self.own = client_context(authority, self._certificate)
        self.session = shake_hands(self.context, self.own).client.session

    def revoke(self) -> None:
        """Have her stand in a newer list."""
        serial = self._certificate.leaf.serial_number
        self._lists.replace(make_list(self._authority, serial, hours=-2))

    def is_refused(self) -> bool:
        """Assert it, with her session and without; return true."""
        for offered in (self.session, None):
            with pytest.raises((ssl.SSLError, TLSHTTPError), match="certificate revoked"):
                shake_hands(self.context, self.own, session=offered)
        return True


@BOTH
def test_a_lock_is_not_believed_to_be_free(
    engine: str, authority: certs.CertificateAuthority
) -> None:
    """A child refuses who is revoked, though a thread of its parent's had just got the lock."""
    alice = _Admitted(engine, authority)
    alice.context._lock = _TakenUnawares()

    def refuses_her() -> bool:
        alice.revoke()
        return alice.is_refused()

    assert is_so_in_a_child(refuses_her)
    assert shake_hands(alice.context, alice.own, session=alice.session).client.session_reused


@BOTH
def test_sessions_of_the_parent_s_go_on(engine: str, authority: certs.CertificateAuthority) -> None:
    """Where nothing was under way, a fork ends no session."""
    made = CREATE[engine](authority.issue_server("localhost"))
    made.prepare_to_fork()
    client = client_context(authority)
    session = shake_hands(made, client).client.session
    assert is_so_in_a_child(
        lambda: bool(shake_hands(made, client, session=session).client.session_reused)
    )


@contextlib.contextmanager
def stopped(patch: pytest.MonkeyPatch, owner: Any, name: str) -> Iterator[Callable[..., None]]:
    """Yield what calls a function in a thread, and waits until that has come to another one.

    There it stays, in this process, until the end of the block; the other one is called then.
    """
    parent, there, may_go = os.getpid(), threading.Event(), threading.Event()
    original = getattr(owner, name)
    threads: list[threading.Thread] = []

    def stop(*arguments: Any, **named: Any) -> Any:
        if os.getpid() == parent and threading.current_thread() in threads:
            there.set()
            may_go.wait(60 * UNIT)
        return original(*arguments, **named)

    def begin(what: Callable[..., object], *arguments: Any) -> None:
        threads.append(threading.Thread(target=what, args=arguments))
        threads[0].start()
        assert there.wait(60 * UNIT)

    patch.setattr(owner, name, stop)
    try:
        yield begin
    finally:
        may_go.set()
        threads[0].join(60 * UNIT)


@pytest.mark.parametrize("change", ["file", "replace"])
def test_a_store_looks_anew_at_what_was_being_taken(
    change: str,
    tmp_path: Path,
    authority: certs.CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though the look has been noted down already, and the next one is not due for an hour."""
    monkeypatch.setattr(_looking, "PATIENCE", 60 * UNIT)
    path = tmp_path / "both.pem"
    authority.issue_server("localhost").write(path)
    store = certs.CertificateStore(path, poll_interval=3600)
    newer = authority.issue_server("localhost")
    newer.write(path)
    now = time.monotonic() + 3601

    def takes_it() -> bool:
        return store.poll(now) and store.current == newer

    with stopped(monkeypatch, certs.CertificateStore, "_take") as begin:
        if change == "file":
            begin(store.poll, now)
        else:
            begin(store.replace, newer)
        assert is_so_in_a_child(takes_it)


def test_an_end_that_was_being_noted_down_comes(
    authority: certs.CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When to ask for it is known in a child, though the thread had not come to that."""
    ends = ChainEnds()
    leaf = authority.certificate.leaf
    chain = [leaf.public_bytes(Encoding.DER)] * 2
    with stopped(monkeypatch, chain_ends, "_now") as begin:
        begin(ends.note, chain)
        left = refused_from(leaf.not_valid_after_utc) - time.time()
        assert is_so_in_a_child(lambda: ends.due - time.monotonic() <= left)


@BOTH
def test_what_a_failed_reload_has_not_done_is_done_at_the_next_look(
    engine: str, authority: certs.CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a look fails: what is revoked is not forgotten."""
    alice = _Admitted(engine, authority)
    alice.revoke()
    with monkeypatch.context() as patch:
        patch.setattr(alice.context, "_create_inner", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            alice.context.reload()
    assert alice.is_refused()


def test_no_response_is_waited_for_that_a_parent_gets(
    authority: certs.CertificateAuthority,
) -> None:
    """A child asks itself, for a certificate that is not shown yet and for one that is."""
    parent, asks = os.getpid(), threading.Event()

    def answer(wanted: certs.Certificate) -> bytes:
        if os.getpid() == parent:
            asks.wait(60 * UNIT)
        return authority.ocsp_response(wanted).public_bytes(Encoding.DER)

    staples = Staples(answer)
    shown, new = authority.issue_server("localhost"), must_staple(authority)
    staples.refresh([shown], 0.0)
    token = IN_A_LOOK.set(True)
    try:
        assert staples.require(new) is not None

        def has_them() -> bool:
            staples.refresh([shown], 1.0)
            leaf = shown.leaf.public_bytes(Encoding.DER)
            return wait_until(
                lambda: staples.require(new) is None and staples.find(leaf) is not None
            )

        with staples._lock:
            assert is_so_in_a_child(has_them)
    finally:
        IN_A_LOOK.reset(token)
        asks.set()
        staples.join(30 * UNIT)
        assert wait_until(lambda: staples.require(new) is None)


def test_other_locks_are_free_too(tmp_path: Path) -> None:
    """Those of the files that are never served, and of an authority's revocations."""
    files, ledger = OwnFiles(), Ledger()
    with files._lock, ledger._lock:
        assert is_so_in_a_child(lambda: files.add(tmp_path) is None and ledger.find(7) is None)  # type: ignore[func-returns-value]


def test_a_child_waits_for_nobody_who_counts(caplog: pytest.LogCaptureFixture) -> None:
    """As one of `socketserver.ForkingMixIn` does while a thread of the parent's asks for stats."""
    counters, registry, budget = Counters(), Registry(), Budget(10, 10)
    log = ThrottledLog(logging.getLogger("tlshttp.connection"))
    locks = counters._lock, counters.handler_latency._lock, registry._lock, budget._lock, log._lock
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as all_of_them:
            for lock in locks:
                all_of_them.enter_context(lock)
            held.set()
            over.wait(60 * UNIT)

    def counts() -> bool:
        counters.add("requests")
        log.log(logging.WARNING, "cut")
        budget.take_disk(5)
        assert budget.await_disk(5, 0.0)
        assert not budget.await_disk(6, 0.0)
        assert budget.take_memory(10)
        assert not sum(counters.latencies().handler.counts)
        return counters.snapshot(registry.count(), (), 0).requests == 1 and "cut" in caplog.text

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60 * UNIT)
    try:
        assert is_so_in_a_child(counts)
    finally:
        over.set()
        thread.join(60 * UNIT)


def go_on_in_a_child() -> None:
    """Fork as a signal's handler may, in the middle of whatever it interrupts: the child goes on.

    This process waits for it, and ends likewise.
    """
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    signal.alarm(int(10 * UNIT))


@BOTH
@pytest.mark.parametrize("interrupted", ["the wait for a file", "the taking", "the context"])
def test_a_fork_in_the_middle_of_a_look_ends_no_looking(
    interrupted: str,
    engine: str,
    tmp_path: Path,
    authority: certs.CertificateAuthority,
    answers: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child's look raises nothing, and what is revoked afterwards is refused there."""
    alice = authority.issue_client("alice@example.org")
    path = tmp_path / "ca.crl"
    path.write_bytes(make_list(authority, hours=-3).public_bytes(Encoding.PEM))
    store = certs.CRLStore(path)
    made = CREATE[engine](
        authority.issue_server("localhost"),
        client_auth=ClientAuth.REQUIRED, client_cas=[authority.certificate.leaf], crls=[store],
    )  # fmt: skip
    places: dict[str, tuple[Any, str]] = {
        "the wait for a file": (_reloading, "Look"),
        "the taking": (store, "_take"),
        "the context": (made, "_look"),
    }
    owner, name = places[interrupted]
    original = getattr(owner, name)
    times = itertools.count(1e9, 1e3)  # each look is due
    been_there = False

    def interrupt(*arguments: Any) -> Any:
        nonlocal been_there
        found = original(*arguments)
        monkeypatch.setattr(owner, name, original)
        go_on_in_a_child()
        been_there = True
        return found

    def looks_until(it_is_so: Callable[[], bool]) -> bool:
        def look() -> bool:
            made.maintain(next(times))
            return it_is_so()

        return wait_until(look)

    def refuses_her() -> bool:
        monkeypatch.setattr(owner, name, interrupt)
        path.write_bytes(make_list(authority, hours=-2).public_bytes(Encoding.PEM))
        if name == "Look":
            answers.clear()  # it goes on for as long as anybody waits for it
        assert looks_until(lambda: been_there)
        answers.set()
        new = make_list(authority, alice.leaf.serial_number, hours=-1)
        path.write_bytes(new.public_bytes(Encoding.PEM))
        assert looks_until(lambda: store.current == (new,))
        with pytest.raises((ssl.SSLError, TLSHTTPError), match="certificate revoked"):
            shake_hands(made, client_context(authority, alice))
        return True

    assert is_so_in_a_child(refuses_her)


def test_a_fork_in_the_middle_of_a_count_or_a_staple_raises_nothing(
    authority: certs.CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock that is given back is the one that was taken."""

    class Interrupted(SimpleNamespace):
        @property
        def phase(self) -> Phase:
            go_on_in_a_child()
            return Phase.CLOSED

    def moves() -> bool:
        registry: Any = Registry()
        return registry.move(Interrupted(), Phase.IDLE, 0.0) is None

    def asks() -> bool:
        staples = Staples(lambda _: None)
        monkeypatch.setattr(staples, "_forget", lambda _: go_on_in_a_child())
        staples.refresh([authority.issue_server("localhost")], 0.0)
        staples.join(5 * UNIT)
        return True

    assert is_so_in_a_child(moves)
    assert is_so_in_a_child(asks)
