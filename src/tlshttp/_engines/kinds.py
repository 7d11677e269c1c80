"""Arguments for a server's context that are of another kind than they should be."""

from __future__ import annotations

import os
import reprlib
import ssl
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography import x509

from tlshttp._engines.client_auth import ClientAuth
from tlshttp._engines.directory import UnknownNames
from tlshttp._engines.tickets import Tickets
from tlshttp._members import require_instance, require_member
from tlshttp._paths import require_path
from tlshttp._several import require_several
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import TLSProfile

__all__ = ["require_certificates", "require_crls", "require_kinds", "require_source"]


def require_kinds(
    *,
    profile: object,
    client_auth: object,
    client_auth_by_name: object,
    unknown_names: object,
    verify_depth: object,
    tickets: object,
    keylog_file: object,
) -> None:
    """Refuse what is of another kind: it would count for nothing, or for something else.

    Raises:
        ConfigurationError: One is a path or a number that cannot be.
        TypeError: One is.
    """
    require_member(ClientAuth, "client_auth", client_auth)
    if client_auth_by_name is not None:
        due = "a mapping of names, as in {'www.example.org': ClientAuth.REQUIRED}"
        require_instance("client_auth_by_name", client_auth_by_name, Mapping, due)
        for name, wanted in client_auth_by_name.items():  # type: ignore[attr-defined]
            require_instance("each name in client_auth_by_name", name, str, "text")
            require_member(ClientAuth, f"client_auth_by_name[{name!r}]", wanted)
    require_member(UnknownNames, "unknown_names", unknown_names)
    if not isinstance(profile, TLSProfile):
        raise TypeError(f"profile must be a TLSProfile, such as profiles.MODERN, not {profile!r}")
    if verify_depth is not None:
        require_instance("verify_depth", verify_depth, int, "a number, or None")
        if verify_depth > sys.maxsize:  # type: ignore[operator]
            raise ConfigurationError(
                f"verify_depth must be at most {sys.maxsize}: leave it out for no limit"
            )
    require_instance("tickets", tickets, Tickets, "context.Tickets, such as Tickets(number=0)")
    if keylog_file is not None:
        require_instance("keylog_file", keylog_file, (str, bytes, os.PathLike), "a path, or None")
        require_path("keylog_file", keylog_file)


def require_certificates(name: str, given: object) -> tuple[x509.Certificate, ...]:
    """Return certificates; refuse the path of their file, which is easily given in their place.

    Raises:
        TypeError: It is that, or something else.
    """
    if isinstance(given, Iterable):
        several = tuple(given)
        found = tuple(one for one in several if isinstance(one, x509.Certificate))
        if len(found) == len(several):
            return found
    raise TypeError(
        f"{name} must be certificates, such as those that certs.load_trust_anchors() returns,"
        f" not {reprlib.repr(given)}"
    )


def require_crls(given: object) -> tuple[Any, ...]:
    """Return sources of revocation lists; refuse one alone, since a list is several entries.

    Raises:
        ConfigurationError: One is an empty path.
        TypeError: It is that, or nothing that has several.
    """
    require_several("crls", given)
    from tlshttp.certs import CRLStore

    if isinstance(given, (os.PathLike, x509.CertificateRevocationList, CRLStore)):
        raise TypeError(
            f"crls must be several, such as a list or tuple, not one {type(given).__name__}: put it"
            " in brackets, as in crls=[authority.crl()]"
        )
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise TypeError(f"crls must be several, such as a list, not {reprlib.repr(given)}")
    return tuple(
        require_path("a path in crls", one) if isinstance(one, (str, bytes, os.PathLike)) else one
        for one in given
    )


def require_source(given: object) -> None:
    """Refuse what is easily taken for a certificate that can be shown, and say what to do.

    Raises:
        TypeError: It is no certificate with its key, nor a store of them.
    """
    from tlshttp.certs import Certificate

    if isinstance(given, Certificate):
        return
    from tlshttp.certs import CertificateStore

    if not isinstance(given, CertificateStore):
        raise TypeError(
            "certificate must be a certs.Certificate or a certs.CertificateStore, not"
            f" {type(given).__name__}: {_advice(given)}"
        )


def _advice(given: object) -> str:
    from tlshttp.certs import CertificateAuthority, LocalAuthority

    match given:
        case LocalAuthority():
            return 'have it issue one that is renewed: certificate=authority.store("localhost")'
        case CertificateAuthority():
            return 'have it issue one: certificate=authority.issue_server("localhost")'
        case x509.Certificate():
            return "it has no private key; certs.load() returns one with its key and its chain"
        case ssl.SSLContext():
            return "a finished context is passed as ssl_context=..."
        case tuple() | list():
            return (
                "several, by name, are what context.create_server_context(first, second) takes,"
                " whose result is passed as ssl_context=..."
            )
        case _:
            return (
                "certs.CertificateStore(certfile, keyfile) reads files, and looks for new ones;"
                " certs.load() reads once"
            )
