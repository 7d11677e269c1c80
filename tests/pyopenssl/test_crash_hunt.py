"""Nothing that a peer sends crashes OpenSSL's own functions as we call them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.engines import NEEDS_GROUPS
from tests.pyopenssl.crash_hunt import STATES
from tests.support import UNIT

pytestmark = NEEDS_GROUPS


@pytest.mark.timeout(180 * UNIT)
@pytest.mark.parametrize(
    "seconds",
    ["2", pytest.param("20", marks=[pytest.mark.exhaustive, pytest.mark.slow])],
)
def test_damaged_records_end_in_exceptions_of_ssl(seconds: str) -> None:
    """Hellos, flights and data, damaged in any way, on several threads, with memory checked."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.pyopenssl.crash_hunt", seconds],
        env={**os.environ, "PYTHONMALLOC": "debug"}, check=False,
        capture_output=True, text=True, timeout=150 * UNIT + float(seconds),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for state in STATES:
        assert f"{state}: " in done.stdout
