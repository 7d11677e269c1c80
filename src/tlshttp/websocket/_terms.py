"""What a server wants of its WebSockets."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from tlshttp._several import require_several

__all__ = [
    "ANY_ORIGIN", "CLOSE_TIMEOUT", "MAX_SIZE", "PING_INTERVAL", "PING_TIMEOUT", "SAME_HOST",
    "Origins", "Terms",
]  # fmt: skip

MAX_SIZE: Final = 1 << 20
"""Bytes of a message. One mebibyte is what the package websockets allows."""

PING_INTERVAL: Final = 20.0
PING_TIMEOUT: Final = 20.0
"""Seconds. Twenty are what the package websockets has for both: most proxies end a connection on
which nothing moves for a minute."""

CLOSE_TIMEOUT: Final = 10.0
"""Seconds. Ten are what the package websockets has."""


class Origins(enum.Enum):
    """Whose pages may open a WebSocket, where it is no list."""

    SAME_HOST = "same host"
    """Those of ``https://`` and the host that the request is for."""
    ANY = "any"
    """All, so that any page that a user looks at may speak as that user."""


SAME_HOST: Final = Origins.SAME_HOST
"""Those of ``https://`` and the host that the request is for."""

ANY_ORIGIN: Final = Origins.ANY
"""All pages. Any page that a user of yours looks at may then open a WebSocket here, with that
user's cookies and client certificate."""


class Terms(NamedTuple):
    """All of it; see `tlshttp.websocket.accept` for what each is."""

    subprotocols: Sequence[str] = ()
    origins: Origins | Collection[str] = SAME_HOST
    compression: bool = True
    max_size: int = MAX_SIZE
    ping_interval: float | None = PING_INTERVAL
    ping_timeout: float | None = PING_TIMEOUT
    close_timeout: float = CLOSE_TIMEOUT

    def check(self) -> None:
        """Check what would otherwise be found out late.

        Raises:
            TypeError: There is one text where several are due.
            ValueError: A number is not more than zero.
        """
        require_several("subprotocols", self.subprotocols)
        if not isinstance(self.origins, Origins):
            require_several("origins", self.origins)
        for name in ("max_size", "ping_interval", "ping_timeout", "close_timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value}")
