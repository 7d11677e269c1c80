"""Certificates for keys that somebody else has, or that one has already."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certs import judges
from tlshttp import certs
from tlshttp.certs import _keys
from tlshttp.certs._constraints import local_constraints
from tlshttp.errors import CertificateError


@pytest.fixture(scope="module")
def authority() -> certs.CertificateAuthority:
    """Return an authority below a root."""
    return certs.CertificateAuthority.generate("Root").issue_authority("Issuing")


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    """Return the key of somebody else."""
    return ec.generate_private_key(ec.SECP256R1())


def request(
    key: object,
    *names: x509.GeneralName,
    common_name: str | None = "localhost",
    authority: bool = False,
) -> x509.CertificateSigningRequest:
    """Make a signing request."""
    attributes = (
        [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if authority:
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm)  # type: ignore[arg-type]


@pytest.mark.parametrize("key_type", list(certs.KeyType))
def test_signed_request_convinces_the_judges(
    key_type: certs.KeyType,
    authority: certs.CertificateAuthority,
    private_keys: dict[certs.KeyType, _keys.PrivateKey],
) -> None:
    """A certificate for a request has its key and names, and clients accept it."""
    own = private_keys[key_type]
    algorithm = None if key_type is certs.KeyType.ED25519 else hashes.SHA256()
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("app.test")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    asked = builder.add_extension(names, critical=False).sign(own, algorithm)
    issued = authority.issue_for_request(asked)
    assert issued.names == ("localhost", "app.test")
    assert not isinstance(issued, certs.Certificate)
    root = authority._authorities[-1]
    question = judges.Question(certs.Certificate(issued.leaf, issued.chain, own), [root])
    assert judges.openssl(question) is None
    assert judges.python_client(question) is None


def test_forms_of_a_request(
    authority: certs.CertificateAuthority, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """A request is taken as object, PEM, DER and file, also with the label of old."""
    asked = request(key)
    pem = asked.public_bytes(serialization.Encoding.PEM)
    der = asked.public_bytes(serialization.Encoding.DER)
    (tmp_path / "request.pem").write_bytes(pem)
    old = pem.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
    for form in (asked, pem, pem.decode(), der, old, tmp_path / "request.pem"):
        assert authority.issue_for_request(form).names == ("localhost",)


def test_only_key_and_names_are_taken(
    authority: certs.CertificateAuthority, key: ec.EllipticCurvePrivateKey
) -> None:
    """Who asks to be an authority gets a leaf; names may be given instead of the request's."""
    leaf = authority.issue_for_request(request(key, authority=True), "other.test").leaf
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["other.test"]


@pytest.mark.parametrize(
    ("purpose", "also_client", "usages"),
    [
        (certs.Purpose.SERVER, False, [ExtendedKeyUsageOID.SERVER_AUTH]),
        (certs.Purpose.CLIENT, False, [ExtendedKeyUsageOID.CLIENT_AUTH]),
        (
            certs.Purpose.SERVER,
            True,
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        ),
    ],
)
def test_purposes(
    authority: certs.CertificateAuthority,
    key: ec.EllipticCurvePrivateKey,
    purpose: certs.Purpose,
    also_client: bool,
    usages: list[x509.ObjectIdentifier],
) -> None:
    """A request says nothing of the purpose that counts: whoever signs does."""
    issued = authority.issue_for_request(request(key), purpose=purpose, also_client=also_client)
    extension = issued.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extension.value) == usages


def test_bad_requests(
    authority: certs.CertificateAuthority, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """What cannot be certified is refused with its reason."""
    der = request(key).public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1]))
    pem = request(key).public_bytes(serialization.Encoding.PEM)
    uri = x509.DirectoryName(x509.Name([]))
    for bad, reason in (
        (forged, "not signed with the key|cannot be verified"),
        (request(rsa.generate_private_key(65537, 1024)), "too small a key"),
        (request(dsa.generate_private_key(2048)), "type DSA"),
        (request(ed448.Ed448PrivateKey.generate()), "type Ed448"),
        (request(key, common_name=None), "asks for no name"),
        (request(key, uri), "no DNS name"),
        (request(key, common_name="not a name"), "not a DNS name"),
        (pem[:100], "has no end|is damaged|no certificate signing request"),
        (b"0nonsense", "is damaged"),
        (certs.self_signed("localhost").to_pem(), "no certificate signing request"),
        (tmp_path / "missing.pem", "cannot read"),
    ):
        with pytest.raises(CertificateError, match=reason):
            authority.issue_for_request(bad)


def test_constraints_hold_for_requests(key: ec.EllipticCurvePrivateKey) -> None:
    """An authority with name constraints signs no request beyond them."""
    local = certs.CertificateAuthority.generate("Local", name_constraints=local_constraints())
    with pytest.raises(CertificateError, match=r"may not issue for 'www\.example\.org'"):
        local.issue_for_request(request(key), "www.example.org")


def test_key_that_one_has(
    authority: certs.CertificateAuthority, key: ec.EllipticCurvePrivateKey
) -> None:
    """A server's and a client's certificate may be for a key that exists."""
    for issued in (
        authority.issue_server("localhost", private_key=key),
        authority.issue_client("me@example.org", private_key=key),
    ):
        assert issued.private_key is key


def test_one_certificate_for_server_and_client() -> None:
    """With both usages, clients accept it from a server and servers from a client."""
    root = certs.CertificateAuthority.generate("Root")
    issued = root.issue_server("localhost", also_client=True)
    for purpose in (certs.Purpose.SERVER, certs.Purpose.CLIENT):
        assert (
            judges.openssl(judges.Question(issued, [root.certificate.leaf], purpose=purpose))
            is None
        )
        assert issued.check(purpose=purpose) == ()


def test_organization_and_unit() -> None:
    """They stand in the subject of authorities and leaves, where they fit."""
    owner = {"organization": "Example Inc.", "organizational_unit": "Tools"}
    root = certs.CertificateAuthority.generate("Root", **owner)  # type: ignore[arg-type]
    below = root.issue_authority("Below", **owner)  # type: ignore[arg-type]
    for leaf in (
        root.certificate.leaf,
        below.certificate.leaf,
        below.issue_server("localhost", **owner).leaf,  # type: ignore[arg-type]
        below.issue_server("127.0.0.1", **owner).leaf,  # type: ignore[arg-type]
        below.issue_client("me@example.org", **owner).leaf,  # type: ignore[arg-type]
    ):
        assert "O=Example Inc." in leaf.subject.rfc4514_string()
        assert "OU=Tools" in leaf.subject.rfc4514_string()
    question = judges.Question(below.issue_server("localhost", **owner), [root.certificate.leaf])  # type: ignore[arg-type]
    assert judges.openssl(question) is None
    with pytest.raises(CertificateError, match=r"organization.*64"):
        root.issue_server("localhost", organization="x" * 65)
    with pytest.raises(CertificateError, match="organizational unit"):
        root.issue_server("localhost", organizational_unit="")


def test_constraints_of_an_authority_below() -> None:
    """An intermediate may be restricted to some names."""
    root = certs.CertificateAuthority.generate("Root")
    below = root.issue_authority("Below", name_constraints=local_constraints())
    issued = below.issue_server("localhost")
    assert judges.openssl(judges.Question(issued, [root.certificate.leaf])) is None
    with pytest.raises(CertificateError, match="may not issue"):
        below.issue_server("example.org")


def test_revocation_by_serial_number() -> None:
    """A certificate that is lost is revoked by its number."""
    root = certs.CertificateAuthority.generate("Root")
    issued = root.issue_client("me@example.org")
    root.revoke(issued.leaf.serial_number, reason=x509.ReasonFlags.key_compromise)
    (entry,) = root.crl()
    assert entry.serial_number == issued.leaf.serial_number
    for number in (0, -1, 1 << 160):
        with pytest.raises(CertificateError, match="no serial number"):
            root.revoke(number)


def test_pkcs12_round_trip(tmp_path: Path) -> None:
    """What is written is read again, and opens with the password only."""
    root = certs.CertificateAuthority.generate("Root")
    issued = root.issue_authority("Below").issue_client("me@example.org")
    packed = issued.to_pkcs12("secret word")
    assert certs.load_pkcs12(packed, "secret word") == issued
    with pytest.raises(CertificateError, match="password is wrong"):
        certs.load_pkcs12(packed, "guess")
    with pytest.raises(CertificateError, match="needs a password"):
        issued.to_pkcs12("")


def test_a_context_shows_it() -> None:
    """A context of either TLS library shows a certificate from memory, its chain included."""
    from OpenSSL import SSL

    root = certs.CertificateAuthority.generate("Root")
    issued = root.issue_authority("Below").issue_server("localhost")
    client = ssl.create_default_context()
    root.configure_trust(client)
    standard = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure(standard)
    judges.shake_hands(standard, client, "localhost")
    other = SSL.Context(SSL.TLS_METHOD)
    issued.configure(other)
    shake_hands_with_pyopenssl(other, client)
    with pytest.raises(TypeError, match=r"must be an ssl\.SSLContext"):
        issued.configure("context")  # type: ignore[arg-type]


def shake_hands_with_pyopenssl(server_side: object, client_side: ssl.SSLContext) -> None:
    """Make a handshake in memory between a client of ssl and a server of pyOpenSSL."""
    from OpenSSL import SSL

    assert isinstance(server_side, SSL.Context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(incoming, outgoing, server_hostname="localhost")
    server = SSL.Connection(server_side)
    server.set_accept_state()
    for _ in range(8):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            server.bio_write(outgoing.read())
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
            incoming.write(server.bio_read(65_536))
        else:
            return
    pytest.fail("the handshake does not come to an end")


def test_verify_agrees_with_openssl() -> None:
    """Verification accepts what OpenSSL accepts, and each refusal says what is wrong."""
    root = certs.CertificateAuthority.generate("Root")
    stranger = certs.CertificateAuthority.generate("Stranger")
    issued = root.issue_authority("Below").issue_server("localhost", "*.app.test", "127.0.0.1")
    anchors = [root.certificate.leaf]
    for name in ("localhost", "LOCALHOST", "www.app.test", "127.0.0.1"):
        issued.verify(anchors, name)
        assert judges.openssl(judges.Question(issued, anchors, name)) is None
    client = root.issue_client("me@example.org")
    client.verify(anchors, purpose=certs.Purpose.CLIENT)
    bare = certs.CertificateChain(issued.leaf, ())
    later = datetime.now(UTC) + timedelta(days=100)
    rows: tuple[
        tuple[certs.CertificateChain, list[x509.Certificate], str | None, datetime | None, str], ...
    ] = (
        (issued, anchors, "other.test", None, "is not for 'other.test', but for localhost"),
        (issued, anchors, "a.b.app.test", None, "is not for"),
        (issued, anchors, "::1", None, "is not for '::1'"),
        (issued, [stranger.certificate.leaf], "localhost", None, "'CN=Root', which issued 'Below'"),
        (bare, anchors, "localhost", None, "'CN=Below', which issued 'localhost', is not trusted"),
        (issued, anchors, "localhost", later, "expired"),
        (certs.self_signed("localhost"), anchors, "localhost", None, "is self-signed"),
        (issued, [], "localhost", None, "no trust anchor"),
        (issued, anchors, None, None, "give one"),
        (issued, anchors, "me@example.org", None, "neither a host name"),
    )
    for shown, trusted, wanted, at, reason in rows:
        with pytest.raises(CertificateError, match=reason):
            shown.verify(trusted, wanted, at=at)
    with pytest.raises(CertificateError, match="lacks clientAuth"):
        issued.verify(anchors, purpose=certs.Purpose.CLIENT)
