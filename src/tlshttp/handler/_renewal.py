"""A handler as it was before its request, for the next one on the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlshttp.handler._head import RequestHeaders

if TYPE_CHECKING:
    from tlshttp._interfaces import DrivenHandler

__all__ = ["another_as_made", "forget_head"]

_NOTHING = {"requestline": "", "raw_requestline": b"", "path": "", "headers": RequestHeaders.of([])}


def forget_head(handler: DrivenHandler | None) -> None:
    """Take out of a handler what it knows of its request's head, which may be large."""
    for name, nothing in _NOTHING.items():
        if handler is not None and name in vars(handler):
            setattr(handler, name, nothing)


def another_as_made(handler: DrivenHandler, made: dict[str, Any]) -> DrivenHandler:
    """Return another handler, as this one was before its request."""
    another = object.__new__(type(handler))
    vars(another).update(made)
    return another
