"""A context as one client needs it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, cast

__all__ = ["ForClient"]


class ForClient:
    """What makes the connection of one client.

    Args:
        front_of_now: Returns the context of a new connection, by the only group it is to have.
        group: The name of that group; `None`: any.
        address: The IP address that the client has connected to; `None`: it is not known.
    """

    def __init__(
        self,
        front_of_now: Callable[[str | None], ssl.SSLContext],
        group: str | None,
        address: str | None,
    ) -> None:
        self._front_of_now = front_of_now
        self._group = group
        self._address = address

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Do what `ssl.SSLContext.wrap_bio` does."""
        made: Any = self._front_of_now(self._group).wrap_bio(*arguments, **named)
        made.connected_address = self._address
        return cast("ssl.SSLObject", made)
