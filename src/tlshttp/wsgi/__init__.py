"""WSGI applications (PEP 3333) on the servers of this package: Flask, Django and their like.

The name is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.wsgi._handler import handler

__all__ = ["handler"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(__name__, {"handler": "tlshttp.wsgi._handler"})
