"""The certificate of a server whose user has named none."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlshttp import certs
from tlshttp._binding import network_addresses
from tlshttp._command_line.parsing import program
from tlshttp.errors import CertificateError

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104
"""Addresses that stand for all of the machine's."""


@dataclass(frozen=True)
class OwnCertificate:
    """A certificate that was made for one run, and what it lacks."""

    store: certs.CertificateStore
    missing: tuple[str, ...]
    """Names of this machine that its authority may not certify."""

    def describe(self) -> list[str]:
        """Say what is shown to clients, one line each."""
        certificate = self.store.current
        own = certificate.leaf.issuer == certificate.leaf.subject
        kind = "Self-signed certificate" if own else "Certificate of your local authority"
        lines = [
            f"{kind} for {', '.join(certificate.names)}",
            f"SHA-256 fingerprint {certificate.fingerprint()}",
        ]
        if self.missing:
            lines.append(
                f"Not in the certificate, since the authority may not issue for it:"
                f" {', '.join(self.missing)}"
            )
        return lines


def own_certificate(hosts: Sequence[str], authority_folder: str | None) -> OwnCertificate:
    """Make a certificate for the names this machine is reached by from itself and its network.

    The developer's own authority issues it where there is one, so that whoever trusts that
    authority is not warned; see ``python -m tlshttp certs trust``.

    Args:
        hosts: The addresses to listen on; an empty one means all.
        authority_folder: Where the authority is; `None` means its usual place.

    Raises:
        CertificateError: The authority cannot be used, or is not where it is said to be.
    """
    authority = certs.find_local_authority(authority_folder)
    if authority is None and authority_folder is not None:
        raise CertificateError(
            f"--authority-folder {authority_folder}: there is no local authority in there;"
            f" '{program('certs')} trust --authority-folder {authority_folder}' makes one"
        )
    issue = certs.self_signed if authority is None else authority.issue_server
    names: list[str] = []
    missing: list[str] = []
    for name in dict.fromkeys(_names(hosts)):
        (names if _can_be_certified(name, issue) else missing).append(name)
    if authority is None:
        return OwnCertificate(certs.CertificateStore.from_certificate(issue(*names)), ())
    return OwnCertificate(authority.store(*names), tuple(missing))


def _names(hosts: Sequence[str]) -> list[str]:
    """List what this machine may be called, by itself and by others."""
    own = socket.gethostname()
    names = ["localhost", "127.0.0.1", "::1", own]
    if own and "." not in own:
        names.append(f"{own}.local")  # by multicast DNS: RFC 6762
    for host in hosts:
        if host in WILDCARDS:
            names += network_addresses()
        else:
            names.append(host.partition("%")[0])  # a zone means nothing to others
    return [name for name in names if name]


def _can_be_certified(name: str, issue: Callable[..., certs.Certificate]) -> bool:
    try:
        issue(name)
    except CertificateError:  # a host may be called what no certificate can say
        return False
    return True
