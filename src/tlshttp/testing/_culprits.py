"""Which handlers are still at work, and at which line."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tlshttp._front.report import peer_name
from tlshttp.testing._recorder import Recorder

__all__ = ["OURS", "handlers_at_work"]

OURS = "tlshttp."
"""What the names of our modules begin with."""


def handlers_at_work(server: object) -> list[str]:
    """Say, one line each, what the handlers of a server are doing now."""
    frames = sys._current_frames().values()  # noqa: SLF001 (documented, in spite of its name)
    lines = (_describe(frame, server) for frame in frames)
    return sorted(line for line in lines if line is not None)


def _describe(innermost: FrameType, server: object) -> str | None:
    """Say what a thread is doing if it is in a handler of the server."""
    stack = list(_outwards(innermost))
    for index, frame in enumerate(stack):
        handler = _handler(frame, server)
        if handler is not None:
            return _line(handler, _line_to_blame(stack[: index + 1]))
    return None


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
    """Return the frame of the innermost line that is neither ours nor of the standard library."""
    for frame in stack:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(OURS) and module.partition(".")[0] not in sys.stdlib_module_names:
            return frame
    return stack[-1]


def _line(handler: Any, frame: FrameType) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno).strip()
    request = getattr(handler, "requestline", "") or "no request yet"
    return (
        f"{peer_name(handler.client_address)} ({request}): in {code.co_qualname}(),"
        f" {code.co_filename}:{frame.f_lineno}: {source or '(no source)'}"
    )
