"""What the front and the HTTP layer know of each other, so that neither imports the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._tls import TLSInfo
    from tlshttp.errors import RequestRefused

__all__ = ["BODY_MISSING", "HEAD_MISSING", "UNUSUAL", "DrivenHandler", "FindRequest", "Transport"]


_T = TypeVar("_T")


HEAD_MISSING: Final = -1
"""Request line and headers are not there yet."""

BODY_MISSING: Final = -2
"""A body is not there yet that is so small that a handler is only called when it is."""

UNUSUAL: Final = 0
"""A request is ready for a handler, which has to read its head line by line."""

FindRequest = Callable[[bytes, int], int]
"""Tells, of a buffer from a position on, how many bytes the head of the request has that is ready
there; or one of the three above."""


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
    goodbye_with_response: bool
    """Whether a response that is sent as the last one ends the connection at once."""
    input_complete: bool
    """Whether the last request has been read to its end."""

    @property
    def tls(self) -> TLSInfo: ...
    @property
    def restricted(self) -> bool: ...
    @property
    def buffered(self) -> int: ...
    def examine(self, find: Callable[[bytes, int], _T]) -> _T: ...
    def readline(self, limit: int = -1) -> bytes: ...
    def read(self, size: int | None = -1) -> bytes: ...
    def take_head(self) -> bytes: ...
    def peek(self) -> bytes: ...
    def recv(self, bufsize: int) -> bytes: ...
    def transmit(self, data: Buffer, *, is_last: bool = False) -> None: ...
    def fail(self, message: str) -> NoReturn: ...
    def raised(self, error: TimeoutError) -> bool: ...
    def settimeout(self, value: float | None) -> None: ...
    def gettimeout(self) -> float | None: ...
    def fileno(self) -> int: ...
