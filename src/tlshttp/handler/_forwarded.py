"""Whose request a proxy has forwarded: X-Forwarded-For and Forwarded (RFC 7239).

Rules:

1.  A field counts only where a trusted proxy has sent the request, and only if it is one of those
    that are named: a proxy that sets one passes on the others, as its client has sent them.
2.  Each proxy adds to the end. So we go from the end through those that are trusted. The first that
    is not is the client; what stands before it is only the client's word.
3.  What is malformed refuses the request. To go on with the proxy's own address would be to take
    anybody for a neighbour.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tlshttp._several import require_several
from tlshttp._trusted_proxies import TrustedProxies
from tlshttp.errors import ConfigurationError, RequestRefused

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler as _Base
else:
    _Base = object

__all__ = ["ForwardedMixIn", "ForwardedRequest"]

_X_FOR, _X_PROTO, _X_HOST = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"
_FORWARDED = "forwarded"
_KNOWN = (_FORWARDED, _X_FOR, _X_PROTO, _X_HOST)

# RFC 7239, section 4: pairs of a token and a value, by ";", of each proxy by ",".
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 (RFC 9110, section 5.6.2)
_PAIR = re.compile(rf'({_TOKEN})=({_TOKEN}|"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*")')
_ESCAPE = re.compile(r"\\(.)")

_HIDDEN = re.compile(r"unknown|_[0-9A-Za-z._-]+")  # sections 6.2 and 6.3
_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"[A-Za-z0-9._~-]+(?::([0-9]{1,5}))?|\[[0-9A-Fa-f:.]+\](?::([0-9]{1,5}))?")

_LAST_PORT = 65_535


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardedRequest:
    """What trusted proxies have said of a request: ``self.forwarded`` in a handler."""

    proxy: Any
    """The address of the proxy that the request came from."""
    client: str
    """The address of the client; ``"unknown"`` or ``"_..."`` where a proxy hides it (RFC 7239,
    section 6)."""
    port: int
    """The client's port; 0 where it is not told."""
    scheme: str | None = None
    """How the client has asked, in lower case, such as ``"https"``; `None`: nobody says so."""
    host: str | None = None
    """The host that the client has asked for; `None`: nobody says so."""


class ForwardedMixIn(_Base):
    """Gives each request the address of its client, where a proxy forwards it.

    Put it before the handler class. ``client_address`` is then the client's for everything that a
    handler does, logs included. What concerns a connection (hooks, events, limits) has the
    proxy's; for that to be the client's, too, see ``trusted_proxies`` of the servers.
    """

    forwarded_from: Collection[str] = ()
    """Addresses and networks of proxies, and ``"unix:"`` for those on an ``AF_UNIX`` socket. From
    others no field counts."""

    forwarded_fields: Collection[str] = ("X-Forwarded-For",)
    """The fields that the proxies set, or remove, in every request: ``X-Forwarded-For``,
    ``X-Forwarded-Proto``, ``X-Forwarded-Host``, or ``Forwarded`` alone. Others do not count.

    .. warning::
        If a field is named here that the proxy does not set, any client can set it.
    """

    client_address: Any
    forwarded: ForwardedRequest | None = None
    """What has been said of the request; `None` where no trusted proxy has forwarded it."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse what would never count.

        Raises:
            ConfigurationError: A network or field is none, or no field has an address; all are
                named.
            TypeError: One text is given where several are due.
        """
        super().__init_subclass__(**arguments)
        require_several("forwarded_from", cls.forwarded_from)
        require_several("forwarded_fields", cls.forwarded_fields)
        ConfigurationError.raise_if(_findings(tuple(cls.forwarded_fields)))
        _trusted(tuple(cls.forwarded_from))

    def parse_request(self) -> bool:
        """Find out whose the request is, once its head is there."""
        peer = vars(self).setdefault("_ForwardedMixIn__peer", self.client_address)
        self.client_address, self.forwarded = peer, None
        if not super().parse_request():
            return False
        if not _trusted(tuple(self.forwarded_from)).trusts(peer):
            return True
        try:
            found = self.__read(peer)
        except ValueError as error:
            return self.__refuse(str(error))
        if found is not None:
            self.forwarded = found
            self.client_address = (found.client, found.port)
        return True

    def __read(self, peer: Any) -> ForwardedRequest | None:
        """Read the fields that count.

        Raises:
            ValueError: One is malformed.
        """
        fields = {name.lower() for name in self.forwarded_fields}
        trusted = _trusted(tuple(self.forwarded_from))
        if _FORWARDED in fields:
            elements = _elements(self.headers.get_all("Forwarded", []))
            hops = [element.get("for", "unknown") for element in elements]
            number = _first_foreign(hops, trusted)
            told = elements[number] if elements else {}
            scheme, host = told.get("proto"), told.get("host")
        else:
            hops = _list(self.headers.get_all("X-Forwarded-For", []) if _X_FOR in fields else [])
            number = _first_foreign(hops, trusted)
            scheme, host = (
                self.__last(name) if name in fields else None for name in (_X_PROTO, _X_HOST)
            )
        if not hops:
            return None
        client, port = _node(hops[number])
        return ForwardedRequest(
            proxy=peer,
            client=client,
            port=port,
            scheme=_scheme(scheme),
            host=_host(host),
        )

    def __last(self, name: str) -> str | None:
        """Return what the nearest proxy has set."""
        values = _list(self.headers.get_all(name, []))
        return values[-1] if values else None

    def __refuse(self, message: str) -> bool:
        exchange = getattr(self.request, "exchange", None)
        if exchange is not None:
            exchange.refused = RequestRefused(message)
            raise exchange.refused
        self.close_connection = True
        self.send_error(HTTPStatus.BAD_REQUEST, message)
        return False


@functools.lru_cache(maxsize=64)
def _trusted(networks: tuple[str, ...]) -> TrustedProxies:
    return TrustedProxies(networks, name="forwarded_from")


def _findings(fields: tuple[str, ...]) -> list[str]:
    """Return what is wrong with fields: of each alone, or else of them together."""
    names = {name.lower() for name in fields}
    found = [
        f"forwarded_fields: {name!r} is none of Forwarded, X-Forwarded-For, -Proto and -Host"
        for name in fields
        if name.lower() not in _KNOWN
    ]
    if not found and _FORWARDED in names and len(names) > 1:
        found.append("forwarded_fields: with Forwarded no other counts: give it alone")
    if not found and not names & {_FORWARDED, _X_FOR}:
        found.append("forwarded_fields: without Forwarded or X-Forwarded-For there is no address")
    return found


def _first_foreign(hops: list[str], trusted: TrustedProxies) -> int:
    """Return which hop is the client: from the end, the first that is not trusted."""
    for number in range(len(hops) - 1, 0, -1):
        if not trusted.trusts(_node(hops[number])):
            return number
    return 0


def _list(lines: Iterable[str]) -> list[str]:
    """Return the elements of a field that may be on several lines (RFC 9110, section 5.6.1)."""
    return [element for line in lines for text in line.split(",") if (element := text.strip())]


def _elements(lines: Iterable[str]) -> list[Mapping[str, str]]:
    """Return what each proxy has said in Forwarded.

    Raises:
        ValueError: It is malformed.
    """
    found: list[Mapping[str, str]] = []
    text, at = ",".join(lines), 0
    element: dict[str, str] = {}
    while at < len(text):
        at = _skip_space(text, at)
        pair = _PAIR.match(text, at)
        if pair is not None:
            name, value = pair[1].lower(), pair[2]
            if name in element:
                raise ValueError("Malformed Forwarded field")
            element[name] = _ESCAPE.sub(r"\1", value[1:-1]) if value[0] == '"' else value
            at = _skip_space(text, pair.end())
        if at < len(text) and text[at] not in ",;":
            raise ValueError("Malformed Forwarded field")
        if (at == len(text) or text[at] == ",") and element:
            found.append(element)
            element = {}
        at += 1
    return [*found, element] if element else found


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _node(text: str) -> tuple[str, int]:
    """Return address and port of a hop.

    Raises:
        ValueError: It is none.
    """
    if _HIDDEN.fullmatch(text):
        return text, 0
    port = "0"
    with_port = _PORT.fullmatch(text)
    if with_port is not None:
        host = with_port[1] or with_port[3]
        port = with_port[2] or with_port[4] or "0"
    else:
        host = text
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("Malformed address of a forwarded request") from None
    if int(port) > _LAST_PORT or "%" in host:
        raise ValueError("Malformed address of a forwarded request")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), int(port)


def _scheme(text: str | None) -> str | None:
    """Return a scheme in lower case, as it is compared (RFC 3986, section 3.1)."""
    if text is not None and not _SCHEME.fullmatch(text):
        raise ValueError("Malformed scheme of a forwarded request")
    return None if text is None else text.lower()


def _host(text: str | None) -> str | None:
    found = None if text is None else _HOST.fullmatch(text)
    if text is not None and (found is None or int(found[1] or found[2] or 0) > _LAST_PORT):
        raise ValueError("Malformed host of a forwarded request")
    return text
