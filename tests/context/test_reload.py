from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.context.support import (
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tests.support import UNIT, wait_until
from tlshttp import certs, context, profiles
from tlshttp.errors import CertificateError

pytestmark = pytest.mark.thorough

INTERVAL = 0.05 * UNIT
CHANGES = 20

Change = Callable[[Path, certs.Certificate], None]


def rename(folder: Path, certificate: certs.Certificate) -> None:
    """Replace both files with two renames."""
    certificate.write(folder / "cert.pem", folder / "key.pem")


def write_in_place(folder: Path, certificate: certs.Certificate) -> None:
    """Overwrite both files."""
    (folder / "key.pem").write_bytes(certificate.key_to_pem())
    (folder / "cert.pem").write_bytes(certificate.to_pem())


def swap_link(folder: Path, certificate: certs.Certificate) -> None:
    """Swap the link on the way to both files, as Kubernetes does."""
    version = folder / f"..{certificate.fingerprint()[:20]}"
    version.mkdir()
    rename(version, certificate)
    old = (folder / "..data").resolve() if (folder / "..data").exists() else None
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").replace(folder / "..data")
    for name in ("cert.pem", "key.pem"):
        if not (folder / name).is_symlink():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(Path("..data", name))
    if old is not None:
        shutil.rmtree(old)


def break_the_pair(folder: Path, certificate: certs.Certificate) -> None:
    """Write the certificate without its key."""
    (folder / "cert.pem").write_bytes(certificate.to_pem())


def write_garbage(folder: Path, certificate: certs.Certificate) -> None:
    """Write what is no certificate."""
    (folder / "cert.pem").write_bytes(b"garbage")


class Load:
    """Requests without a pause, with full handshakes and with one session resumed for ever."""

    def __init__(self, server: RecordingServer, clients: list[ssl.SSLContext]) -> None:
        self.errors: list[BaseException] = []
        self.requests = 0
        self.lost_sessions = 0
        self._server, self._clients = server, clients

    def visit(self, client: ssl.SSLContext, session: ssl.SSLSession) -> None:
        """Make a request with a full handshake, and one in the session from the beginning."""
        visit(self._server, client, "localhost")
        answer = visit(self._server, client, "localhost", session=session)
        self.lost_sessions += not answer.resumed
        self.requests += 2

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make requests, a thread for each client, as long as the block runs."""
        over = threading.Event()

        def run(client: ssl.SSLContext) -> None:
            session = visit(self._server, client, "localhost").session
            while not over.wait(0.01):  # the test's own thread needs its share of two cores
                try:
                    self.visit(client, session)
                except BaseException as error:  # noqa: BLE001
                    self.errors.append(error)

        threads = [threading.Thread(target=run, args=(client,)) for client in self._clients]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


def count_looks(store: certs.CertificateStore) -> list[None]:
    """Return a list that grows with each look of a store at its files."""
    looks: list[None] = []
    find = store._find

    def counted(*, asked: bool) -> tuple[certs.Certificate] | None:
        looks.append(None)
        return find(asked=asked)

    store._find = counted  # type: ignore[method-assign]
    return looks


def shown(server: RecordingServer, client: ssl.SSLContext) -> bytes:
    """Return the certificate that a new client sees."""
    return visit(server, client, "localhost").shown.tbs_certificate_bytes


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (None, rename),
        (None, write_in_place),
        (None, swap_link),
        (break_the_pair, write_in_place),
        (write_garbage, write_in_place),
    ],
    ids=["two renames", "in place", "symlink swap", "mismatch first", "garbage first"],
)
def test_reload_under_load(
    authority: certs.CertificateAuthority,
    tmp_path: Path,
    first: Change | None,
    then: Change,
) -> None:
    """Twenty changes: no request fails, no session is lost, each is served after two looks."""
    current = authority.issue_server("localhost")
    (swap_link if then is swap_link else rename)(tmp_path, current)
    store = certs.CertificateStore(
        tmp_path / "cert.pem", tmp_path / "key.pem", poll_interval=INTERVAL
    )
    client, *others = (client_context(authority, version=version) for version in VERSIONS)
    looks, taken = count_looks(store), list[int]()
    store.subscribe(lambda _: taken.append(len(looks)))
    changed = []
    with running(RecordingServer(context.create_server_context(store))) as server:
        load = Load(server, [client, *others])
        with load.running():
            for _ in range(CHANGES):
                old, current = current, authority.issue_server("localhost")
                if first is not None:
                    first(tmp_path, current)
                    assert wait_until(lambda: store._suspicion is not None)
                    assert shown(server, client) == old.leaf.tbs_certificate_bytes
                then(tmp_path, current)
                changed.append(len(looks))
                expected = current.leaf.tbs_certificate_bytes
                assert wait_until(lambda: shown(server, client) == expected)  # noqa: B023
        assert all(end - begin <= 2 for begin, end in zip(changed, taken, strict=True))
        assert load.errors == []
        assert load.lost_sessions == 0
        assert load.requests > 2 * CHANGES
        assert server.failures == []
        assert server.stats().handshake_failures == {}


def test_server_without_visitors_reloads(
    authority: certs.CertificateAuthority, tmp_path: Path
) -> None:
    """The loop looks for new certificates; it does not take a handshake."""
    rename(tmp_path, authority.issue_server("localhost"))
    store = certs.CertificateStore(
        tmp_path / "cert.pem", tmp_path / "key.pem", poll_interval=INTERVAL
    )
    seen = threading.Event()
    store.subscribe(lambda certificate: seen.set())
    with running(RecordingServer(context.create_server_context(store))):
        rename(tmp_path, authority.issue_server("localhost"))
        assert seen.wait(30 * UNIT)


def test_new_certificate_that_breaks_the_profile_is_not_taken(
    authority: certs.CertificateAuthority,
) -> None:
    """The old one stays, the caller hears why, and the next good one is taken."""
    store = certs.CertificateStore.from_certificate(authority.issue_server("localhost"))
    server_context = context.create_server_context(store, profile=profiles.MODERN)
    client = client_context(authority)
    before = shake_hands(server_context, client).client.getpeercert(True)
    with pytest.raises(CertificateError, match="wants a certificate with a key of ECDSA"):
        store.replace(authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048))
    for later in (1e9, 1e9 + 1):
        server_context.maintain(later)
    assert shake_hands(server_context, client).client.getpeercert(True) == before
    store.replace(authority.issue_server("localhost"))
    server_context.maintain(1e9 + 2)
    assert shake_hands(server_context, client).client.getpeercert(True) != before


def test_names_change_with_the_certificate(authority: certs.CertificateAuthority) -> None:
    """A renewed certificate with other names is found by these."""
    default = authority.issue_server("localhost")
    store = certs.CertificateStore.from_certificate(authority.issue_server("old.test"))
    server_context = context.create_server_context(default, store)
    shake_hands(server_context, client_context(authority), "old.test")
    store.replace(authority.issue_server("new.test"))
    server_context.maintain(1e9)
    shake_hands(server_context, client_context(authority), "new.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context, client_context(authority), "old.test")


def test_maintain_outlives_a_failing_source(
    authority: certs.CertificateAuthority,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever goes wrong while looking is logged, and the server goes on."""
    server_context = context.create_server_context(authority.issue_server("localhost"))
    monkeypatch.setattr(server_context._material, "poll", lambda now: 1 / 0)
    server_context.maintain(1e9)
    assert "looking for new certificates failed" in caplog.text
    shake_hands(server_context, client_context(authority))
