"""What a test's server has seen, kept where the test can look at it and wait for it."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable
from email.message import Message
from typing import Any, TypeVar

from tlshttp._passed_on import passes_on
from tlshttp._tls_info import TLSInfo
from tlshttp.errors import PeerError

__all__ = ["Happenings", "RecordedRequest", "is_peers_fault"]

_T = TypeVar("_T")
_E = TypeVar("_E", bound=PeerError)


class RecordedRequest:
    """A request that a test's server has received.

    It is recorded when its head has been read, before the handler sees it.
    """

    method: str
    """The method, such as ``"GET"``."""
    path: str
    """The target, with its query, as handlers see it."""
    headers: Message
    """The header fields; names in any case."""
    tls: TLSInfo
    """What the TLS handshake of its connection agreed on."""
    client_address: tuple[Any, ...]
    """Where it came from: host and port."""

    def __init__(
        self,
        method: str,
        path: str,
        headers: Message,
        tls: TLSInfo,
        client_address: tuple[Any, ...],
        *,
        timeout: float,
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.tls = tls
        self.client_address = client_address
        self._timeout = timeout
        self._pieces: list[bytes] = []
        self._ended = threading.Event()

    @property
    def body(self) -> bytes:
        """The body: whole where the handler read it or it is small (16 KiB), else what was read.

        Asked for while the handler is still at work, it waits for that.

        Raises:
            TimeoutError: The handler does not come to an end.
        """
        if not self._ended.wait(self._timeout):
            read = sum(map(len, self._pieces))
            raise TimeoutError(
                f"the handler of {self} has been at work for {self._timeout:g} s since its body was"
                f" asked for, and has read {read} bytes of it"
            )
        return b"".join(self._pieces)

    @property
    def text(self) -> str:
        """The body in the charset of its Content-Type, UTF-8 where that names none."""
        return self.body.decode(self.headers.get_content_charset("utf-8"))

    def json(self) -> Any:
        """Return what the body says in JSON."""
        return json.loads(self.body)

    def add_piece(self, data: bytes) -> None:
        """Take note of a piece of the body."""
        if not self._ended.is_set():
            self._pieces.append(data)

    def end_body(self) -> None:
        """Take note that there will be no more of the body."""
        self._ended.set()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def __repr__(self) -> str:
        return f"<RecordedRequest {self}>"


class Happenings:
    """Everything that has happened at one server, in order.

    Args:
        timeout: Seconds that whoever waits for something waits.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.requests: list[RecordedRequest] = []
        self.peer_errors: list[PeerError] = []
        self.handler_errors: list[BaseException] = []
        self.not_recorded: str | None = None
        """Why no requests are recorded; `None`: they are."""
        self._changed = threading.Condition()
        self._passing = threading.local()
        """Exceptions on their way up in each thread that are recorded already; several places see
        them."""

    def forget_passing(self) -> None:
        """Take note that what is raised in this thread from now on is another matter."""
        self._passing.error = None

    def add_request(self, request: RecordedRequest) -> None:
        """Record a request."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def add_peer_error(self, error: PeerError) -> None:
        """Record a failed handshake, a cut connection or a refused request."""
        with self._changed:
            self.peer_errors.append(error)
            self._changed.notify_all()

    def add_handler_error(self, error: BaseException, during: object) -> None:
        """Record, once, what a handler has raised, unless it is a peer's fault passed on.

        Args:
            error: What it raised.
            during: What it was at work on, to be named in a note of the exception.
        """
        passing = getattr(self._passing, "error", None)
        if is_peers_fault(error):
            return
        if passing is not None and (error is passing or error.__cause__ is passing):
            return
        self._passing.error = error
        if isinstance(error, (SystemExit, KeyboardInterrupt)):  # they would end the test run
            error = _as_failure(error)
        _note(error, f"raised by the handler of a test's server, for {during}")
        with self._changed:
            self.handler_errors.append(error)

    def take_handler_errors(self) -> list[BaseException]:
        """Return what handlers have raised, and forget it."""
        with self._changed:
            taken = self.handler_errors.copy()
            self.handler_errors.clear()
        return taken

    def wait_for_requests(self, number: int, timeout: float | None) -> list[RecordedRequest]:
        """Wait until that many requests have come, and return all there are."""
        return self._wait(
            lambda: self.requests.copy() if len(self.requests) >= number else None,
            timeout,
            lambda: f"{number} requests; {self._tell()}",
        )

    def wait_for_peer_error(self, kind: type[_E], number: int, timeout: float | None) -> _E:
        """Wait for the n-th of that kind, and return it."""

        def find() -> _E | None:
            found = [error for error in self.peer_errors if isinstance(error, kind)]
            return found[number - 1] if len(found) >= number else None

        return self._wait(find, timeout, lambda: f"{number} {kind.__name__}; {self._tell()}")

    def _wait(
        self, find: Callable[[], _T | None], timeout: float | None, tell: Callable[[], str]
    ) -> _T:
        seconds = self.timeout if timeout is None else timeout
        with self._changed:
            # (The module threading looks at the clock itself, also where a test has stopped it.)
            if not self._changed.wait_for(lambda: find() is not None, seconds):
                raise TimeoutError(f"waited {seconds:g} s for {tell()}")
            found = find()
        if found is None:
            raise RuntimeError("what there was has been cleared meanwhile")
        return found

    def _tell(self) -> str:
        """Say what there is, for whoever has waited for something else."""
        lines = [f"requests: {', '.join(map(str, self.requests)) or 'none'}"]
        if self.peer_errors:
            errors = (f"{error} [{error.reason}]" for error in self.peer_errors)
            lines.append(f"peers' errors: {', '.join(errors)}")
        if self.handler_errors:
            last = traceback.format_exception_only(self.handler_errors[-1])[0].strip()
            lines.append(f"a handler raised {last}")
        return "; ".join(lines)


def _as_failure(error: BaseException) -> RuntimeError:
    failure = RuntimeError(f"a handler has raised {error!r}")
    failure.__cause__ = error
    return failure


def _note(error: BaseException, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):  # the same object may be raised again
        error.add_note(note)


def is_peers_fault(error: BaseException) -> bool:
    """Return whether an exception of a handler only passes on what its peer did."""
    return passes_on(error, lambda each: isinstance(each, PeerError))
