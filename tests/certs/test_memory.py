from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

import pytest

from tlshttp import certs
from tlshttp.certs import _memory


@pytest.fixture(params=["memfd", "file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with each of the two ways."""
    name: str = request.param
    if name == "file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("no memfd_create on this system")
    return name


def test_ssl_loads_from_the_path(way: str, certificate: certs.Certificate) -> None:
    """The ssl module loads key and certificate from the path, and verifies that they match."""
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _memory.pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        ssl_context.load_cert_chain(path)
        assert stat.S_IMODE(Path(path).stat().st_mode) & 0o077 == 0 or way == "memfd"


def test_nothing_stays(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the block the path is gone, also when the block fails."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []

    def fail() -> None:
        with _memory.pem_path(b"secret") as path:
            seen.append(Path(path).read_bytes())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == [b"secret"]
    assert list(tmp_path.iterdir()) == []
