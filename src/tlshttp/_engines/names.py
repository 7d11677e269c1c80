"""Looking names up as certificates are matched (RFC 9525, section 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

__all__ = ["Names", "normalise"]

_V = TypeVar("_V")


class Names(Generic[_V]):
    """What belongs to a DNS name, by its exact name or by a ``*.`` for its first label.

    Args:
        values: By name, in lower case and in ASCII.
    """

    def __init__(self, values: Mapping[str, _V]) -> None:
        self._exact = {name: value for name, value in values.items() if name[:2] != "*."}
        self._below = {name[2:]: value for name, value in values.items() if name[:2] == "*."}

    def find(self, name: str) -> _V | None:
        """Return what belongs to a name, `None` for an unknown one."""
        found = self._exact.get(name)
        if found is None and self._below:
            found = self._below.get(name.partition(".")[2])
        return found


def normalise(name: str) -> str:
    """Return a host name as it is compared: in lower case, without a final dot."""
    return name.lower().removesuffix(".")
