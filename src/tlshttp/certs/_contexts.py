"""Trust anchors for the contexts of either TLS engine."""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs._inspect import is_self_signed
from tlshttp.certs._memory import pem_path
from tlshttp.certs._rsa_pss import is_rsa_pss

if TYPE_CHECKING:
    import OpenSSL.SSL

    from tlshttp.certs._certificate import Certificate


def add_trust_anchor(
    ssl_context: ssl.SSLContext | OpenSSL.SSL.Context, anchor: x509.Certificate
) -> None:
    """Make a context trust what an authority has issued, also where that is no root."""
    # OpenSSL looks for a root above an anchor unless told that the anchor is enough.
    partial = not is_self_signed(anchor)
    if isinstance(ssl_context, ssl.SSLContext):
        ssl_context.load_verify_locations(cadata=anchor.public_bytes(Encoding.DER))
        if partial:
            ssl_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    elif type(ssl_context).__module__.startswith("OpenSSL."):
        _add_to_pyopenssl(ssl_context, anchor, partial=partial)
    else:
        raise _wrong_type(ssl_context)


def show_certificate(
    ssl_context: ssl.SSLContext | OpenSSL.SSL.Context, certificate: Certificate
) -> None:
    """Make a context show a certificate, its chain included."""
    if isinstance(ssl_context, ssl.SSLContext):
        with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
            ssl_context.load_cert_chain(path)
    elif type(ssl_context).__module__.startswith("OpenSSL."):
        _show_in_pyopenssl(ssl_context, certificate)
    else:
        raise _wrong_type(ssl_context)


def _show_in_pyopenssl(ssl_context: OpenSSL.SSL.Context, certificate: Certificate) -> None:
    ssl_context.use_certificate(certificate.leaf)
    for intermediate in certificate.chain:
        ssl_context.add_extra_chain_cert(intermediate)
    use_private_key(ssl_context, certificate)


def use_private_key(ssl_context: OpenSSL.SSL.Context, certificate: Certificate) -> None:
    """Have a context of pyOpenSSL use the key of the certificate that it was given last."""
    if is_rsa_pss(certificate.leaf):
        _use_rsa_pss(ssl_context, certificate)
    else:
        ssl_context.use_privatekey(certificate.private_key)
    ssl_context.check_privatekey()


def _use_rsa_pss(ssl_context: OpenSSL.SSL.Context, certificate: Certificate) -> None:
    """Use a key by way of PEM, since cryptography's object does not know that it is for PSS only.

    pyOpenSSL advises against the use of its own key objects, but there is no other way.
    """
    from OpenSSL import crypto

    key = crypto.load_privatekey(crypto.FILETYPE_PEM, certificate.key_to_pem())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ssl_context.use_privatekey(key)


def _wrong_type(ssl_context: object) -> TypeError:
    return TypeError(
        "ssl_context must be an ssl.SSLContext or OpenSSL.SSL.Context, not"
        f" {type(ssl_context).__name__}"
    )


def _add_to_pyopenssl(
    ssl_context: OpenSSL.SSL.Context, anchor: x509.Certificate, *, partial: bool
) -> None:
    # Whoever has such a context has imported pyOpenSSL already; nobody else need do so.
    from OpenSSL import crypto

    store = ssl_context.get_cert_store()
    if store is None:
        raise TypeError("this OpenSSL.SSL.Context has no certificate store")
    store.add_cert(crypto.X509.from_cryptography(anchor))
    if partial:
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
