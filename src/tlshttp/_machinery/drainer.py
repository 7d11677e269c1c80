"""Sends what handlers have written and their peers have not taken, while the handlers go on.

What a response has left when its handler has returned is the loop's to send. Until then its handler
may compute, or wait for the next event, and somebody else has to: one thread for all of them, which
is there as long as there is something to do.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import WRITE, create_poller

if TYPE_CHECKING:
    from tlshttp._machinery.stream import Stream

__all__ = ["Drainer"]

_IDLE_SECONDS = 10.0


class Drainer:
    """The thread.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()
        self._streams: dict[int, Stream] = {}
        self._poller = create_poller()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, stream: Stream) -> None:
        """Send what the stream has from now on, until there is nothing left."""
        with self._lock:
            fd = stream.fd
            if stream.watched or self._closed or fd < 0:
                return
            stream.watched = True
            self._streams[fd] = stream
            with contextlib.suppress(OSError):
                self._poller.add(fd, WRITE)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread to be had: the handler's own end will do
                    self._drop(stream, fd)
                    return
                self._thread = thread

    def forget(self, stream: Stream) -> None:
        """Leave the rest to whoever calls this."""
        if stream.watched:
            with self._lock:
                self._drop(stream, stream.fd)

    def close(self) -> None:
        """End."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._poller.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._poller.close()

    def abandon(self) -> None:
        """Give back what a forked child has of its parent's, where no thread was started."""
        self._poller.close()

    def _drop(self, stream: Stream, fd: int) -> None:
        stream.watched = False
        if self._streams.get(fd) is stream:
            del self._streams[fd]
            self._poller.remove(fd)

    def _run(self) -> None:
        while True:
            fds = self._poller.wait(_IDLE_SECONDS)
            with self._lock:
                if self._closed or not (fds or self._streams):
                    self._thread = None
                    return
            for fd in fds:
                self._send(fd)

    def _send(self, fd: int) -> None:
        stream = self._streams.get(fd)
        if stream is None:
            self._poller.remove(fd)
            return
        done = True
        with contextlib.suppress(Exception):  # it is remembered: the handler will see it
            done = stream.pump()
        if not done:
            return
        self.forget(stream)
        if stream.failure is None and stream.backlog:  # written meanwhile
            self.watch(stream)
            return
        later = stream.later
        if later is not None:
            later.report_sent()
