"""A test's server while it runs, and its end."""

from __future__ import annotations

import threading
import traceback
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tlshttp.certs import Certificate, CertificateStore
from tlshttp.errors import PeerError
from tlshttp.server import TLSHTTPServer
from tlshttp.stats import Stats
from tlshttp.testing._authority import Authority
from tlshttp.testing._culprits import OURS, handlers_at_work, is_in_a_handler
from tlshttp.testing._endpoint import Endpoint
from tlshttp.testing._recorded import Happenings, RecordedRequest
from tlshttp.testing._responses import Responses

__all__ = ["RunningServer", "close_all", "report_handler_errors"]

_E = TypeVar("_E", bound=PeerError)

_registering = threading.Lock()
_servers: weakref.WeakSet[RunningServer] = weakref.WeakSet()
"""All that are running, for whoever wants to know what their handlers have raised."""

_GRACE_SECONDS = 1.5
"""``server_close()`` breaks connections after five seconds, and then gives handlers one more."""


class Closeable(Protocol):
    """A server of this kit."""

    def close(self) -> None:
        """End it, and raise what has gone wrong."""


class RunningServer(Endpoint):
    """A server in a thread of its own; get it from `serve`, and close it, mostly by ``with``."""

    server: TLSHTTPServer
    """The server itself, for whatever else you want to ask it."""

    def __init__(
        self,
        server: TLSHTTPServer,
        ca: Authority,
        certificate: Certificate | CertificateStore | None,
        happenings: Happenings,
        responses: Responses | None,
    ) -> None:
        super().__init__(server.url, ca, timeout=happenings.timeout)
        self.server = server
        self._certificate = certificate
        self._happenings = happenings
        self._responses = responses
        self._closed = False
        self._loop = threading.Thread(
            target=server.serve_forever, name="tlshttp-testing", daemon=True
        )
        self._loop.start()
        with _registering:
            _servers.add(self)

    @property
    def certificate(self) -> Certificate:
        """What the server shows now: to be pinned, or compared with what a client saw.

        Raises:
            RuntimeError: It is in a finished ``ssl_context``.
        """
        if self._certificate is None:
            raise RuntimeError("the certificate is in the ssl_context that serve() was given")
        if isinstance(self._certificate, CertificateStore):
            return self._certificate.current
        return self._certificate

    # What has happened ------------------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, oldest first: a list that grows, and that you may clear.

        A request is there before its handler runs, so before the client has its answer.

        Raises:
            RuntimeError: Requests are not recorded, as a function makes the handlers.
        """
        if self._happenings.not_recorded is not None:
            raise RuntimeError(self._happenings.not_recorded)
        return self._happenings.requests

    @property
    def peer_errors(self) -> list[PeerError]:
        """Failed handshakes, cut connections and refused requests so far, oldest first.

        A client that fails is often back in its test before the server has heard of it; see
        `wait_for_peer_error`.
        """
        return self._happenings.peer_errors

    @property
    def handler_errors(self) -> list[BaseException]:
        """What handlers have raised and `close` will raise; clear it to forgive that."""
        return self._happenings.handler_errors

    @property
    def responses(self) -> Responses:
        """What is answered, by path, where a mapping is served; you may change it at any time.

        Raises:
            RuntimeError: Something else is served.
        """
        if self._responses is None:
            raise RuntimeError("this server has a handler, and no responses by path")
        return self._responses

    def wait_for(self, number: int = 1, *, timeout: float | None = None) -> list[RecordedRequest]:
        """Wait until so many requests have come, and return all that have.

        Args:
            number: How many, counted as `requests` are.
            timeout: Seconds to wait; `None`: as long as the server's ``timeout``.

        Raises:
            TimeoutError: They have not come; the message tells what has.
        """
        self.requests  # noqa: B018 (whether there will be any)
        return self._happenings.wait_for_requests(number, timeout)

    def wait_for_peer_error(
        self, kind: type[_E], number: int = 1, *, timeout: float | None = None
    ) -> _E:
        """Wait for a failed handshake, a cut connection or a refused request, and return it.

        Args:
            kind: Which kind, such as `tlshttp.errors.PeerRejected`; a base class for all below it.
            number: Which of that kind, 1 for the first.
            timeout: Seconds to wait; `None`: as long as the server's ``timeout``.

        Raises:
            TimeoutError: There was none; the message tells what there was.
        """
        return self._happenings.wait_for_peer_error(kind, number, timeout)

    def stats(self) -> Stats:
        """Return the server's counters."""
        return self.server.stats()

    # The end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop, let requests be answered, close every connection and join every thread.

        Calling it again closes nothing, and raises what handlers have raised since.

        Raises:
            TimeoutError: A handler is still at work after the server's ``timeout``; the message
                names its client and its line.
            RuntimeError: A handler of this server has called it: it would wait for itself.
            Exception: What a handler has raised, or an `ExceptionGroup` of all they have.
        """
        __tracebackhide__ = True  # in pytest
        _raise(self._end())

    def take_handler_errors(self) -> list[BaseException]:
        """Return what handlers have raised so far, and forget it."""
        return self._happenings.take_handler_errors()

    def _end(self) -> list[BaseException]:
        """Close, and return what has gone wrong."""
        if self._closed:
            return self.take_handler_errors()
        if is_in_a_handler(self.server):
            raise RuntimeError("a handler has called close(), which waits for all handlers")
        self._closed = True
        late = self._shut_down()
        with _registering:
            _servers.discard(self)
        return [*self.take_handler_errors(), *late]

    def _shut_down(self) -> list[BaseException]:
        closer = threading.Thread(target=self._close_server, name="tlshttp-testing-closer")
        closer.daemon = True  # a handler that never ends does not keep the interpreter
        closer.start()
        closer.join(self._timeout)
        if not closer.is_alive():
            return []
        culprits = handlers_at_work(self.server) or [_no_handler(self.server)]
        closer.join(min(self._timeout, _GRACE_SECONDS))
        return [
            TimeoutError("\n  ".join([f"close() has waited {self._timeout:g} s for:", *culprits]))
        ]

    def _close_server(self) -> None:
        self.server.shutdown()
        self._loop.join()
        self.server.server_close()

    def __enter__(self) -> Self:
        """Return the server itself.

        Raises:
            RuntimeError: It has been closed.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} cannot be started again: make another")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close. Where the block has raised, what has gone wrong becomes notes of that."""
        __tracebackhide__ = True  # in pytest
        if exc is None:
            self.close()
        else:
            _add_notes(exc, self._end())

    def __repr__(self) -> str:
        return f"<RunningServer {self.url}{' closed' if self._closed else ''}>"


def _no_handler(server: TLSHTTPServer) -> str:
    """Say what a server waits for, where no handler is at work that we know of."""
    stats = server.stats()
    parked = ", ".join(f"{number} in {phase!r}" for phase, number in stats.parked.items() if number)
    return f"no handler that was recorded; connections: {stats.active} at work, {parked or 'none'}"


def report_handler_errors(failure: BaseException | None) -> None:
    """Raise what the handlers of all running servers have raised, or add it to a failure.

    Args:
        failure: How the test has failed by itself, to which notes are added; `None`: it has not.
    """
    __tracebackhide__ = True  # in pytest
    with _registering:
        servers = list(_servers)
    problems = [error for server in servers for error in server.take_handler_errors()]
    if failure is None:
        _raise(problems)
    else:
        _add_notes(failure, problems)


def close_all(servers: Iterable[Closeable]) -> None:
    """Close every server, and raise then what has gone wrong at any of them."""
    __tracebackhide__ = True  # in pytest
    problems: list[BaseException] = []
    for server in servers:
        try:
            server.close()
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # noqa: BLE001 (it is raised below)
            problems.append(problem)
    _raise(problems)


def _raise(problems: list[BaseException]) -> None:
    __tracebackhide__ = True  # in pytest
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise BaseExceptionGroup("handlers of a test's server have failed", problems)


def _add_notes(failure: BaseException, problems: Iterable[BaseException]) -> None:
    for problem in problems:
        failure.add_note(_describe(problem))


def _describe(problem: BaseException) -> str:
    """Return the traceback, from where it leaves our own frames."""
    tb = problem.__traceback__
    while tb is not None and str(tb.tb_frame.f_globals.get("__name__", "")).startswith(OURS):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(problem), problem, tb)).rstrip()
