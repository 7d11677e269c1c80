"""Arguments into a finished context, or into one error that names all that is wrong."""

from __future__ import annotations

import logging
import os
import reprlib
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from cryptography import x509

from tlshttp import profiles
from tlshttp._members import require_member
from tlshttp._own_files import OWN_FILES
from tlshttp._several import require_several
from tlshttp.certs import Certificate, CertificateStore
from tlshttp.certs._names import parse_name
from tlshttp.context._anchors import TrustAnchors
from tlshttp.context._client_auth import ClientAuth, Doorkeeper
from tlshttp.context._crls import CRLSource, RevocationLists
from tlshttp.context._directory import UnknownNames
from tlshttp.context._engine import apply_profile, enforcement, profile_findings
from tlshttp.context._groups import Groups
from tlshttp.context._material import Material
from tlshttp.context._pins import Pins
from tlshttp.context._server_context import ServerContext
from tlshttp.context._tickets import Tickets
from tlshttp.errors import CertificateError, ConfigurationError

__all__ = ["create_server_context"]

_log = logging.getLogger("tlshttp.context")

_T = TypeVar("_T")


def create_server_context(
    certificate: Certificate | CertificateStore,
    *more: Certificate | CertificateStore,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    client_auth: ClientAuth = ClientAuth.NONE,
    client_auth_by_name: Mapping[str, ClientAuth] | None = None,
    client_cas: Iterable[x509.Certificate] = (),
    client_certificates: Iterable[x509.Certificate] = (),
    verify_depth: int | None = None,
    crls: Iterable[CRLSource] = (),
    alpn_protocols: Sequence[str] = ("http/1.1", "http/1.0"),
    unknown_names: UnknownNames = UnknownNames.SERVE_DEFAULT,
    tickets: Tickets = Tickets(),
    keylog_file: str | os.PathLike[str] | None = None,
) -> ServerContext:
    """Return a context for a server.

    Args:
        certificate: What the server shows by default: also to clients that ask for no name.
        more: Further certificates. A client that asks for a name (SNI) gets those that have it,
            exactly or by wildcard, and of those with different kinds of keys the one that it
            can use. A store is polled, and sessions survive its changes.
        profile: What is negotiated. The `ssl` module before Python 3.15 can set neither groups nor
            TLS 1.3 suites nor signature algorithms: there OpenSSL's own suites and signatures hold,
            which `tlshttp.context.audit` names, and the servers of this package see to the groups.
        client_auth: Whether clients have to show a certificate.
        client_auth_by_name: The same for single names, ``"*.example.org"`` for all names one label
            below; `None`: no exceptions. Clients of the other names are asked, too, since TLS asks
            before the name is known, but need not comply.
        client_cas: Certificates of the authorities whose client certificates are accepted, such as
            those from `tlshttp.certs.load_trust_anchors`.
        client_certificates: Self-signed certificates of single clients, which are accepted as they
            are, and nothing that they have issued. With ``crls`` it is the authority's word that
            counts, so the two cannot be had together: to revoke one leave it out.
        verify_depth: The largest number of intermediate certificates between a client's and that
            of its authority in ``client_cas``; 0: only clients of these authorities themselves.
            Certificates that an authority issued to itself do not count (RFC 5280, section
            4.2.1.9). `None`: no more than OpenSSL follows, which is 100 (``SSL_set_verify(3)``).
        crls: Revocation lists of these authorities: paths of PEM or DER files, which are looked at
            every five seconds, `tlshttp.certs.CRLStore` objects, or lists. With any, there has to
            be one for every authority between a client's certificate and the trusted root, else the
            client is refused.
        alpn_protocols: Application protocols to offer by ALPN (RFC 7301), in order of preference;
            empty: none. A client that offers ALPN, but none of these, is refused by the servers of
            this package. HTTP/1.0 is among them for clients that offer nothing else, such as
            ``curl --http1.0`` and the health checks of proxies.
        unknown_names: What happens to clients that ask for a name no certificate has.
        tickets: How sessions are resumed.
        keylog_file: Where to write the keys of all connections, for Wireshark; `None`: nowhere.

    .. warning::
        Who can read ``keylog_file`` can decrypt all traffic of this server.

    Raises:
        ConfigurationError: It cannot be done as asked; all that is wrong is named.
        TypeError: ``client_auth``, ``unknown_names`` or ``profile`` is of another kind, such as a
            text, there is one text where several are due, or ``client_cas`` or
            ``client_certificates`` are no certificates.
    """
    _require_kinds(profile, client_auth, client_auth_by_name or {}, unknown_names)
    require_several("crls", crls)
    authorities = _certificates("client_cas", client_cas)
    pinned = _certificates("client_certificates", client_certificates)
    pins = Pins(pinned, beside_authorities=bool(authorities))
    sources = (certificate, *more)
    findings = _Findings(profile_findings(profile), tickets.findings())
    findings += _client_findings(
        {client_auth, *(client_auth_by_name or {}).values()}, authorities, pinned, verify_depth
    )
    findings += pins.findings()
    findings += _alpn_findings(alpn_protocols)
    by_name: dict[str, ClientAuth] = findings.attempt(
        lambda: _ascii_names(client_auth_by_name or {}), dict
    )
    anchors = findings.attempt(lambda: TrustAnchors(authorities, verify_depth), TrustAnchors)
    lists = findings.attempt(lambda: RevocationLists(crls, anchors), RevocationLists)
    if lists.current and not authorities:
        findings.append("crls revoke nothing without client_cas")
    if lists.current and pinned:
        findings.append("client_certificates have no authority whose crls could count: not both")
    material = Material(sources, profile, anchors, lists, pins)
    findings += material.findings()
    ConfigurationError.raise_if(findings)

    doorkeeper = Doorkeeper(client_auth, by_name, anchors, pins)
    steps = _steps(profile, doorkeeper, alpn_protocols, tickets)
    if keylog_file is not None:
        steps.append(_key_log(keylog_file))
    return ServerContext(
        material,
        doorkeeper,
        steps,
        unknown_names=unknown_names,
        alpn_protocols=alpn_protocols,
        groups=None if enforcement(profile).get("groups", True) else Groups(profile),
        resumes=tickets.number > 0,
        renewal_seconds=tickets.renewal_seconds,
        hsts_max_age=profile.hsts_max_age,
    )


def _require_kinds(
    profile: object,
    client_auth: object,
    client_auth_by_name: Mapping[str, object],
    unknown_names: object,
) -> None:
    """Refuse what would be compared with the members of an enumeration in vain."""
    require_member(ClientAuth, "client_auth", client_auth)
    for name, wanted in client_auth_by_name.items():
        require_member(ClientAuth, f"client_auth_by_name[{name!r}]", wanted)
    require_member(UnknownNames, "unknown_names", unknown_names)
    if not isinstance(profile, profiles.TLSProfile):
        raise TypeError(f"profile must be a TLSProfile, such as profiles.MODERN, not {profile!r}")


def _certificates(name: str, given: object) -> tuple[x509.Certificate, ...]:
    """Return certificates, and refuse what is easily given for them: the path of their file."""
    if isinstance(given, Iterable):
        several = tuple(given)
        found = tuple(one for one in several if isinstance(one, x509.Certificate))
        if len(found) == len(several):
            return found
    raise TypeError(
        f"{name} must be certificates, such as those that certs.load_trust_anchors() returns,"
        f" not {reprlib.repr(given)}"
    )


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
    require_several("alpn_protocols", alpn_protocols)
    return [
        f"alpn_protocols: {name!r} is not 1 to 255 ASCII characters (RFC 7301, section 3.1)"
        for name in alpn_protocols
        if not (name.isascii() and 0 < len(name) < 256)
    ]


def _ascii_names(by_name: Mapping[str, ClientAuth]) -> dict[str, ClientAuth]:
    """Encode names as certificates and clients have them."""
    found = {}
    findings = []
    for name, client_auth in by_name.items():
        try:
            parsed = parse_name(name)
        except CertificateError as error:
            findings += [f"client_auth_by_name: {finding}" for finding in error.findings]
            continue
        if isinstance(parsed, x509.DNSName):
            found[parsed.value] = client_auth
        else:
            findings.append(f"client_auth_by_name: no client can ask for {name!r} in its hello")
    ConfigurationError.raise_if(findings)
    return found


def _steps(
    profile: profiles.TLSProfile,
    doorkeeper: Doorkeeper,
    alpn_protocols: Sequence[str],
    tickets: Tickets,
) -> list[Callable[[ssl.SSLContext], object]]:
    """Return what makes a context one of this kind."""

    def set_up(context: ssl.SSLContext) -> None:
        apply_profile(context, profile)
        context.verify_mode = doorkeeper.verify_mode
        context.num_tickets = tickets.number
        if not tickets.number:
            context.options |= ssl.OP_NO_TICKET
        if alpn_protocols:
            context.set_alpn_protocols(list(alpn_protocols))

    return [set_up]


def _key_log(path: str | os.PathLike[str]) -> Callable[[ssl.SSLContext], None]:
    """Create the file, readable by its owner only, and say that it is there."""
    OWN_FILES.add(path)
    try:
        # Not through a link: somebody else's would have our keys written to a place of theirs.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"keylog_file {os.fspath(path)}: {error.strerror}") from None
    _log.warning(
        "the keys of all connections are written to %s: who reads it reads all traffic",
        os.fspath(path),
    )

    def set_up(context: ssl.SSLContext) -> None:
        context.keylog_filename = os.fspath(path)

    return set_up
