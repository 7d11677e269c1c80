"""Two verifiers that are not ours have the last word, so that nothing they refuse is found good.

They start from the root, if it is shown. Mostly it is not; then the uppermost certificate is issued
once more, by a root made for this one question, with the same key, names, time and extensions, and
so with the same faults. The root has the name of the issuer, which may stand in what is below, too
(RFC 5280, section 4.2.1.1). A leaf that is its own issuer is judged likewise, as if an authority
had issued it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from tlshttp.certs._findings import Purpose
from tlshttp.certs._inspect import find_extension, is_self_signed
from tlshttp.certs._serials import serial_of

_ALWAYS = datetime(1950, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""As far as X.509 goes: RFC 5280, section 4.1.2.5."""

_ONE_SECOND = timedelta(seconds=1)

_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def last_word(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], purpose: Purpose, at: datetime
) -> Iterator[tuple[str, str]]:
    """Ask both verifiers; yield a code and a sentence for each that refuses."""
    try:
        root, certificates = _below_a_root((leaf, *chain))
    except Exception as error:  # noqa: BLE001
        # Whatever the builder does not take, a verifier would not: a serial number below one, an
        # extension without meaning, a key of a kind that nobody signs.
        yield "refused-cryptography", f"the certificate cannot be issued again: {error}"
        return
    for code, verifier, ask in (
        ("refused-cryptography", "cryptography's verifier", _ask_cryptography),
        ("refused-openssl", "OpenSSL's strict verifier, as in Python 3.13,", _ask_openssl),
    ):
        refusal = ask(root, certificates, purpose, at)
        if refusal is not None:
            yield code, f"{verifier} refuses the certificate: {refusal}"


def _below_a_root(
    certificates: Sequence[x509.Certificate],
) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """Return a root of our own, and the certificates with the uppermost issued by it."""
    *lower, top = certificates
    if lower and is_self_signed(top):
        return top, lower
    private_key = ec.generate_private_key(ec.SECP256R1())
    own = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    name = _name_of_issuer(top)
    serial = x509.random_serial_number()
    root = (
        _builder(name, name, private_key.public_key(), serial)
        .not_valid_before(_ALWAYS[0])
        .not_valid_after(_ALWAYS[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(own, critical=False)
        .sign(private_key, hashes.SHA256())
    )
    builder = (
        _builder(top.subject, name, top.public_key(), serial_of(top))
        .not_valid_before(top.not_valid_before_utc)
        .not_valid_after(top.not_valid_after_utc)
    )
    if find_extension(top, x509.AuthorityKeyIdentifier) is None and top.subject == top.issuer:
        builder = builder.add_extension(authority, critical=False)
    for extension in top.extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier:
            value = authority
        elif isinstance(value, x509.AuthorityKeyIdentifier) and value.authority_cert_issuer:
            value = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name)], serial)
        builder = builder.add_extension(value, critical=extension.critical)
    return root, [*lower, builder.sign(private_key, hashes.SHA256())]


def _name_of_issuer(certificate: x509.Certificate) -> x509.Name:
    if certificate.issuer.rdns and certificate.issuer != certificate.subject:
        return certificate.issuer
    # A certificate with the name of its issuer counts as its own issuer; and no name is a fault for
    # which there is a rule.
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tlshttp check root")])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: object, serial: int
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,  # type: ignore[arg-type]
        serial_number=serial,
    )


def _ask_cryptography(
    root: x509.Certificate, shown: Sequence[x509.Certificate], purpose: Purpose, at: datetime
) -> str | None:
    leaf, *chain = shown
    builder = verification.PolicyBuilder().store(verification.Store([root])).time(at)
    try:
        if purpose is Purpose.CLIENT:
            builder.build_client_verifier().verify(leaf, chain)
        else:
            host = _host_of(leaf)
            if host is not None:
                builder.build_server_verifier(host).verify(leaf, chain)
    except (verification.VerificationError, ValueError) as error:
        return str(error).partition(", with ")[0]
    return None


def _host_of(leaf: x509.Certificate) -> x509.DNSName | x509.IPAddress | None:
    """Choose a host that the names fit; `None` without any, which is another finding."""
    extension = find_extension(leaf, x509.SubjectAlternativeName)
    for name in extension.value if extension is not None else ():
        if isinstance(name, x509.IPAddress):
            return name
        if isinstance(name, x509.DNSName):
            return x509.DNSName(name.value.replace("*", "www", 1))
    return None


def _ask_openssl(
    root: x509.Certificate, shown: Sequence[x509.Certificate], _purpose: Purpose, at: datetime
) -> str | None:
    return refusal_of_openssl([root], shown, at)


def refusal_of_openssl(
    anchors: Sequence[x509.Certificate], shown: Sequence[x509.Certificate], at: datetime
) -> str | None:
    """Ask OpenSSL as strictly as Python does since 3.13, but for names and purpose.

    Args:
        anchors: Whom to trust, also without their own issuers.
        shown: The leaf, and what is sent with it.
        at: The moment to judge for.

    Returns:
        Why it refuses; `None` if it does not.
    """
    from OpenSSL import crypto

    flags = crypto.X509StoreFlags
    store = crypto.X509Store()
    # A chain may end below a root only where somebody trusts whoever is there.
    ends_early = any(one.subject != one.issuer for one in anchors)
    store.set_flags(flags.X509_STRICT | (flags.PARTIAL_CHAIN if ends_early else 0))
    # Older OpenSSLs count the last second as over; another rule judges that.
    store.set_time(min(at, *(one.not_valid_after_utc - _ONE_SECOND for one in shown)))
    leaf, *chain = (crypto.X509.from_cryptography(one) for one in shown)
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    try:
        crypto.X509StoreContext(store, leaf, chain).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return None
