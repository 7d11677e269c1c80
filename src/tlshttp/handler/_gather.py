"""A large body in one piece, of which not all has come: ``rfile.read(8_000_000)``.

While its peer is slow, such a read holds what has come, and many of them hold much. So it counts
like the bodies that a server collects: it is kept in memory as long as all connections together
leave some, then in temporary files.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from tlshttp._budget import NoRoom
from tlshttp._interfaces import Transport
from tlshttp._spool import Spool
from tlshttp.errors import RequestRefused

if TYPE_CHECKING:
    from tlshttp.handler._exchange import HTTPExchange
    from tlshttp.handler._reader import RequestReader

__all__ = ["gather"]


def gather(exchange: HTTPExchange, stream: Transport, reader: RequestReader, size: int) -> bytes:
    """Read `size` bytes, fewer at the end of the body; all of it where that is negative.

    Raises:
        RequestRefused: There is no room, and none has been made in time.
    """
    spool, left = Spool(stream.budget, None, stream.owner), size
    try:
        while left and (data := reader.take_some(left)):
            _keep(exchange, stream, spool, data)
            left -= len(data) if left > 0 else 0
        return spool.read_all()
    finally:
        spool.clear()


def _keep(exchange: HTTPExchange, stream: Transport, spool: Spool, data: bytes) -> None:
    while True:
        try:
            spool.append(data)
            return
        except NoRoom:
            if stream.wait_for_disk(len(data)):
                continue
        except OSError as error:
            exchange.warn("a request body cannot be kept: %s", error)
        no_room = RequestRefused("No room for this body", status=HTTPStatus.INSUFFICIENT_STORAGE)
        exchange.refused = no_room
        raise no_room
