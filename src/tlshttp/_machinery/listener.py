"""Accepting connections, as many as there is room for."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import READ, Poller, wait_for
from tlshttp._machinery.serving import ServingConnection
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._machinery.loop import Loop

__all__ = ["RETRY_SECONDS", "WRAPPED", "Listener"]

RETRY_SECONDS = 0.1
"""How long nothing is accepted when there is no room, or the system had no descriptor or memory for
a connection; less if a connection goes."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_MOST_UNSENT = 262_144
"""Bytes for one peer that the kernel takes before it may send them: as many as leave at once.
Without a limit Linux takes up to 4 MiB (``tcp_wmem``) of a response that nobody reads. They have
been encrypted for nothing, and nobody counts that memory."""

_OPTIONS = [(socket.TCP_NODELAY, 1)]
if sys.platform == "linux":  # elsewhere the kernel takes less
    _OPTIONS.append((socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT))

WRAPPED = (
    "{} has been wrapped for TLS: remove the wrap_socket() line, this server does it by itself, for"
    " each connection"
)
"""What somebody is told who has come from `ssl.SSLContext.wrap_socket`."""


class Listener:
    """The listening socket.

    Args:
        loop: Where the connections go.
        poller: What reports that somebody waits.
    """

    def __init__(self, loop: Loop, poller: Poller) -> None:
        self._loop = loop
        self._poller = poller
        self._accepting = threading.Lock()
        self._has_proxies = bool(loop.trusted_proxies)
        self.descriptor: int | None = None
        """The listening socket's descriptor."""
        self.is_closed = False
        """Whether new connections are left in the listen queue for now."""
        self._closed_until = 0.0
        self._has_room = False
        self._left = sys.maxsize
        """How many are still to be let in."""
        self._spares = False
        """Whether nobody is to give way to who comes."""
        self._is_shut = False

    def listen(self, fd: int) -> None:
        """Accept connections from the listening socket with this descriptor, and no other."""
        with self._accepting:  # whoever accepts may be about to close
            if fd != self.descriptor and not self._is_shut:
                self.stop()
                self.descriptor = fd
                self._poller.add(fd, READ)

    def stop(self) -> None:
        """Forget the listening socket, which is about to be closed."""
        if self.descriptor is not None:
            self._poller.remove(self.descriptor)
            self.descriptor = None

    def shut(self, most: int, *, waits: bool) -> bool:
        """Let in those who wait in the listen queue, and then nobody; tell whether that is done.

        Args:
            most: How many to let in, counted from the first call on.
            waits: Whether it is not done while somebody waits for whom there is no room now.
        """
        with self._accepting:  # whoever accepts may be about to close, or to reopen
            self._left = min(self._left, most)
            self._spares = waits  # else those let in last would give way to each other
            self._accept(self._left)
            if waits and self._left and self._keeps_somebody_waiting():
                return False
            self._is_shut = True
            self.stop()
            return True

    def make_way(self) -> None:
        """Take note, from any thread, that a connection has gone, where `is_closed`."""
        self._has_room = True
        self._loop.wake()

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
        for _ in range(0 if self._is_shut else min(most, self._left)):
            if not self._loop.room.has_room() or (self._spares and self._loop.room.is_full()):
                self._close()
                return
            try:
                request, address = self._loop.hooks.get_request()
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
            self._left -= 1
            self._admit(request, address)

    def is_wanted(self, request: socket.socket, address: object) -> bool:
        """Ask the server whether it wants a connection whose proxy has said whose it is."""
        loop = self._loop
        try:
            with self._accepting:  # hooks of the user's are not called from several threads
                if loop.hooks.verify_request(request, address):
                    return True
        except Exception:
            loop.hooks.handle_error(request, address)
        loop.counters.add("refused")
        return False

    def reopen(self, now: float) -> None:
        """Accept again, where `is_closed`, if it is time."""
        if self.descriptor is None:
            return
        if now < self._closed_until and not self._has_room:
            return
        with self._accepting:  # whoever accepts may be about to close
            self.is_closed = False
            if self._is_shut:
                return
            with contextlib.suppress(FileExistsError):
                self._poller.add(self.descriptor, READ)

    def _close(self) -> None:
        """Leave new connections in the listen queue, for a moment or until one has gone."""
        if self.descriptor is not None and not self.is_closed:
            self._poller.remove(self.descriptor)
            self._has_room = False
            self._closed_until = time.monotonic() + RETRY_SECONDS
            self.is_closed = True
            self._loop.wake()

    def _bear_exhaustion(self) -> None:
        """Stop accepting until there is room again, and make some if there is somebody to accept.

        Without a free descriptor ``accept()`` fails even where nobody waits.
        """
        self._close()
        if self._keeps_somebody_waiting():
            self._loop.room.make_room()

    def _keeps_somebody_waiting(self) -> bool:
        """Tell whether nothing is accepted now though somebody waits for that."""
        fd = self.descriptor
        return self.is_closed and fd is not None and wait_for(fd, READ, 0)

    def _admit(self, request: socket.socket, address: object) -> None:
        """Ask the server whether it wants the connection, and let it in."""
        loop = self._loop
        loop.counters.add("accepted")
        proxied = self._has_proxies and loop.trusted_proxies.trusts(address)
        try:
            # Whose a proxied connection is, its first bytes tell; the server is asked then.
            if proxied or loop.hooks.verify_request(request, address):
                self._let_in(request, address, proxied=proxied)
                return
        except Exception:
            loop.hooks.handle_error(request, address)
        except BaseException:
            loop.hooks.shutdown_request(request)
            raise
        loop.counters.add("refused")
        loop.hooks.shutdown_request(request)
        loop.answers.add()

    def _let_in(self, request: socket.socket, address: object, *, proxied: bool) -> None:
        if self._loop.room.is_full():
            self._loop.room.make_room()
        request.setblocking(False)
        try:
            for option, value in _OPTIONS:
                request.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            pass  # AF_UNIX has none; macOS refuses where the peer is gone again, as will show
        connection = ServingConnection(self._loop, request, address)
        connection.awaits_proxy = proxied
        self._loop.parking.let_in(connection)
        self._loop.begin(connection)
