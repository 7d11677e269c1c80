"""Servers that have become services: several processes, signals, restarts, and systemd.

>>> from tlshttp import service
>>> service.inherited_sockets()  # of systemd's; here there are none
[]

Each name is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.service._inherited import InheritedSocket, inherited_sockets
    from tlshttp.service._notify import Notifier
    from tlshttp.service._run import run

__all__ = ["InheritedSocket", "Notifier", "inherited_sockets", "run"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "InheritedSocket": "tlshttp.service._inherited",
            "Notifier": "tlshttp.service._notify",
            "inherited_sockets": "tlshttp.service._inherited",
            "run": "tlshttp.service._run",
        },
    )
