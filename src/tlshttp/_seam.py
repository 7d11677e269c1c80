"""What the front and the HTTP layer know of each other, so that neither imports the other."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._tls import TLSInfo
    from tlshttp.errors import RequestRefused

__all__ = ["DrivenHandler", "Part", "Transport"]


_T = TypeVar("_T")


class Part(enum.Enum):
    """A part of a request that is not yet there."""

    HEAD = enum.auto()
    """Request line and headers."""
    BODY = enum.auto()
    """A body so small that a handler is only called when it is there."""


class DrivenHandler(Protocol):
    """A handler as the front drives it: one call for each request that is ready."""

    def serve_ready_request(self) -> bool:
        """Serve the request; tell whether the connection may be kept for another."""

    def finish(self) -> None:
        """Flush and let go; there will be no more requests."""


class Transport(Protocol):
    """A connection as the HTTP layer uses it: blocking, under deadlines."""

    driven: bool
    """Whether a handler made now is driven by the front."""
    handler: DrivenHandler | None
    """The handler that is driven."""
    failure: Exception | None
    """What the peer did wrong, once it has."""
    before_send: Callable[[], None] | None
    """Called before a handler sends something past its ``wfile``."""
    fault: RequestRefused | None
    """What was wrong with a request that was answered nevertheless."""
    input_complete: bool
    """Whether the last request has been read to its end."""

    @property
    def tls(self) -> TLSInfo: ...
    @property
    def buffered(self) -> int: ...
    def examine(self, find: Callable[[bytes, int], _T]) -> _T: ...
    def readline(self, limit: int = -1) -> bytes: ...
    def read(self, size: int | None = -1) -> bytes: ...
    def take(self, size: int) -> bytes: ...
    def peek(self) -> bytes: ...
    def recv(self, bufsize: int) -> bytes: ...
    def transmit(self, data: Buffer) -> None: ...
    def fail(self, message: str) -> NoReturn: ...
    def raised(self, error: TimeoutError) -> bool: ...
    def settimeout(self, value: float | None) -> None: ...
    def gettimeout(self) -> float | None: ...
    def fileno(self) -> int: ...
