"""From a certificate and a policy to a finished `ssl.SSLContext`."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlshttp import profiles
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp.certs import Certificate

__all__ = ["create_server_context"]


def create_server_context(
    certificate: Certificate,
    *,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    alpn_protocols: Sequence[str] = ("http/1.1",),
) -> ssl.SSLContext:
    """Return a context for a server.

    Args:
        certificate: What the server shows.
        profile: What it negotiates. The `ssl` module before Python 3.15 can set neither groups nor
            the choice of TLS 1.3 suites: there OpenSSL's own hold, which are no weaker.
        alpn_protocols: Application protocols to offer by ALPN (RFC 7301), in order of preference;
            empty: none.

    Raises:
        ConfigurationError: OpenSSL refuses the certificate or a part of the profile.
    """
    from tlshttp.certs._memory import pem_path

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _apply(context, profile)
    if alpn_protocols:
        context.set_alpn_protocols(list(alpn_protocols))
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ConfigurationError(f"OpenSSL refuses the certificate: {error.reason}") from None
    return context


def _apply(context: ssl.SSLContext, profile: profiles.TLSProfile) -> None:
    context.minimum_version = profile.minimum_version
    context.maximum_version = profile.maximum_version
    context.options |= (
        ssl.OP_NO_COMPRESSION  # CRIME (RFC 9325, section 3.3)
        | ssl.OP_NO_RENEGOTIATION  # RFC 9325, section 3.5
        | ssl.OP_SINGLE_ECDH_USE
    )
    if profile.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if profile.ciphers:
        level = "" if profile.security_level is None else f"@SECLEVEL={profile.security_level}"
        try:
            context.set_ciphers(":".join(filter(None, (*profile.ciphers, level))))
        except ssl.SSLError:
            raise ConfigurationError(
                f"OpenSSL knows none of the ciphers of profile {profile.name}"
            ) from None
