"""Arguments for a server's context that are of another kind than they should be."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography import x509

from tlshttp._engines.client_auth import ClientAuth
from tlshttp._engines.directory import UnknownNames
from tlshttp._members import require_member
from tlshttp._several import require_several
from tlshttp.certs import CRLStore
from tlshttp.profiles import TLSProfile

__all__ = ["require_certificates", "require_crls", "require_kinds"]

_ONE_LIST = (os.PathLike, x509.CertificateRevocationList, CRLStore)


def require_kinds(
    profile: object,
    client_auth: object,
    client_auth_by_name: Mapping[str, object],
    unknown_names: object,
) -> None:
    """Refuse what is no member of an enumeration, since comparisons with it would be in vain.

    Raises:
        TypeError: One is none.
    """
    require_member(ClientAuth, "client_auth", client_auth)
    for name, wanted in client_auth_by_name.items():
        require_member(ClientAuth, f"client_auth_by_name[{name!r}]", wanted)
    require_member(UnknownNames, "unknown_names", unknown_names)
    if not isinstance(profile, TLSProfile):
        raise TypeError(f"profile must be a TLSProfile, such as profiles.MODERN, not {profile!r}")


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
        TypeError: It is that, or nothing that has several.
    """
    require_several("crls", given)
    if isinstance(given, _ONE_LIST):
        raise TypeError(
            f"crls must be several, such as a list or tuple, not one {type(given).__name__}: put it"
            " in brackets, as in crls=[authority.crl()]"
        )
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise TypeError(f"crls must be several, such as a list, not {reprlib.repr(given)}")
    return tuple(given)
