"""Running the servers until a signal ends them: in this process, or in several.

It is a service as `tlshttp.service` runs them, but for three things: there may be a server for each
of several addresses, SIGHUP reads the password again, too, and ends a program whose terminal is
gone, and SIGUSR2 replaces nothing.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tlshttp._command_line import endings
from tlshttp._file_server.listening import FileServer
from tlshttp._file_server.signals import Terminal
from tlshttp.service._alone import Alone, in_background
from tlshttp.service._conductor import Conductor
from tlshttp.service._master import Master, WorkersDie
from tlshttp.service._notify import Notifier

__all__ = ["run"]

_DRAIN_SECONDS = 30.0
"""What is under way has so long at the end: as `tlshttp.service.run` by default."""

_HINT = "\nWhat is under way is finished first; Ctrl-C again ends at once."

_REPLACE = getattr(signal, "SIGUSR2", None)

_log = logging.getLogger("tlshttp.service")


@dataclass(frozen=True)
class Actions:
    """What is to be done between start and end."""

    begin: Callable[[], None]
    """Says that all is served, and where."""
    reload: Callable[[], None]
    """Reads the files again, and says so."""


def run(servers: Sequence[FileServer], workers: int, actions: Actions) -> None:
    """Serve until SIGTERM or SIGINT: drain, and at the second of them end at once.

    Args:
        servers: One for each address; only one where there are several workers.
        workers: How many processes serve.
        actions: What is to be done meanwhile.

    Raises:
        SystemExit: Workers die as soon as they are started: the log has said so.
    """
    service: Alone | Master = (
        _Here(servers, actions) if workers == 1 else _Forking(servers[0], workers, actions)
    )
    try:
        service.run()
    except WorkersDie:
        sys.exit(endings.FAILED)


class _FileService(Conductor):
    """What is the same in one process and in several."""

    _actions: Actions
    _terminal: Terminal

    def begin(self) -> None:
        """Say that all is served."""
        self._actions.begin()

    def take_signal(self, number: int) -> None:
        """End where the terminal is gone, or do what a service does, but for replacing it."""
        if number == _REPLACE:
            _log.warning("SIGUSR2: this program is not replaced while it runs: start it anew")
            return
        super().take_signal(signal.SIGTERM if self._terminal.has_gone(number) else number)

    def reload_context(self) -> None:
        """Read certificate and password, which the context has from there."""
        self._actions.reload()


class _Here(_FileService, Alone):
    """One process: the first server on the main thread, which has the signals, others beside."""

    def __init__(self, servers: Sequence[FileServer], actions: Actions) -> None:
        first, *self._others = servers
        super().__init__(first, _DRAIN_SECONDS, Notifier())
        self._actions, self._terminal = actions, Terminal()

    def run(self) -> None:
        """Serve until a signal has ended it."""
        with self._beside():
            super().run()

    def drain(self) -> None:
        """Have all servers drain."""
        self._drain_all(_DRAIN_SECONDS)
        endings.say(_HINT)

    def end_at_once(self) -> None:
        """Have them drain no longer."""
        self._drain_all(0.0)

    def _drain_all(self, seconds: float) -> None:
        for server in (self.server, *self._others):
            in_background(server.drain, seconds)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Run the other servers as long as the first one runs."""
        threads = [threading.Thread(target=self._run_one, args=(it,)) for it in self._others]
        try:
            for thread in threads:
                thread.start()
            yield
        finally:
            for server, thread in zip(self._others, threads, strict=True):
                if not self.ending:
                    server.shutdown()
                if thread.is_alive():
                    thread.join()

    def _run_one(self, server: FileServer) -> None:
        try:
            server.serve_forever()
        except BaseException:
            self.server.shutdown()  # rather than serve half of what was asked for
            raise


class _Forking(_FileService, Master):
    """Several processes, which this one looks after."""

    def __init__(self, server: FileServer, workers: int, actions: Actions) -> None:
        super().__init__(server, workers, _DRAIN_SECONDS, Notifier())
        self._actions, self._terminal = actions, Terminal()

    def drain(self) -> None:
        """Have all workers drain."""
        super().drain()
        endings.say(_HINT)
