"""What Prometheus's own program says of our numbers, and of the alerts that a page advises."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import connect, get, read_to_end
from tests.support import UNIT
from tlshttp import metrics

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "watch-with-prometheus.md"

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is missing"
)


def promtool(*arguments: str, given: str = "") -> str:
    """Run it; it must be content. Return what it says."""
    done = subprocess.run(
        ["promtool", *arguments],
        input=given, capture_output=True, text=True, timeout=30 * UNIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_has_nothing_to_say_of_the_metrics(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Names, types and helps are as its conventions want them."""
    with serve(Plain) as server:
        get(server.server_address, any_client)
        with connect(server.server_address) as sock:
            sock.sendall(b"SSH-2.0-x\r\n")
            read_to_end(sock)
        text = metrics.exposition(server)
    assert promtool("check", "metrics", given=text) == ""


def alerts() -> str:
    """Return the rules that the page shows."""
    shown = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (rules,) = (block for block in shown if block.startswith("groups:"))
    return str(rules)


def test_the_alerts_are_rules(tmp_path: Path) -> None:
    """What the page advises can be loaded as it stands."""
    file = tmp_path / "rules.yml"
    file.write_text(alerts())
    assert "4 rules found" in promtool("check", "rules", str(file))


def test_a_certificate_that_runs_out_wakes_somebody(tmp_path: Path) -> None:
    """Thirteen days before its end the alert fires after an hour, and fifteen days before not."""
    (tmp_path / "rules.yml").write_text(alerts())
    end = "tlshttp_certificate_not_after_timestamp_seconds"
    series = "\n".join(
        f"""
      - series: '{end}{{instance="web:8443", name="{name}.test", fingerprint="{name}"}}'
        values: '{days * 86400}+0x180'"""
        for name, days in (("soon", 13), ("later", 15))
    )
    (tmp_path / "test.yml").write_text(f"""
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:{series}
    alert_rule_test:
      - eval_time: 50m
        alertname: CertificateRunsOut
      - eval_time: 2h
        alertname: CertificateRunsOut
        exp_alerts:
          - exp_labels: {{instance: web:8443, name: soon.test}}
""")
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))
