"""Making certificates: one start for all, then what each role adds.

Every certificate carries a random 159-bit serial number, a subject and an authority key identifier,
and key usage fit for its role, since Python 3.13 verifies with ``VERIFY_X509_STRICT`` and
``cryptography.x509.verification`` holds certificates to the Baseline Requirements.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tlshttp._members import require_member
from tlshttp.certs._certificate import Certificate
from tlshttp.certs._findings import Purpose
from tlshttp.certs._keys import KeyType, PrivateKey, generate_key, signature_hash
from tlshttp.certs._names import general_names, render_name
from tlshttp.certs._validity import LEAF_LIFETIME, Validity, choose_validity
from tlshttp.errors import CertificateError

_MAXIMUM_PATH_LENGTH = 255
"""Verifiers stop long before: OpenSSL at 100 certificates, cryptography at 8."""

_MAXIMUM_COMMON_NAME = 64
"""Characters: ub-common-name, and those of organisation and unit, in RFC 5280, appendix A.1."""


class Role(enum.Enum):
    """What a leaf certificate is for."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def roles_of(purpose: Purpose, *, also_client: bool) -> tuple[Role, ...]:
    """Return what a certificate for that purpose is good for."""
    require_member(Purpose, "purpose", purpose)
    if purpose is Purpose.CLIENT:
        return (Role.CLIENT,)
    return (Role.SERVER, Role.CLIENT) if also_client else (Role.SERVER,)


@dataclass(frozen=True)
class Owner:
    """What of a subject is for people only."""

    organization: str | None = None
    organizational_unit: str | None = None

    def attributes(self) -> list[x509.NameAttribute[str]]:
        """Return what stands in the subject.

        Raises:
            CertificateError: It cannot stand there.
        """
        given = (
            (NameOID.ORGANIZATION_NAME, "organization", self.organization),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "organizational unit", self.organizational_unit),
        )
        CertificateError.raise_if(
            f"{text!r} cannot be an {what}: 1 to {_MAXIMUM_COMMON_NAME} printable characters"
            for _, what, text in given
            if text is not None and not _fits_subject(text)
        )
        return [x509.NameAttribute(oid, text) for oid, _, text in given if text is not None]


NOBODY = Owner()


@dataclass(frozen=True, kw_only=True)
class LeafOrder:
    """What a leaf certificate is to say."""

    names: Sequence[x509.GeneralName]
    roles: tuple[Role, ...]
    public_key: CertificatePublicKeyTypes
    validity: Validity
    owner: Owner = NOBODY


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """The parts of an authority that go into the certificates it issues."""

    name: x509.Name
    private_key: PrivateKey
    key_identifier: x509.AuthorityKeyIdentifier
    crl_url: str | None = None
    ocsp_url: str | None = None


def self_signed(
    *names: str,
    key_type: KeyType = KeyType.ECDSA_P256,
    lifetime: timedelta = LEAF_LIFETIME,
    not_valid_before: datetime | None = None,
    not_valid_after: datetime | None = None,
) -> Certificate:
    """Generate a key and a server certificate that is its own issuer.

    Clients accept it if they are told to trust this very certificate. To be trusted for more than
    one server, or for long, use a `CertificateAuthority`.

    Args:
        *names: DNS names, wildcards, IP addresses, URIs or e-mail addresses; at least one.
        key_type: The kind of key to generate.
        lifetime: How long the certificate is valid, five minutes of back-dating included.
        not_valid_before: The beginning, aware; `None` means five minutes ago.
        not_valid_after: The end, aware; `None` means after the lifetime.

    Raises:
        CertificateError: A name or the period cannot stand in a certificate; it lists everything.
    """
    subject_names = general_names(names)
    validity = choose_validity(lifetime, not_valid_before, not_valid_after)
    private_key = generate_key(key_type)
    subject = subject_name(subject_names)
    # An issuer must have a name (RFC 5280, section 4.1.2.4), and here it is the subject.
    issuer = _self_issuer(subject if subject.rdns else _name("self-signed"), private_key)
    order = LeafOrder(
        names=subject_names,
        roles=(Role.SERVER,),
        public_key=private_key.public_key(),
        validity=validity,
    )
    builder = start_certificate(issuer.name, order.public_key, issuer, validity)
    builder = _add_leaf_extensions(builder, order, critical_names=False)
    return Certificate(sign_certificate(builder, issuer), (), private_key)


def new_key(key_type: KeyType) -> PrivateKey:
    """Generate the private key of a leaf."""
    return generate_key(key_type)


def issue_leaf(issuer: Issuer, order: LeafOrder) -> x509.Certificate:
    """Sign a leaf certificate.

    Raises:
        CertificateError: The owner cannot stand in the subject.
    """
    subject = subject_name(order.names, order.owner)
    builder = start_certificate(subject, order.public_key, issuer, order.validity)
    builder = _add_leaf_extensions(builder, order, critical_names=not subject.rdns)
    return sign_certificate(_add_addresses(builder, issuer), issuer)


def issue_root(
    common_name: str,
    key_type: KeyType,
    validity: Validity,
    path_length: int | None,
    name_constraints: x509.NameConstraints | None,
    owner: Owner = NOBODY,
) -> Certificate:
    """Generate a key and sign an authority's certificate with itself."""
    subject = _authority_name(common_name, path_length, owner)
    private_key = generate_key(key_type)
    issuer = _self_issuer(subject, private_key)
    builder = start_certificate(subject, private_key.public_key(), issuer, validity)
    builder = _add_authority_extensions(builder, path_length, name_constraints)
    return Certificate(sign_certificate(builder, issuer), (), private_key)


def issue_intermediate(
    issuer: Issuer,
    common_name: str,
    key_type: KeyType,
    validity: Validity,
    path_length: int,
    name_constraints: x509.NameConstraints | None = None,
    owner: Owner = NOBODY,
) -> tuple[x509.Certificate, PrivateKey]:
    """Generate a key and sign an authority's certificate for it."""
    subject = _authority_name(common_name, path_length, owner)
    private_key = generate_key(key_type)
    builder = start_certificate(subject, private_key.public_key(), issuer, validity)
    builder = _add_authority_extensions(builder, path_length, name_constraints)
    return sign_certificate(_add_addresses(builder, issuer), issuer), private_key


def start_certificate(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    issuer: Issuer,
    validity: Validity,
) -> x509.CertificateBuilder:
    """Begin a certificate with what all of them have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_valid_before)
        .not_valid_after(validity.not_valid_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issuer.key_identifier, critical=False)
    )


def sign_certificate(builder: x509.CertificateBuilder, issuer: Issuer) -> x509.Certificate:
    """Sign a finished builder with the issuer's key."""
    return builder.sign(issuer.private_key, signature_hash(issuer.private_key))


def subject_name(names: Sequence[x509.GeneralName], owner: Owner = NOBODY) -> x509.Name:
    """Choose a subject for people to read; clients look at the subject alternative name.

    It has no common name where the first name is too long, or is an IP address: name constraints
    would take that for a DNS name.

    Raises:
        CertificateError: The owner cannot stand there.
    """
    text = render_name(names[0])
    if isinstance(names[0], x509.IPAddress) or text is None or len(text) > _MAXIMUM_COMMON_NAME:
        return _owned(x509.Name([]), owner)
    return _owned(_name(text), owner)


def key_usage(*, digital_signature: bool, key_encipherment: bool, authority: bool) -> x509.KeyUsage:
    """Spell out a keyUsage extension."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _self_issuer(name: x509.Name, private_key: PrivateKey) -> Issuer:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(private_key.public_key())
    return Issuer(name=name, private_key=private_key, key_identifier=identifier)


def _fits_subject(text: str) -> bool:
    return 1 <= len(text) <= _MAXIMUM_COMMON_NAME and text.isprintable()


def _authority_name(common_name: str, path_length: int | None, owner: Owner) -> x509.Name:
    findings = []
    if not _fits_subject(common_name):
        findings.append(
            f"{common_name!r} cannot be a common name: 1 to {_MAXIMUM_COMMON_NAME} printable"
            " characters"
        )
    if path_length is not None and not 0 <= path_length <= _MAXIMUM_PATH_LENGTH:
        findings.append(
            f"a path length cannot be {path_length}: it counts authorities, 0 to"
            f" {_MAXIMUM_PATH_LENGTH}"
        )
    CertificateError.raise_if(findings)
    return _owned(_name(common_name), owner)


def _add_authority_extensions(
    builder: x509.CertificateBuilder,
    path_length: int | None,
    name_constraints: x509.NameConstraints | None,
) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    # The digital signature is for OCSP responses.
    usage = key_usage(digital_signature=True, key_encipherment=False, authority=True)
    builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    if name_constraints is None:
        return builder
    return builder.add_extension(name_constraints, critical=True)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _owned(name: x509.Name, owner: Owner) -> x509.Name:
    """Put the owner before a name, as the larger of the two."""
    return x509.Name([*owner.attributes(), *name])


def _add_leaf_extensions(
    builder: x509.CertificateBuilder, order: LeafOrder, *, critical_names: bool
) -> x509.CertificateBuilder:
    # Only the RSA key exchange of TLS 1.2 and before enciphers keys (RFC 5246, section 7.4.2).
    enciphers = Role.SERVER in order.roles and isinstance(order.public_key, rsa.RSAPublicKey)
    usage = key_usage(digital_signature=True, key_encipherment=enciphers, authority=False)
    purposes = x509.ExtendedKeyUsage([role.value for role in order.roles])
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        # Critical exactly where the subject is empty: RFC 5280, section 4.2.1.6.
        .add_extension(x509.SubjectAlternativeName(order.names), critical=critical_names)
    )


def _add_addresses(builder: x509.CertificateBuilder, issuer: Issuer) -> x509.CertificateBuilder:
    """Add where the certificate's revocation can be asked for, if the issuer has told."""
    if issuer.crl_url is not None:
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier(issuer.crl_url)], None, None, None
        )
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    if issuer.ocsp_url is not None:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(issuer.ocsp_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder
