"""Makes certificates that `tlshttp.certs` refuses to make, below the authority of the process."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tlshttp.certs._issue import key_usage
from tlshttp.certs._keys import PrivateKey, signature_hash
from tlshttp.testing._authority import LOCAL_NAMES, authority, now

__all__ = ["Paper", "Signer", "authority_paper", "issue", "leaf_paper", "new_key", "root"]

_DAY = timedelta(days=1)

Extension: TypeAlias = tuple[x509.ExtensionType, bool]
"""An extension, and whether it is critical."""

Extensions: TypeAlias = Mapping[str, Extension]
"""The extensions of a certificate, by the names that recipes change them by."""


@dataclass(frozen=True)
class Signer:
    """Whoever signs: a key, and the certificate that goes with it."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True)
class Paper:
    """A certificate before it is signed. A recipe takes a good one and spoils one thing."""

    subject: x509.Name
    key: PrivateKey
    extensions: Extensions
    begin: datetime
    end: datetime
    key_identifier: bool = True
    sha1: bool = False

    def having(self, **extensions: Extension) -> Paper:
        """Return the same with some extensions put in the place of others."""
        return dataclasses.replace(self, extensions={**self.extensions, **extensions})

    def lacking(self, *names: str) -> Paper:
        """Return the same without some extensions."""
        kept = {name: one for name, one in self.extensions.items() if name not in names}
        return dataclasses.replace(self, extensions=kept)


def root() -> Signer:
    """Return the authority that clients trust."""
    own = authority().certificate
    return Signer(own.leaf, own.private_key)


def leaf_paper(names: Sequence[str] = LOCAL_NAMES) -> Paper:
    """Begin a server's certificate as it should be."""
    return Paper(
        subject=common_name(names[0]),
        key=new_key(),
        extensions={
            "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
            "usage": (_usage(authority=False), True),
            "purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            "names": (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
        },
        begin=now() - timedelta(minutes=5),
        end=now() + 6 * _DAY,
    )


def authority_paper(name: str, *, path_length: int | None = None) -> Paper:
    """Begin an authority's certificate as it should be."""
    return Paper(
        subject=common_name(name),
        key=new_key(),
        extensions={
            "constraints": (x509.BasicConstraints(ca=True, path_length=path_length), True),
            "usage": (_usage(authority=True), True),
        },
        begin=now() - timedelta(minutes=5),
        end=now() + 6 * _DAY,
    )


def issue(paper: Paper, signer: Signer | None) -> Signer:
    """Sign a certificate; `None` means that it signs itself."""
    issuer_name = paper.subject if signer is None else signer.certificate.subject
    issuer_key = paper.key if signer is None else signer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(paper.subject)
        .issuer_name(issuer_name)
        .public_key(paper.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(paper.begin)
        .not_valid_after(paper.end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(paper.key.public_key()), critical=False
        )
    )
    if paper.key_identifier:
        identifier = _identify(paper if signer is None else signer)
        builder = builder.add_extension(identifier, critical=False)
    for extension, critical in paper.extensions.values():
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(issuer_key, signature_hash(issuer_key))
    if paper.sha1:
        certificate = _sign_again_with_sha1(certificate, issuer_key)
    return Signer(certificate, paper.key)


def new_key() -> PrivateKey:
    """Generate a key as good as any."""
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Return the RSA key of that size of this process: generating one takes a while."""
    return rsa.generate_private_key(65537, bits)


def common_name(name: str) -> x509.Name:
    """Return a subject of that name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")
"""The object identifiers 1.2.840.113549.1.1.11 and .5 in DER (RFC 4055, section 5; RFC 3279)."""


def _sign_again_with_sha1(certificate: x509.Certificate, key: PrivateKey) -> x509.Certificate:
    """Put SHA-1 in the place of SHA-256, which `cryptography` no longer signs certificates with.

    The two identifiers and the two signatures are of one length each, so that no length in the DER
    changes.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("SHA-1 is put into certificates signed by RSA only")
    body = certificate.tbs_certificate_bytes
    new_body = body.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    signature = key.sign(new_body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    whole = certificate.public_bytes(Encoding.DER)
    rest = whole.partition(body)[2].replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    rest = rest.replace(certificate.signature, signature)
    return x509.load_der_x509_certificate(whole.partition(body)[0] + new_body + rest)


def _identify(signer: Signer | Paper) -> x509.AuthorityKeyIdentifier:
    """Name the key of whoever claims to sign, also where another key does."""
    if isinstance(signer, Paper):
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    extension = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(extension.value)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return key_usage(digital_signature=True, key_encipherment=False, authority=authority)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
