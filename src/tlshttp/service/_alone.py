"""A service that is one process: this one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tlshttp.service._conductor import Conductor
from tlshttp.service._signals import Signals

__all__ = ["Alone", "on_each_turn"]


class Alone(Conductor):
    """Serves in the main thread, and obeys in another one."""

    def serve(self, signals: Signals) -> None:
        """Serve until a signal has ended it; the second that does interrupts the main thread."""
        with contextlib.suppress(KeyboardInterrupt), self.server:
            signals.interrupt_at(2)
            self.watch(signals)
            self.begin()
            with self._obeying(signals), on_each_turn(self.server, self._look):
                self.server.serve_forever()

    _is_ready = False

    def _look(self) -> None:
        if not self._is_ready and not self.ending:
            self._is_ready = True
            self.notifier.ready(f"serving at {self.server.url}")
            self.free_predecessor()
        self.notifier.sign_of_life()

    @contextlib.contextmanager
    def _obeying(self, signals: Signals) -> Iterator[None]:
        over = threading.Event()

        def obey() -> None:
            while not over.is_set():
                self.obey(None)

        thread = threading.Thread(target=obey, name="tlshttp-service", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            signals.wake()
            thread.join()
            self.close()

    def drain(self) -> None:
        """Have the server drain, while signals are heard."""
        in_background(self.server.drain, self.drain_timeout)

    def end_at_once(self) -> None:
        """Have it drain no longer; the main thread is interrupted by the signal itself."""
        in_background(self.server.drain, 0.0)

    def reload(self) -> None:
        """Show the certificates of now."""
        self.reload_context()
        if self._is_ready:
            self.notifier.ready()


def in_background(call: Callable[..., Any], *arguments: Any) -> None:
    """Call something that waits in a thread of its own."""
    threading.Thread(target=call, args=arguments, name="tlshttp-service-drain", daemon=True).start()


@contextlib.contextmanager
def on_each_turn(server: Any, look: Callable[[], None]) -> Iterator[None]:
    """Have a function called in each turn of a server's loop, before ``service_actions()``."""
    inner = server.service_actions

    def service_actions() -> None:
        look()
        inner()

    server.service_actions = service_actions
    try:
        yield
    finally:
        del server.service_actions
