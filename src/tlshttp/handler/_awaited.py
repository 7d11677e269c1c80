"""What a method of a handler has returned that somebody has to wait for: a coroutine."""

from __future__ import annotations

import types
from typing import Any

__all__ = ["answerer_of", "has_to_be_awaited"]


def has_to_be_awaited(handler: Any, answer: Any) -> bool:
    """Return whether it is a coroutine, or the like.

    Raises:
        TypeError: It is a generator: the method has a ``yield`` in it, and has done nothing yet.
    """
    if hasattr(answer, "__await__"):
        return True
    if not isinstance(answer, (types.GeneratorType, types.AsyncGeneratorType)):
        return False
    kind = "a generator" if isinstance(answer, types.GeneratorType) else "an async generator"
    raise TypeError(
        f"{type(handler).__name__}.do_{handler.command}() is {kind}, which nobody runs: have it"
        " write what it yields"
    )


def answerer_of(handler: Any, answer: Any) -> Any:
    """Return who is to wait for what a method of a handler has returned.

    Raises:
        TypeError: Nobody can.
    """
    make = getattr(handler, "_create_answerer", None)
    if make is not None:
        return make(answer)
    if hasattr(answer, "close"):
        answer.close()  # else Python warns that nobody has waited for it
    raise TypeError(
        f"{type(handler).__name__}.do_{handler.command}() is a coroutine: derive the handler from "
        "tlshttp.aio.AsyncTLSRequestHandler"
    )
