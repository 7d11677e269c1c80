"""The threads of a bad server: one that accepts, and one for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

from tlshttp.testing._bad.conversation import Conversation
from tlshttp.testing._bad.engine import Engine
from tlshttp.testing._bad.requests import SeenRequest
from tlshttp.testing._bad.vocabulary import Deed

__all__ = ["Crew"]

_MAXIMUM_CONNECTIONS = 100
"""Connections at one time. A test has a few; further ones are refused, to bound the threads."""

_WAKING_SECONDS = 1.0


class Crew:
    """Accepts and talks until it is closed; begins at once.

    Args:
        listener: The listening socket, closed at the end.
        deeds: What is done to the connections.
        start_tls: Makes the server side of TLS for the connection of a number.
        timeout: Seconds that closing waits for threads.
    """

    def __init__(
        self,
        listener: socket.socket,
        deeds: Sequence[Deed],
        start_tls: Callable[[int], Engine],
        timeout: float,
    ) -> None:
        self.requests: list[SeenRequest] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.failures: list[BaseException] = []
        self._listener = listener
        self._deeds = deeds
        self._start_tls = start_tls
        self._timeout = timeout
        self._changed = threading.Condition()
        self._open: dict[threading.Thread, socket.socket] = {}
        # Who has not closed the server can still leave the interpreter.
        self._acceptor = threading.Thread(
            target=self._accept, name="tlshttp-testing-bad", daemon=True
        )
        self._acceptor.start()

    def wait_for(self, number: int, timeout: float) -> bool:
        """Wait for so many requests, and tell whether they have come."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= number, timeout)

    def close(self) -> list[str]:
        """End every connection, join every thread, and name those that do not end."""
        self.stopping.set()
        self._wake_acceptor()
        self._listener.close()
        threads = self._end_conversations()
        return [one.name for one in (self._acceptor, *threads) if one.is_alive()]

    def enter(self, request: SeenRequest) -> int:
        """Note a request and return its number."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return len(self.requests)

    def start_tls(self, connection: int) -> Engine:
        """Return the server side of TLS for a connection."""
        return self._start_tls(connection)

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            if self.stopping.is_set():
                sock.close()
                return
            with self._changed:
                if len(self._open) >= _MAXIMUM_CONNECTIONS:
                    sock.close()
                    continue
                self.connections += 1
                thread = threading.Thread(
                    target=self._converse,
                    args=(sock, self.connections),
                    name=f"tlshttp-testing-bad-{self.connections}",
                    daemon=True,
                )
                self._open[thread] = sock
            thread.start()

    def _converse(self, sock: socket.socket, number: int) -> None:
        try:
            Conversation(sock, number, self._deeds, self).run()
        except Exception as error:  # noqa: BLE001 (it is raised by close())
            self.failures.append(error)
        finally:
            with self._changed:
                self._open.pop(threading.current_thread(), None)
                self._changed.notify_all()

    def _wake_acceptor(self) -> None:
        # Closing a socket does not wake who waits for it to accept, on every platform.
        with contextlib.suppress(OSError):
            address = self._listener.getsockname()[:2]
            socket.create_connection(address, timeout=_WAKING_SECONDS).close()
        self._acceptor.join(self._timeout)

    def _end_conversations(self) -> list[threading.Thread]:
        with self._changed:
            left = dict(self._open)
        for sock in left.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + self._timeout
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        return list(left)
