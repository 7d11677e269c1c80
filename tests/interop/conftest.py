"""Both engines for every scanner."""

from __future__ import annotations

from tests.engines import engine

__all__ = ["engine"]
