"""By which URLs a run is reached: those that its certificate is for, where there are any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tlshttp import certs
from tlshttp._binding import network_addresses
from tlshttp._command_line.servers import HTTPS_PORT
from tlshttp._file_server.places import Place
from tlshttp.certs._names import is_address
from tlshttp.certs._verify import fits
from tlshttp.errors import CertificateError

__all__ = ["Reached", "find_urls"]

_LOCALHOST = ("127.0.0.1", "::1")
"""What every system has ``localhost`` for: RFC 6761, section 6.3."""


@dataclass(frozen=True)
class Reached:
    """The URLs of a run."""

    here: tuple[str, ...]
    """One for each place, for this machine."""
    network: tuple[str, ...]
    """Those for others on the network. The certificate is for each of them."""
    strange: tuple[str, ...]
    """Hosts of the first that the certificate is not for: clients refuse it there."""


def find_urls(
    places: Sequence[Place], ports: Sequence[int], certificate: certs.Certificate, *, chosen: bool
) -> Reached:
    """Find them.

    Args:
        places: Where the run listens.
        ports: The port of each place.
        certificate: What is shown to clients.
        chosen: Whether the user has named the certificate. Its names then lead here; those of one
            that was made for the run need not be known to anybody else.
    """
    names = [name for name in certificate.names if _leads_here(name)] if chosen else []
    here: list[str] = []
    network: dict[str, None] = {}
    strange: list[str] = []
    for place, port in zip(places, ports, strict=True):
        hosts = list(_hosts(place, names))
        fitting = [host for host in hosts if _is_for(certificate, host)]
        if not fitting:
            strange.append(hosts[0])
        here.append(_url((fitting or hosts)[0], port))
        if place.is_wildcard:
            others = (_url(host, port) for host in fitting if host != "localhost")
            network.update(dict.fromkeys(others))
    return Reached(tuple(here), tuple(network), tuple(strange))


def _hosts(place: Place, names: Sequence[str]) -> Iterator[str]:
    """Yield the hosts by which a place may be reached, the most likely one first."""
    if place.is_wildcard:
        yield "localhost"
        yield from (it for it in network_addresses() if place.includes(Place(it, None)))
    else:
        yield place.host
        if place.host in _LOCALHOST:
            yield "localhost"
    if not place.is_loopback:
        yield from names


def _leads_here(name: str) -> bool:
    """Return whether a name of a certificate is the DNS name of one host, which one can visit."""
    return not is_address(name) and name != "localhost" and not {*"*:@/"} & {*name}


def _is_for(certificate: certs.Certificate, host: str) -> bool:
    try:
        return fits(certificate.leaf, host.partition("%")[0])  # a zone means nothing to others
    except CertificateError:  # what no certificate can say
        return False


def _url(host: str, port: int) -> str:
    end = "" if port == HTTPS_PORT else f":{port}"
    return f"https://{f'[{host}]' if ':' in host else host}{end}/"
