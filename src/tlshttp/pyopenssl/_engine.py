"""pyOpenSSL as an engine: what it can do, and certificates and authorities in its contexts."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from OpenSSL import SSL, crypto

from tlshttp._engines.anchors import TrustAnchors
from tlshttp._engines.directory import Group
from tlshttp._engines.pins import Pins
from tlshttp.certs import Certificate
from tlshttp.certs._contexts import show_certificate, use_private_key
from tlshttp.certs._inspect import describe
from tlshttp.certs._memory import pem_path
from tlshttp.certs._serials import read_der
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import TLSProfile
from tlshttp.pyopenssl._settings import apply_profile, known, missing
from tlshttp.pyopenssl._staples import Staples, staple_findings

__all__ = ["PyOpenSSLEngine"]

_LISTS = ("ciphersuites", "groups", "signature_algorithms")


class PyOpenSSLEngine:
    """pyOpenSSL as an `tlshttp._engines.engine.Engine`.

    Args:
        staples: Where OCSP responses are; `None`: nothing is stapled.
    """

    def __init__(self, staples: Staples | None) -> None:
        self._staples = staples

    def profile_findings(self, profile: TLSProfile) -> list[str]:
        """Say what of a profile cannot be set, or OpenSSL does not know at all."""
        found = missing(profile)
        if found:
            return found
        if profile.ciphers and not _knows_ciphers(profile.ciphers):
            found.append(f"profile {profile.name}: OpenSSL knows none of its ciphers")
        return found + [
            f"profile {profile.name}: OpenSSL knows none of its {field.replace('_', ' ')}"
            for field in _LISTS
            if getattr(profile, field) and not known(profile, field)
        ]

    def certificate_findings(self, certificate: Certificate, profile: TLSProfile) -> list[str]:
        """Say why OpenSSL refuses a certificate, or all clients would."""
        trial = SSL.Context(SSL.TLS_SERVER_METHOD)
        if self.profile_findings(profile):
            return []  # which are told already
        apply_profile(trial, profile)
        try:
            self.load_certificates(trial, (certificate,))
        except ConfigurationError as error:
            return list(error.findings)
        return staple_findings(certificate, self._staples)

    def load_certificates(self, context: SSL.Context, group: Group) -> None:
        """Have a context show certificates, of different kinds of keys."""
        # pyOpenSSL's methods know one chain for all kinds of keys, and a file one for each. What
        # stands in the file is public, and on Linux it is in memory, too.
        apart = len({certificate.chain for certificate in group}) > 1
        for number, certificate in enumerate(group):
            try:
                if apart:
                    with pem_path(certificate.to_pem()) as path:
                        context.use_certificate_chain_file(path)
                    use_private_key(context, certificate)
                elif number == 0:
                    show_certificate(context, certificate)
                else:
                    context.use_certificate(certificate.leaf)
                    use_private_key(context, certificate)
            except SSL.Error as error:
                raise ConfigurationError(
                    f"OpenSSL refuses the certificate of {describe(certificate.leaf)}:"
                    f" {_reason(error)}"
                ) from None

    def trust(
        self, context: SSL.Context, anchors: TrustAnchors, crls: bytes | None, pins: Pins
    ) -> None:
        """Have a context accept client certificates of authorities, less what is revoked."""
        store = context.get_cert_store()
        if store is None:  # pragma: no cover  # every context has one
            raise ConfigurationError("this OpenSSL.SSL.Context has no certificate store")
        for der in (*anchors.all_der(), *pins.all_der()):
            store.add_cert(crypto.X509.from_cryptography(read_der(der)))
        if crls is not None:
            for crl in _lists(crls):
                store.add_crl(crl)
            # Of every certificate in the chain, whatever the anchors are: see `stand_in`.
            flags = crypto.X509StoreFlags
            store.set_flags(flags.CRL_CHECK | flags.CRL_CHECK_ALL)


_END = b"-----END X509 CRL-----\n"


def _lists(pem: bytes) -> Iterable[x509.CertificateRevocationList]:
    """Return the revocation lists in PEM."""
    pieces = pem.split(_END)[:-1]
    return [x509.load_pem_x509_crl(piece + _END) for piece in pieces]


def _knows_ciphers(ciphers: Iterable[str]) -> bool:
    try:
        SSL.Context(SSL.TLS_SERVER_METHOD).set_cipher_list(
            ":".join((*ciphers, "@SECLEVEL=0")).encode()
        )
    except SSL.Error:
        return False
    return True


def _reason(error: SSL.Error) -> str:
    errors = error.args[0] if error.args else ()
    return str(errors[-1][2]).upper().replace(" ", "_") if errors else "no reason given"
