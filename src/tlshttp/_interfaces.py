"""What the loop and the HTTP layer know of each other, so that neither imports the other."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._tls_info import TLSInfo
    from tlshttp.errors import ConnectionCut, RequestRefused

__all__ = [
    "BODY_MISSING",
    "HEAD_MISSING",
    "NEVER",
    "OTHERS_FIRST",
    "READY",
    "ROOM_MISSING",
    "Answerer",
    "AnswersLater",
    "CreateExchange",
    "DrivenHandler",
    "Ending",
    "Exchange",
    "Transport",
]

READY: Final = 0
"""A request is ready for a handler."""

HEAD_MISSING: Final = -1
"""Request line and headers are not there yet."""

BODY_MISSING: Final = -2
"""Of a body that is collected before a handler is called, something is missing."""

ROOM_MISSING: Final = -3
"""The server has no room on disk for more of a body."""


OTHERS_FIRST: Final = -4
"""There is more to look at, when others have had their turn."""


class DrivenHandler(Protocol):
    """A handler as the loop drives it: one call for each request that is ready."""

    def handle_one_request(self) -> None:
        """Serve the request."""

    def finish(self) -> None:
        """Flush and let go; there will be no more requests."""


class AnswersLater(Protocol):
    """A connection whose handler has returned without an answer, for whoever answers in its place.

    All of it is for the answerer's own thread. See `tlshttp._machinery.later`.
    """

    waits_for_peer: bool
    """Whether the answerer waits for its peer, and not for something else."""
    server_ends: bool
    """Whether the connection has been taken over, and is to come to its end with the server."""
    is_over: bool
    """Whether the exchange has ended, and the answerer is told nothing more."""

    @property
    def has_left(self) -> bool: ...
    @property
    def cut(self) -> ConnectionCut | None: ...
    @property
    def backlog(self) -> int: ...
    @property
    def buffered(self) -> int: ...
    @property
    def is_tunnel(self) -> bool: ...
    @property
    def is_unwatched(self) -> bool: ...
    @property
    def header_timeout(self) -> float | None: ...
    @property
    def moved_in(self) -> int: ...
    @property
    def taken(self) -> int: ...
    def look(self) -> None: ...
    def drop_what_comes(self) -> None: ...
    def reading_rate(self) -> Any: ...
    def writing_rate(self) -> Any: ...
    def fail(self, cut: ConnectionCut) -> None: ...
    def give_up(self) -> None: ...
    def end(self, error: BaseException | None) -> None: ...


class Answerer(Protocol):
    """Who answers in the place of a handler that has returned."""

    def begin(self, later: AnswersLater) -> None:
        """Go on: the handler's thread has let go of the connection. Called in that thread."""

    def wake(self) -> None:
        """Have ``later.look()`` called in the answerer's thread. Called from any thread."""

    def drop(self) -> None:
        """Do not begin: the handler has failed after all."""


class Ending(Protocol):
    """Whether a server is coming to its end."""

    begun: bool
    """Whether the next response on each connection is its last."""


class _Never:
    begun = False


NEVER: Final[Ending] = _Never()
"""No end in sight."""


class Exchange(Protocol):
    """The protocol's side of a connection: a request and its response, then the next ones."""

    @property
    def rfile(self) -> io.BufferedIOBase:
        """The request, as handlers read it."""

    @property
    def wfile(self) -> io.BufferedIOBase:
        """The response, as handlers write it."""

    refused: RequestRefused | None
    """What is wrong with the request."""
    one_shot: bool
    """Whether a handler is made for this request alone."""
    blocking: bool
    """Whether the handler asks for its next request itself."""
    streams: bool
    """Whether the handler of the request that is ready reads its body as it comes."""

    @property
    def request_line(self) -> str:
        """The first line of the request, for the log."""

    @property
    def subject(self) -> str:
        """What the request, or the last one, asks for, without its details: a method and a path."""

    @property
    def to_come(self) -> int:
        """Bytes of the response that have been announced and not been written."""

    @property
    def begun(self) -> bool:
        """Whether something of a request is there that has not been answered."""

    def receive(self) -> int:
        """Take in what the stream has received; tell what is missing, or `READY`."""

    def refuse_for_room(self) -> None:
        """Have the request refused because there is no room for its body."""

    def time_out(self) -> None:
        """Have a handler whose own ``timeout`` has passed begin: its read is told."""

    def begin_handler(self) -> None:
        """Take note that a handler is to be made."""

    def run(self, handler: DrivenHandler) -> bool | None:
        """Have a handler serve the request; tell whether the connection may be kept.

        `None`: somebody else answers, later.
        """

    def end(self) -> bool:
        """End the response, and let go of the request; tell whether the connection may be kept."""

    def conclude(self) -> bool:
        """End the response of a handler that ends the connection itself; tell if there is one."""

    def mute(self) -> None:
        """Drop what is still written."""

    def doubt(self) -> None:
        """Take note that the handler has raised an exception, which it may bear itself."""

    def apologise(self) -> None:
        """Tell the client of a handler's failure, if that is still possible, and drop the rest."""

    def bear(self, error: BaseException) -> bool:
        """Answer what a handler has raised; tell if that is only what the peer did wrong."""

    def makefile(self, mode: str, buffering: int | None) -> Any:
        """Return ``rfile`` (``"rb"``) or ``wfile`` (``"wb"``)."""

    def send_file(self, file: Any, count: int | None) -> int | None:
        """Queue a file as a file; `None` where it is none that can be."""

    def let_go(self) -> None:
        """Give back what is collected: the connection is over."""

    def let_go_of_files(self) -> None:
        """Forget ``rfile`` and ``wfile``, which know the exchange: nobody asks for them again."""


CreateExchange = Callable[[Any], Exchange]
"""Makes the exchange of a stream."""


class Transport(Protocol):
    """A connection as the HTTP layer uses it."""

    handler: DrivenHandler | None
    """The handler that is driven."""
    failure: ConnectionCut | None
    """What broke the connection, once it is broken."""
    fault: ConnectionCut | None
    """What was wrong with a request that was answered nevertheless."""
    goodbye_with_response: bool
    """Whether a response that is sent as the last one ends the connection at once."""
    input_complete: bool
    """Whether the last request has been read to its end."""
    tunnel: bool
    """Whether a handler has taken the connection over."""
    known_length: bool
    """Whether the response being sent has an end that is known."""
    at_end: bool
    """Whether the peer sends no more."""
    held_head: bytes
    """A response head that waits for the first bytes of its body."""
    awaits_no_other: bool
    """Whether a handler in blocking mode is to await no other request."""
    head_left: bool
    """Whether it did not wait any longer."""
    late: bool
    """Whether the handler's own timeout has passed, so that no read waits any more."""
    budget: Any
    """What all connections may have waiting."""
    owner: Any
    """The connection."""

    @property
    def ending(self) -> bool:
        """Whether nothing is received any more but what has come already."""

    @property
    def tls(self) -> TLSInfo: ...
    @property
    def restricted(self) -> bool: ...
    @property
    def fd(self) -> int: ...
    @property
    def buffered(self) -> int: ...
    def look(self, find: Callable[[bytes, int], Any]) -> Any: ...
    def take_whole(self, data: bytes) -> bool: ...
    def take(self, size: int) -> bytes: ...
    def give_back(self, data: bytes) -> None: ...
    def peek(self) -> bytes: ...
    def raw_recv(self, size: int) -> bytes: ...
    def fill(self) -> bool: ...
    def receive(self, size: int) -> bytes: ...
    def fill_into(self, buffer: memoryview) -> int: ...
    def fill_waiting(self, wanted: int = 1) -> bool: ...
    def wait_for_disk(self, size: int) -> bool: ...
    def await_taken(self) -> None: ...
    def wait_for_request(self) -> bool: ...
    def wait_for_head(self, deadline: float) -> bool: ...
    def begin_exchange(self) -> None: ...
    def take_over(self) -> None: ...
    def transmit(self, data: Buffer, *, is_last: bool = False) -> None: ...
    def hold(self, head: bytes) -> None: ...
    def unhold(self) -> bytes: ...
    def transmit_file(self, fd: int, start: int, size: int) -> None: ...
    def fail(self, cut: ConnectionCut) -> Any: ...
    def raised(self, error: TimeoutError) -> bool: ...
    def settimeout(self, value: float | None) -> None: ...
    def gettimeout(self) -> float | None: ...
