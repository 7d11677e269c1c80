"""What is known of a handler before it is called, from its attributes or those of its class."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlshttp.handler._compose import Composition

__all__ = ["decides_on_100", "has_method", "needs_thread"]


def has_method(policy: Any, command: str, composition: Composition | None) -> bool:
    """Return whether the handler has a method for a request, as far as that is known.

    Args:
        policy: The handler or its class; `None`: neither is known.
        command: The method of the request.
        composition: How handlers are made; `None`: not known.
    """
    return (
        policy is None
        or hasattr(policy, "do_" + command)
        or hasattr(policy, "__getattr__")
        or composition is None
        or composition.dispatches
    )


def needs_thread(policy: Any, command: str) -> bool:
    """Return whether the method for a request without a body may wait in its thread.

    It has said that it waits for its peer, and may take the connection over. A coroutine waits in a
    loop of its own.
    """
    if not getattr(policy, "stream_request", False):
        return False
    is_coroutine = getattr(policy, "_answers_by_coroutine", None)
    return is_coroutine is None or not is_coroutine(command)


def decides_on_100(policy: Any) -> bool:
    """Return whether a handler has a ``handle_expect_100()`` of its own."""
    own = getattr(policy, "handle_expect_100", None)
    return getattr(own, "__func__", own) not in (None, BaseHTTPRequestHandler.handle_expect_100)
