"""Which handlers are still at work, and at which line."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tlshttp._machinery.report import peer_name
from tlshttp.testing._recorder import Recorder

__all__ = ["OURS", "handlers_at_work", "is_in_a_handler"]

OURS = "tlshttp."
"""What the names of our modules begin with."""


def handlers_at_work(server: object) -> list[str]:
    """Say, one line each, what the handlers of a server are doing now."""
    frames = sys._current_frames().values()  # noqa: SLF001 (documented, in spite of its name)
    lines = (_describe(frame, server) for frame in frames)
    return sorted(line for line in lines if line is not None)


def is_in_a_handler(server: object) -> bool:
    """Return whether the caller is called by a handler of the server."""
    return any(_handler(frame, server) is not None for frame in _outwards(inspect.currentframe()))


def _describe(innermost: FrameType, server: object) -> str | None:
    """Say what a thread is doing if it is in a handler of the server."""
    stack = list(_outwards(innermost))
    within = [index for index, frame in enumerate(stack) if _handler(frame, server) is not None]
    if not within:
        return None
    outermost = within[-1]
    return _line(_handler(stack[outermost], server), _line_to_blame(stack[: outermost + 1]))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _handler(frame: FrameType, server: object) -> Any:
    """Return the handler whose method a frame is, if it is one of the server's."""
    names = frame.f_code.co_varnames[:1]
    found = frame.f_locals.get(names[0]) if names else None
    return found if isinstance(found, Recorder) and vars(found).get("server") is server else None


def _line_to_blame(stack: list[FrameType]) -> FrameType:
    """Return the frame of the innermost line of the user's; without any, the most telling one."""
    not_ours = [frame for frame in stack if not _module(frame).startswith(OURS)]
    for frame in not_ours:
        if _module(frame).partition(".")[0] not in sys.stdlib_module_names:
            return frame
    return not_ours[-1] if not_ours else stack[-1]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _line(handler: Any, frame: FrameType) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno).strip()
    request = getattr(handler, "requestline", "") or "no request yet"
    return (
        f"{peer_name(handler.client_address)} ({request}): in {code.co_qualname}(),"
        f" {code.co_filename}:{frame.f_lineno}: {source or '(no source)'}"
    )
