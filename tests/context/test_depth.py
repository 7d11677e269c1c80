"""How far below an accepted authority a client's certificate may be."""

from __future__ import annotations

import contextlib
import ssl
import sys
from typing import Any

import pytest
from cryptography import x509

from tests.context.support import (
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tests.support import wait_until
from tlshttp import certs, context
from tlshttp._engines import anchors
from tlshttp._engines.anchors import _limited
from tlshttp.context import ClientAuth
from tlshttp.errors import ClientCertificateError, ConfigurationError

TOO_DEEP = "further below its authority than allowed"


@pytest.fixture(scope="module")
def chain() -> list[certs.CertificateAuthority]:
    """Return a root, an authority below it, and one below that."""
    root = certs.CertificateAuthority.generate("root")
    first = root.issue_authority("first", path_length=1)
    return [root, first, first.issue_authority("second")]


def guarded(
    certificate: certs.Certificate,
    anchor: certs.CertificateAuthority,
    depth: int | None,
    **more: Any,
) -> context.ServerContext:
    """Return a context that wants clients no further below an authority than a number."""
    return context.create_server_context(
        certificate,
        **({"client_auth": ClientAuth.REQUIRED} | more),
        client_cas=[anchor.certificate.leaf],
        verify_depth=depth,
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("by_name", [False, True], ids=["everywhere", "by name"])
@pytest.mark.parametrize("depth", [None, 0, 1, 2, 7])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_depth(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
    version: ssl.TLSVersion,
    by_name: bool,
    depth: int | None,
    level: int,
) -> None:
    """A client is let in up to the depth; below it is one typed event, one count, no handler."""
    policy: dict[str, Any] = {"client_auth_by_name": {"localhost": ClientAuth.REQUIRED}}
    ssl_context = guarded(
        certificate,
        chain[0],
        depth,
        **(policy | {"client_auth": ClientAuth.NONE} if by_name else {}),
    )
    client = client_context(authority, chain[level].issue_client("alice@example.org"), version)
    with running(RecordingServer(ssl_context)) as server:
        if depth is None or level <= depth:
            first = visit(server, client, "localhost")
            assert visit(server, client, "localhost", session=first.session).resumed
            assert len(server.served) == 2
            assert server.failures == []
            return
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, "localhost")
        error = server.failure()
        assert isinstance(error, ClientCertificateError)
        assert TOO_DEEP in str(error)
        assert error.server_name == "localhost"
        assert wait_until(lambda: server.stats().handshake_failures == {"client-certificate": 1})
        assert server.served == []


@pytest.mark.parametrize("version", VERSIONS)
def test_session_of_a_deeper_server_opens_nothing(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
    version: ssl.TLSVersion,
) -> None:
    """A session begun where the depth is allowed is not resumed where it is not."""
    client = client_context(authority, chain[1].issue_client("alice@example.org"), version)
    with (
        running(RecordingServer(guarded(certificate, chain[0], 1))) as deep,
        running(RecordingServer(guarded(certificate, chain[0], 0))) as shallow,
    ):
        session = visit(deep, client, "localhost").session
        with pytest.raises(OSError, match=r".*"):
            visit(shallow, client, "localhost", session=session)
        assert TOO_DEEP in str(shallow.failure())
        assert shallow.stats().resumed == 0
        assert shallow.served == []
        assert visit(deep, client, "localhost", session=session).resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_refused_client_gets_no_session(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
    version: ssl.TLSVersion,
) -> None:
    """Whoever is refused has nothing in hand to resume."""
    client = client_context(authority, chain[1].issue_client("alice@example.org"), version)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = guarded(certificate, chain[0], 0).wrap_bio(to_server, to_client, server_side=True)
    peer = client.wrap_bio(to_client, to_server, server_hostname="localhost")

    def go_on() -> None:
        for end in (peer, server) * 5:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()

    with pytest.raises(ssl.SSLCertVerificationError, match="path length constraint exceeded"):
        go_on()
    with pytest.raises(ssl.SSLError, match="ALERT"):
        peer.read(1)
    assert peer.session is None or not peer.session.has_ticket


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("level", [1, 2])
def test_root_in_the_clients_chain_changes_nothing(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
    version: ssl.TLSVersion,
    level: int,
) -> None:
    """A client may send the authority's own certificate, too; the limit still holds."""
    own = chain[level].issue_client("alice@example.org")
    whole = certs.Certificate(own.leaf, (*own.chain, chain[0].certificate.leaf), own.private_key)
    ssl_context = guarded(certificate, chain[0], 1)
    client = client_context(authority, whole, version)
    with running(RecordingServer(ssl_context)) as server:
        if level == 1:
            assert visit(server, client, "localhost").status == 200
            return
        with pytest.raises(OSError, match=r".*"):
            visit(server, client, "localhost")
        assert TOO_DEEP in str(server.failure())


def test_depth_counts_from_the_anchor(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
) -> None:
    """Where an intermediate is the authority, the depth is that below it."""
    ssl_context = guarded(certificate, chain[1], 0)
    shake_hands(ssl_context, client_context(authority, chain[1].issue_client("alice")))
    for other in (chain[0], chain[2]):
        with pytest.raises(ssl.SSLError):
            shake_hands(ssl_context, client_context(authority, other.issue_client("alice")))


def test_the_authoritys_own_limit_is_not_loosened(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
) -> None:
    """The smaller of the two counts."""
    ssl_context = context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[_limited(chain[0].certificate.leaf, 1)],
        verify_depth=5,
    )
    shake_hands(ssl_context, client_context(authority, chain[1].issue_client("alice")))
    with pytest.raises(ssl.SSLError):
        shake_hands(ssl_context, client_context(authority, chain[2].issue_client("alice")))


@pytest.mark.parametrize("depth", [None, 1])
def test_revocation_with_a_depth(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    depth: int | None,
) -> None:
    """Lists of root and intermediate hold for clients below a limited authority, too."""
    root = certs.CertificateAuthority.generate("root")
    below = root.issue_authority("below")
    right, revoked = below.issue_client("alice"), below.issue_client("bob")
    below.revoke(revoked)
    ssl_context = guarded(certificate, root, depth, crls=[root.crl(), below.crl()])
    shake_hands(ssl_context, client_context(authority, right))
    with pytest.raises(ssl.SSLError, match="revoked"):
        shake_hands(ssl_context, client_context(authority, revoked))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="ssl tells of a client's chain from 3.13 on")
@pytest.mark.parametrize("depth", [None, 1])
def test_chain_has_the_authority_as_it_was_given(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    chain: list[certs.CertificateAuthority],
    depth: int | None,
) -> None:
    """What a handler sees of the chain are the certificates that their authorities issued."""
    own = chain[1].issue_client("alice@example.org")
    server: Any = shake_hands(
        guarded(certificate, chain[0], depth), client_context(authority, own)
    ).server
    seen = [x509.load_der_x509_certificate(der) for der in server.get_verified_chain()]
    assert seen == [own.leaf, chain[1].certificate.leaf, chain[0].certificate.leaf]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"verify_depth": -1}, "verify_depth must be 0 or more, not -1"),
        (
            {"client_auth": ClientAuth.NONE, "client_cas": [], "verify_depth": 1},
            "verify_depth limits nothing without client_cas",
        ),
    ],
)
def test_impossible_depth(
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    arguments: dict[str, Any],
    message: str,
) -> None:
    """What cannot be, or would have no effect, is said."""
    named: dict[str, Any] = {
        "client_auth": ClientAuth.REQUIRED,
        "client_cas": [clients.certificate.leaf],
    }
    with pytest.raises(ConfigurationError, match=message):
        context.create_server_context(certificate, **(named | arguments))


def test_authority_that_cannot_be_limited_is_named(
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An old root may have a number that no certificate may have today; it is not trusted then."""

    def refuse(*_arguments: object) -> None:
        raise ValueError("The serial number should be positive.")

    monkeypatch.setattr(anchors, "_limited", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot be applied to 'clients': The serial"):
        guarded(certificate, clients, 1)
