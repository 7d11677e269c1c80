"""What a profile means to the `ssl` module."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence

from tlshttp._engines.anchors import TrustAnchors
from tlshttp._engines.directory import Group
from tlshttp._engines.pins import Pins
from tlshttp.certs import Certificate
from tlshttp.certs._inspect import describe, must_staple
from tlshttp.certs._memory import pem_path
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import TLSProfile

__all__ = ["ENGINE", "apply_profile", "enforcement"]

# The methods by which Python 3.15 and later set a field; before there are none. Of the two for
# signatures the first is about those that the server makes, the second about the client's.
_SETTERS = {
    "ciphersuites": ("set_ciphersuites",),
    "groups": ("set_groups",),
    "signature_algorithms": ("set_server_sigalgs", "set_client_sigalgs"),
}


def enforcement(profile: TLSProfile) -> dict[str, bool]:
    """Tell whether the running `ssl` module can set those fields that not every one can."""
    return {
        field: all(hasattr(ssl.SSLContext, name) for name in setters)
        for field, setters in _SETTERS.items()
        if getattr(profile, field)
    }


_CANNOT_STAPLE = (
    "the certificate of {} must be stapled (RFC 7633), which the ssl module cannot do: the engine"
    " pyopenssl can, by ssl_context=tlshttp.pyopenssl.create_server_context(certificate,"
    " ocsp_staple=...)"
)


class _SSLEngine:
    """The `ssl` module as an `tlshttp._engines.engine.Engine`."""

    def profile_findings(self, profile: TLSProfile) -> list[str]:
        """Say what of a profile OpenSSL does not know at all."""
        found = []
        if profile.ciphers and not _is_known(profile.ciphers):
            found.append(f"profile {profile.name}: OpenSSL knows none of its ciphers")
        return found + [
            f"profile {profile.name}: OpenSSL knows none of its {field.replace('_', ' ')}"
            for field, can_be_set in enforcement(profile).items()
            if can_be_set and not _set_known(_blank(), profile, field)
        ]

    def certificate_findings(self, certificate: Certificate, profile: TLSProfile) -> list[str]:
        """Say why OpenSSL refuses a certificate, or all clients would."""
        if must_staple(certificate.leaf):
            return [_CANNOT_STAPLE.format(describe(certificate.leaf))]
        trial = _blank()
        with contextlib.suppress(ssl.SSLError):  # the profile's, which profile_findings() names
            apply_profile(trial, profile)
        try:
            self.load_certificates(trial, (certificate,))
        except ConfigurationError as error:
            return list(error.findings)
        return []

    def load_certificates(self, context: ssl.SSLContext, group: Group) -> None:
        """Have a context show certificates, of different kinds of keys."""
        for certificate in group:
            _load_certificate(context, certificate)

    def trust(
        self, context: ssl.SSLContext, anchors: TrustAnchors, crls: bytes | None, pins: Pins
    ) -> None:
        """Have a context accept client certificates of authorities, less what is revoked.

        Raises:
            ConfigurationError: It was told to end chains where no limit would hold.
        """
        if anchors.depth is not None and context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN:
            raise ConfigurationError(
                "verify_depth counts up to the highest of client_cas, and VERIFY_X509_PARTIAL_CHAIN"
                " would have chains end below: create the context anew, without one of the two"
            )
        if anchors.certificates or pins:
            context.load_verify_locations(cadata=b"".join((*anchors.all_der(), *pins.all_der())))
        if crls is not None:
            if crls:
                with pem_path(crls) as path:
                    context.load_verify_locations(cafile=path)
            # Of every certificate in the chain, whatever the anchors are: see `stand_in`.
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


ENGINE = _SSLEngine()


def _blank() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _is_known(ciphers: Sequence[str]) -> bool:
    try:
        _blank().set_ciphers(":".join((*ciphers, "@SECLEVEL=0")))
    except ssl.SSLError:
        return False
    return True


def apply_profile(context: ssl.SSLContext, profile: TLSProfile) -> None:
    """Set everything of a profile that the `ssl` module can set."""
    context.minimum_version = _minimum(profile)
    context.maximum_version = profile.maximum_version
    context.options |= profile.options
    if profile.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    level = "" if profile.security_level is None else f"@SECLEVEL={profile.security_level}"
    if profile.ciphers or level:
        context.set_ciphers(":".join(filter(None, (*(profile.ciphers or ("DEFAULT",)), level))))
    for field in _SETTERS:
        _set_known(context, profile, field)


def _minimum(profile: TLSProfile) -> ssl.TLSVersion:
    # Python warns of whoever names TLS 1.0; whoever asks for INSECURE_OLD knows. OpenSSL's own
    # minimum is the same, since PROTOCOL_TLS_SERVER excludes SSL 3.0.
    if profile.minimum_version == ssl.TLSVersion.TLSv1:
        return ssl.TLSVersion.MINIMUM_SUPPORTED
    return profile.minimum_version


def _set_known(context: ssl.SSLContext, profile: TLSProfile, field: str) -> bool:
    """Set a field where the `ssl` module can, to what OpenSSL knows of it: it may be older.

    Returns:
        Whether OpenSSL knows any of it, or nothing was set.
    """
    for name in _SETTERS[field]:
        setter = getattr(context, name, None)
        if setter is None:
            continue
        known = [value for value in getattr(profile, field) if _takes(setter, value)]
        if not known:
            return False
        setter(":".join(known))
    return True


def _takes(setter: Callable[[str], object], value: str) -> bool:
    try:
        setter(value)
    except ssl.SSLError:
        return False
    return True


def _load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"OpenSSL refuses the certificate of {describe(certificate.leaf)}: {error.reason}"
            ) from None
