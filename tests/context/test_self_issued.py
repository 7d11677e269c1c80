"""Authorities that have issued certificates to themselves, by another key: which end chains.

OpenSSL takes a certificate for a root by all that it says of its issuer and by the kind of its
signature. One that it does not take for a root needs what is above it, or a root of ours.
"""

from __future__ import annotations

import logging
import ssl

import pytest
from cryptography import x509

from tests.context.hierarchy import (
    KEYS,
    Node,
    client_of,
    issue,
    named,
    refusal_of_openssl,
    trusting,
)
from tests.context.support import VERSIONS, client_context, shake_hands
from tlshttp import certs, context
from tlshttp._engines.issuers import is_root
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

KINDS = [("RSA", "EC"), ("EC", "RSA"), ("EC", "EC"), ("Ed25519", "EC"), ("EC", "Ed448")]
"""Of the old key and of the new one."""
SAYS = ["key", "number", "nothing"]


def rollover(old: str, new: str, says: str, *, has_identifier: bool = True) -> tuple[Node, Node]:
    """Return the certificate of a new key, and that of the old one which the new one has issued."""
    newer = issue("Roll", key=KEYS[new](), has_identifier=has_identifier)
    return newer, issue("Roll", newer, key=KEYS[old](), says=says, has_identifier=has_identifier)


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_old_with_new_is_trusted_alone_and_beside_the_new(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    kinds: tuple[str, str], says: str,
) -> None:  # fmt: skip
    """Whatever its clients say of it, they are let in; those of the new one if that is trusted."""
    newer, older = rollover(*kinds, says)
    of_new = client_context(authority, client_of(newer).as_client(newer))
    for own, depth, version in zip(("nothing", "key"), (None, 0), VERSIONS, strict=True):
        of_old = client_context(authority, client_of(older, says=own).as_client(older), version)
        alone = trusting(certificate, older, verify_depth=depth)
        shake_hands(alone, of_old)
        with pytest.raises(ssl.SSLError):
            shake_hands(alone, of_new)
        both = trusting(certificate, newer, older)
        shake_hands(both, of_new)
        if own == "key" or kinds[0] != kinds[1]:  # else OpenSSL does not know whose it is
            shake_hands(both, of_old)


@pytest.mark.parametrize("kinds", KINDS[:3], ids="-".join)
def test_old_with_new_is_revoked_by_its_own_lists_and_nobody_elses(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, kinds: tuple[str, str]
) -> None:
    """Where it ends the chain, its list has its clients, and that is all that is needed."""
    _newer, older = rollover(*kinds, "number")
    right, wrong = client_of(older), client_of(older)
    made = trusting(certificate, older, crls=[older.crl(wrong)])
    shake_hands(made, client_context(authority, right.as_client(older)))
    with pytest.raises(ssl.SSLError, match="revoked"):
        shake_hands(made, client_context(authority, wrong.as_client(older)))


@pytest.mark.only_engine("ssl", reason="no engine is asked")
@pytest.mark.parametrize("has_identifier", [True, False])
@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("kinds", [*KINDS, ("RSA", "RSA")], ids="-".join)
def test_roots_are_what_openssl_takes_for_roots(
    kinds: tuple[str, str], says: str, has_identifier: bool
) -> None:
    """A client is refused for want of an issuer where a lone authority is no root."""
    newer, older = rollover(*kinds, says, has_identifier=has_identifier)
    for one in (newer, older):
        refusal = refusal_of_openssl([one], client_of(one, says="nothing").as_client(one))
        assert is_root(one.leaf) is (refusal is None), refusal


def test_issuer_that_is_not_the_one_meant_is_said(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A root was issued anew, and what is below it means the one of before, by its number."""
    root = issue("Root")
    below = issue("below", root, says="number")
    renewed = issue("Root", key=root.key)
    client = client_of(below).as_client(below)
    assert refusal_of_openssl([renewed, below], client) is not None
    with caplog.at_level(logging.WARNING, "tlshttp.context"):
        made = trusting(certificate, renewed, below)
    assert "'below' says by its authorityKeyIdentifier" in caplog.text
    with pytest.raises(ssl.SSLError):
        shake_hands(made, client_context(authority, client))
    caplog.clear()
    made = trusting(certificate, renewed, below, root)
    shake_hands(made, client_context(authority, client))
    assert not caplog.text


@pytest.mark.parametrize("depth", [None, 0])
def test_those_that_issued_each_other_are_trusted_without_anybody_above(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, depth: int | None
) -> None:
    """A chain among them would never end."""
    one, other = issue("one"), issue("other")
    crossed = [issue("one", other, key=one.key), issue("other", one, key=other.key)]
    for node in crossed:
        for anchors in (crossed, crossed[::-1]):
            made = trusting(certificate, *anchors, verify_depth=depth)
            shake_hands(made, client_context(authority, client_of(node).as_client(node)))


def test_single_client_that_names_itself_otherwise(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """Its own certificate is self-signed in any spelling, unless it says that it is another's."""

    def pinning(one: Node) -> context.ServerContext:
        return context.create_server_context(
            certificate, client_auth=ClientAuth.REQUIRED, client_certificates=[one.leaf]
        )

    own = issue("bob", spelled=named("BOB"), is_authority=False)
    shake_hands(pinning(own), client_context(authority, own.as_client()))
    digest = x509.AuthorityKeyIdentifier(b"another", None, None)
    with pytest.raises(ConfigurationError, match="'bob' names another issuer than itself"):
        pinning(issue("bob", says="nothing", more=[digest], is_authority=False))
