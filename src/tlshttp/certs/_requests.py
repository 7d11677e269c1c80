"""Certificate signing requests: PKCS#10, RFC 2986."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tlshttp.certs._keys import describe_public_key, weak_key_finding
from tlshttp.certs._names import render_name
from tlshttp.certs._parse import Document, Source, open_source
from tlshttp.certs._rsa_pss import asks_for_rsa_pss
from tlshttp.errors import CertificateError

_CERTIFIED_KEYS = (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)

_LABEL = b"CERTIFICATE REQUEST-----"
"""Also the end of ``NEW CERTIFICATE REQUEST``: RFC 7468, section 7."""


def load_request(
    request: Source | x509.CertificateSigningRequest,
) -> x509.CertificateSigningRequest:
    """Read a request, and make sure that whoever sends it has the key.

    Raises:
        CertificateError: It cannot be read, is not signed with its own key, or the key is of no
            use.
    """
    if isinstance(request, x509.CertificateSigningRequest):
        label, read = "the given request", request
    else:
        document = open_source(request)
        label, read = document.label, _parse(document)
    findings = []
    try:
        signed = read.is_signature_valid
        key = read.public_key()
    except Exception as error:  # noqa: BLE001  # no closed list of what cryptography raises
        kind = type(error).__name__
        raise CertificateError(f"the request in {label} cannot be verified ({kind})") from None
    if not signed:
        findings.append(
            f"the request in {label} is not signed with the key it asks a certificate for"
        )
    if not isinstance(key, _CERTIFIED_KEYS):
        kind = describe_public_key(key)
        findings.append(f"the key in {label} is of type {kind}: use ECDSA, Ed25519 or RSA")
    if asks_for_rsa_pss(read):
        # cryptography would certify it as any RSA key, and the certificate would not fit the key.
        findings.append(
            f"the key in {label} signs by RSA-PSS only, and no authority here can certify one: use"
            " ECDSA, Ed25519 or RSA"
        )
    weak = weak_key_finding(key)
    if weak is not None:
        findings.append(f"the request in {label}: {weak}")
    CertificateError.raise_if(findings)
    return read


def names_of_request(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """List the names a request asks for; where it has none, the common name stands for one.

    Raises:
        CertificateError: It asks for names of a kind that no client looks at, or for none.
    """
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(attribute.value) for attribute in common[:1]]
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        raise CertificateError(f"the names in the request cannot be read ({kind})") from None
    else:
        rendered = [render_name(name) for name in extension.value]
        if None in rendered:
            raise CertificateError(
                "the request asks for a name that is no DNS name, IP address, URI or e-mail address"
            )
        names = [name for name in rendered if name is not None]
    if not names:
        raise CertificateError("the request asks for no name: give the names to certify")
    return tuple(names)


def _parse(document: Document) -> x509.CertificateSigningRequest:
    if document.is_pem and _LABEL not in document.content:
        raise CertificateError(f"there is no certificate signing request in {document.label}")
    read = x509.load_pem_x509_csr if document.is_pem else x509.load_der_x509_csr
    try:
        return read(document.content)
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        raise CertificateError(f"the request in {document.label} is damaged ({kind})") from None
