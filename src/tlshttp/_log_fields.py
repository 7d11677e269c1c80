"""What a log record of ours carries besides its words, for formatters that write fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FIELDS", "with_fields"]

FIELDS = "tlshttp_fields"
"""The attribute of the record."""


def with_fields(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the ``extra=`` of a log call; `None` where there is nothing besides."""
    return None if fields is None else {FIELDS: dict(fields)}
