"""The class on top of a handler class that records its requests.

It stands on what every handler of `http.server` has: ``parse_request()`` tells when a request is
there, a ``do_*`` method answers it, and its body is read from ``rfile``. The class below does with
them what it did before. Its other methods are not touched, since a server may choose how to run a
class by which methods it defines.
"""

from __future__ import annotations

import functools
import io
import logging
import types
from collections.abc import Callable
from email.message import Message
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tlshttp.handler import TLSRequestHandler
from tlshttp.testing._recorded import Happenings, RecordedRequest

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Recorder", "derive", "record"]

_SMALL_BODY = 16_384
"""Bytes of a body that has come whole before a handler is called, so that reading the rest waits
for nobody."""

_log = logging.getLogger("tlshttp.testing")

if TYPE_CHECKING:
    _Base = BaseHTTPRequestHandler
else:
    _Base = object


def record(handler: Callable[..., Any], happenings: Happenings) -> Callable[..., Any]:
    """Return a handler class, or a `functools.partial` of one, that records its requests.

    Anything else that makes handlers is returned as it is, and the reason noted.
    """
    if isinstance(handler, functools.partial):
        inner = record(handler.func, happenings)
        return functools.partial(inner, *handler.args, **handler.keywords)
    if not (isinstance(handler, type) and issubclass(handler, BaseHTTPRequestHandler)):
        happenings.not_recorded = (
            f"the requests of {handler!r} are not recorded: a function makes its handlers; give"
            " the handler class, or a functools.partial of it"
        )
        return handler
    if hasattr(handler, "_create_answerer"):
        happenings.not_recorded = (
            f"the requests of {handler.__name__} are not recorded: coroutines answer them, which"
            " read no rfile"
        )
        return handler
    names: dict[str, Any] = {"_Recorder__happenings": happenings}
    if handler.log_message in (BaseHTTPRequestHandler.log_message, TLSRequestHandler.log_message):
        names["log_message"] = _log_message
    own = handler.handle_one_request
    dispatches = own not in (
        BaseHTTPRequestHandler.handle_one_request,
        TLSRequestHandler.handle_one_request,
    )
    return derive(handler, (_Dispatching if dispatches else Recorder, handler), names)


def derive(base: type, bases: tuple[type, ...], names: dict[str, Any]) -> type[Any]:
    """Return a class derived from `bases` that goes by the name of `base`."""
    named = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        **names,
    }
    if any("__init_subclass__" in vars(one) for one in base.__mro__[:-1]):
        bases = (_Unseen, *bases)
    return types.new_class(base.__name__, bases, {}, lambda body: body.update(named))


class Recorder(_Base):
    """What is put in front of a handler class."""

    __happenings: Happenings
    __request: RecordedRequest | None = None

    def parse_request(self) -> bool:
        """Parse the head, and record the request if it is to be served."""
        self.__end()
        parsed = super().parse_request()
        if parsed:
            self.__begin()
        return parsed

    def __begin(self) -> None:
        self.__happenings.forget_passing()
        self.__request = request = RecordedRequest(
            self.command,
            self.path,
            _copy(self.headers),
            self.request.tls,
            self.client_address,
            timeout=self.__happenings.timeout,
        )
        size = _body_size(self.headers)
        if size == 0:
            request.end_body()
        else:
            self.rfile = _Tee(self.rfile, request, size)
        name = f"do_{self.command}"
        method = getattr(self, name, None)
        if method is not None:
            # This is around the method itself: its caller answers an exception with a 500, and the
            # traceback is to be recorded before the client has that.
            vars(self)[name] = functools.partial(self.__call, name, method)
        self.__happenings.add_request(request)

    def __call(self, name: str, method: Callable[[], None]) -> None:
        vars(self).pop(name, None)
        self.__watch(method)

    def __watch(self, method: Callable[[], None]) -> None:
        """Call a method that serves the request, and take note of what it raises and of its end."""
        try:
            method()
        except BaseException as error:
            # A timeout of the handler's own is as much the peer's doing as one of the server's.
            if not (isinstance(error, TimeoutError) and self.request.raised(error)):
                self.__happenings.add_handler_error(error, self.__request or "a request")
            if isinstance(error, Exception):
                raise
            # What sys.exit() and pytest.fail() raise would end the server's thread.
            raise RuntimeError("the handler has failed its test") from error
        finally:
            self.__end()

    def __end(self) -> None:
        request, self.__request = self.__request, None
        if request is None:
            return
        vars(self).pop(f"do_{request.method}", None)
        tee = self.rfile
        if isinstance(tee, _Tee):
            self.rfile = tee.file
            if tee.has_come and not tee.file.closed:
                try:
                    tee.read()
                except OSError:
                    _log.debug("the rest of the body of %s has not come", request)
        request.end_body()


class _Dispatching(Recorder):
    """The same, for a class whose ``handle_one_request()`` is its own and may call no ``do_*``."""

    def handle_one_request(self) -> None:
        """Serve a request, and take note of what is raised and of its end."""
        self._Recorder__watch(super().handle_one_request)  # type: ignore[attr-defined]


class _Tee(io.BufferedIOBase):
    """A request's body that is recorded as a handler reads it.

    Args:
        file: Where it comes from.
        request: Where it goes to.
        size: How many bytes it has; `None`: only its end will tell.
    """

    def __init__(self, file: Any, request: RecordedRequest, size: int | None) -> None:
        self.file = file
        self._request = request
        self._left = size
        self.has_come = size is not None and size <= _SMALL_BODY and not _expects(request.headers)
        """Whether all of it is there."""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self.file.fileno()
        return number

    def peek(self, size: int = 0, /) -> bytes:
        seen: bytes = self.file.peek(size)
        return seen

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._took(self.file.read(size), size)
        if size is None or size < 0:
            self._request.end_body()
        return data

    def read1(self, size: int = -1, /) -> bytes:
        return self._took(self.file.read1(size), size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._took(self.file.readline(size), size)

    def readinto(self, buffer: Buffer, /) -> int:
        return self._into(buffer, self.read)

    def readinto1(self, buffer: Buffer, /) -> int:
        return self._into(buffer, self.read1)

    def close(self) -> None:
        """Leave it to the handler to close what it has made."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def _into(self, buffer: Buffer, read: Callable[[int], bytes]) -> int:
        view = memoryview(buffer).cast("B")
        data = read(len(view))
        view[: len(data)] = data
        return len(data)

    def _took(self, data: bytes, asked: int | None) -> bytes:
        self._request.add_piece(data)
        if self._left is not None:
            self._left -= len(data)
        if self._left == 0 or (not data and asked != 0):
            self._request.end_body()
        return data


class _Unseen:
    """Keeps what is derived here from the user's own ``__init_subclass__()``."""

    def __init_subclass__(cls) -> None:
        """Do nothing, not even ask the next class."""


def _log_message(self: BaseHTTPRequestHandler, format: str, *args: Any) -> None:
    """Log what `http.server` would write on standard error."""
    _log.info(f"%s {format}", self.address_string(), *args)


def _body_size(headers: Message) -> int | None:
    """Return how many bytes of body there are; `None`: only its end will tell."""
    if headers.get("Transfer-Encoding"):
        return None
    length = headers.get("Content-Length", "0").strip()
    return int(length) if length.isdecimal() else None


def _expects(headers: Message) -> bool:
    return headers.get("Expect") is not None


def _copy(headers: Message) -> Message:
    """Return the fields in a message of their own, which no handler changes."""
    copy = HTTPMessage()
    for name, value in headers.raw_items():
        copy.set_raw(name, value)
    return copy
