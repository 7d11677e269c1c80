"""Have every client visit every bad server, and write down what they report."""

from __future__ import annotations

import json
import os
import platform
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from tests.reports.clients import CLIENTS, Client
from tlshttp import testing

DATA = Path(__file__).parents[2] / "docs/reference/bad-servers.json"

REQUESTS = 2
FRESH = {"expired-while-connected": 2, "renewed-then-expired": 3}
"""Where each request is made by a new session, since it is connections that differ: how many."""


def main(names: list[str]) -> None:
    """Visit the faults of these names, or all; keep what is known of the others."""
    for variable in list(os.environ):
        if variable.lower().endswith("_proxy"):
            del os.environ[variable]
    known = json.loads(DATA.read_text(encoding="utf-8"))["reports"] if names else {}
    reports = {}
    for name in testing.FAULTS:
        if names and name not in names:
            reports[name] = known[name]
            continue
        reports[name] = {client: visit(name, function) for client, (_, function) in CLIENTS.items()}
        print(f"{name}: {reports[name]}", flush=True)
    document = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "versions": versions(), "reports": reports}
    DATA.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def visit(name: str, client: Client) -> list[str]:
    """Return what one client reports of one fault, the same lines in a row only once."""
    with testing.bad_server(name) as server:
        if name in FRESH:
            lines = []
            for _ in range(FRESH[name]):
                lines += client(server, 1)
                wait_for_expiry(server, name)
        else:
            lines = client(server, REQUESTS)
    return lines if len(set(lines)) > 1 else lines[:1]


def wait_for_expiry(server: testing.BadServer, name: str) -> None:
    """Let the certificate run out that does so soon."""
    if name == "expired-while-connected":
        end = x509.load_der_x509_certificate(server.certificates[0]).not_valid_after_utc
        time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds() + 1.1))


def versions() -> dict[str, str]:
    """Return the version of each client, with the OpenSSL below."""
    curl = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    python = f"Python {platform.python_version()}"
    found = {name: version for name, (version, _) in CLIENTS.items() if version}
    return {
        "http.client": f"{python}, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}",
        **found,
        "curl": ", ".join(part.replace("/", " ") for part in curl.stdout.split()[1:5:3]),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
