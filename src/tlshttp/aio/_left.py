"""What tells an ASGI application that its client has left."""

from __future__ import annotations

from tlshttp._passed_on import passes_on

__all__ = ["ClientLeft", "tells_of_leaving"]


class ClientLeft(OSError):
    """The client has left; ASGI has servers raise an `OSError` of their own."""


def tells_of_leaving(error: BaseException) -> bool:
    """Return whether an application has failed only because its client has left."""
    return passes_on(error, lambda each: isinstance(each, ClientLeft))
