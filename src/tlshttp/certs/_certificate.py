"""A certificate as servers and clients show it: leaf, intermediates, and the private key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tlshttp.certs._chain import needed
from tlshttp.certs._expiry import first_end
from tlshttp.certs._files import PRIVATE, PUBLIC, write_atomically
from tlshttp.certs._findings import Finding, Purpose
from tlshttp.certs._inspect import describe, names_of, printable, public_key_bytes
from tlshttp.certs._keys import Password, PrivateKey, describe_public_key, key_to_pem
from tlshttp.certs._serials import serial_of
from tlshttp.certs._validity import require_aware
from tlshttp.errors import CertificateError

if TYPE_CHECKING:
    import ssl

    import OpenSSL.SSL


@dataclass(frozen=True, repr=False)
class CertificateChain:
    """A leaf certificate and its intermediates, without the private key."""

    leaf: x509.Certificate
    """The certificate of the server, client or authority itself."""

    chain: tuple[x509.Certificate, ...]
    """Its issuer, that one's issuer and so on; without the root, which clients have."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every DNS name, IP address, URI and e-mail address of the leaf, as text."""
        return names_of(self.leaf)

    @property
    def not_valid_before(self) -> datetime:
        """When the leaf begins to be valid, aware and in UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_valid_after(self) -> datetime:
        """The last second in which the leaf is valid, aware and in UTC."""
        return self.leaf.not_valid_after_utc

    @property
    def expires_in(self) -> timedelta:
        """The time that is left, negative once the leaf has expired."""
        return self.not_valid_after - datetime.now(UTC)

    def ends_within(self, period: timedelta) -> bool:
        """Tell whether the leaf, or a certificate of its chain, expires within a time from now."""
        now = datetime.now(UTC)
        return first_end(needed(self.leaf, self.chain, now)) - now < period

    def fingerprint(self) -> str:
        """Return the SHA-256 fingerprint of the leaf as browsers show it: ``AB:CD:...``."""
        return self.leaf.fingerprint(hashes.SHA256()).hex(":").upper()

    def check(
        self, *, purpose: Purpose = Purpose.SERVER, at: datetime | None = None
    ) -> tuple[Finding, ...]:
        """List what today's clients refuse about the certificate.

        Args:
            purpose: What the certificate is shown for.
            at: The moment to judge for, aware; `None` means now.

        Raises:
            TypeError: The purpose is no `Purpose`.
        """
        from tlshttp.certs._check import check_chain

        require_aware(at)
        return check_chain(self.leaf, self.chain, purpose, at or datetime.now(UTC))

    def verify(
        self,
        anchors: Iterable[x509.Certificate],
        name: str | None = None,
        *,
        purpose: Purpose = Purpose.SERVER,
        at: datetime | None = None,
    ) -> None:
        """Verify the certificate as a client does, or a server that asks for one.

        Two verifiers have to accept it: that of `cryptography`, and OpenSSL's with
        ``VERIFY_X509_STRICT``, the default of Python clients since 3.13. What single clients refuse
        besides, `check` says.

        Args:
            anchors: Whom to trust, as from `load_trust_anchors`.
            name: The host name or IP address that the client wants; `None` where the purpose is
                `Purpose.CLIENT`.
            purpose: What the certificate is shown for.
            at: The moment to verify for, aware; `None` means now.

        Raises:
            CertificateError: It would be refused; the findings say why.
            TypeError: The purpose is no `Purpose`.
        """
        from tlshttp.certs._verify import verify_chain

        require_aware(at)
        verify_chain(self.leaf, self.chain, anchors, name, purpose, at or datetime.now(UTC))

    def to_pem(self) -> bytes:
        """Return leaf and chain as PEM, without the private key."""
        return b"".join(
            certificate.public_bytes(serialization.Encoding.PEM)
            for certificate in (self.leaf, *self.chain)
        )

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {describe(self.leaf)}"
            f" until {self.not_valid_after:%Y-%m-%d %H:%M:%SZ} {self.fingerprint()[:11]}...>"
        )

    def __str__(self) -> str:
        return "\n".join(printable(line) for line in _describe_lines(self))


@dataclass(frozen=True, repr=False)
class Certificate(CertificateChain):
    """A leaf certificate, its intermediates and the private key of the leaf.

    Two of them are equal when leaf and chain are; the key belongs to the leaf.

    Raises:
        CertificateError: The private key does not belong to the leaf.
    """

    private_key: PrivateKey = field(compare=False)
    """The private key of the leaf."""

    def __post_init__(self) -> None:
        own = public_key_bytes(self.private_key.public_key())
        if own != public_key_bytes(self.leaf.public_key()):
            raise CertificateError(f"the private key does not belong to {describe(self.leaf)}")

    def key_to_pem(self, password: Password | None = None) -> bytes:
        """Return the private key as PKCS#8 PEM.

        Args:
            password: What to encrypt the key with; `None` leaves it open.

        .. warning::
            Whoever reads the open key can impersonate its owner until the certificate expires.
        """
        return key_to_pem(self.private_key, password, leaf=self.leaf)

    def to_pkcs12(self, password: Password, *, name: str | None = None) -> bytes:
        """Return key, certificate and chain as PKCS#12, for browsers, Windows, macOS and Java.

        Args:
            password: What to encrypt it with.
            name: What people see where it is imported; `None` means the first name.

        Raises:
            CertificateError: The password is empty, or the key signs by RSA-PSS only.
        """
        from tlshttp.certs._pkcs12 import to_pkcs12

        shown = name or next(iter(self.names), "certificate")
        return to_pkcs12(self.private_key, self.leaf, self.chain, shown, password)

    def configure(self, ssl_context: ssl.SSLContext | OpenSSL.SSL.Context) -> None:
        """Make a context of a server or client show this certificate.

        Args:
            ssl_context: A context of the standard library or of pyOpenSSL, not yet in use.
        """
        from tlshttp.certs._contexts import show_certificate

        show_certificate(ssl_context, self)

    def write(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        password: Password | None = None,
    ) -> None:
        """Write leaf, chain and private key, replacing each file in one step.

        The key file has mode 0600 from its first byte. It is replaced first; whoever reloads
        between the two sees a pair that does not belong together and waits, as
        `CertificateStore` does.

        Args:
            certfile: The file for leaf and chain.
            keyfile: The file for the private key; `None`, or the same file, puts it before
                the certificates into ``certfile``, which then has mode 0600.
            password: What to encrypt the key with; `None` leaves it open.

        Raises:
            CertificateError: A file cannot be written.
        """
        key_pem = self.key_to_pem(password)
        if keyfile is None or os.path.realpath(keyfile) == os.path.realpath(certfile):
            write_atomically(certfile, key_pem + self.to_pem(), mode=PRIVATE)
            return
        write_atomically(keyfile, key_pem, mode=PRIVATE)
        write_atomically(certfile, self.to_pem(), mode=PUBLIC)


def _describe_lines(certificate: CertificateChain) -> Iterator[str]:
    leaf = certificate.leaf
    yield f"subject:      {leaf.subject.rfc4514_string() or '(empty)'}"
    yield f"names:        {', '.join(certificate.names) or '(none)'}"
    yield f"issuer:       {leaf.issuer.rfc4514_string() or '(empty)'}"
    yield f"valid from:   {certificate.not_valid_before:%Y-%m-%d %H:%M:%S} UTC"
    left = _remaining(certificate)
    yield f"valid until:  {certificate.not_valid_after:%Y-%m-%d %H:%M:%S} UTC ({left})"
    yield f"key:          {describe_public_key(leaf.public_key())}"
    yield f"serial:       {serial_of(leaf):x}"
    yield f"fingerprint:  {certificate.fingerprint()}"
    for intermediate in certificate.chain:
        yield f"intermediate: {intermediate.subject.rfc4514_string() or '(empty)'}"


def _remaining(certificate: CertificateChain) -> str:
    left = certificate.expires_in
    if left < timedelta():
        return "expired"
    if left < timedelta(days=2):
        return f"{left // timedelta(hours=1)} hours left"
    return f"{left.days} days left"
