"""Authentic revocation lists that OpenSSL cannot use: it would refuse every client."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.revocation_lists import (
    AUTHORITIES,
    CRL,
    NOW,
    USERS,
    Authority,
    key_identifier,
    make_list,
    part,
)
from tlshttp import certs, context
from tlshttp.certs._memory import pem_path
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
DAY = timedelta(days=1)
PEM = Encoding.PEM


@pytest.fixture(scope="module")
def root() -> Authority:
    """Return the authority of the clients."""
    return Authority.generate("Acme")


@pytest.fixture(scope="module")
def client(authority: Authority, root: Authority) -> Callable[..., ssl.SSLContext]:
    """Return what makes a client of it."""
    alice = root.issue_client("alice@example.org")
    return lambda *version: client_context(authority, alice, *version)


@pytest.fixture
def guarded(
    certificate: certs.Certificate, root: Authority
) -> Callable[..., context.ServerContext]:
    """Return what makes a context that trusts it, or others."""
    return lambda *crls, trusted=(root.certificate.leaf,): context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_cas=trusted, crls=crls
    )


def renew(
    root: Authority, *, usage: x509.KeyUsage | None = None, more: x509.ExtensionType | None = None
) -> x509.Certificate:
    """Return another certificate of an authority's key."""
    leaf = root.certificate.leaf
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.subject)
        .public_key(leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for one in leaf.extensions:
        new = usage if usage and isinstance(one.value, x509.KeyUsage) else one.value
        builder = builder.add_extension(new, one.critical)
    if more is not None:
        builder = builder.add_extension(more, critical=False)
    return builder.sign(root.certificate.private_key, hashes.SHA256())


def odd_list(
    root: Authority,
    identifier: x509.AuthorityKeyIdentifier | None = None,
    more: x509.ExtensionType | None = None,
    of_entry: x509.ExtensionType | None = None,
) -> CRL:
    """Return a list with something in it that lists seldom have."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.leaf.subject)
        .last_update(NOW - DAY / 48)
        .next_update(NOW + DAY)
    )
    identifier = identifier or key_identifier(root)
    assert identifier is not None
    builder = builder.add_extension(identifier, critical=False)
    if more is not None:
        builder = builder.add_extension(more, critical=True)
    if of_entry is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(NOW)
        builder = builder.add_revoked_certificate(entry.add_extension(of_entry, True).build())
    return builder.sign(root.certificate.private_key, hashes.SHA256())


def of_certificate(
    root: Authority, *, with_key: bool = False, name: str = "ACME", serial: int = 5
) -> x509.AuthorityKeyIdentifier:
    """Return what names a certificate of an authority: an earlier one, for example."""
    own = key_identifier(root)
    assert own is not None
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return x509.AuthorityKeyIdentifier(
        own.key_identifier if with_key else None, [x509.DirectoryName(issuer)], serial
    )


UNUSABLE: dict[str, tuple[Callable[[Authority], CRL], str]] = {
    "the key's identifier by another method": (
        lambda root: odd_list(root, x509.AuthorityKeyIdentifier(b"abc", None, None)),
        "does not fit, by its authorityKeyIdentifier",
    ),
    "an earlier certificate": (
        lambda root: odd_list(root, of_certificate(root)),
        "does not fit, by its authorityKeyIdentifier",
    ),
    "a certificate of that number by another issuer": (
        lambda root: odd_list(
            root, of_certificate(root, name="other", serial=root.certificate.leaf.serial_number)
        ),
        "does not fit, by its authorityKeyIdentifier",
    ),
    "the key and an earlier certificate": (
        lambda root: odd_list(root, of_certificate(root, with_key=True)),
        "does not fit, by its authorityKeyIdentifier",
    ),
    "an unknown critical extension": (
        lambda root: odd_list(root, more=UNKNOWN), r"critical extension .*, 1\.3\.6\.1\.4\.1\.99999"
    ),
    "a known one that OpenSSL does not know as critical": (
        lambda root: odd_list(root, more=x509.CRLNumber(3)), r"critical extension .*, 2\.5\.29\.20"
    ),
    "an unknown critical extension of an entry": (
        lambda root: odd_list(root, of_entry=UNKNOWN), r"critical extension .*, 1\.3\.6\.1\.4\.1\."
    ),
    "a critical reason": (
        lambda root: odd_list(root, of_entry=x509.CRLReason(x509.ReasonFlags.superseded)),
        r"critical extension .*, 2\.5\.29\.21",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNUSABLE)
def test_list_that_openssl_would_refuse_clients_for_is_not_taken(
    root: Authority, client: Callable[..., ssl.SSLContext], kind: str,
    guarded: Callable[..., context.ServerContext],
) -> None:  # fmt: skip
    """An error at the beginning; later the old list stays, and one finding says why."""
    make, words = UNUSABLE[kind]
    with pytest.raises(ConfigurationError, match=words):
        guarded(make(root))
    store = certs.CRLStore.from_crl(make_list(root, hours=-3))
    made = guarded(store)
    before = store.current
    with pytest.raises(ConfigurationError, match=words) as caught:
        store.replace(make(root))
    assert len(caught.value.findings) == 1
    assert store.current == before
    for version in VERSIONS:
        shake_hands(made, client(version))


@pytest.mark.only_engine("ssl", reason="it is about OpenSSL, and asks that of the ssl module")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_openssl_does_refuse_clients_for_it(
    certificate: certs.Certificate, root: Authority, client: Callable[..., ssl.SSLContext],
    kind: str,
) -> None:  # fmt: skip
    """What is refused here is nothing that would have worked."""
    for crl, works in ((make_list(root), True), (UNUSABLE[kind][0](root), False)):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
            made.load_cert_chain(path)
        with pem_path(b"".join(one.public_bytes(PEM) for one in (root.certificate.leaf, crl))) as p:
            made.load_verify_locations(p)
        made.verify_mode = ssl.CERT_REQUIRED
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        with nullcontext() if works else pytest.raises(ssl.SSLError, match="VERIFY_FAILED"):
            shake_hands(made, client())


def test_authority_that_may_not_sign_lists_is_an_error(
    root: Authority, guarded: Callable[..., context.ServerContext]
) -> None:
    """OpenSSL heeds the keyUsage of who has signed a list."""
    usage = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    trusted = renew(root, usage=x509.KeyUsage(key_cert_sign=True, **usage))
    with pytest.raises(ConfigurationError, match="may not sign lists"):
        guarded(make_list(root), trusted=(trusted,))


def test_list_that_names_one_of_two_certificates_of_a_key_is_an_error(
    root: Authority, guarded: Callable[..., context.ServerContext]
) -> None:
    """Which of the two is in a chain OpenSSL decides; by the other one it could not use it."""
    old, new = root.certificate.leaf, renew(root)
    for form in ("certificate", "key and certificate"):
        with pytest.raises(ConfigurationError, match="leave only the one that it names"):
            guarded(make_list(root, form=form), trusted=(old, new))
        assert guarded(make_list(root, form=form), trusted=(old,)) is not None
    assert guarded(make_list(root), trusted=(old, new)) is not None


def test_list_that_spells_the_name_in_its_identifier_otherwise_is_used(
    root: Authority, client: Callable[..., ssl.SSLContext],
    guarded: Callable[..., context.ServerContext],
) -> None:  # fmt: skip
    """OpenSSL takes it for the name of the certificate's issuer."""
    identifier = of_certificate(root, serial=root.certificate.leaf.serial_number)
    shake_hands(guarded(odd_list(root, identifier)), client())


PLACE = "http://a.test/root.crl"
PARTS: dict[str, list[x509.IssuingDistributionPoint]] = {
    "users": [USERS],
    "a place": [part(place=PLACE)],
    "users of a place": [part(users=True, place=PLACE)],
    "users, and authorities of a place": [USERS, part(authorities=True, place=PLACE)],
}


@pytest.mark.parametrize("kind", PARTS)
def test_lists_of_a_root_that_are_not_for_itself_are_an_error(
    root: Authority, client: Callable[..., ssl.SSLContext], kind: str,
    guarded: Callable[..., context.ServerContext],
) -> None:  # fmt: skip
    """OpenSSL 3.0 asks for one of the root itself, too, and there is one rule for all versions."""
    lists = [make_list(root, of=one) for one in PARTS[kind]]
    with pytest.raises(ConfigurationError, match="of 'Acme' are for some certificates only"):
        guarded(*lists)
    for rest in ([USERS, AUTHORITIES], [None]):
        made = guarded(*lists, *(make_list(root, of=one) for one in rest))
        for version in VERSIONS:
            shake_hands(made, client(version))


def test_root_that_names_the_place_of_its_list_is_in_it(
    authority: Authority, root: Authority, guarded: Callable[..., context.ServerContext]
) -> None:
    """Then a list for a place alone is for all that there is."""
    at = [x509.UniformResourceIdentifier(PLACE)]
    points = x509.CRLDistributionPoints([x509.DistributionPoint(at, None, None, None)])
    made = guarded(make_list(root, of=part(place=PLACE)), trusted=(renew(root, more=points),))
    bob = Authority(root.certificate, crl_url=PLACE).issue_client("bob@example.org")
    for version in VERSIONS:
        shake_hands(made, client_context(authority, bob, version))


@pytest.mark.parametrize("kind", PARTS)
def test_they_do_not_replace_one_that_is(
    root: Authority, client: Callable[..., ssl.SSLContext], kind: str,
    guarded: Callable[..., context.ServerContext],
) -> None:  # fmt: skip
    """The list for all stays beside them until another one comes."""
    whole = make_list(root, hours=-3)
    store = certs.CRLStore.from_crl(whole)
    made = guarded(store)
    with pytest.raises(ConfigurationError, match="there is none of 'CN=Acme' any more"):
        store.replace(*(make_list(root, of=one) for one in PARTS[kind]))
    assert whole in store.current
    for version in VERSIONS:
        shake_hands(made, client(version))


def test_foreign_list_may_be_of_an_earlier_key(
    root: Authority, guarded: Callable[..., context.ServerContext]
) -> None:
    """The error says what to do with the clients of that key."""
    earlier = Authority.generate("Acme")
    with pytest.raises(ConfigurationError, match=r"OldWithNew\) among client_cas, too"):
        guarded(make_list(root), make_list(earlier))
