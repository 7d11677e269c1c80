"""How a handler takes its connection over: a method of `tlshttp.TLSRequestHandler`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlshttp._taken_over import ConnectionDriver, TakenOverConnection

__all__ = ["take_over"]


def take_over(
    self: Any,
    driver: ConnectionDriver | None = None,
    *,
    ends_with_server: bool = True,
    max_backlog: int = 1 << 20,
) -> TakenOverConnection | None:
    """Take the connection over for another protocol, after a head that says so.

    That is 101 (Switching Protocols), or 2xx in answer to CONNECT. Without a driver the
    connection is this handler's until it returns: it may wait for its peer, in a thread that is
    no worker at work any more. With one the handler returns, and the driver is called when
    something arrives: an idle connection costs no thread.

    Args:
        self: The handler.
        driver: What the connection is for; `None`: this handler.
        ends_with_server: Whether `drain` and ``server_close()`` have this handler receive the
            end, so that it can say goodbye. Without it the connection is broken when their time
            is over. A driver is always told (`ConnectionDriver.leave`).
        max_backlog: Bytes that may wait for the peer of a driver. One mebibyte is what a
            message of a WebSocket may have.

    Returns:
        The connection; `None` with a driver, which gets it when the handler has returned.

    Raises:
        RuntimeError: There is no such head, the connection has been taken over already, or
            there is no loop to drive it: the handler has a thread of its own, as one with a
            ``handle()`` of its own has, or one of `socketserver.ThreadingMixIn`.
    """
    exchange = getattr(self.request, "exchange", None)
    if exchange is None or not self.request.tunnel:
        raise RuntimeError("a connection is taken over after 101, or 2xx in answer to CONNECT")
    self.close_connection = True
    if driver is None:
        self.request.lend(ends_with_server=ends_with_server)
        taken: TakenOverConnection = self.request
        return taken
    if exchange.blocking or exchange.one_shot:
        raise RuntimeError("a handler that has a thread of its own cannot leave its connection")
    self.request.drive(driver, max_backlog)
    return None
