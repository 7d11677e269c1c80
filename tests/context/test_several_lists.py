"""certificates F1, F4: of several lists of one authority the newest counts, each for its part."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import client_context, shake_hands
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

CRL = x509.CertificateRevocationList
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def root() -> certs.CertificateAuthority:
    """Return the authority of all clients here."""
    return certs.CertificateAuthority.generate("root")


@pytest.fixture(scope="module")
def bob(root: certs.CertificateAuthority) -> certs.Certificate:
    """Return the certificate of a client who is revoked in some lists."""
    return root.issue_client("bob@example.org")


def part(*, users: bool = False, authorities: bool = False) -> x509.IssuingDistributionPoint:
    """Return what a list says that is for a part of the certificates alone."""
    return x509.IssuingDistributionPoint(
        None,
        None,
        users,
        authorities,
        None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def crl(
    root: certs.CertificateAuthority,
    *revoked: certs.Certificate,
    number: int = 1,
    hours: int = -1,
    more: Sequence[x509.ExtensionType] = (),
) -> CRL:
    """Return a list of the authority's."""
    leaf = root.certificate.leaf
    own_key = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(leaf.subject)
        .last_update(NOW + timedelta(hours=hours))
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_key), critical=False
        )
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=True)
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.leaf.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(NOW).build())
    return builder.sign(root.certificate.private_key, hashes.SHA256())


def is_let_in(
    root: certs.CertificateAuthority, who: certs.Certificate, *lists: CRL | certs.CRLStore
) -> bool:
    """Return whether a client is let in by a context with these lists."""
    server = context.create_server_context(
        root.issue_server("localhost"),
        client_auth=ClientAuth.REQUIRED,
        client_cas=[root.certificate.leaf],
        crls=list(lists),
    )
    try:
        shake_hands(server, client_context(root, who))
    except OSError:
        return False
    return True


def test_a_delta_is_an_error_that_names_it(
    root: certs.CertificateAuthority, bob: certs.Certificate
) -> None:
    """OpenSSL reads none, so whoever is revoked in that alone would be let in."""
    delta = crl(root, bob, number=2, more=[x509.DeltaCRLIndicator(1)])
    for lists in ([crl(root), delta], [delta]):
        with pytest.raises(ConfigurationError, match=r"is a delta.*give the complete list"):
            is_let_in(root, bob, *lists)
    store = certs.CRLStore.from_crl(crl(root))
    with pytest.raises(ConfigurationError, match="is a delta"):
        store.replace(crl(root), delta)


def test_the_newest_of_several_counts_in_any_order(
    root: certs.CertificateAuthority, bob: certs.Certificate
) -> None:
    """By its time, and within a second by its number; in one store, or in several."""
    alice = root.issue_client("alice@example.org")
    lists = [crl(root, hours=-3), crl(root, alice, hours=-2), crl(root, bob, number=2, hours=-2)]
    for order in itertools.permutations(lists):
        assert not is_let_in(root, bob, *order)
        assert not is_let_in(root, bob, certs.CRLStore.from_crl(*order))
        assert is_let_in(root, alice, *order)


@pytest.mark.parametrize("turned", [False, True])
def test_lists_for_parts_are_renewed_each_by_itself(
    root: certs.CertificateAuthority, bob: certs.Certificate, tmp_path: Path, turned: bool
) -> None:
    """An old list of authorities keeps no newer one of users out, and lets no older one in."""
    path = tmp_path / "parts.pem"

    def write(*lists: CRL) -> None:
        ordered = reversed(lists) if turned else lists
        path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in ordered))

    authorities = crl(root, hours=-200, more=[part(authorities=True)])
    old = crl(root, hours=-2, more=[part(users=True)])
    new = crl(root, bob, number=2, more=[part(users=True)])
    write(authorities, old)
    store = certs.CRLStore(path)
    write(authorities, new)
    store.reload()
    assert new in store.current
    write(authorities, old)
    with pytest.raises(ConfigurationError, match="is older than the one in use"):
        store.reload()
    assert not is_let_in(root, bob, store)
