"""What a log record of ours carries besides its words, for formatters that write fields."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["FIELDS", "of_this_request", "with_fields"]

FIELDS = "tlshttp_fields"
"""The attribute of the record."""

of_this_request: Final[ContextVar[Mapping[str, Any]]] = ContextVar("tlshttp_request", default={})  # noqa: B039
"""What every record has, ours or not, that is logged while a handler is at work."""


def with_fields(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the ``extra=`` of a log call; `None` where there is nothing besides."""
    return None if fields is None else {FIELDS: dict(fields)}
