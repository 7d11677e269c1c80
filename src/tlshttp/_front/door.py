"""Accepting connections, as many as there is room for."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

from tlshttp._front.poller import READ, Poller, wait_for
from tlshttp._front.serving import ServingConnection
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._front.front import Front

__all__ = ["RETRY_SECONDS", "WRAPPED", "Door"]

RETRY_SECONDS = 0.1
"""How long the door stays closed when there is no room, or the system had no descriptor or memory
for a connection; less if a connection goes."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


WRAPPED = (
    "{} has been wrapped for TLS: remove the wrap_socket() line, this server does it by itself, for"
    " each connection"
)
"""What somebody is told who has come from `ssl.SSLContext.wrap_socket`."""


class Door:
    """The listening socket.

    Args:
        front: Where the connections go.
        poller: What reports that somebody waits.
    """

    def __init__(self, front: Front, poller: Poller) -> None:
        self._front = front
        self._poller = poller
        self._accepting = threading.Lock()
        self.listener: int | None = None
        """The listening socket's descriptor."""
        self._closed_until: float | None = None
        self._has_room = False
        self._is_shut = False

    @property
    def is_closed(self) -> bool:
        """Whether new connections are left in the listen queue for now."""
        return self._closed_until is not None

    def listen(self, fd: int) -> None:
        """Accept connections from the listening socket with this descriptor, and no other."""
        if fd != self.listener and not self._is_shut:
            self.stop()
            self.listener = fd
            self._poller.add(fd, READ)

    def stop(self) -> None:
        """Forget the listening socket, which is about to be closed."""
        if self.listener is not None:
            self._poller.remove(self.listener)
            self.listener = None

    def shut(self, most: int) -> None:
        """Let in those who wait in the listen queue, and then nobody.

        Args:
            most: How many to let in.
        """
        with self._accepting:  # whoever accepts may be about to close, or to reopen
            self._accept(most)
            self._is_shut = True
            self.stop()

    def make_way(self) -> None:
        """Take note, from any thread, that a connection has gone."""
        if self.is_closed:
            self._has_room = True
            self._front.wake()

    def accept(self, most: int = 1) -> None:
        """Let in who waits in the listen queue, unless another thread is at it.

        Whoever else waits is reported again, when others have had their turn. To look for more than
        one each time would mostly be a system call in vain (nginx has ``multi_accept off``).

        Args:
            most: How many to let in at once.
        """
        if self._accepting.acquire(blocking=False):
            try:
                self._accept(most)
            finally:
                self._accepting.release()

    def _accept(self, most: int) -> None:
        for _ in range(0 if self._is_shut else most):
            if not self._front.has_room():
                self._close()
                return
            try:
                request, address = self._front.hooks.get_request()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._bear_exhaustion()
                    return
                continue  # a connection that was gone before it was accepted
            if hasattr(request, "do_handshake"):
                request.close()
                raise ConfigurationError(WRAPPED.format("get_request() returns a socket that"))
            self._admit(request, address)

    def is_wanted(self, request: socket.socket, address: object) -> bool:
        """Ask the server whether it wants a connection whose proxy has said whose it is."""
        front = self._front
        try:
            with self._accepting:  # hooks of the user's are not called from several threads
                if front.hooks.verify_request(request, address):
                    return True
        except Exception:
            front.hooks.handle_error(request, address)
        front.counters.add("refused")
        return False

    def reopen(self, now: float) -> None:
        """Accept again, if it is time."""
        if self._closed_until is None or self.listener is None:
            return
        if now < self._closed_until and not self._has_room:
            return
        with self._accepting:  # whoever accepts may be about to close
            self._closed_until = None
            if self._is_shut:
                return
            with contextlib.suppress(FileExistsError):
                self._poller.add(self.listener, READ)

    def _close(self) -> None:
        """Leave new connections in the listen queue, for a moment or until one has gone."""
        if self.listener is not None and not self.is_closed:
            self._poller.remove(self.listener)
            self._has_room = False
            self._closed_until = time.monotonic() + RETRY_SECONDS

    def _bear_exhaustion(self) -> None:
        """Stop accepting until there is room again, and make some if there is somebody to accept.

        Without a free descriptor ``accept()`` fails even where nobody waits.
        """
        self._close()
        if self.listener is not None and wait_for(self.listener, READ, 0):
            self._front.make_room()

    def _admit(self, request: socket.socket, address: object) -> None:
        """Ask the server whether it wants the connection, and let it in."""
        front = self._front
        front.counters.add("accepted")
        proxied = bool(front.trusted_proxies) and front.trusted_proxies.trusts(address)
        try:
            # Whose a proxied connection is, its first bytes tell; the server is asked then.
            if proxied or front.hooks.verify_request(request, address):
                self._let_in(request, address, proxied=proxied)
                return
        except Exception:
            front.hooks.handle_error(request, address)
        except BaseException:
            front.hooks.shutdown_request(request)
            raise
        front.counters.add("refused")
        front.hooks.shutdown_request(request)
        front.answers.add()

    def _let_in(self, request: socket.socket, address: object, *, proxied: bool) -> None:
        if self._front.is_full():
            self._front.make_room()
        request.setblocking(False)
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # AF_UNIX has none; macOS refuses where the peer is gone again, as will show
        connection = ServingConnection(self._front, request, address)
        connection.awaits_proxy = proxied
        self._front.parking.let_in(connection)
