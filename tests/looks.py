"""Stores look at files in a thread, and wait for it 50 ms: in tests as long as it takes.

What a poll has found is looked at right after it, and a busy machine may need more than that for a
thread. The tests of files that are slow say so.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.support import UNIT
from tlshttp.certs import _looking

PATIENCE: Final = _looking.PATIENCE
"""Seconds that a look is waited for outside of tests."""


@pytest.fixture(autouse=True)
def looks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a poll wait until its look at files is over."""
    monkeypatch.setattr(_looking, "PATIENCE", 60 * UNIT)
