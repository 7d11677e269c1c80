from __future__ import annotations

import contextlib
import itertools
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import (
    TIMEOUT,
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tests.support import UNIT, wait_until
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ClientCertificateError

NONE, OPTIONAL, REQUIRED = ClientAuth.NONE, ClientAuth.OPTIONAL, ClientAuth.REQUIRED

# What the client shows, and what the error says; `None` where it is let in.
OUTCOMES = {
    "right": None,
    "of an intermediate": None,
    "none": "the client showed no certificate",
    "wrong CA": "unable to get local issuer certificate",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "revoked": "certificate revoked",
    "revoked intermediate": "certificate revoked",
    "wrong purpose": "unsuitable certificate purpose|unsupported certificate purpose",
    "self-signed": "self.signed certificate",
}


class Clients:
    """An authority of clients, all kinds of certificates from it, and its revocation lists."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.authority = certs.CertificateAuthority.generate("clients")
        below = self.authority.issue_authority("below")
        revoked_below = self.authority.issue_authority("revoked below")
        issue = self.authority.issue_client
        self.certificates: dict[str, certs.Certificate | None] = {
            "right": issue("alice@example.org"),
            "of an intermediate": below.issue_client("alice@example.org"),
            "none": None,
            "wrong CA": certs.CertificateAuthority.generate("clients").issue_client("alice"),
            "expired": issue(
                "alice",
                not_valid_before=now - timedelta(days=2),
                not_valid_after=now - timedelta(days=1),
            ),
            "not yet valid": issue("alice", not_valid_before=now + timedelta(days=1)),
            "revoked": issue("alice"),
            "revoked intermediate": revoked_below.issue_client("alice"),
            "wrong purpose": self.authority.issue_server("alice"),
            "self-signed": certs.self_signed("alice"),
        }
        revoked = self.certificates["revoked"]
        assert revoked is not None
        self.authority.revoke(revoked)
        self.authority.revoke(revoked_below.certificate)
        self.crls = [self.authority.crl(), below.crl(), revoked_below.crl()]


@pytest.fixture(scope="module")
def kinds() -> Clients:
    """Return clients of every kind."""
    return Clients()


@pytest.fixture(scope="module")
def pair(authority: certs.CertificateAuthority) -> list[certs.Certificate]:
    """Return certificates for an open name, which is the default, and for guarded ones."""
    return [
        authority.issue_server("open.test"),
        authority.issue_server("guarded.test", "*.wild.test"),
        authority.issue_server("bücher.test"),
    ]


def by_name(pair: list[certs.Certificate], kinds: Clients) -> context.ServerContext:
    """Return a context that wants a certificate from clients of one name only."""
    return context.create_server_context(
        *pair,
        client_auth_by_name={
            "guarded.test": REQUIRED,
            "*.wild.test": REQUIRED,
            "bücher.test": REQUIRED,
        },
        client_cas=[kinds.authority.certificate.leaf],
        crls=kinds.crls,
    )


def everywhere(pair: list[certs.Certificate], kinds: Clients) -> context.ServerContext:
    """Return a context that wants a certificate from every client."""
    return context.create_server_context(
        *pair,
        client_auth=REQUIRED,
        client_cas=[kinds.authority.certificate.leaf],
        crls=kinds.crls,
    )


Policy = Callable[[list[certs.Certificate], Clients], context.ServerContext]


# What clients ask for, and whether a context with exceptions by name guards that.
NAMES = {
    "guarded.test": True,
    "a.wild.test": True,
    "bücher.test": True,
    "open.test": False,
    "unknown.test": False,
    None: False,
}


def _cells() -> Iterator[Any]:
    """Yield all combinations; each of the first three is tried with one version by default.

    So is every pair with a version, and so are both versions for what is shown to a policy.
    """
    rows, names, policies = list(OUTCOMES), list(NAMES), [by_name, everywhere]
    for shown, asked, policy in itertools.product(rows, names, policies):
        turn = rows.index(shown) + names.index(asked) + policies.index(policy)
        for number, version in enumerate(VERSIONS):
            marks = () if turn % 2 == number else pytest.mark.exhaustive
            yield pytest.param(shown, asked, policy, version, marks=marks)


@pytest.mark.parametrize(("shown", "asked", "policy", "version"), list(_cells()))
def test_outcome(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
    policy: Policy,
    asked: str | None,
    shown: str,
) -> None:
    """Only a right certificate leads to the handler; each other is one typed event, one count.

    Where a name is not guarded a client may show none, but what it shows has to be right.
    """
    client = client_context(authority, kinds.certificates[shown], version)
    client.check_hostname = False
    expected = OUTCOMES[shown]
    if shown == "none" and policy is by_name and not NAMES[asked]:
        expected = None
    with running(RecordingServer(policy(pair, kinds))) as server:
        if expected is None:
            body = b"" if shown == "none" else b"alice@example.org"
            assert visit(server, client, asked, host="open.test").body == body
            assert server.failures == []
            return
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, asked, host="open.test")
        error = server.failure()
        assert isinstance(error, ClientCertificateError)
        assert error.server_name == (asked and asked.encode("idna").decode())
        assert wait_until(lambda: server.stats().handshake_failures == {"client-certificate": 1})
        assert server.served == []
    assert re.search(expected, str(error))


@pytest.mark.parametrize("version", VERSIONS)
def test_session_of_an_open_name_does_not_open_a_guarded_one(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
) -> None:
    """A session begun without a certificate is resumed for the open name, never for the other."""
    client = client_context(authority, version=version)
    client.check_hostname = False
    with running(RecordingServer(by_name(pair, kinds))) as server:
        first = visit(server, client, "open.test", path="/1")
        assert visit(server, client, "open.test", path="/2", session=first.session).resumed
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, "guarded.test", path="/3", session=first.session)
        assert isinstance(server.failure(), ClientCertificateError)
        assert server.served == ["/1", "/2"]


@pytest.mark.parametrize("version", VERSIONS)
def test_session_with_a_certificate_opens_what_the_certificate_does(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
) -> None:
    """A resumed session keeps the certificate it was begun with."""
    client = client_context(authority, kinds.certificates["right"], version)
    with running(RecordingServer(by_name(pair, kinds))) as server:
        first = visit(server, client, "guarded.test")
        second = visit(server, client, "guarded.test", session=first.session)
        assert second.resumed
        assert second.body == b"alice@example.org"
        assert server.stats().resumed == 1


@pytest.mark.only_engine("ssl", reason="pyOpenSSL refuses it during the handshake, with an alert")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resumes", [False, True])
def test_client_refused_after_the_handshake_is_told_goodbye(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
    resumes: bool,
) -> None:
    """It sees close_notify, not an end that may be an attack, even if it has sent a request."""
    client = client_context(authority, version=version)
    client.check_hostname = False
    with running(RecordingServer(by_name(pair, kinds))) as server:
        session = visit(server, client, "open.test").session if resumes else None
        with (
            socket.create_connection(server.server_address, timeout=TIMEOUT) as raw,
            client.wrap_socket(
                raw, server_hostname="guarded.test", session=session, suppress_ragged_eofs=False
            ) as tls,
        ):
            tls.sendall(b"GET /secret HTTP/1.1\r\nHost: guarded.test\r\n\r\n")
            assert tls.recv(1) == b""
        assert isinstance(server.failure(), ClientCertificateError)
        assert "/secret" not in server.served


@pytest.mark.only_engine(
    "pyopenssl", "public", reason="the ssl module asks before it knows the name, and looks later"
)
@pytest.mark.parametrize("version", VERSIONS)
def test_client_refused_for_its_name_is_told_so_by_an_alert(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
) -> None:
    """OpenSSL ends the handshake; a session of an open name is resumed for it no better."""
    client = client_context(authority, version=version)
    client.check_hostname = False
    with running(RecordingServer(by_name(pair, kinds))) as server:
        with pytest.raises(ssl.SSLError, match=r"certificate required|handshake failure"):
            visit(server, client, "guarded.test")
        assert isinstance(server.failure(), ClientCertificateError)
        session = visit(server, client, "open.test").session
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, "guarded.test", session=session)
        assert len(server.failures) == 2
        assert server.served == ["/"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asked", ["open.test", None, "unknown.test"])
def test_request_for_a_guarded_name_on_an_open_connection_is_misdirected(
    authority: certs.CertificateAuthority,
    pair: list[certs.Certificate],
    kinds: Clients,
    version: ssl.TLSVersion,
    asked: str | None,
) -> None:
    """Asking for one name in the hello and another in the request gets 421, no handler."""
    client = client_context(authority, version=version)
    client.check_hostname = False
    with running(RecordingServer(by_name(pair, kinds))) as server:
        for host in ("guarded.test", "GUARDED.test.", "guarded.test:443"):
            assert visit(server, client, asked, host=host).status == 421
        assert visit(server, client, asked, host="open.test").status == 200
        assert server.served == ["/"]


def test_certificate_counts_for_every_name(
    authority: certs.CertificateAuthority, pair: list[certs.Certificate], kinds: Clients
) -> None:
    """A client that showed its certificate may send requests for guarded names, too."""
    client = client_context(authority, kinds.certificates["right"])
    with running(RecordingServer(by_name(pair, kinds))) as server:
        assert visit(server, client, "open.test", host="guarded.test").status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_optional_certificate(
    authority: certs.CertificateAuthority, pair: list[certs.Certificate], kinds: Clients,
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    """Without one, and with a right one, the client is let in; with a wrong one it is not."""
    server_context = context.create_server_context(
        *pair, client_auth=OPTIONAL, client_cas=[kinds.authority.certificate.leaf]
    )
    with running(RecordingServer(server_context)) as server:
        for shown, body in (("none", b""), ("right", b"alice@example.org")):
            client = client_context(authority, kinds.certificates[shown], version)
            assert visit(server, client, "open.test").body == body
        client = client_context(authority, kinds.certificates["wrong CA"], version)
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, "open.test")
        assert isinstance(server.failure(), ClientCertificateError)


def test_wildcard_and_default_of_client_auth(
    authority: certs.CertificateAuthority, kinds: Clients
) -> None:
    """Exact names come before wildcards, and those before the default."""
    server_context = context.create_server_context(
        authority.issue_server("*.b.test"),
        client_auth=REQUIRED,
        client_auth_by_name={"*.b.test": NONE, "a.b.test": REQUIRED},
        client_cas=[kinds.authority.certificate.leaf],
    )
    client = client_context(authority)
    shake_hands(server_context, client, "x.b.test")
    for name in ("a.b.test", "elsewhere.test", None):
        client.check_hostname = False
        with pytest.raises(ClientCertificateError):
            shake_hands(server_context, client, name)


def test_intermediate_can_be_the_anchor(authority: certs.CertificateAuthority) -> None:
    """Trusting one intermediate lets in its clients and nobody else's below the same root."""
    root = certs.CertificateAuthority.generate("root")
    trusted, other = root.issue_authority("trusted"), root.issue_authority("other")
    mine, stranger = trusted.issue_client("a@b.test"), other.issue_client("a@b.test")
    trusted_leaf = trusted.certificate.leaf
    revoked = trusted.issue_client("gone@b.test")
    trusted.revoke(revoked)
    server_context = context.create_server_context(
        authority.issue_server("localhost"),
        client_auth=REQUIRED,
        client_cas=[trusted_leaf],
        crls=[trusted.crl()],
    )
    shake_hands(server_context, client_context(authority, mine))
    for refused in (stranger, revoked):
        with pytest.raises(ssl.SSLError):
            shake_hands(server_context, client_context(authority, refused))


@pytest.mark.parametrize("version", VERSIONS)
def test_revocation_ends_sessions_too(
    authority: certs.CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Once the CRL file says so, neither a new connection nor a resumed session gets in."""
    kinds = certs.CertificateAuthority.generate("clients")
    alice, bob = kinds.issue_client("alice@example.org"), kinds.issue_client("bob@example.org")
    crl = tmp_path / "clients.crl"
    crl.write_bytes(kinds.crl().public_bytes(Encoding.PEM))
    store = certs.CRLStore(crl, poll_interval=0.1 * UNIT)
    server_context = context.create_server_context(
        authority.issue_server("localhost"),
        client_auth=REQUIRED,
        client_cas=[kinds.certificate.leaf],
        crls=[store],
    )
    client, other = (
        client_context(authority, alice, version),
        client_context(authority, bob, version),
    )
    with (
        running(RecordingServer(server_context)) as server,
        socket.create_connection(server.server_address, timeout=TIMEOUT) as raw,
        client.wrap_socket(raw, server_hostname="localhost") as kept,
    ):
        assert get(kept) == b"alice@example.org"
        first = visit(server, client, "localhost")
        assert visit(server, client, "localhost", session=first.session).resumed
        crl.write_bytes(b"rubbish")
        assert wait_until(lambda: store.last_error is not None)
        assert visit(server, client, "localhost", session=first.session).resumed
        kinds.revoke(alice)
        crl.write_bytes(kinds.crl().public_bytes(Encoding.DER))
        assert wait_until(lambda: any(revoked for _, revoked in server_context._material._in_force))
        for session in (first.session, None):
            with pytest.raises(OSError, match=r".*"):
                visit(server, client, "localhost", session=session)
        assert wait_until(lambda: len(server.failures) == 2)
        assert [str(error) for error in server.failures] == [
            "the client's certificate is not acceptable (certificate revoked)"
        ] * 2
        assert visit(server, other, "localhost").body == b"bob@example.org"
        assert get(kept) == b"alice@example.org"


def get(tls: ssl.SSLSocket) -> bytes:
    """Make a request on a connection that is kept, and return the body of the answer."""
    tls.sendall(b"GET /kept HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with tls.makefile("rb") as file:
        sizes = [int(line.split()[1]) for line in iter(file.readline, b"\r\n") if b"ength" in line]
        return file.read(*sizes)


@pytest.mark.parametrize("version", VERSIONS)
def test_revocation_counts_for_the_first_handshake_after_it(
    authority: certs.CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """In a server that does not look by itself, not even the next session is resumed."""
    kinds = certs.CertificateAuthority.generate("clients")
    alice = kinds.issue_client("alice@example.org")
    store = certs.CRLStore.from_crl(kinds.crl())
    first, second = (
        context.create_server_context(
            authority.issue_server("localhost"),
            client_auth=REQUIRED,
            client_cas=[kinds.certificate.leaf],
            crls=[store],
        )
        for _ in range(2)
    )
    client = client_context(authority, alice, version)
    sessions = {one: shake_hands(one, client).client.session for one in (first, second)}
    kinds.revoke(alice)
    store.replace(kinds.crl())
    for server_context, session in sessions.items():
        with pytest.raises(ssl.SSLError, match="certificate revoked"):
            shake_hands(server_context, client, session=session)


def test_expired_certificate_ends_its_session(
    authority: certs.CertificateAuthority, kinds: Clients
) -> None:
    """What expires during a session is not accepted when the session is resumed."""
    keeper = everywhere([authority.issue_server("localhost")], kinds)._doorkeeper
    expired, right = kinds.certificates["expired"], kinds.certificates["right"]
    assert expired is not None
    assert right is not None
    keeper.judge("localhost", right.leaf.public_bytes(Encoding.DER), resumed=True)
    with pytest.raises(ClientCertificateError, match="has expired since"):
        keeper.judge("localhost", expired.leaf.public_bytes(Encoding.DER), resumed=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_reading_first_does_not_get_around_the_check(
    pair: list[certs.Certificate], kinds: Clients, authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    """A server that forgets do_handshake() still gets no byte from, and sends none to, a client."""
    client = client_context(authority, version=version)
    for operation in ("read", "write"):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = by_name(pair, kinds).wrap_bio(to_server, to_client, server_side=True)
        peer = client.wrap_bio(to_client, to_server, server_hostname="guarded.test")
        argument = 1 if operation == "read" else b"secret"
        outcome: Exception | None = None
        for _ in range(10):
            with contextlib.suppress(ssl.SSLError):  # it may be told what is wrong
                peer.do_handshake()
            try:
                getattr(server, operation)(argument)
            except ssl.SSLWantReadError:
                continue
            except ClientCertificateError as error:
                outcome = error
        assert outcome is not None
        with pytest.raises(ClientCertificateError):
            getattr(server, operation)(argument)
