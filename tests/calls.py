"""Counting work, which is the same on any machine, however busy it is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def counting_calls() -> Iterator[Counter[str]]:
    """Yield how often functions are called in this thread, by their names, while the block runs."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_name] += 1
        elif event == "c_call":
            calls[argument.__name__] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)
