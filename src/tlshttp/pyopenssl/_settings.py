"""Everything that is set on a context of pyOpenSSL: the profile, to the letter, and the rest.

pyOpenSSL has no public methods for groups and signature algorithms; OpenSSL's functions are used,
and where they are missing there is no context, since it would negotiate something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL import SSL

from tlshttp._engines.terms import Terms
from tlshttp._engines.tickets import Tickets
from tlshttp.profiles import TLSProfile
from tlshttp.pyopenssl import _library

__all__ = ["apply_profile", "known", "missing", "set_up"]

_SESSION_ID_CONTEXT = b"tlshttp"  # OpenSSL wants one where clients are verified, and takes any

_FUNCTIONS = {
    "ciphersuites": "SSL_CTX_set_ciphersuites",
    "groups": "SSL_CTX_set1_curves_list",
    "signature_algorithms": "SSL_CTX_set1_sigalgs_list",
}
"""What sets a field of a profile."""

_SINCE = {"groups": "cryptography 47"}
"""Which versions came with it, where the oldest that this package takes does not."""


def missing(profile: TLSProfile) -> list[str]:
    """Say what of a profile cannot be set here."""
    return [
        f"profile {profile.name}: its {field.replace('_', ' ')} cannot be set by"
        f" {_library.versions()}; {_SINCE.get(field, 'another version')} or later can"
        for field, function in _FUNCTIONS.items()
        if getattr(profile, field) and not _library.has(function)
    ]


def known(profile: TLSProfile, field: str) -> list[str]:
    """Return what OpenSSL knows of a field that is a list of names."""
    setter = _setter(SSL.Context(SSL.TLS_SERVER_METHOD), field)
    return [name for name in getattr(profile, field) if setter([name])]


def set_up(context: SSL.Context, terms: Terms) -> None:
    """Make a context one for a server of these terms."""
    apply_profile(context, terms.profile)
    # The buffers of a connection that waits are 33 KiB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_id(_SESSION_ID_CONTEXT)
    _set_tickets(context, terms.tickets)


def apply_profile(context: SSL.Context, profile: TLSProfile) -> None:
    """Set everything of a profile."""
    context.set_min_proto_version(profile.minimum_version)
    context.set_max_proto_version(profile.maximum_version)
    options = int(profile.options)
    if profile.server_preference:
        options |= SSL.OP_CIPHER_SERVER_PREFERENCE
    context.set_options(options)
    level = "" if profile.security_level is None else f"@SECLEVEL={profile.security_level}"
    ciphers = ":".join(filter(None, (*(profile.ciphers or ("DEFAULT",)), level)))
    context.set_cipher_list(ciphers.encode())
    for field in _FUNCTIONS:
        names = known(profile, field)
        if names:
            _setter(context, field)(names)


def _set_tickets(context: SSL.Context, tickets: Tickets) -> None:
    """Have sessions resumed for as long as is wanted, or not at all."""
    if tickets.number:
        context.set_timeout(int(tickets.lifetime.total_seconds()) or 1)
        return
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)


def _setter(context: SSL.Context, field: str) -> Callable[[Sequence[str]], bool]:
    """Return what sets a field to a list of names, and tells whether OpenSSL knows all of them."""
    function = getattr(_library.lib, _FUNCTIONS[field])
    pointer: Any = context._context  # noqa: SLF001  # see _library

    def set_names(names: Sequence[str]) -> bool:
        done = function(pointer, ":".join(names).encode())
        _library.lib.ERR_clear_error()
        return bool(done)

    return set_names
