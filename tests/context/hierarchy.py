"""Authorities as they may be: keys of any kind, names in any spelling, any word on the issuer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from OpenSSL import crypto

from tlshttp import certs, context
from tlshttp.context import ClientAuth

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)

KEYS: dict[str, Callable[[], Any]] = {
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": functools.cache(lambda: rsa.generate_private_key(65537, 2048)),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}
"""Keys of each kind; that of RSA is made once, since it takes long."""


def named(text: str, kind: Any = None) -> x509.Name:
    """Return a name with one part; of a kind of string, `None`: as usual."""
    attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, text, kind)
    return x509.Name([attribute])


@dataclass(frozen=True, eq=False)
class Node:
    """A certificate, with its key and who has issued it."""

    leaf: x509.Certificate
    key: Any
    issuer: Node | None

    @property
    def above(self) -> list[Node]:
        """Those between it and the root, which is not among them."""
        if self.issuer is None or self.issuer.issuer is None:
            return []
        return [self.issuer, *self.issuer.above]

    def as_client(self, *chain: Node) -> certs.Certificate:
        """Return what a client shows, with what is between it and the root or with others."""
        shown = tuple(one.leaf for one in chain or self.above)
        return certs.Certificate(self.leaf, shown, self.key)

    def crl(
        self,
        *revoked: Node,
        of: x509.IssuingDistributionPoint | None = None,
        since: datetime = NOW - HOUR,
        until: datetime = NOW + 24 * HOUR,
    ) -> x509.CertificateRevocationList:
        """Return its list, as a whole or of a part, from one moment until another."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.leaf.subject)
            .last_update(since)
            .next_update(until)
        )
        if of is not None:
            builder = builder.add_extension(of, critical=True)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.leaf.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW).build())
        return builder.sign(self.key, _hash(self.key))


def issue(
    name: str | x509.Name,
    issuer: Node | None = None,
    *,
    key: Any = None,
    spelled: x509.Name | None = None,
    path_length: int | None = None,
    expired: bool = False,
    says: str = "key",
    has_identifier: bool = True,
    more: Iterable[x509.ExtensionType] = (),
    is_authority: bool = True,
    by_pss: bool = False,
) -> Node:
    """Return an authority, or a client.

    Args:
        name: Its own.
        issuer: `None`: itself.
        key: `None`: a new one.
        spelled: How it writes the name of its issuer; `None`: as that does.
        path_length: How many there may be below it.
        expired: Whether its time is over.
        says: What it says of its issuer: the ``key``, the ``number``, or ``nothing``.
        has_identifier: Whether it says what its own key is.
        more: Other extensions.
        is_authority: Whether it may issue others.
        by_pss: Whether a signature by RSA is one by PSS.
    """
    own = ec.generate_private_key(ec.SECP256R1()) if key is None else key
    signer = own if issuer is None else issuer.key
    subject = named(name) if isinstance(name, str) else name
    number = x509.random_serial_number()
    above = subject if issuer is None else issuer.leaf.subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(spelled or above)
        .public_key(own.public_key())
        .serial_number(number)
        .not_valid_before(NOW - 48 * HOUR)
        .not_valid_after(NOW + (-1 if expired else 48) * HOUR)
        .add_extension(x509.BasicConstraints(is_authority, path_length), critical=True)
    )
    if has_identifier:
        identifier = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if says == "key":
        of_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(of_key, critical=False)
    elif says == "number":
        leaf = None if issuer is None else issuer.leaf
        of_leaf = x509.AuthorityKeyIdentifier(
            None,
            [x509.DirectoryName(subject if leaf is None else leaf.issuer)],
            number if leaf is None else leaf.serial_number,
        )
        builder = builder.add_extension(of_leaf, critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    how = pss if by_pss and isinstance(signer, rsa.RSAPrivateKey) else None
    return Node(builder.sign(signer, _hash(signer), rsa_padding=how), own, issuer)


def client_of(issuer: Node, **more: Any) -> Node:
    """Return a client of an authority."""
    return issue("alice", issuer, is_authority=False, **more)


def trusting(certificate: certs.Certificate, *anchors: Node, **more: Any) -> context.ServerContext:
    """Return the context of a server that trusts some authorities."""
    return context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[one.leaf for one in anchors],
        **more,
    )


def refusal_of_openssl(
    anchors: Iterable[Node], client: certs.Certificate, crls: Iterable[Any] = ()
) -> str | None:
    """Return why OpenSSL refuses a client where it sees the anchors as they are; `None`: not."""
    store = crypto.X509Store()
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor.leaf))
    for crl in crls:
        store.add_crl(crl)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    leaf, *chain = (crypto.X509.from_cryptography(one) for one in (client.leaf, *client.chain))
    try:
        crypto.X509StoreContext(store, leaf, chain).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return None


def _hash(key: Any) -> Any:
    no_hash = ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey
    return None if isinstance(key, no_hash) else hashes.SHA256()
