from __future__ import annotations

import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from OpenSSL import SSL

from tests.certs import judges
from tlshttp import certs
from tlshttp.certs import _constraints, _issue
from tlshttp.errors import CertificateError


@pytest.fixture(scope="module")
def root() -> certs.CertificateAuthority:
    """Return a root."""
    return certs.CertificateAuthority.generate("Test root")


def test_chain_leaves_out_the_root(root: certs.CertificateAuthority) -> None:
    """Below a root the chain is empty; below intermediates it has all of them, lowest first."""
    assert root.issue_server("localhost").chain == ()
    upper = root.issue_authority("Upper", path_length=1)
    lower = upper.issue_authority("Lower")
    issued = lower.issue_server("localhost")
    assert issued.chain == (lower.certificate.leaf, upper.certificate.leaf)
    assert issued.check() == ()


def test_path_length_is_held(root: certs.CertificateAuthority) -> None:
    """An authority without room below it issues no authority, and no length is negative."""
    lowest = root.issue_authority("Lowest")
    with pytest.raises(CertificateError, match="path length 0"):
        lowest.issue_authority("Below")
    with pytest.raises(CertificateError, match="cannot be -1"):
        root.issue_authority("Odd", path_length=-1)
    limited = certs.CertificateAuthority.generate("Limited", path_length=1)
    with pytest.raises(CertificateError, match="path length 1"):
        limited.issue_authority("As long", path_length=1)


@pytest.mark.parametrize("common_name", ["", "x" * 65, "a\nb"])
def test_impossible_common_name(root: certs.CertificateAuthority, common_name: str) -> None:
    """A common name that is empty, too long or not printable is refused."""
    with pytest.raises(CertificateError, match="cannot be a common name"):
        certs.CertificateAuthority.generate(common_name)
    with pytest.raises(CertificateError, match="cannot be a common name"):
        root.issue_authority(common_name)


def test_leaf_ends_with_its_authority() -> None:
    """A lifetime never goes beyond the authority's end, and an expired one issues nothing."""
    now = datetime.now(UTC)
    short = certs.CertificateAuthority.generate("Short", lifetime=timedelta(days=3))
    assert short.issue_server("localhost").not_valid_after == short.certificate.not_valid_after
    explicit = short.issue_server("localhost", not_valid_after=now + timedelta(days=9))
    assert explicit.not_valid_after > short.certificate.not_valid_after
    expired = certs.CertificateAuthority.generate("Old", not_valid_after=now - timedelta(days=1))
    with pytest.raises(CertificateError, match="authority expired on"):
        expired.issue_server("localhost")


def test_addresses_stand_in_what_is_issued() -> None:
    """CRL and OCSP URLs of an authority stand in its leaf certificates, and not in itself."""
    authority = certs.CertificateAuthority.generate(
        "Root", crl_url="http://ca.test/crl", ocsp_url="http://ca.test/ocsp"
    )
    extensions = authority.issue_client("me@example.org").leaf.extensions
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name == [x509.UniformResourceIdentifier("http://ca.test/crl")]
    (access,) = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert access.access_method == AuthorityInformationAccessOID.OCSP
    assert access.access_location == x509.UniformResourceIdentifier("http://ca.test/ocsp")
    own = authority.certificate.leaf.extensions
    with pytest.raises(x509.ExtensionNotFound):
        own.get_extension_for_class(x509.CRLDistributionPoints)


@pytest.mark.parametrize("url", ["crl", "http://", "ftp bücher"])
def test_address_must_be_a_url(url: str) -> None:
    """What is no URL is refused as the address of a CRL or OCSP responder."""
    with pytest.raises(CertificateError, match="is not a URL"):
        certs.CertificateAuthority.generate("Root", crl_url=url)


def test_written_authority_comes_back(tmp_path: Path, root: certs.CertificateAuthority) -> None:
    """An intermediate with encrypted key is the same after write and load."""
    made = root.issue_authority("Written")
    files = tmp_path / "ca.pem", tmp_path / "ca-key.pem"
    made.write(*files, "secret")
    loaded = certs.CertificateAuthority.load(*files, "secret")
    assert loaded.certificate == made.certificate
    issued = loaded.issue_server("localhost")
    assert issued.chain == (made.certificate.leaf,)
    question = judges.Question(issued, [root.certificate.leaf])
    assert judges.openssl(question) is None


def test_leaf_is_no_authority(root: certs.CertificateAuthority) -> None:
    """A certificate that may not issue others is refused as an authority."""
    with pytest.raises(CertificateError, match="basicConstraints"):
        certs.CertificateAuthority(root.issue_server("localhost"))


def test_authority_without_a_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority must have a name that can stand in what it issues."""
    monkeypatch.setattr("tlshttp.certs._issue._name", lambda common_name: x509.Name([]))
    with pytest.raises(CertificateError, match="needs a subject"):
        certs.CertificateAuthority.generate("Root")


def test_authority_that_may_not_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority whose key usage leaves out signing certificates is refused."""
    usage = _issue.key_usage(digital_signature=True, key_encipherment=False, authority=False)
    monkeypatch.setattr("tlshttp.certs._issue.key_usage", lambda **_: usage)
    with pytest.raises(CertificateError, match=r"may not sign certificates \(keyUsage\)"):
        certs.CertificateAuthority.generate("Root")


def test_repr_has_the_name_only(root: certs.CertificateAuthority) -> None:
    """The repr of an authority names it and shows nothing of its key."""
    assert repr(root) == "<CertificateAuthority 'Test root'>"


@pytest.mark.parametrize("below_root", [False, True])
@pytest.mark.parametrize("engine", ["ssl", "pyopenssl"])
def test_configured_client_trusts(
    root: certs.CertificateAuthority, engine: str, below_root: bool
) -> None:
    """A client of either engine trusts the authority it was given, and no other one."""
    authority = root.issue_authority("Intermediate") if below_root else root
    shown = authority.issue_server("localhost")
    stranger = certs.CertificateAuthority.generate("Stranger").issue_server("localhost")
    connect = client_of_ssl if engine == "ssl" else client_of_pyopenssl
    connect(authority, shown)
    with pytest.raises((ssl.SSLCertVerificationError, SSL.Error)):
        connect(authority, stranger)
    if below_root:
        with pytest.raises((ssl.SSLCertVerificationError, SSL.Error)):
            connect(authority, root.issue_server("localhost"))


def client_of_ssl(authority: certs.CertificateAuthority, shown: certs.Certificate) -> None:
    """Connect a client of the standard library that trusts the authority."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client_context)
    judges.shake_hands(judges.server_context(shown), client_context, "localhost")


def client_of_pyopenssl(authority: certs.CertificateAuthority, shown: certs.Certificate) -> None:
    """Connect a client of pyOpenSSL that trusts the authority."""
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_context.set_verify(SSL.VERIFY_PEER)
    authority.configure_trust(client_context)
    server_context = SSL.Context(SSL.TLS_SERVER_METHOD)
    server_context.use_certificate(shown.leaf)
    server_context.use_privatekey(shown.private_key)
    for intermediate in shown.chain:
        server_context.add_extra_chain_cert(intermediate)
    client, server = SSL.Connection(client_context), SSL.Connection(server_context)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):
        for side, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                side.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(side.bio_read(65536))
    assert client.get_peer_certificate() is not None


def test_configure_trust_of_something_else(root: certs.CertificateAuthority) -> None:
    """What is no TLS context is a wrong type."""
    with pytest.raises(TypeError, match="ssl_context must be"):
        root.configure_trust("context")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def constrained() -> certs.CertificateAuthority:
    """Return an authority for local names only."""
    return certs.CertificateAuthority.generate(
        "Local", name_constraints=_constraints.local_constraints()
    )


LOCAL_NAMES = [
    "localhost",
    "app.localhost",
    "printer.local",
    "*.test",
    "127.0.0.1",
    "::1",
    "192.168.7.7",
    "10.1.2.3",
    "172.31.0.1",
    "fd00::1",
    "fe80::1",
]
FOREIGN_NAMES = [
    "example.org",
    "notlocalhost",
    "localhost.example.org",
    "8.8.8.8",
    "172.32.0.1",
    "2001:db8::1",
]


@pytest.mark.parametrize("name", LOCAL_NAMES)
def test_local_names_pass_the_constraints(
    constrained: certs.CertificateAuthority, name: str
) -> None:
    """A constrained authority issues for local names, and verifiers accept that."""
    issued = constrained.issue_server(name)
    if not name.startswith("*"):
        question = judges.Question(issued, [constrained.certificate.leaf], name)
        assert [judge(question) for judge in (judges.openssl, judges.pyca)] == [None, None]
        assert judges.python_client(question) is None


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_foreign_names_fail_the_constraints(
    constrained: certs.CertificateAuthority, name: str
) -> None:
    """For other names it refuses, and forged certificates from its key are refused by clients."""
    with pytest.raises(CertificateError, match="may not issue for"):
        constrained.issue_server("localhost", name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlshttp.certs._authority.constraint_findings", lambda *_: ())
        forged = constrained.issue_server(name)
    question = judges.Question(forged, [constrained.certificate.leaf], name)
    assert "permitted subtree" in (judges.openssl(question) or "")
    assert "permitted subtree" in (judges.python_client(question) or "")
    assert judges.pyca(question)


def test_constraints_hold_below_an_intermediate(constrained: certs.CertificateAuthority) -> None:
    """An authority below a constrained one refuses the same names."""
    below = constrained.issue_authority("Below")
    assert below.issue_server("a.test").names == ("a.test",)
    with pytest.raises(CertificateError, match=r"may not issue for 'example\.org'"):
        below.issue_server("example.org")


def test_excluded_names_are_refused() -> None:
    """Excluded subtrees are as binding as permitted ones, and leave other kinds alone."""
    excluded = x509.NameConstraints(None, [x509.DNSName("secret.test")])
    authority = certs.CertificateAuthority.generate("Root", name_constraints=excluded)
    assert authority.issue_server("open.test", "127.0.0.1").names
    with pytest.raises(CertificateError, match=r"a\.secret\.test"):
        authority.issue_server("a.secret.test")


def test_threads_may_share_an_authority(root: certs.CertificateAuthority) -> None:
    """CRL numbers asked for by several threads at once are all different."""
    numbers: list[int] = []

    def ask() -> None:
        for _ in range(20):
            crl = root.crl().extensions.get_extension_for_class(x509.CRLNumber)
            numbers.append(crl.value.crl_number)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 80
