"""How far below an accepted authority a client's certificate may be."""

from __future__ import annotations

import contextlib
import ssl
import sys
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.hierarchy import KEYS, Node, client_of, issue, trusting
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
from tlshttp._engines.limited import limited
from tlshttp.certs import _der
from tlshttp.certs._serials import read_der
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
        client_cas=[limited(chain[0].certificate.leaf, 1)],
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


@pytest.mark.parametrize("kind", [*KEYS, "RSA by PSS"])
def test_depth_below_roots_of_all_kinds(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, kind: str
) -> None:
    """OpenSSL takes a copy for a root only if a key of its kind could have signed it."""
    by_pss = kind.endswith("PSS")
    root = issue("root", key=KEYS["RSA" if by_pss else kind](), by_pss=by_pss)
    below = issue("below", root, by_pss=by_pss)
    right, deeper = (client_of(one, by_pss=by_pss) for one in (root, below))
    for version, depth in zip(VERSIONS, (0, 1), strict=True):
        made = trusting(certificate, root, verify_depth=depth)
        shake_hands(made, client_context(authority, right.as_client(), version))
        with pytest.raises(ssl.SSLError) if depth == 0 else contextlib.nullcontext():
            shake_hands(made, client_context(authority, deeper.as_client(), version))


def test_old_root_can_be_limited(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """It may have a number that no certificate may have today."""
    root = numbered_zero(issue("root"))
    made = trusting(certificate, root, verify_depth=0)
    shake_hands(made, client_context(authority, client_of(root).as_client()))
    with pytest.raises(ssl.SSLError):
        shake_hands(made, client_context(authority, client_of(issue("below", root)).as_client()))


@pytest.mark.parametrize("depth", [None, 1])
def test_authority_that_cannot_be_copied_is_named(
    certificate: certs.Certificate, depth: int | None
) -> None:
    """Without its root, one with such a number is not trusted."""
    below = numbered_zero(issue("below", issue("root")))
    with pytest.raises(ConfigurationError, match="'below' cannot be trusted without its root: The"):
        trusting(certificate, below, verify_depth=depth)


@pytest.mark.only_engine("ssl", reason="a context of pyOpenSSL is finished, and cannot be tuned")
def test_limit_is_not_lost_by_tuning(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """Chains that end at an authority below the root would not be limited."""
    root = issue("root")
    below = issue("below", root)
    right = client_context(authority, client_of(root).as_client())
    deeper = client_context(authority, client_of(issue("deep", below)).as_client())
    made = trusting(certificate, root, below, verify_depth=1)
    with pytest.raises(ConfigurationError, match="VERIFY_X509_PARTIAL_CHAIN"):
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    shake_hands(made, right)
    with pytest.raises(ssl.SSLError):
        shake_hands(made, deeper)
    made = trusting(certificate, root, below)
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    shake_hands(made, deeper)


def test_root_is_no_client_with_a_limit(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """OpenSSL takes a self-signed certificate only if it is the very one that it trusts."""
    root = issue("root")
    client = client_context(authority, root.as_client())
    with pytest.raises(ssl.SSLError, match="self-signed certificate"):
        shake_hands(trusting(certificate, root, verify_depth=0), client)
    shake_hands(trusting(certificate, root), client)
    made = context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_certificates=[root.leaf]
    )
    shake_hands(made, client)


def numbered_zero(node: Node) -> Node:
    """Return it with another number, and so without a signature that is right."""
    encoded, *signature = _der.children(_der.read(node.leaf.public_bytes(Encoding.DER)))
    version, _number, *rest = _der.children(encoded)
    fields = version.encoded, _der.encode(_der.INTEGER, b"\0"), *(one.encoded for one in rest)
    parts = (one.encoded for one in signature)
    der = _der.encode(_der.SEQUENCE, _der.encode(_der.SEQUENCE, *fields), *parts)
    return Node(read_der(der), node.key, node.issuer)
