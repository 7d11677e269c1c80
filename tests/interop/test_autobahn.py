"""The Autobahn test suite as client of WebSockets in every style; ``nox -s interop`` runs this.

It is of Python 2.7: ``python2.7 -m pip install --target FOLDER 'autobahntestsuite<1' 'twisted<21'
'pyopenssl<22' 'cryptography<3.4' 'service_identity<22'``, and an empty ``FOLDER/zope/__init__.py``.
``TLSHTTP_AUTOBAHN`` names the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import UNIT
from tests.websocket.support import STYLES

FOLDER = os.environ.get("TLSHTTP_AUTOBAHN")

CASES = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*",
    "12.1.1", "12.1.2", "12.1.3", "12.1.6", "12.2.1", "13.1.1", "13.3.1", "13.5.2", "13.7.1",
]  # fmt: skip
"""All but those that repeat compression with other sizes for many minutes."""

WELL = {"OK", "INFORMATIONAL", "NON-STRICT"}
"""The last one: text that is none is noticed at the end of its frame, not in the middle."""

_RUN = (
    "import sys; sys.argv[:] = ['wstest', '-m', 'fuzzingclient', '-s', sys.argv[1]]; "
    "from autobahntestsuite.wstest import run; run()"
)


@pytest.mark.timeout(900)
def test_autobahn(tmp_path: Path) -> None:
    """No case fails, in whatever style WebSockets are served."""
    program = shutil.which("python2.7")
    if program is None or FOLDER is None:
        pytest.skip("autobahntestsuite is not installed (TLSHTTP_AUTOBAHN)")
    limits: dict[str, Any] = {"max_size": 32 << 20}
    queue: dict[str, Any] = {"max_queue": 64 << 20}
    with contextlib.ExitStack() as stack:
        echoes = {
            style.name: stack.enter_context(
                style.serving(**limits, **(queue if "driven" in style.name else {}))
            )
            for style in STYLES
        }
        plan = tmp_path / "plan.json"
        servers = [
            {"agent": name, "url": echo.url.replace("localhost", "127.0.0.1").rstrip("/")}
            for name, echo in echoes.items()
        ]
        plan.write_text(
            json.dumps(
                {
                    "outdir": str(tmp_path / "reports"), "servers": servers, "cases": CASES,
                    "exclude-cases": [], "exclude-agent-cases": {},
                }
            ),
            encoding="utf-8",
        )  # fmt: skip
        subprocess.run(
            [program, "-c", _RUN, str(plan)],
            env={**os.environ, "PYTHONPATH": FOLDER},
            capture_output=True,
            timeout=800 * UNIT,
            check=True,
        )
    report = json.loads((tmp_path / "reports" / "index.json").read_text(encoding="utf-8"))
    assert set(report) == set(echoes)
    for name, cases in report.items():
        assert len(cases) > 250
        failed = {
            number: (case["behavior"], case["behaviorClose"])
            for number, case in cases.items()
            if not {case["behavior"], case["behaviorClose"]} <= WELL
        }
        assert failed == {}, name
