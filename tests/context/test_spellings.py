"""Names of authorities in other spellings, which OpenSSL takes for one: case, spaces and types."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.revocation_lists import Authority, make_list
from tlshttp import certs, context
from tlshttp._issued_by import are_one_name
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError


def named(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.Name:
    """Return a name with one part."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text, kind)])


SPELLINGS = {
    "case": named("ACME root"),
    "spaces": named(" Acme   Root "),
    "type": named("Acme Root", _ASN1Type.PrintableString),
}


@pytest.fixture(scope="module")
def root() -> Authority:
    """Return an authority."""
    return Authority.generate("Acme Root")


@pytest.fixture(scope="module")
def below(root: Authority) -> Authority:
    """Return an authority that it has issued."""
    return root.issue_authority("below", path_length=0)


@pytest.fixture
def guarded(certificate: certs.Certificate) -> Callable[..., context.ServerContext]:
    """Return what makes a context that trusts one authority."""
    return lambda trusted, *crls: context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[trusted.certificate.leaf],
        crls=crls,
    )


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("version", VERSIONS)
def test_authority_alone_is_revoked_by_its_issuers_list(
    authority: Authority, root: Authority, below: Authority, version: ssl.TLSVersion,
    guarded: Callable[..., context.ServerContext], spelling: str,
) -> None:  # fmt: skip
    """It ends the chain, so that only we look at the list of its issuer."""
    client = client_context(authority, below.issue_client("bob@example.org"), version)
    serial, name = below.certificate.leaf.serial_number, SPELLINGS[spelling]
    store = certs.CRLStore.from_crl(make_list(below, hours=-3), make_list(root, hours=-3))
    made = guarded(below, store)
    session = shake_hands(made, client).client.session
    store.replace(make_list(below, hours=-2), make_list(root, serial, name=name))
    for old in (None, session):
        with pytest.raises(ssl.SSLError, match="revoked"):
            shake_hands(made, client, session=old)
    fresh = guarded(below, *store.current)
    with pytest.raises(ssl.SSLError, match="revoked"):
        shake_hands(fresh, client)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_foreign_list_in_the_name_of_an_authority_is_not_taken(
    authority: Authority, root: Authority, guarded: Callable[..., context.ServerContext],
    spelling: str,
) -> None:  # fmt: skip
    """OpenSSL would choose it, and refuse all clients for its signature."""
    foreign = make_list(Authority.generate("other"), form="nothing", name=SPELLINGS[spelling])
    first = make_list(root, hours=-3)
    with pytest.raises(ConfigurationError, match="is not signed by that authority"):
        guarded(root, first, foreign)
    store = certs.CRLStore.from_crl(first)
    made = guarded(root, store)
    second = make_list(root, hours=-2)
    with pytest.raises(ConfigurationError, match="is not signed by that authority"):
        store.replace(second, foreign)
    assert store.current == (second,)
    shake_hands(made, client_context(authority, root.issue_client("alice@example.org")))


def test_what_openssl_tells_apart_is_told_apart() -> None:
    """Letters outside of ASCII have to be the same, and so have spaces within."""
    assert are_one_name(named("Ärger  A"), named(" Ärger a"))
    for one, other in (("Ä", "ä"), ("a b", "ab"), ("a\N{NO-BREAK SPACE}", "a"), ("a", "b")):
        assert not are_one_name(named(one), named(other))
    assert not are_one_name(named("a"), x509.Name([]))
