"""peers 13: whatever is put where a certificate, key or list was, nobody is kept waiting by it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import RecordingServer, client_context, running, visit
from tests.looks import PATIENCE
from tests.support import UNIT, wait_until
from tlshttp import certs, context
from tlshttp.certs import _looking, _reading
from tlshttp.errors import CertificateError, ConfigurationError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs and devices have paths on POSIX")

CERTIFICATE = certs.self_signed("localhost")
AUTHORITY = certs.CertificateAuthority.generate("clients")


def fifo(path: Path) -> None:
    """Put a FIFO there that nobody writes to."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """Put a folder there."""
    path.mkdir()


def device(path: Path) -> None:
    """Put a link there to a device that never ends."""
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    """Put a link there to a terminal that nobody types at."""
    _master, slave = os.openpty()
    path.symlink_to(os.ttyname(slave))


def unix_socket(path: Path) -> None:
    """Put a socket there."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


KINDS: dict[Callable[[Path], None], str] = {
    fifo: "it is a FIFO, not a file",
    folder: "is a folder",
    device: "it is a device, not a file",
    unix_socket: "cannot read",
}

LOADERS: dict[str, Callable[[Path, Path], object]] = {
    "certificate": lambda bad, good: certs.load(bad, good / "key.pem"),
    "key": lambda bad, good: certs.load(good / "cert.pem", bad),
    "both in one": lambda bad, good: certs.load(bad),
    "chain": lambda bad, good: certs.load_chain(bad),
    "anchors": lambda bad, good: certs.load_trust_anchors(bad),
    "PKCS#12": lambda bad, good: certs.load_pkcs12(bad),
    "store": lambda bad, good: certs.CertificateStore(bad, good / "key.pem"),
    "store of a key": lambda bad, good: certs.CertificateStore(good / "cert.pem", bad),
    "list": lambda bad, good: certs.CRLStore(bad),
    "authority": lambda bad, good: certs.CertificateAuthority.load(bad, good / "key.pem"),
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a certificate, its key and a revocation list."""
    CERTIFICATE.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "a.crl").write_bytes(AUTHORITY.crl().public_bytes(Encoding.PEM))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", LOADERS)
def test_peers_13_no_file_is_an_error_at_once(
    files: Path, kind: Callable[[Path], None], what: str
) -> None:
    """At start-up it is named, and nobody waits for a writer or an end."""
    kind(files / "bad")
    with pytest.raises(ConfigurationError, match=KINDS[kind]):
        LOADERS[what](files / "bad", files)  # else it would wait for ever


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "a.crl"])
def test_peers_13_no_file_stops_no_server(
    files: Path, kind: Callable[[Path], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one is kept, one line says why, and the file is taken again once it is back."""
    store = certs.CertificateStore(files / "cert.pem", files / "key.pem", poll_interval=0.01)
    lists = certs.CRLStore(files / "a.crl", poll_interval=0.01)
    watched = lists if name == "a.crl" else store
    made = context.create_server_context(
        store,
        client_auth=context.ClientAuth.OPTIONAL,
        client_cas=[AUTHORITY.certificate.leaf],
        crls=[lists],
    )
    client = client_context(CERTIFICATE)
    with running(RecordingServer(made)) as server:
        assert visit(server, client, "localhost").status == 200
        with watched._lock:  # a look in between would find nothing there
            (files / name).rename(files / "away")
            kind(files / name)
        assert wait_until(lambda: watched.last_error is not None)
        assert KINDS[kind] in str(watched.last_error)
        for _ in range(3):
            assert visit(server, client, "localhost").status == 200
        (files / "away").replace(files / name) if kind is not folder else swap(files, name)
        assert wait_until(lambda: watched.last_error is None)
        assert visit(server, client, "localhost").status == 200
    assert sum(KINDS[kind] in one.getMessage() for one in caplog.records) == 1


def swap(files: Path, name: str) -> None:
    """Put a file back where a folder is."""
    (files / name).rmdir()
    (files / "away").rename(files / name)


class Mount:
    """A file system that stops answering."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0
        read = _reading._read_now

        def wait_and_read(path: str, limit: int) -> bytes:
            self.asked += not self.answers.is_set()
            self.answers.wait()  # whoever waits for it waits for ever
            return read(path, limit)

        monkeypatch.setattr(_reading, "_read_now", wait_and_read)
        monkeypatch.setattr(_looking, "PATIENCE", PATIENCE)


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    """Return a mount that answers again at the end, such that no thread is left."""
    found = Mount(monkeypatch)
    yield found
    found.answers.set()


def test_peers_13_stalled_mount_stops_nobody(
    files: Path, mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    """While it does not answer everybody is served, one line says so, and later it is read."""
    store = certs.CertificateStore(files / "cert.pem", files / "key.pem", poll_interval=0.01)
    newer = certs.self_signed("localhost")
    client = client_context(CERTIFICATE)
    with running(RecordingServer(context.create_server_context(store))) as server:
        assert visit(server, client, "localhost").status == 200
        mount.answers.clear()
        newer.write(files / "cert.pem", files / "key.pem")
        assert wait_until(lambda: mount.asked > 0)
        while store.last_error is None:  # in good time: a client is not as patient as the mount
            assert visit(server, client, "localhost").status == 200
        assert "does not answer" in str(store.last_error)
        assert mount.asked == 1  # one look, and one thread, however long it lasts
        mount.answers.set()
        assert wait_until(lambda: store.current.leaf == newer.leaf and not store.last_error)
        assert visit(server, client_context(newer), "localhost").status == 200
    assert sum("does not answer" in one.getMessage() for one in caplog.records) == 1


def test_peers_13_poll_waits_for_nothing(files: Path, mount: Mount) -> None:
    """A poll is over before the files can be read, and replace() needs no file."""
    store = certs.CertificateStore(files / "cert.pem", files / "key.pem")
    times = itertools.count(1e9, store.poll_interval)
    newer = certs.self_signed("localhost")
    newer.write(files / "cert.pem", files / "key.pem")
    mount.answers.clear()
    for _ in range(5):
        assert not store.poll(next(times))
    assert wait_until(lambda: mount.asked == 1)
    other = certs.self_signed("localhost")
    store.replace(other)
    mount.answers.set()
    assert not store.poll(next(times))
    assert store.current == other


def test_a_slow_file_is_taken_when_it_has_been_read(
    files: Path, mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    """What takes longer than a poll waits is no failure: a later poll has it."""
    caplog.set_level(logging.INFO, logger="tlshttp.certs")
    store = certs.CertificateStore(files / "cert.pem", files / "key.pem")
    newer = certs.self_signed("localhost")
    newer.write(files / "cert.pem", files / "key.pem")
    mount.answers.clear()
    assert not store.poll(1e9)
    mount.answers.set()
    assert wait_until(lambda: store.poll(1e9))
    assert store.current.leaf == newer.leaf
    assert [one.levelno for one in caplog.records] == [logging.INFO]


# peers 17: descriptors ----------------------------------------------------------------------------


@contextlib.contextmanager
def piped(content: bytes, *, closes: bool = True) -> Iterator[str]:
    """Offer bytes as a shell's ``<(command)`` does, from a pipe that is written meanwhile."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(OSError):
            os.write(writing, content)
            if closes:
                os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        thread.join()
        os.close(reading)
        if not closes:
            os.close(writing)


def test_peers_17_store_reads_a_pipe_once(files: Path) -> None:
    """Certificate and key from pipes are loaded at start-up and stay; nobody asks them again."""
    with (
        piped((files / "cert.pem").read_bytes()) as certfile,
        piped((files / "key.pem").read_bytes()) as keyfile,
    ):
        store = certs.CertificateStore(certfile, keyfile)
        first = store.current
        assert first.leaf == CERTIFICATE.leaf
        for now in (1e9, 2e9, 3e9):
            assert not store.poll(now)
        assert not store.reload()
        assert store.current is first
        assert store.last_error is None


def test_peers_17_each_loader_takes_a_pipe(files: Path) -> None:
    """Whatever is read, a pipe will do."""
    with piped((files / "a.crl").read_bytes()) as path:
        assert len(certs.CRLStore(path).current) == 1
    with piped((files / "cert.pem").read_bytes()) as path:
        assert certs.load_trust_anchors(path) == [CERTIFICATE.leaf]
    with (
        piped((files / "cert.pem").read_bytes()) as certfile,
        piped((files / "key.pem").read_bytes()) as keyfile,
    ):
        assert certs.load(certfile, keyfile).leaf == CERTIFICATE.leaf


def test_peers_17_pipe_that_nobody_finishes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error after a while, which says so."""
    monkeypatch.setattr(_reading, "PIPE_SECONDS", 0.2)
    with (
        piped(b"-----BEGIN CERT", closes=False) as path,
        pytest.raises(CertificateError, match=r"has not finished within 0\.2 s"),
    ):
        certs.load_chain(path)


def test_each_file_is_read_once_at_a_look(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared with the last look is what is loaded: it cannot change in between."""
    read, names = _reading._read_now, []

    def note(path: str, limit: int) -> bytes:
        names.append(Path(path).name)
        return read(path, limit)

    monkeypatch.setattr(_reading, "_read_now", note)
    store = certs.CertificateStore(files / "cert.pem", files / "key.pem")
    assert sorted(names) == ["cert.pem", "key.pem"]
    store.reload()
    assert sorted(names) == ["cert.pem"] * 2 + ["key.pem"] * 2


BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="<(...) is bash's")
def test_peers_17_process_substitution(files: Path) -> None:
    """The report's command line serves."""
    command = f'exec "{sys.executable}" -m tlshttp --bind 127.0.0.1 0 --directory "{files}"'
    command += " --tls-cert <(cat cert.pem) --tls-key <(cat key.pem)"
    with subprocess.Popen(
        [BASH or "bash", "-c", command], cwd=files, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "https://" in said, said
            port = int(re.findall(r":([0-9]+)", said)[-1])
            with (
                socket.create_connection(("127.0.0.1", port), timeout=30 * UNIT) as raw,
                client_context(CERTIFICATE).wrap_socket(raw, server_hostname="localhost") as tls,
            ):
                tls.sendall(b"GET /a.crl HTTP/1.0\r\n\r\n")
                assert b" 200 " in tls.recv(99)
        finally:
            process.terminate()
