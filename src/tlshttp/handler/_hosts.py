"""Whether a request is meant for this server, by the host it names."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["is_allowed", "named_host", "without_port"]


def named_host(target: str, host: str | None) -> str | None:
    """Return the host a request is for: of its target if that is absolute, else of its Host field.

    RFC 9112, section 3.2.2, gives the target precedence. `None`: the request names none.
    """
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        return authority.rpartition("@")[2]
    return host


def without_port(host: str) -> str:
    """Return a host in lower case without port, brackets and the dot of the root."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Return whether a host, without port, is among those allowed; see ``allowed_hosts``."""
    return any(
        host == name or (name.startswith(".") and (host == name[1:] or host.endswith(name)))
        for name in (entry.lower().strip("[]") for entry in allowed)
    )
