"""What a client is told when its request is refused or its handler has failed."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp._interfaces import Transport
    from tlshttp.handler._responding import Responding

__all__ = ["say_error"]


def say_error(
    exchange: Responding, stream: Transport, status: HTTPStatus, message: str | None
) -> None:
    """Answer with an error, if nothing of a response has left, and drop the rest of it."""
    wfile = exchange.wfile
    wfile.keep_back()
    if not wfile.started and stream.failure is None:
        # What went wrong is reported before the client sees the end.
        stream.goodbye_with_response = False
        _drop_response(exchange)
        wfile.begin()
        if not _have_handler_say(exchange, stream, status, message):
            wfile.begin()
            wfile.write(_plain_error(status, exchange.method))
        with contextlib.suppress(OSError):
            wfile.end()
    _drop_response(exchange)
    wfile.closes = True
    if exchange.handler is not None:
        exchange.handler.close_connection = True


def _have_handler_say(
    exchange: Responding, stream: Transport, status: HTTPStatus, message: str | None
) -> bool:
    """Have the handler's own ``send_error()`` say it; tell if it did."""
    handler = exchange.handler
    if handler is None:
        return False
    if handler.request_version == "HTTP/0.9":
        handler.request_version = "HTTP/1.0"  # the answer has a head
    handler.close_connection = True
    try:
        handler.send_error(status, message)
        if handler.wfile is not exchange.wfile:
            handler.wfile.flush()
    except Exception:  # noqa: BLE001  # its mistake must hide nothing, nor be hidden
        if stream.failure is None:
            stream.owner.report_exception()
        return exchange.wfile.started
    return exchange.wfile.head_ended or exchange.wfile.started


def _drop_response(exchange: Responding) -> None:
    """Have nothing more sent of the response, not even what is in a buffer."""
    exchange.wfile.mute()
    handler = exchange.handler
    if handler is not None and handler.wfile is not exchange.wfile:
        with contextlib.suppress(Exception):  # it may be anything of the user's
            handler.wfile.flush()


def _plain_error(status: HTTPStatus, method: str) -> bytes:
    """Return a whole response, for where no handler can make one."""
    body = f"{status.value} {status.phrase}\n".encode("ascii")
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if method == "HEAD" else body)
