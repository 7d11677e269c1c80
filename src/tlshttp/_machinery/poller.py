"""Which sockets have something to say.

A descriptor is reported again and again, as long as what it was added for lasts, until it is
removed: who acts on each report need not ask anew for the next one.

`EpollPoller` may be changed from any thread while another waits, and by several at once: the kernel
does that by itself. `SelectorPoller` does the same with what every platform has, by waking the
waiting thread.

Both may report a descriptor that was closed, or closed and given to a new connection, since they
looked: who acts on a report has to bear a false one.
"""

from __future__ import annotations

import collections
import contextlib
import select
import selectors
import socket
import sys
from typing import Protocol

__all__ = ["NOTHING", "READ", "WRITE", "Poller", "create_poller", "wait_for"]

READ = 1
"""Wait until there is something to read."""

WRITE = 4
"""Wait until there is room to write."""

NOTHING = 2
"""Wait until the connection is broken, if the system tells that: for who wants neither."""

# They are the numbers of POLLIN, POLLOUT and POLLPRI (urgent data, which TLS has none of), which
# Linux also uses for epoll. READ | WRITE waits for either.


class Poller(Protocol):
    """What the loop needs of either poller."""

    waits_in_poller: bool
    """Whether its own descriptor can be added to another poller, so that several threads can
    wait for its reports by turns."""

    def fileno(self) -> int:
        """Return its own descriptor, which is readable when there is something to report."""

    def add(self, fd: int, event: int) -> None:
        """Report `fd` whenever `event` is there; from any thread.

        Raises:
            OSError: `fd`, or the poller, is closed; or it has been added.
        """

    def change(self, fd: int, event: int) -> None:
        """Report `fd`, added before, for another event; from any thread.

        Raises:
            OSError: `fd`, or the poller, is closed.
        """

    def remove(self, fd: int) -> None:
        """Forget `fd`, which must still be open; do nothing if it has not been added."""

    def wait(self, timeout: float) -> list[int]:
        """Return the descriptors that are ready, after at most `timeout` seconds."""

    def glance(self) -> list[int]:
        """Return those that are ready now, or some of them; the next call then returns others."""

    def wake(self) -> None:
        """Make `wait` return at once, from any thread."""

    def close(self) -> None:
        """Give back what the poller holds of the system."""


_AT_A_GLANCE = 32
"""Descriptors. Whoever glances while others are known to be ready is told of those as well, each
time: with 256 connections that was a thirtieth of what a request takes."""


class _Waker:
    """A pair of sockets through which one thread wakes another."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        return self._receiver.fileno()

    def wake(self) -> None:
        # Full: a wake-up is under way. Closed: nobody is left to wake.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()


if sys.platform == "linux":

    class EpollPoller:
        """Level-triggered epoll."""

        waits_in_poller = True

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._waker = _Waker()
            self._waker_fd = self._waker.fileno()
            self.add(self._waker_fd, READ)

        def fileno(self) -> int:
            return self._epoll.fileno()

        def add(self, fd: int, event: int) -> None:
            try:
                self._epoll.register(fd, event)
            except ValueError as error:  # a closed epoll, or a closed socket's -1
                raise OSError(str(error)) from error

        def change(self, fd: int, event: int) -> None:
            try:
                self._epoll.modify(fd, event)
            except ValueError as error:
                raise OSError(str(error)) from error

        def remove(self, fd: int) -> None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                pass  # it has not been added, or the poller is closed

        def wait(self, timeout: float, most: int = -1) -> list[int]:
            try:
                ready = [fd for fd, _ in self._epoll.poll(timeout, most)]
            except (OSError, ValueError):
                if self._epoll.closed:  # by a signal handler, or another thread
                    return []
                raise
            if self._waker_fd in ready:
                self._waker.drain()
                ready.remove(self._waker_fd)
            return ready

        def glance(self) -> list[int]:
            return self.wait(0, _AT_A_GLANCE)

        def wake(self) -> None:
            self._waker.wake()

        def close(self) -> None:
            self._epoll.close()
            self._waker.close()


class SelectorPoller:
    """The same by `selectors`: another thread's wish is noted down and the waiting thread woken."""

    waits_in_poller = False

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker = _Waker()
        self._wishes: collections.deque[tuple[int, int]] = collections.deque()
        self._closed = False
        self.add(self._waker.fileno(), READ)

    def fileno(self) -> int:
        return -1

    def add(self, fd: int, event: int) -> None:
        self.change(fd, event)

    def change(self, fd: int, event: int) -> None:
        if self._closed or fd < 0:
            raise OSError("the poller or the descriptor is closed")
        self._wish(fd, event)

    def remove(self, fd: int) -> None:
        self._wish(fd, 0)

    def wait(self, timeout: float) -> list[int]:
        self._fulfil_wishes()
        try:
            ready = [key.fd for key, _ in self._selector.select(timeout)]
        except OSError:  # select() on a descriptor closed meanwhile: its removal is noted down
            return []
        if self._waker.fileno() in ready:
            self._waker.drain()
            ready.remove(self._waker.fileno())
        return ready

    def glance(self) -> list[int]:
        return self.wait(0)

    def wake(self) -> None:
        self._waker.wake()

    def close(self) -> None:
        self._closed = True
        self._selector.close()
        self._waker.close()

    def _wish(self, fd: int, event: int) -> None:
        self._wishes.append((fd, event))
        self._waker.wake()

    def _fulfil_wishes(self) -> None:
        while self._wishes:
            fd, event = self._wishes.popleft()
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(fd)
            if event not in (0, NOTHING):
                # The descriptor may be closed by now: its connection is over.
                with contextlib.suppress(KeyError, ValueError, OSError):
                    self._selector.register(fd, _SELECTOR_EVENTS[event])


_SELECTOR_EVENTS = {
    READ: selectors.EVENT_READ,
    WRITE: selectors.EVENT_WRITE,
    READ | WRITE: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


def create_poller() -> Poller:
    """Return the best poller of this platform."""
    return EpollPoller() if sys.platform == "linux" else SelectorPoller()


if hasattr(select, "poll"):

    def wait_for(fd: int, event: int, timeout: float | None) -> bool:
        """Wait in this thread until `event` comes to `fd`; return false after `timeout` seconds.

        `None` waits for ever.
        """
        poll = select.poll()
        poll.register(fd, event)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

else:  # Windows

    def wait_for(fd: int, event: int, timeout: float | None) -> bool:
        """Wait in this thread until `event` comes to `fd`; return false after `timeout` seconds."""
        readers = [fd] if event & READ else []
        writers = [fd] if event & WRITE else []
        return any(select.select(readers, writers, readers + writers, timeout))
