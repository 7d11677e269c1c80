"""The arguments for a server's context, parsed: into terms, or one error that names all wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cryptography import x509

from tlshttp._engines.anchors import TrustAnchors
from tlshttp._engines.client_auth import ClientAuth, Doorkeeper
from tlshttp._engines.crls import CRLSource, RevocationLists
from tlshttp._engines.directory import UnknownNames
from tlshttp._engines.kinds import (
    require_certificates,
    require_crls,
    require_kinds,
    require_source,
)
from tlshttp._engines.material import Material
from tlshttp._engines.pins import Pins
from tlshttp._engines.rules import profile_findings
from tlshttp._engines.tickets import Tickets
from tlshttp._several import require_texts
from tlshttp.certs._names import parse_name
from tlshttp.errors import CertificateError, ConfigurationError
from tlshttp.profiles import TLSProfile

if TYPE_CHECKING:
    from tlshttp._engines.engine import Engine
    from tlshttp._engines.key_log import KeyLog
    from tlshttp.certs import Certificate, CertificateStore

__all__ = ["Terms", "agree"]

_T = TypeVar("_T")


class Terms(NamedTuple):
    """What a server's context is to be like."""

    material: Material
    doorkeeper: Doorkeeper
    profile: TLSProfile
    alpn_protocols: tuple[str, ...]
    unknown_names: UnknownNames
    tickets: Tickets
    key_log: KeyLog | None


def agree(
    engine: Engine,
    sources: Sequence[Certificate | CertificateStore],
    *,
    profile: TLSProfile,
    client_auth: ClientAuth,
    client_auth_by_name: Mapping[str, ClientAuth] | None,
    client_cas: Iterable[x509.Certificate],
    client_certificates: Iterable[x509.Certificate],
    verify_depth: int | None,
    crls: Iterable[CRLSource] | None,
    alpn_protocols: Sequence[str],
    unknown_names: UnknownNames,
    tickets: Tickets,
    keylog_file: str | os.PathLike[str] | None,
) -> Terms:
    """Return terms; the arguments are those of `tlshttp.context.create_server_context`.

    There are two more: ``engine`` is to keep to the terms, and ``sources`` are all certificates,
    the default one first.

    Raises:
        ConfigurationError: It cannot be done as asked; all that is wrong is named.
        TypeError: An argument is of another kind.
    """
    for source in sources:
        require_source(source)
    require_kinds(
        profile=profile,
        client_auth=client_auth,
        client_auth_by_name=client_auth_by_name,
        unknown_names=unknown_names,
        verify_depth=verify_depth,
        tickets=tickets,
        keylog_file=keylog_file,
    )
    protocols = require_texts("alpn_protocols", alpn_protocols)
    sources_of_lists = None if crls is None else require_crls(crls)
    authorities = require_certificates("client_cas", client_cas)
    pinned = require_certificates("client_certificates", client_certificates)
    pins = Pins(pinned, beside_authorities=bool(authorities))
    findings = _Findings(
        profile_findings(profile), engine.profile_findings(profile), tickets.findings()
    )
    findings += _client_findings(
        {client_auth, *(client_auth_by_name or {}).values()}, authorities, pinned, verify_depth
    )
    findings += pins.findings()
    findings += _alpn_findings(protocols)
    by_name: dict[str, ClientAuth] = findings.attempt(
        lambda: _ascii_names(client_auth_by_name or {}), dict
    )
    anchors = findings.attempt(lambda: TrustAnchors(authorities, verify_depth), TrustAnchors)
    if sources_of_lists == ():
        findings.append("crls is empty, so that nobody could ever be revoked: leave it out instead")
    lists = findings.attempt(
        lambda: RevocationLists(sources_of_lists or (), anchors), RevocationLists
    )
    if lists.current and not authorities:
        findings.append("crls revoke nothing without client_cas")
    if lists.current and pinned:
        findings.append("client_certificates have no authority whose crls could count: not both")
    material = Material(engine, sources, profile, anchors, lists, pins)
    findings += material.findings()
    ConfigurationError.raise_if(findings)
    return Terms(
        material=material,
        doorkeeper=Doorkeeper(client_auth, by_name, anchors, pins),
        profile=profile,
        alpn_protocols=protocols,
        unknown_names=unknown_names,
        tickets=tickets,
        key_log=None if keylog_file is None else _key_log(keylog_file),
    )


def _key_log(path: str | os.PathLike[str]) -> KeyLog:
    from tlshttp._engines.key_log import KeyLog

    return KeyLog(path)


class _Findings(list[str]):
    """What is wrong so far."""

    def __init__(self, *lists: Iterable[str]) -> None:
        super().__init__(finding for findings in lists for finding in findings)

    def attempt(self, function: Callable[[], _T], otherwise: Callable[[], _T]) -> _T:
        """Call a function; where it raises take note of why, and return what `otherwise` does."""
        try:
            return function()
        except ConfigurationError as error:
            self.extend(error.findings)
            return otherwise()


def _client_findings(
    wanted: set[ClientAuth],
    authorities: Sequence[x509.Certificate],
    pinned: Sequence[x509.Certificate],
    depth: int | None,
) -> list[str]:
    asks = wanted != {ClientAuth.NONE}
    found = []
    if asks and not authorities and not pinned:
        found.append("client_auth needs client_cas, or no client certificate is acceptable")
    if pinned and not asks:
        found.append("client_certificates is given, but client_auth asks nobody for a certificate")
    if authorities and not asks:
        found.append("client_cas is given, but client_auth asks nobody for a certificate")
    if depth is not None and not authorities:
        found.append("verify_depth limits nothing without client_cas")
    return found


def _alpn_findings(alpn_protocols: Sequence[str]) -> list[str]:
    return [
        f"alpn_protocols: {name!r} is not 1 to 255 ASCII characters (RFC 7301, section 3.1)"
        for name in alpn_protocols
        if not (name.isascii() and 0 < len(name) < 256)
    ]


def _ascii_names(by_name: Mapping[str, ClientAuth]) -> dict[str, ClientAuth]:
    """Encode names as certificates and clients have them."""
    found: dict[str, ClientAuth] = {}
    spelled: dict[str, str] = {}
    findings = []
    for name, client_auth in by_name.items():
        try:
            parsed = parse_name(name)
        except CertificateError as error:
            findings += [f"client_auth_by_name: {finding}" for finding in error.findings]
            continue
        if not isinstance(parsed, x509.DNSName):
            findings.append(f"client_auth_by_name: no client can ask for {name!r} in its hello")
            continue
        if parsed.value in found:
            findings.append(
                f"client_auth_by_name: {spelled[parsed.value]!r} and {name!r} are one name: give it"
                " once"
            )
        found[parsed.value], spelled[parsed.value] = client_auth, name
    ConfigurationError.raise_if(findings)
    return found
