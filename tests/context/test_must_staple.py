"""Certificates that must be stapled (RFC 7633) are shown with a response, or not at all."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import client_context, shake_hands
from tests.engines import NEEDS_GROUPS
from tests.must_staple import must_staple
from tests.support import UNIT, wait_until
from tlshttp import TLSHTTPServer, certs, context, pyopenssl
from tlshttp.errors import CertificateError, ConfigurationError

Authority = certs.CertificateAuthority


@pytest.fixture(scope="module")
def shown(authority: Authority) -> certs.Certificate:
    """Return one."""
    return must_staple(authority)


def serial_of(made: Any, authority: Authority) -> int:
    """Return the serial number of what a context shows."""
    peer = shake_hands(made, client_context(authority)).client
    der = peer.getpeercert(True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def test_certificate_that_cannot_be_stapled_is_an_error(
    shown: certs.Certificate, tmp_path: Path
) -> None:
    """Of either engine, wherever a certificate is given; the sentence says what to do."""
    files = tmp_path / "a.pem", tmp_path / "b.pem"
    shown.write(*files)
    words = r"must be stapled \(RFC 7633\).*tlshttp\.pyopenssl\.create_server_context"
    make: list[Callable[[], object]] = [
        lambda: context.create_server_context(shown),
        lambda: context.create_server_context(certs.self_signed("localhost"), shown),
        lambda: TLSHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, certificate=shown),
        lambda: TLSHTTPServer(
            ("127.0.0.1", 0), BaseHTTPRequestHandler, certfile=files[0], keyfile=files[1]
        ),
    ]
    for one in make:
        with pytest.raises(ConfigurationError, match=words):
            one()


def test_store_does_not_take_what_cannot_be_stapled(
    authority: Authority, certificate: certs.Certificate, shown: certs.Certificate, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """By a program, by a file: the old one stays, and store and log say why, once."""
    kept = certs.CertificateStore.from_certificate(certificate)
    certificate.write(tmp_path / "a.pem", tmp_path / "b.pem")
    read = certs.CertificateStore(tmp_path / "a.pem", tmp_path / "b.pem", poll_interval=0.001)
    made = [context.create_server_context(store) for store in (kept, read)]
    with pytest.raises(CertificateError, match="must be stapled"):
        kept.replace(shown)
    shown.write(tmp_path / "a.pem", tmp_path / "b.pem")
    times = itertools.count(1e9)

    def is_refused() -> bool:
        made[1].maintain(next(times))
        return read.last_error is not None and "must be stapled" in str(read.last_error)

    assert wait_until(is_refused)
    for _ in range(3):
        made[1].maintain(next(times))
    with pytest.raises(CertificateError, match="must be stapled"):
        read.reload()
    for one in made:
        assert serial_of(one, authority) == certificate.leaf.serial_number
    assert len([one for one in caplog.records if "keeping" in one.getMessage()]) == 1


@NEEDS_GROUPS
@pytest.mark.only_engine("pyopenssl", reason="the ssl module cannot staple")
@pytest.mark.parametrize("kind", ["file", "function", "slow function", "failing function"])
def test_new_certificate_waits_for_its_response(
    authority: Authority, certificate: certs.Certificate, shown: certs.Certificate, kind: str,
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Not taken with the old one's response; taken when its own is there, and nobody waits."""
    monkeypatch.setattr("tlshttp.pyopenssl._staples._RETRY_SECONDS", 0.0)
    if kind != "slow function":  # or a busy machine would make all of them slow
        monkeypatch.setattr("tlshttp.pyopenssl._staples._PATIENCE_SECONDS", 60 * UNIT)
    responses = {
        one: authority.ocsp_response(one).public_bytes(Encoding.DER) for one in (certificate, shown)
    }
    path, there = tmp_path / "response.der", threading.Event()
    path.write_bytes(responses[certificate])

    def answer(wanted: certs.Certificate) -> bytes | None:
        if wanted.leaf != shown.leaf or there.is_set():
            return responses[certificate if wanted.leaf == certificate.leaf else shown]
        if kind == "slow function":
            there.wait(60 * UNIT)
        if kind == "failing function":
            raise LookupError("secret")
        return responses[certificate]

    source = path if kind == "file" else answer
    certificate.write(tmp_path / "a.pem", tmp_path / "b.pem")
    store = certs.CertificateStore(tmp_path / "a.pem", tmp_path / "b.pem", poll_interval=0.001)
    made = pyopenssl.create_server_context(store, ocsp_staple=source)
    shown.write(tmp_path / "a.pem", tmp_path / "b.pem")
    times = itertools.count(1e9)

    def look() -> None:
        made.maintain(next(times))

    def errors() -> list[str]:
        look()
        levels = (one for one in caplog.records if one.levelno == logging.ERROR)
        return [one.getMessage() for one in levels if "must be stapled" in one.getMessage()]

    assert wait_until(lambda: bool(errors()))
    for _ in range(3):
        look()
    (line,) = errors()
    words = {
        "slow function": "no response for it yet", "failing function": r"failed (LookupError)",
    }.get(kind, "not about the certificate")  # fmt: skip
    assert words in line
    assert "secret" not in caplog.text
    assert words in str(store.last_error)
    assert serial_of(made, authority) == certificate.leaf.serial_number
    path.write_bytes(responses[shown])
    there.set()

    def is_taken() -> bool:
        look()
        return store.last_error is None

    assert wait_until(is_taken)
    assert serial_of(made, authority) == shown.leaf.serial_number
    assert made._staples is not None
    assert made._staples.find(shown.leaf.public_bytes(Encoding.DER)) == responses[shown]


@NEEDS_GROUPS
@pytest.mark.only_engine("pyopenssl", reason="the ssl module cannot staple")
def test_program_that_replaces_a_certificate_waits_for_its_response(
    authority: Authority, certificate: certs.Certificate, shown: certs.Certificate
) -> None:
    """replace() asks, and raises where there is none; what is shown has one from the start."""
    answers: dict[int, bytes] = {}
    store = certs.CertificateStore.from_certificate(certificate)
    made = pyopenssl.create_server_context(
        store, ocsp_staple=lambda one: answers.get(one.leaf.serial_number)
    )
    with pytest.raises(CertificateError, match="has no response for it"):
        store.replace(shown)
    assert serial_of(made, authority) == certificate.leaf.serial_number
    serial = shown.leaf.serial_number
    answers[serial] = authority.ocsp_response(shown).public_bytes(Encoding.DER)
    store.replace(shown)
    assert serial_of(made, authority) == serial
    assert made._staples is not None
    assert made._staples.find(shown.leaf.public_bytes(Encoding.DER)) == answers[serial]
