"""A certificate authority: it issues certificates, takes them back, and makes clients trust it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from tlshttp.certs._certificate import Certificate, CertificateChain
from tlshttp.certs._constraints import constraint_findings
from tlshttp.certs._contexts import add_trust_anchor
from tlshttp.certs._documents import open_list
from tlshttp.certs._findings import Purpose
from tlshttp.certs._fitness import key_identifier, unfit_findings, url_findings
from tlshttp.certs._inspect import describe, find_extension, is_self_signed
from tlshttp.certs._issue import (
    Issuer,
    LeafOrder,
    Owner,
    Role,
    issue_intermediate,
    issue_leaf,
    issue_root,
    new_key,
    roles_of,
)
from tlshttp.certs._keys import KeyType, Password, PrivateKey
from tlshttp.certs._last_list import read_last_list, write_list
from tlshttp.certs._load import load
from tlshttp.certs._names import general_names
from tlshttp.certs._parse import Source
from tlshttp.certs._requests import load_request, names_of_request
from tlshttp.certs._revocation import Ledger
from tlshttp.certs._revoking import Revoking
from tlshttp.certs._validity import AUTHORITY_LIFETIME, LEAF_LIFETIME, Validity, choose_validity
from tlshttp.errors import CertificateError

if TYPE_CHECKING:
    import OpenSSL.SSL


class CertificateAuthority(Revoking):
    """A certificate authority, a root or below another one.

    What is issued has its chain up to, but without, the root. Threads may share an authority.

    Args:
        certificate: The authority's own certificate, with its private key.
        crl_url: Where `crl` will be found, to stand in what is issued; `None` means nowhere.
        ocsp_url: Where OCSP is answered, to stand in what is issued; `None` means nowhere.

    Raises:
        CertificateError: The certificate is not one of an authority.
    """

    _leaf_lifetime: ClassVar[timedelta] = LEAF_LIFETIME

    def __init__(
        self, certificate: Certificate, *, crl_url: str | None = None, ocsp_url: str | None = None
    ) -> None:
        CertificateError.raise_if([*unfit_findings(certificate), *url_findings(crl_url, ocsp_url)])
        self.certificate = certificate
        """The authority's own certificate; its ``leaf`` is what clients are told to trust."""
        self._issuer = Issuer(
            name=certificate.leaf.subject,
            private_key=certificate.private_key,
            key_identifier=key_identifier(certificate.leaf),
            crl_url=crl_url,
            ocsp_url=ocsp_url,
        )
        self._ledger = Ledger()
        # As far up as is known: who loads an intermediate may not have its root.
        self._authorities = (certificate.leaf, *certificate.chain)

    @staticmethod
    def generate(
        common_name: str,
        *,
        key_type: KeyType = KeyType.ECDSA_P256,
        lifetime: timedelta = AUTHORITY_LIFETIME,
        not_valid_before: datetime | None = None,
        not_valid_after: datetime | None = None,
        path_length: int | None = None,
        name_constraints: x509.NameConstraints | None = None,
        organization: str | None = None,
        organizational_unit: str | None = None,
        crl_url: str | None = None,
        ocsp_url: str | None = None,
    ) -> CertificateAuthority:
        """Generate a root: a key and a certificate signed with itself.

        Args:
            common_name: What people see in their trust store, up to 64 characters.
            key_type: The kind of key to generate.
            lifetime: How long the certificate is valid.
            not_valid_before: The beginning, aware; `None` means five minutes ago.
            not_valid_after: The end, aware; `None` means after the lifetime.
            path_length: How many authorities may stand between this one and a leaf; `None` means
                any number.
            name_constraints: The names that may be issued; `None` means all.
            organization: Whose it is, for the subject; `None` means that nothing is said.
            organizational_unit: Which part of that; likewise.
            crl_url: Where `crl` will be found; `None` means nowhere.
            ocsp_url: Where OCSP is answered; `None` means nowhere.

        Raises:
            CertificateError: Name or period cannot stand in a certificate.
        """
        validity = choose_validity(lifetime, not_valid_before, not_valid_after)
        owner = Owner(organization, organizational_unit)
        root = issue_root(common_name, key_type, validity, path_length, name_constraints, owner)
        return CertificateAuthority(root, crl_url=crl_url, ocsp_url=ocsp_url)

    @staticmethod
    def load(
        certfile: Source,
        keyfile: Source | None = None,
        password: Password | None = None,
        *,
        crlfile: Source | None = None,
        crl_url: str | None = None,
        ocsp_url: str | None = None,
        tolerate: Iterable[str] = (),
    ) -> CertificateAuthority:
        """Load an authority from its certificate and private key.

        Args:
            certfile: The certificate, then its issuers up to the root: a path, PEM text or bytes.
            keyfile: The private key, likewise; `None` means it is in ``certfile``.
            password: What opens an encrypted key; `None` means it is not encrypted.
            crlfile: The last CRL, to go on from; `None` means that nothing was revoked. It has to
                be for all that the authority has issued, and alone: no delta, and no part.
            crl_url: Where `crl` will be found; `None` means nowhere.
            ocsp_url: Where OCSP is answered; `None` means nowhere.
            tolerate: Codes of findings to log as warnings instead, as for `tlshttp.certs.load`.

        Raises:
            CertificateError: The authority cannot be used; the findings list everything.
        """
        certificate = load(certfile, keyfile, password, tolerate=tolerate)
        authority = CertificateAuthority(certificate, crl_url=crl_url, ocsp_url=ocsp_url)
        if crlfile is not None:
            authority._ledger = Ledger(read_last_list(open_list(crlfile), certificate.leaf))
        return authority

    def write(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        password: Password | None = None,
        *,
        crlfile: str | os.PathLike[str] | None = None,
    ) -> None:
        """Write certificate, private key and CRL, replacing each file in one step.

        Args:
            certfile: The file for the certificate and its chain.
            keyfile: The file for the private key, mode 0600; `None` puts it into ``certfile``.
            password: What to encrypt the key with; `None` leaves it open.
            crlfile: The file for a new CRL, which is also the memory of what was revoked; `None`
                writes none.

        Raises:
            CertificateError: A file cannot be written.
        """
        self.certificate.write(certfile, keyfile, password)
        if crlfile is not None:
            write_list(crlfile, self.crl(), serialization.Encoding.PEM)

    def issue_server(
        self,
        *names: str,
        key_type: KeyType = KeyType.ECDSA_P256,
        lifetime: timedelta | None = None,
        not_valid_before: datetime | None = None,
        not_valid_after: datetime | None = None,
        private_key: PrivateKey | None = None,
        also_client: bool = False,
        organization: str | None = None,
        organizational_unit: str | None = None,
    ) -> Certificate:
        """Issue a certificate for a server.

        Args:
            *names: DNS names, wildcards, IP addresses, URIs or e-mail addresses; at least one.
            key_type: The kind of key to generate.
            lifetime: How long the certificate is valid, five minutes of back-dating included, but
                never beyond the authority's end; `None` means ninety days.
            not_valid_before: The beginning, aware; `None` means five minutes ago.
            not_valid_after: The end, aware; `None` means after the lifetime.
            private_key: The key to certify; `None` means that one is generated.
            also_client: Whether it may be shown by a client, too, as between servers that call
                each other.
            organization: Whose it is, for the subject; `None` means that nothing is said.
            organizational_unit: Which part of that; likewise.

        Raises:
            CertificateError: A name or the period is impossible, or not for this authority.
        """
        validity = self._validity(lifetime, not_valid_before, not_valid_after)
        key = new_key(key_type) if private_key is None else private_key
        roles = roles_of(Purpose.SERVER, also_client=also_client)
        owner = Owner(organization, organizational_unit)
        issued = self._issue(general_names(names), roles, key.public_key(), validity, owner)
        return Certificate(issued.leaf, issued.chain, key)

    def issue_client(
        self,
        *names: str,
        key_type: KeyType = KeyType.ECDSA_P256,
        lifetime: timedelta | None = None,
        not_valid_before: datetime | None = None,
        not_valid_after: datetime | None = None,
        private_key: PrivateKey | None = None,
        organization: str | None = None,
        organizational_unit: str | None = None,
    ) -> Certificate:
        """Issue a certificate for a client; the arguments are those of `issue_server`.

        Args:
            *names: Whom the certificate is for, mostly an e-mail address, SPIFFE ID or host name.
            key_type: The kind of key to generate.
            lifetime: How long the certificate is valid; `None` means ninety days.
            not_valid_before: The beginning, aware; `None` means five minutes ago.
            not_valid_after: The end, aware; `None` means after the lifetime.
            private_key: The key to certify; `None` means that one is generated.
            organization: Whose it is, for the subject; `None` means that nothing is said.
            organizational_unit: Which part of that; likewise.

        Raises:
            CertificateError: A name or the period is impossible, or not for this authority.
        """
        validity = self._validity(lifetime, not_valid_before, not_valid_after)
        key = new_key(key_type) if private_key is None else private_key
        owner = Owner(organization, organizational_unit)
        issued = self._issue(
            general_names(names), (Role.CLIENT,), key.public_key(), validity, owner
        )
        return Certificate(issued.leaf, issued.chain, key)

    def issue_for_request(
        self,
        request: Source | x509.CertificateSigningRequest,
        *names: str,
        purpose: Purpose = Purpose.SERVER,
        also_client: bool = False,
        lifetime: timedelta | None = None,
        not_valid_before: datetime | None = None,
        not_valid_after: datetime | None = None,
    ) -> CertificateChain:
        """Issue a certificate for a key that somebody else has, by a signing request (PKCS#10).

        Key and names are taken from the request. Whatever else it asks for, to become an authority
        for example, is not.

        Args:
            request: The request: a path, PEM text or bytes, DER bytes, or an object.
            *names: What to certify instead of the request's names; none means those.
            purpose: What the certificate is for.
            also_client: Whether one for a server may be shown by a client, too.
            lifetime: How long the certificate is valid; `None` means ninety days.
            not_valid_before: The beginning, aware; `None` means five minutes ago.
            not_valid_after: The end, aware; `None` means after the lifetime.

        Raises:
            CertificateError: The request cannot be read, its sender does not have the key, the key
                is weak, or a name or the period is impossible or not for this authority.
        """
        wanted = load_request(request)
        subject_names = general_names(names or names_of_request(wanted))
        roles = roles_of(purpose, also_client=also_client)
        validity = self._validity(lifetime, not_valid_before, not_valid_after)
        return self._issue(subject_names, roles, wanted.public_key(), validity, Owner())

    def issue_authority(
        self,
        common_name: str,
        *,
        path_length: int = 0,
        key_type: KeyType = KeyType.ECDSA_P256,
        lifetime: timedelta = AUTHORITY_LIFETIME,
        not_valid_before: datetime | None = None,
        not_valid_after: datetime | None = None,
        name_constraints: x509.NameConstraints | None = None,
        organization: str | None = None,
        organizational_unit: str | None = None,
        crl_url: str | None = None,
        ocsp_url: str | None = None,
    ) -> CertificateAuthority:
        """Issue a certificate for an authority below this one.

        Args:
            common_name: What people see, up to 64 characters.
            path_length: How many authorities may stand between the new one and a leaf.
            key_type: The kind of key to generate.
            lifetime: How long the certificate is valid, but never beyond this authority.
            not_valid_before: The beginning, aware; `None` means five minutes ago.
            not_valid_after: The end, aware; `None` means after the lifetime.
            name_constraints: The names that may be issued; `None` means those of this authority.
            organization: Whose it is, for the subject; `None` means that nothing is said.
            organizational_unit: Which part of that; likewise.
            crl_url: Where the new authority's `crl` will be found; `None` means nowhere.
            ocsp_url: Where OCSP is answered for the new authority; `None` means nowhere.

        Raises:
            CertificateError: Name or period is impossible, or this authority may not do so.
        """
        own = find_extension(self.certificate.leaf, x509.BasicConstraints)
        allowed = own.value.path_length if own is not None else None
        if allowed is not None and path_length >= allowed:
            raise CertificateError(
                f"{describe(self.certificate.leaf)} has path length {allowed}: an authority below"
                " it needs a smaller one"
            )
        certificate, private_key = issue_intermediate(
            self._issuer,
            common_name,
            key_type,
            self._validity(lifetime, not_valid_before, not_valid_after),
            path_length,
            name_constraints,
            Owner(organization, organizational_unit),
        )
        authority = CertificateAuthority(
            Certificate(certificate, self._chain_below_root(), private_key),
            crl_url=crl_url,
            ocsp_url=ocsp_url,
        )
        authority._authorities = (certificate, *self._authorities)
        return authority

    def configure_trust(self, ssl_context: ssl.SSLContext | OpenSSL.SSL.Context) -> None:
        """Make a client context, or a server's for client certificates, trust this authority.

        If this authority is below a root, it alone is trusted, and not the root.

        Args:
            ssl_context: A context of the standard library or of pyOpenSSL, not yet in use.
        """
        add_trust_anchor(ssl_context, self.certificate.leaf)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {describe(self.certificate.leaf)}>"

    def _issue(
        self,
        names: Sequence[x509.GeneralName],
        roles: tuple[Role, ...],
        public_key: CertificatePublicKeyTypes,
        validity: Validity,
        owner: Owner,
    ) -> CertificateChain:
        CertificateError.raise_if(self._forbidden(names))
        order = LeafOrder(
            names=names, roles=roles, public_key=public_key, validity=validity, owner=owner
        )
        return CertificateChain(issue_leaf(self._issuer, order), self._chain_below_root())

    def _forbidden(self, names: Sequence[x509.GeneralName]) -> Iterable[str]:
        """Say which names clients would not take from this authority."""
        return constraint_findings(names, self._authorities)

    def _validity(
        self, lifetime: timedelta | None, begin: datetime | None, end: datetime | None
    ) -> Validity:
        return choose_validity(
            self._leaf_lifetime if lifetime is None else lifetime,
            begin,
            end,
            issuer_end=min(authority.not_valid_after_utc for authority in self._authorities),
        )

    def _chain_below_root(self) -> tuple[x509.Certificate, ...]:
        own = self.certificate
        return () if is_self_signed(own.leaf) else (own.leaf, *own.chain)
