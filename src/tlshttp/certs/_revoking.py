"""What an authority says about its certificates afterwards: revocation, as CRL and by OCSP."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.x509 import ocsp

from tlshttp._issued_by import is_below
from tlshttp.certs._certificate import Certificate, CertificateChain
from tlshttp.certs._inspect import describe
from tlshttp.certs._issue import Issuer
from tlshttp.certs._revocation import Ledger, sign_crl, sign_ocsp_response
from tlshttp.errors import CertificateError

STATEMENT_LIFETIME = timedelta(days=7)
"""How long a CRL or OCSP response holds; Baseline Requirements 4.9.7 and 4.9.10 allow ten days."""


_SERIAL_BITS = 159
"""Twenty octets of a positive number: RFC 5280, section 4.1.2.2."""


class Revoking:
    """The part of an authority that takes certificates back."""

    certificate: Certificate
    _issuer: Issuer
    _ledger: Ledger

    def revoke(
        self,
        certificate: CertificateChain | x509.Certificate | int,
        *,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    ) -> None:
        """Take a certificate back; `crl` and `ocsp_response` say so from now on.

        Args:
            certificate: A certificate that this authority has issued; where it is lost, its serial
                number.
            reason: Why, for whoever reads the CRL (RFC 5280, section 5.3.1).

        Raises:
            CertificateError: The certificate is not from this authority, or is its own.
        """
        if reason is x509.ReasonFlags.remove_from_crl:
            raise CertificateError("remove_from_crl is no reason to revoke a certificate")
        if isinstance(certificate, int):
            if not 0 < certificate < 1 << _SERIAL_BITS:
                raise CertificateError(
                    "this is no serial number of a certificate, which is above 0 and has 20 octets"
                    " at most"
                )
            self._ledger.add(certificate, reason)
        else:
            leaf = self._own(certificate)
            if leaf == self.certificate.leaf:
                raise CertificateError(
                    f"{describe(leaf)} is the authority itself, which no list of its own takes back"
                )
            self._ledger.add(leaf.serial_number, reason)

    def crl(self, *, lifetime: timedelta = STATEMENT_LIFETIME) -> x509.CertificateRevocationList:
        """Return a signed list of what is revoked, with a number that always rises.

        It begins five minutes ago, for clients whose clock is behind, but not before the last one.

        Args:
            lifetime: When the next list is due; afterwards clients refuse this one.

        Raises:
            CertificateError: It ends before it begins, or after the year 9999.
        """
        return sign_crl(self._issuer, self._ledger.next_crl(), lifetime)

    def ocsp_response(
        self,
        certificate: CertificateChain | x509.Certificate,
        *,
        lifetime: timedelta = STATEMENT_LIFETIME,
    ) -> ocsp.OCSPResponse:
        """Return a signed statement whether a certificate is revoked, for stapling.

        Args:
            certificate: A certificate that this authority has issued.
            lifetime: When the next statement is due; afterwards clients refuse this one.

        Raises:
            CertificateError: The certificate is not from this authority.
        """
        leaf = self._own(certificate)
        revocation = self._ledger.find(leaf.serial_number)
        return sign_ocsp_response(self._issuer, self.certificate.leaf, leaf, revocation, lifetime)

    def _own(self, certificate: CertificateChain | x509.Certificate) -> x509.Certificate:
        leaf = certificate.leaf if isinstance(certificate, CertificateChain) else certificate
        if not is_below(leaf, self.certificate.leaf):
            raise CertificateError(
                f"{describe(leaf)} was not issued by {describe(self.certificate.leaf)}"
            )
        return leaf
