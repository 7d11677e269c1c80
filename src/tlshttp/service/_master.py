"""A service of several processes: this one forks workers, looks after them, and serves nobody.

All of them accept from one listening socket, opened before the first was forked. With a socket for
each (``SO_REUSEPORT``) those in the queue of a worker that ends would be lost. Nor is only one of
them woken for each connection (``EPOLLEXCLUSIVE``): where that one dies, drains or is full just
then, nobody comes for who waits. Neither would save anything to speak of. Two workers that are busy
with connections of one request each need, for one (2026-11, AMD EPYC, medians of six rounds):

==================  ============  =================  =====================
listening socket    system calls  changes of thread  ``accept()`` in vain
==================  ============  =================  =====================
one                 30.2          3.4                0.017
``EPOLLEXCLUSIVE``  29.8          3.0                0.008
``SO_REUSEPORT``    30.9          3.6                0.005
==================  ============  =================  =====================

All begin connections from one context, made before, too: so their session tickets have one key, and
a session resumes with whichever worker a client comes to next. What changes that (a reload, new
ticket keys) is done here, and then new workers take the place of the old ones.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tlshttp._shared_counters import Board, SharedCounters
from tlshttp.service._conductor import Conductor
from tlshttp.service._notify import Notifier
from tlshttp.service._restarts import Restarts
from tlshttp.service._signals import Signals
from tlshttp.service._worker import AT_ONCE, DRAIN, MAKE_WAY, READY, flush_output, work

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer
    from tlshttp.service._replacing import Predecessor

__all__ = ["Master", "WorkersDie"]

_log = logging.getLogger("tlshttp.service")

_TICK_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_OVERTIME_SECONDS = 5.0
"""For a worker to close what its time for draining has not ended, before it is killed."""
_AT_ONCE_SECONDS = 2.0

_SLOTS_EACH = 4
"""Processes that there may be for each worker: it, and its predecessors that still drain."""


class WorkersDie(RuntimeError):
    """The end of a service that cannot go on; the log has said so."""


class _Worker:
    """A child, as its parent knows it."""

    def __init__(self, pid: int, line: socket.socket, slot: int) -> None:
        self.pid = pid
        self.line = line
        self.born = time.monotonic()
        self.serves = False
        self.slot = slot
        self.is_old = False
        """Whether it makes way for another when that serves."""
        self.leaves_by: float | None = None
        """When it is killed if it has not left; `None`: it has not been told to leave."""

    def tell(self, word: bytes, seconds: float | None) -> None:
        """Tell it to leave, within so many seconds (`None`: any time).

        To be told once more can only shorten its time: else a worker that hangs would live as long
        as somebody loses patience again and again.
        """
        with contextlib.suppress(OSError):  # it has died, or does not listen
            self.line.send(word, socket.MSG_DONTWAIT)
        leaves_by = float("inf") if seconds is None else time.monotonic() + seconds
        self.leaves_by = leaves_by if self.leaves_by is None else min(self.leaves_by, leaves_by)


class Master(Conductor):
    """Forks workers.

    Args:
        server: Made, and never served in this process.
        workers: How many there are to be.
        drain_timeout: As for `Conductor`.
        notifier: As for `Conductor`.
        predecessor: As for `Conductor`.
    """

    def __init__(
        self,
        server: TLSHTTPServer,
        workers: int,
        drain_timeout: float | None,
        notifier: Notifier,
        predecessor: Predecessor | None = None,
    ) -> None:
        super().__init__(server, drain_timeout, notifier, predecessor)
        self._wanted = workers
        self._workers: dict[int, _Worker] = {}
        self._restarts = Restarts()
        self._renewals = 0
        self._is_due = False
        """Whether new workers are to take the place of those there are."""
        self._announces = True
        """Whether the service manager waits to hear that all workers serve."""
        self._has_begun = False
        self._signals: Signals | None = None
        self._board = Board(_SLOTS_EACH * workers)
        self._free = list(range(_SLOTS_EACH * workers))

    def serve(self, signals: Signals) -> None:
        """Look after workers until all have left.

        Raises:
            WorkersDie: They die as soon as they are born; the log says how.
        """
        self._signals = signals
        signals.also(signal.SIGCHLD)
        with self.server:
            self.watch(signals)
            try:
                while not (self.ending and not self._workers):
                    self._keep_up()
                    self.obey(self._timeout())
            finally:
                self._end_all()
                self.close()
                self._board.close()
        if self._restarts.is_hopeless:
            raise WorkersDie("workers die as soon as they are started")

    # What signals ask for -----------------------------------------------------------------------

    def take_signal(self, number: int) -> None:
        """Bury children, or do what the service does."""
        if number == signal.SIGCHLD:
            self._bury()
        else:
            super().take_signal(number)

    def drain(self) -> None:
        """Have all workers drain; the last that lets nobody else in closes the listening socket."""
        word = MAKE_WAY if self.server.is_succeeded else DRAIN
        for worker in self._workers.values():  # those that make way already, too
            self._let_go(worker, word)
        self.server.stop_listening()

    def end_at_once(self) -> None:
        """Have them leave without."""
        for worker in self._workers.values():
            worker.tell(AT_ONCE, _AT_ONCE_SECONDS)

    def reload(self) -> None:
        """Load certificates, and have new workers show them."""
        self.reload_context()
        self._announces = True
        self._is_due = True

    # Looking after workers ----------------------------------------------------------------------

    def _timeout(self) -> float:
        tick = min(_TICK_SECONDS, (self.notifier.watchdog_seconds or _TICK_SECONDS) / 2)
        until = self._restarts.not_before - time.monotonic()
        return min(tick, until) if until > 0 else tick

    def _keep_up(self) -> None:
        """Start who is missing, let go who is old, kill who does not leave; tell how it is."""
        now = time.monotonic()
        self.notifier.sign_of_life()
        self._kill([one for one in self._workers.values() if _is_late(one, now)])
        if self.ending:
            return
        if self._restarts.is_hopeless:
            _log.critical("workers die as soon as they are started: the service ends")
            self.ending = True
            self.drain()
            return
        self._renew()
        young = [one for one in self._workers.values() if not one.is_old]
        if not young:  # those to come are of now
            self._is_due = False
        if len(young) == self._wanted and all(one.serves for one in young):
            self._all_serve()
        self._fork_missing()

    def _all_serve(self) -> None:
        for worker in self._workers.values():
            if worker.is_old and worker.leaves_by is None:
                self._let_go(worker, MAKE_WAY)
        if not self._has_begun:
            self._has_begun = True
            self.free_predecessor()
            self.begin()
        if self._is_due:
            self._replace_workers()
        elif self._announces:
            self._announces = False
            self.notifier.ready(f"{self._wanted} workers serve at {self.server.url}")

    def _fork_missing(self) -> None:
        missing = self._wanted - sum(not one.is_old for one in self._workers.values())
        for _ in range(min(missing, len(self._free))):
            if time.monotonic() < self._restarts.not_before:  # the one before may have failed
                return
            self._fork()

    def _renew(self) -> None:
        """Renew ticket keys where it is time, for all workers at once."""
        if self.shared is None:
            return
        self.shared.maintain()
        if self.shared.renewals != self._renewals:
            self._renewals = self.shared.renewals
            self.shared.prepare_to_fork()
            self._is_due = True

    def _replace_workers(self) -> None:
        """Have others take the place of all that serve now.

        It is begun only when the one before is done, whatever has asked for it how often: so those
        that serve are told to leave before their successors' successors are born, and there is
        never a worker that is old before it serves.
        """
        self._is_due = False
        draining = sum(one.leaves_by is not None for one in self._workers.values())
        if len(self._free) < self._wanted:
            _log.warning("new workers wait until some of the %d that drain have left", draining)
        for worker in self._workers.values():
            worker.is_old = True

    def _let_go(self, worker: _Worker, word: bytes) -> None:
        timeout = self.drain_timeout
        worker.tell(word, None if timeout is None else timeout + _OVERTIME_SECONDS)

    def _fork(self) -> None:
        if self.shared is not None:
            self.shared.prepare_to_fork()
        _let_threads_end()
        slot = self._free.pop(0)
        line: tuple[socket.socket, ...] = ()
        try:
            line = ours, theirs = socket.socketpair()
            flush_output()
            pid = os.fork()
        except OSError as error:
            for end in line:
                end.close()
            _log.error("no worker can be started: %s", error)
            serve = any(one.serves for one in self._workers.values())
            self._restarts.could_not_start(time.monotonic(), others_serve=serve)
            self._free.append(slot)
            return
        if pid == 0:
            ours.close()
            self._forget_all()
            self.server.shared_counters = SharedCounters(self._board, slot)
            self.server.processes = self._wanted
            work(self.server, theirs, self.drain_timeout)
        theirs.close()
        worker = self._workers[pid] = _Worker(pid, ours, slot)
        self._selector.register(ours, selectors.EVENT_READ, lambda _: self._hear(worker))

    def _forget_all(self) -> None:
        """Give back, in the child, what is only the parent's."""
        if self._signals is not None:
            self._signals.abandon()
        if self.predecessor is not None:
            self.predecessor.forget()
        self._selector.close()
        for worker in self._workers.values():
            worker.line.close()

    def _hear(self, worker: _Worker) -> None:
        if worker.line.fileno() < 0:  # it has just been buried
            return
        try:
            word = worker.line.recv(1)
        except OSError:
            word = b""
        if word == READY:
            worker.serves = True
        elif not word:
            self._selector.unregister(worker.line)

    # Deaths -------------------------------------------------------------------------------------

    def _bury(self) -> None:
        for worker in list(self._workers.values()):
            try:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = worker.pid, 0
            if pid:
                del self._workers[worker.pid]
                self._close_line(worker)
                self._board.bury(worker.slot)
                self._free.append(worker.slot)
                self._judge(worker, os.waitstatus_to_exitcode(status))

    def _close_line(self, worker: _Worker) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.line)
        worker.line.close()

    def _judge(self, worker: _Worker, code: int) -> None:
        """Say how a worker has come to its end, unless it was told to leave and did."""
        if worker.leaves_by is not None and code == 0:
            return
        how = f"by {self._names.get(-code, -code)}" if code < 0 else f"with status {code}"
        if worker.leaves_by is not None:
            _log.warning("worker %d has left %s", worker.pid, how)
            return
        _log.error("worker %d has ended %s: another takes its place", worker.pid, how)
        now = time.monotonic()
        self._restarts.died(now - worker.born, now)

    def _end_all(self) -> None:
        """Leave no child behind, however this process comes to its end."""
        self._kill(self._workers.values())
        for worker in self._workers.values():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(worker.pid, 0)
            worker.line.close()

    def _kill(self, workers: Iterable[_Worker]) -> None:
        for worker in workers:
            _log.warning("worker %d has not left in time and is killed", worker.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            worker.leaves_by = float("inf")


def _let_threads_end() -> None:
    """Wait a moment for threads that look at files: a child has none, and what they hold for ever.

    Threads of the user's own are not waited for: they are to be started in the children.
    """
    for thread in threading.enumerate():
        if thread.name == "tlshttp-look":
            thread.join(_LOOK_SECONDS)


def _is_late(worker: _Worker, now: float) -> bool:
    return worker.leaves_by is not None and now > worker.leaves_by
