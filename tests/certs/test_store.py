from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tlshttp import certs
from tlshttp.certs import _reading
from tlshttp.errors import CertificateError, ConfigurationError


class Clock:
    """The time of a test; each look is one polling interval after the one before."""

    def __init__(self, store: certs.CertificateStore) -> None:
        self.store = store
        self.times = itertools.count(1e9, store.poll_interval)

    def look(self) -> bool:
        """Let the store look once more."""
        return self.store.poll(next(self.times))


@pytest.fixture
def folder(tmp_path: Path, certificate: certs.Certificate) -> Path:
    """Return a folder with the first pair."""
    write_pair(tmp_path, certificate)
    return tmp_path


@pytest.fixture
def store(folder: Path, certificate: certs.Certificate) -> certs.CertificateStore:
    """Return a store that has loaded the first pair."""
    made = certs.CertificateStore(folder / "cert.pem", folder / "key.pem")
    assert made.current == certificate
    return made


def write_pair(folder: Path, certificate: certs.Certificate) -> None:
    """Replace both files with two renames."""
    certificate.write(folder / "cert.pem", folder / "key.pem")


def write_in_place(folder: Path, certificate: certs.Certificate) -> None:
    """Overwrite both files, which keep their inodes."""
    (folder / "cert.pem").write_bytes(certificate.to_pem())
    (folder / "key.pem").write_bytes(certificate.key_to_pem())


def write_with_old_times(folder: Path, certificate: certs.Certificate) -> None:
    """Replace both files by others with the times that the old ones had."""
    for name, content in (
        ("cert.pem", certificate.to_pem()),
        ("key.pem", certificate.key_to_pem()),
    ):
        times = (folder / name).stat()
        (folder / "new").write_bytes(content)
        (folder / "new").chmod(0o600)
        os.utime(folder / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
        (folder / "new").replace(folder / name)


def garbage_first(folder: Path, certificate: certs.Certificate) -> None:
    """Write nonsense, and only at the second call the pair."""
    nonsense = (folder / "cert.pem").read_bytes() != b"nonsense"
    if nonsense:
        (folder / "cert.pem").write_bytes(b"nonsense")
    else:
        write_in_place(folder, certificate)


def mismatch_first(folder: Path, certificate: certs.Certificate) -> None:
    """Write the certificate, and only at the second call its key."""
    if (folder / "cert.pem").read_bytes() == certificate.to_pem():
        (folder / "key.pem").write_bytes(certificate.key_to_pem())
    else:
        (folder / "cert.pem").write_bytes(certificate.to_pem())


Change = Callable[[Path, certs.Certificate], None]


@pytest.mark.parametrize("change", [write_pair, write_in_place, write_with_old_times])
def test_new_pair_is_taken_at_the_next_look(
    store: certs.CertificateStore, folder: Path, change: Change
) -> None:
    """Twenty changes in a row, by rename or in place, are each seen at the next look."""
    clock = Clock(store)
    for _ in range(20):
        new = certs.self_signed("localhost")
        change(folder, new)
        assert clock.look()
        assert store.current == new
        assert not clock.look()


@pytest.mark.parametrize("change", [garbage_first, mismatch_first])
def test_old_one_stays_until_the_new_one_is_whole(
    store: certs.CertificateStore, folder: Path, change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of a change is looked at, not taken and not complained about; the whole is taken."""
    clock = Clock(store)
    for _ in range(20):
        old, new = store.current, certs.self_signed("localhost")
        change(folder, new)
        assert not clock.look()
        assert store.current == old
        change(folder, new)
        assert clock.look()
        assert store.current == new
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_kubernetes_swap_of_a_link(tmp_path: Path) -> None:
    """Certificates below ``..data``, a link that is swapped, are each seen at the next look."""
    first, *others = (certs.self_signed("localhost") for _ in range(21))

    def publish(certificate: certs.Certificate, number: int) -> None:
        version = tmp_path / f"..{number}"
        version.mkdir()
        write_pair(version, certificate)
        (tmp_path / "..data_tmp").symlink_to(version.name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        if number:
            shutil.rmtree(tmp_path / f"..{number - 1}")

    publish(first, 0)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(Path("..data", name))
    store = certs.CertificateStore(tmp_path / "cert.pem", tmp_path / "key.pem")
    clock = Clock(store)
    for number, certificate in enumerate(others, start=1):
        publish(certificate, number)
        assert clock.look()
        assert store.current == certificate


def test_what_is_wrong_is_said_once(
    store: certs.CertificateStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that stays is logged and called back at the second look, then no more."""
    clock, errors = Clock(store), list[CertificateError]()
    store.subscribe(lambda certificate: None, errors.append)
    (folder / "key.pem").write_bytes(certs.self_signed("other.test").key_to_pem())
    assert not clock.look()
    assert errors == []
    for _ in range(5):
        assert not clock.look()
    (error,) = errors
    assert store.last_error is error
    assert "does not belong" in str(error)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "keeping <Certificate 'localhost'" in record.getMessage()
    assert "PRIVATE" not in caplog.text


def test_other_errors_are_said_again(store: certs.CertificateStore, folder: Path) -> None:
    """A second, different error is said, and so is the first one after a success."""
    clock, errors = Clock(store), list[str]()
    store.subscribe(lambda certificate: None, lambda error: errors.append(str(error)))
    for _ in range(2):
        (folder / "cert.pem").write_bytes(b"nonsense")
        clock.look(), clock.look()
        (folder / "cert.pem").unlink()
        clock.look(), clock.look()
        assert "cannot read" in str(store.last_error)
        write_pair(folder, certs.self_signed("localhost"))
        assert clock.look()
        assert store.last_error is None
    assert ["no certificate" in text for text in errors] == [True, False, True, False]
    assert "cannot read" in errors[1]


def test_nothing_is_looked_at_before_the_interval_is_over(
    store: certs.CertificateStore, folder: Path
) -> None:
    """Until the interval is over, poll does not even see a change."""
    clock = Clock(store)
    clock.look()
    write_pair(folder, certs.self_signed("localhost"))
    start = next(clock.times)
    assert not store.poll(start - store.poll_interval + 1)
    assert not store.poll(start - 0.1)
    assert store.poll(start)


def test_files_at_rest_are_not_read_again(
    store: certs.CertificateStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the files are older than any time step, a look reads nothing."""
    past = 1_700_000_000
    monkeypatch.setattr("time.time_ns", lambda: 2**62)
    for name in ("cert.pem", "key.pem"):
        os.utime(folder / name, (past, past))
    clock = Clock(store)
    clock.look()
    asked: list[str] = []

    def read(path: str, limit: int) -> bytes:
        asked.append(path)
        return b""

    monkeypatch.setattr(_reading, "_read_now", read)
    assert not clock.look()
    assert asked == []


def test_same_content_is_no_change(
    store: certs.CertificateStore, folder: Path, certificate: certs.Certificate
) -> None:
    """Files written again with the same content replace nothing and call nobody."""
    changes: list[certs.Certificate] = []
    store.subscribe(changes.append)
    write_pair(folder, certificate)
    assert not Clock(store).look()
    assert changes == []


def test_subscribers(
    store: certs.CertificateStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Subscribers hear of each change until they leave; one that fails stops nobody."""
    clock, changes = Clock(store), list[certs.Certificate]()
    store.subscribe(lambda certificate: 1 / 0)
    leave = store.subscribe(changes.append)
    new = certs.self_signed("localhost")
    write_pair(folder, new)
    assert clock.look()
    assert changes == [new]
    assert "ZeroDivisionError" in caplog.text
    leave()
    write_pair(folder, certs.self_signed("localhost"))
    assert clock.look()
    assert changes == [new]


def test_reload_by_hand(store: certs.CertificateStore, folder: Path) -> None:
    """Reloading by hand takes the new pair at once, and raises what is wrong with it."""
    assert not store.reload()
    new = certs.self_signed("localhost")
    write_pair(folder, new)
    assert store.reload()
    assert store.current == new
    (folder / "cert.pem").write_bytes(b"nonsense")
    with pytest.raises(CertificateError, match="no certificate"):
        store.reload()
    assert store.current == new


def test_mistakes_show_at_the_start(tmp_path: Path, certificate: certs.Certificate) -> None:
    """A store cannot be made of files that do not work, or with a senseless interval."""
    with pytest.raises(CertificateError, match="cannot read"):
        certs.CertificateStore(tmp_path / "cert.pem")
    certificate.write(tmp_path / "both.pem")
    for interval in (0, -1, float("nan")):
        with pytest.raises(ConfigurationError, match="no interval"):
            certs.CertificateStore(tmp_path / "both.pem", poll_interval=interval)


def test_callable_source(certificate: certs.Certificate, caplog: pytest.LogCaptureFixture) -> None:
    """A function is asked once an interval; when it fails, the old certificate stays."""
    answers: list[certs.Certificate | Exception] = [certificate]

    def fetch() -> certs.Certificate:
        answer = answers.pop() if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    store = certs.CertificateStore.from_callable(fetch)
    clock = Clock(store)
    assert not clock.look()
    answers[0] = OSError("-----BEGIN PRIVATE KEY-----")
    assert not clock.look()
    assert not clock.look()
    assert store.current == certificate
    assert "failed (OSError)" in caplog.text
    assert "PRIVATE" not in caplog.text
    answers[0] = new = certs.self_signed("localhost")
    assert clock.look()
    assert store.current == new


def test_callable_that_fails_at_the_start() -> None:
    """What a source raises when the store is made comes out, and so does a wrong answer."""
    with pytest.raises(ZeroDivisionError):
        certs.CertificateStore.from_callable(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="must return a Certificate, not str"):
        certs.CertificateStore.from_callable(lambda: "x")  # type: ignore[arg-type,return-value]


def test_certificate_in_memory(certificate: certs.Certificate) -> None:
    """A store of a certificate never looks anywhere and changes when told to."""
    store = certs.CertificateStore.from_certificate(certificate)
    assert not store.poll()
    assert not store.reload()
    assert store.poll_interval == float("inf")
    changes: list[certs.Certificate] = []
    store.subscribe(changes.append)
    new = certs.self_signed("localhost")
    store.replace(new)
    assert store.current == new
    assert changes == [new]
    assert not store.reload()


def test_busy_store_keeps_nobody_waiting(certificate: certs.Certificate) -> None:
    """While one thread looks, another's poll returns at once with nothing new."""
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> certs.Certificate:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert go_on.wait(30)
        return certificate

    store = certs.CertificateStore.from_callable(slow)
    clock = Clock(store)
    thread = threading.Thread(target=clock.look)
    thread.start()
    try:
        assert inside.wait(30)
        assert not clock.look()
    finally:
        go_on.set()
        thread.join()


@pytest.fixture
def quiet_sighup() -> Iterator[list[int]]:
    """Note SIGHUPs instead of dying of them."""
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("no SIGHUP on this system")
    noted: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, frame: noted.append(number))
    yield noted
    signal.signal(signal.SIGHUP, previous)


def test_sighup_makes_the_next_poll_look(
    store: certs.CertificateStore, folder: Path, quiet_sighup: list[int]
) -> None:
    """After SIGHUP the next poll looks before its time, errors are said at once, others hear it."""
    clock, errors = Clock(store), list[CertificateError]()
    store.subscribe(lambda certificate: None, errors.append)
    undo = store.reload_on_sighup()
    now = next(clock.times)
    store.poll(now)
    new = certs.self_signed("localhost")
    write_pair(folder, new)
    assert not store.poll(now)
    signal.raise_signal(signal.SIGHUP)
    assert store.poll(now)
    assert store.current == new
    (folder / "cert.pem").write_bytes(b"nonsense")
    signal.raise_signal(signal.SIGHUP)
    assert not store.poll(now)
    assert len(errors) == 1
    undo()
    signal.raise_signal(signal.SIGHUP)
    assert len(quiet_sighup) == 3
    assert not store.poll(now)


def test_sighup_needs_the_main_thread(store: certs.CertificateStore) -> None:
    """In another thread, where Python allows no signal handlers, the error says so."""
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            store.reload_on_sighup()
        except ConfigurationError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in str(errors)


def test_store_does_nothing_by_itself(store: certs.CertificateStore, folder: Path) -> None:
    """A store starts no thread and shows in its repr no more than the certificate does."""
    before = set(threading.enumerate())
    made = certs.CertificateStore.from_certificate(store.current)
    again = certs.CertificateStore(folder / "cert.pem", folder / "key.pem")
    assert not set(threading.enumerate()) - before
    for one in (made, again, store):
        assert repr(one) == f"<CertificateStore {store.current!r}>"
