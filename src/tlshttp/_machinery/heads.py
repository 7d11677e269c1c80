"""Sends response heads on whose handlers are long in going on.

A head is held back for the first bytes of its body, so that both leave in one record. Where nobody
knows how long the body will be, that may be a while: the handler waits for what it has to tell. One
thread for all sends such heads, which is there as long as there are any. It looks at all of
them at once, now and then, so that a busy server does not notice it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp._machinery.stream import Stream

__all__ = ["Heads"]

_HELD_SECONDS = 0.004
_LOOK_SECONDS = 0.006
"""How long a head is held back at least, and how often the thread looks: so a client has it within
ten milliseconds, or fifteen where a thread that computes keeps this one from running
(`sys.getswitchinterval`)."""

_IDLE_SECONDS = 1.0
"""For how long the thread is kept when there is nothing to send."""


class Heads:
    """The thread.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._waiting: deque[tuple[float, Stream, bytes]] = deque()
        self._thread: threading.Thread | None = None
        self._is_awake = False
        self._is_closed = False

    def watch(self, stream: Stream, head: bytes) -> None:
        """Send a head in a while, if it is still held back then."""
        self._waiting.append((time.monotonic(), stream, head))
        if not self._is_awake:
            self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._is_awake or self._is_closed:
                return
            self._is_awake = True
            self._bell.set()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                # Without one, the head leaves with the body.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def close(self) -> None:
        """End."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._bell.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._waiting.clear()

    def _run(self) -> None:
        while self._send_all():
            pass

    def _send_all(self) -> bool:
        """Send what there is, each in its time, then wait for more; false where none will come."""
        while self._waiting and not self._is_closed:
            self._send_due()
        with self._lock:
            if self._is_closed or self._waiting:
                return not self._is_closed
            self._is_awake = False
            self._bell.clear()
        if self._bell.wait(_IDLE_SECONDS):
            return True
        with self._lock:
            if self._is_awake:
                return True
            self._thread = None
            return False

    def _send_due(self) -> None:
        """Send, after a while, the heads that have waited for long enough by then."""
        time.sleep(_LOOK_SECONDS)
        since = time.monotonic() - _HELD_SECONDS
        while self._waiting and self._waiting[0][0] <= since:
            _, stream, head = self._waiting.popleft()
            if stream.held_head is head:
                with contextlib.suppress(Exception):  # it is remembered: the handler will see it
                    stream.send_held(head)
