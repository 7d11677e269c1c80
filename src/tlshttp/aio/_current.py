"""Which answer what runs is part of."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlshttp.aio._answer import Answer

__all__ = ["CURRENT"]

CURRENT: contextvars.ContextVar[tuple[Any, Answer] | None] = contextvars.ContextVar(
    "tlshttp_answer", default=None
)
"""The handler and the answer that whatever runs belongs to."""
