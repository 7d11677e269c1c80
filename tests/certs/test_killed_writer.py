from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tlshttp import certs

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="unnamed files are Linux's"),
]


@pytest.fixture
def pair() -> list[certs.Certificate]:
    """Return two certificates, the second with a long chain."""
    short = certs.self_signed("short.test")
    root = certs.CertificateAuthority.generate("Root")
    long = root.issue_authority("Below").issue_server(*(f"n{n}.test" for n in range(200)))
    return [short, long]


def start_writer(pair: list[certs.Certificate], certfile: Path, keyfile: Path) -> int:
    """Start a process that writes the two certificates in turn; return once it has begun."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"x")
        while True:
            for certificate in pair:
                certificate.write(certfile, keyfile)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return pid


def test_killed_in_the_middle_of_writing(tmp_path: Path, pair: list[certs.Certificate]) -> None:
    """Fifty writers killed at moments spread over a write leave whole files, and only those."""
    certificates = {certificate.to_pem() for certificate in pair}
    keys = {certificate.key_to_pem() for certificate in pair}
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    pair[0].write(*files)
    for attempt in range(50):
        writer = start_writer(pair, *files)
        # Not for the writer to reach something: the moment to kill it, spread over a write.
        time.sleep(attempt * 0.0002)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        assert files[0].read_bytes() in certificates
        assert files[1].read_bytes() in keys
        for aside in set(tmp_path.iterdir()) - set(files):
            assert aside.read_bytes() in certificates | keys
            assert aside.stat().st_mode & 0o077 == 0 or aside.read_bytes() in certificates
            aside.unlink()
