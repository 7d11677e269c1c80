"""Which host a request is for, and whether this server answers for it.

A request may name its host twice: in its target (``GET https://a/ HTTP/1.1``) and in its Host
field. RFC 9112, section 3.2.2, gives the target precedence; but handlers, WSGI applications and
mix-ins read the field. Whoever decides by the one lets in what is served by the other. So:

1.  Where both are there and name two hosts, the request is refused.
2.  Where only the target names one, as HTTP/1.0 allows, it becomes the field.

From then on there is one host, the field's, and everybody looks there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tlshttp.errors import RequestRefused
from tlshttp.handler._head import is_host

if TYPE_CHECKING:
    from tlshttp._interfaces import Transport

__all__ = ["agreed_host", "is_allowed", "refuse_by_policy", "refuse_foreign_host", "without_port"]

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)")

_PLAIN_PORTS = {"http": "80", "ws": "80"}
_TLS_PORT = (
    "443"  # of https (RFC 9110, section 4.2.2) and wss, and of the tunnels that are asked for
)

# What is no name and no address may still be read as one by an application that decodes it
# (``secret%2etest``) or takes a part of it (``public.test,secret.test``).
_NAME_OR_ADDRESS = re.compile(r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*)?")


def agreed_host(method: str, target: str, field: str | None) -> str | None:
    """Return the host a request is for, with its port, as its Host field has it or should have it.

    Args:
        method: Of the request; the target of ``CONNECT`` is host and port (RFC 9112, section
            3.2.3).
        target: As it was sent.
        field: The value of the Host field; `None` without one.

    Returns:
        The host; `None` where the request names none.

    Raises:
        RequestRefused: Target and field name two hosts, or the target's is malformed.
    """
    named = _authority(method, target)
    if named is None:
        return field
    scheme, authority = named
    # Links that deceive have user information; an http target must not have it (RFC 9110, section
    # 4.2.4). ``is_host()`` knows no "@".
    if not is_host(authority) or not without_port(authority):
        raise RequestRefused("Malformed host in the request target")
    if field is not None and not _are_same(scheme, authority, field):
        raise RequestRefused("Host differs from the request target")
    return authority if field is None else field


def refuse_by_policy(host: str | None, policy: Any, stream: Transport) -> None:
    """Do what `refuse_foreign_host` does, by what a handler says of hosts, and by its context.

    Args:
        host: What `agreed_host` has returned.
        policy: The handler, or its class as long as there is none.
        stream: The connection.

    Raises:
        RequestRefused: It is for another.
    """
    allowed = getattr(policy, "allowed_hosts", None)
    misdirected = getattr(policy, "refuse_misdirected", False)
    if isinstance(policy, type):  # if only the handler itself can tell, it is asked later
        allowed = None if hasattr(allowed, "__get__") else allowed
        misdirected = False if hasattr(misdirected, "__get__") else misdirected
    if allowed is None and not misdirected and not stream.restricted:
        return
    refuse_foreign_host(
        host,
        stream.tls.server_name,
        allowed=allowed,
        refuse_misdirected=misdirected,
        may_serve=stream.tls.may_serve if stream.restricted else None,
    )


def refuse_foreign_host(
    host: str | None,
    server_name: str | None,
    *,
    allowed: Collection[str] | None,
    refuse_misdirected: bool,
    may_serve: Callable[[str], bool] | None,
) -> None:
    """Refuse what is for a host that this server does not answer for on this connection.

    Args:
        host: What `agreed_host` has returned.
        server_name: The name the TLS handshake was for; `None`: for none.
        allowed: See ``TLSRequestHandler.allowed_hosts``.
        refuse_misdirected: See ``TLSRequestHandler.refuse_misdirected``.
        may_serve: Tells whether a host may be asked for on this connection; `None`: each.

    Raises:
        RequestRefused: It is for another.
    """
    name = without_port(host or "")
    if (
        (allowed is not None and not is_allowed(name, allowed))
        or (refuse_misdirected and server_name is not None and server_name.rstrip(".") != name)
        or (may_serve is not None and not (_NAME_OR_ADDRESS.fullmatch(name) and may_serve(name)))
    ):
        raise RequestRefused("Misdirected request", status=HTTPStatus.MISDIRECTED_REQUEST)


def without_port(host: str) -> str:
    """Return a host in lower case without port, brackets and the dot of the root."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Return whether a host, without port, is among those allowed; see ``allowed_hosts``."""
    return any(
        host == name or (name.startswith(".") and (host == name[1:] or host.endswith(name)))
        for name in (entry.lower().strip("[]") for entry in allowed)
    )


def _authority(method: str, target: str) -> tuple[str, str] | None:
    """Return scheme and authority of a target; `None` where it has none."""
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        return absolute[1].lower(), absolute[2]
    if method == "CONNECT" and not target.startswith("/"):
        return "", target
    return None


def _are_same(scheme: str, authority: str, field: str) -> bool:
    """Return whether two ways to write host and port mean the same."""
    if without_port(authority) != without_port(field):
        return False
    if (authority[:1] == "[") != (field[:1] == "["):
        return False
    port, default = _port(field), _PLAIN_PORTS.get(scheme, _TLS_PORT)
    if not scheme and not port:  # clients that ask for tunnels name the port in the target alone
        return True
    return (_port(authority) or default) == (port or default)


def _port(host: str) -> str:
    """Return the port without leading zeros; empty without one."""
    port = host.rpartition("]")[2].partition(":")[2]
    return port.lstrip("0") or port[:1]
