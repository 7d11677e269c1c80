"""Large bodies that go to a file, received in blocks.

A block is received where it is written from. Objects of that size would cost more than they save:
the C library gives their memory back to the system each time, and gets it again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tlshttp.handler._framing import Body, SizedBody

if TYPE_CHECKING:
    from tlshttp._interfaces import Transport
    from tlshttp._spool import Spool

__all__ = ["comes_in_blocks", "take_block"]

_SIZE = 262_144
"""Bytes of a block: as many as are received before others have their turn."""


class _Buffer(threading.local):
    """What a thread receives blocks into."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_SIZE))


_buffer = _Buffer()


def comes_in_blocks(body: Body, spool: Spool | None, stream: Transport) -> bool:
    """Return whether the next block of a body is all for a file that has room for it."""
    return (
        spool is not None
        and spool.in_file
        and type(body) is SizedBody
        and body.left >= _SIZE
        and bool(stream.budget.has_disk(_SIZE))
    )


def take_block(body: Body, stream: Transport) -> memoryview:
    """Receive what has come of a block, without waiting.

    It is good until this thread does so again.
    """
    data = _buffer.view[: stream.fill_into(_buffer.view)]
    body.left -= len(data)
    body.done = not body.left
    return data
