"""How long certificates take; run with ``pytest tests/benchmarks`` on one pinned core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlshttp import certs

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

Benchmark = Callable[..., Any]


def median_of(benchmark: Any) -> float:
    """Return the median in milliseconds."""
    return float(benchmark.stats.stats.median) * 1000


def test_self_signed(benchmark: Benchmark) -> None:
    """A self-signed P-256 certificate takes less than 2 ms."""
    benchmark(certs.self_signed, "localhost", "127.0.0.1")
    assert median_of(benchmark) < 2


def test_authority_and_leaf(benchmark: Benchmark) -> None:
    """A P-256 authority and a leaf from it take less than 5 ms."""

    def make() -> certs.Certificate:
        return certs.CertificateAuthority.generate("Benchmark").issue_server("localhost")

    benchmark(make)
    assert median_of(benchmark) < 5


def test_load(benchmark: Benchmark, tmp_path: Path) -> None:
    """Loading a pair with one intermediate from two files."""
    root = certs.CertificateAuthority.generate("Benchmark")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    root.issue_authority("Below").issue_server("localhost").write(*files)
    benchmark(certs.load, *files)


def test_poll_between_looks(benchmark: Benchmark, tmp_path: Path) -> None:
    """A poll before the interval is over, as a server's loop makes it at every tick."""
    certs.self_signed("localhost").write(tmp_path / "both.pem")
    store = certs.CertificateStore(tmp_path / "both.pem")
    benchmark(store.poll, 0.0)


def test_poll_that_looks(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that looks at two files that are as they were."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("localhost").write(*files)
    monkeypatch.setattr("time.time_ns", lambda: 2**62)
    store = certs.CertificateStore(*files)
    benchmark(lambda: store.poll(float("inf")))
