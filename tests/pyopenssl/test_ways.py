"""The two ways of having a connection: the same in all they do, and one is taken if it works."""

from __future__ import annotations

import gc
import logging
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from OpenSSL import SSL

from tests.engines import NEEDS_GROUPS
from tests.pyopenssl.conftest import Create
from tests.pyopenssl.peer import client_of, shake_hands
from tlshttp import certs, context, pyopenssl
from tlshttp.certs import CertificateAuthority
from tlshttp.errors import UnrecognizedName
from tlshttp.pyopenssl import _choice, _direct, _library, _trial
from tlshttp.pyopenssl._direct_way import DirectWay
from tlshttp.pyopenssl._failures import failure, verification_failure
from tlshttp.pyopenssl._public import PublicWay

VERSIONS = ["TLSv1.2", "TLSv1.3"]


@pytest.fixture(autouse=True)
def _decides_anew() -> Iterator[None]:
    """Have no test decide for another one which way is taken."""
    for decision in (_choice.best_way, _choice.why_not_direct):
        decision.cache_clear()
    yield
    for decision in (_choice.best_way, _choice.why_not_direct):
        decision.cache_clear()


@pytest.mark.parametrize("way", [DirectWay, PublicWay])
def test_either_way_passes_the_trial(way: Any) -> None:
    """A handshake with a name, a protocol, a request, a long response and an end."""
    _trial.try_out(way)


@NEEDS_GROUPS
def test_direct_way_is_taken_where_it_works() -> None:
    """With the versions that these tests run on it does."""
    assert _choice.why_not_direct() is None
    assert _choice.best_way() is DirectWay


@NEEDS_GROUPS
@pytest.mark.parametrize("lost", ["BIO_get_mem_data", "SSL_set_SSL_CTX"])
def test_public_way_is_taken_where_a_function_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    """One line at INFO says so, and what is missing."""
    monkeypatch.setattr(_library, "has", lambda *names: lost not in names)
    with caplog.at_level(logging.INFO, "tlshttp.context"):
        assert _choice.best_way() is PublicWay
        assert _choice.best_way() is PublicWay
    (line,) = caplog.records
    assert line.levelno == logging.INFO
    assert f"there is no {lost}" in line.getMessage()


@NEEDS_GROUPS
def test_public_way_is_taken_where_a_function_has_changed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That a function is there does not mean that it does what it did: the trial tells."""
    monkeypatch.setattr(_direct, "_read", lambda *_arguments: 1)
    with caplog.at_level(logging.INFO, "tlshttp.context"):
        assert _choice.best_way() is PublicWay
    assert "a trial failed" in caplog.text


@pytest.mark.parametrize("version", VERSIONS)
def test_data_pass_in_pieces_of_every_size(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, version: str
) -> None:
    """What one end writes the other reads, whatever the sizes, and in either direction."""
    made = create(certificate)
    ends = shake_hands(made, client_of(authority, version=version))
    incoming, outgoing = ends.server.incoming, ends.server.outgoing
    for size in (1, 5, 16_383, 16_384, 16_385, 70_000):
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        sent = memoryview(data)
        while sent:
            sent = sent[ends.server.write(sent) :]
        ends.client.bio_write(outgoing.read())
        got = b""
        while len(got) < size:
            got += ends.client.recv(1 << 17)
        assert got == data
        ends.client.sendall(data)
        got = b""
        while len(got) < size:
            incoming.write(ends.client.bio_read(7_001))
            with_all = False
            while not with_all:
                try:
                    got += ends.server.read(3_333)
                except ssl.SSLWantReadError:
                    with_all = True
        assert got == data
    assert ends.server.version() == version


@pytest.mark.parametrize("version", VERSIONS)
def test_end_of_the_peer(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, version: str
) -> None:
    """``close_notify`` is an end, and one without it an error, as with `ssl`; ours is answered."""
    made = create(certificate)
    ends = shake_hands(made, client_of(authority, version=version))
    ends.client.shutdown()
    ends.server.incoming.write(ends.client.bio_read(1 << 16))
    assert ends.server.read(1) == b""
    ends.server.unwrap()
    ends.client.bio_write(ends.server.outgoing.read())
    assert ends.client.shutdown()
    ends = shake_hands(made, client_of(authority, version=version))
    ends.server.incoming.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        ends.server.read(1)


def test_end_in_the_middle_of_the_handshake(create: Create, certificate: certs.Certificate) -> None:
    """The peer that leaves early is told from one that breaks the protocol."""
    incoming, _, server = create(certificate).begin()
    incoming.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        server.do_handshake()
    incoming, _, server = create(certificate).begin()
    incoming.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError) as raised:
        server.do_handshake()
    assert raised.value.reason == "HTTP_REQUEST"
    assert raised.value.library == "SSL"


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificate_has_its_fields_and_its_failure(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, version: str
) -> None:
    """What OpenSSL has against one is told as `ssl` tells it; a right one with its chain."""
    clients = CertificateAuthority.generate("clients")
    below = clients.issue_authority("below")
    made = create(
        certificate,
        client_auth=context.ClientAuth.REQUIRED,
        client_cas=[clients.certificate.leaf],
    )
    client = client_of(authority, version=version)
    own = below.issue_client("alice@example.org")
    own.configure(client)
    server = shake_hands(made, client).server
    assert server.getpeercert(True) == server.get_verified_chain()[0]
    assert len(server.get_verified_chain()) == 3
    assert server.get_unverified_chain()
    client = client_of(authority, version=version)
    CertificateAuthority.generate("clients").issue_client("mallory").configure(client)
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        shake_hands(made, client)
    assert raised.value.reason == "CERTIFICATE_VERIFY_FAILED"
    assert raised.value.verify_code in (20, 7)  # unknown issuer, or one of the same name
    assert raised.value.verify_message in str(raised.value)


def test_reasons_are_those_of_ssl() -> None:
    """OpenSSL's texts become the names that the `ssl` module has for them."""
    for text, name in (
        ("no shared cipher", "NO_SHARED_CIPHER"),
        ("ssl/tls alert certificate unknown", "SSLV3_ALERT_CERTIFICATE_UNKNOWN"),
        ("sslv3 alert bad certificate", "SSLV3_ALERT_BAD_CERTIFICATE"),
        ("tls alert handshake failure", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        ("tlsv13 alert certificate required", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ("tlsv1 alert unknown ca", "TLSV1_ALERT_UNKNOWN_CA"),
    ):
        assert failure("SSL routines", text).reason == name
    assert isinstance(failure("SSL routines", "unexpected eof while reading"), ssl.SSLEOFError)
    error = verification_failure(10, "certificate has expired")
    assert (error.verify_code, error.verify_message) == (10, "certificate has expired")


def test_failure_of_our_own_refuses_the_client(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Where no certificate can be chosen, for whatever reason, nobody is let in."""
    made = create(certificate)
    monkeypatch.setattr(made, "_choose", lambda *_arguments: 1 / 0)
    with pytest.raises((SSL.Error, OSError)):
        shake_hands(made, client_of(authority))
    assert "ZeroDivisionError" in caplog.text


def test_connections_and_contexts_are_freed_at_once(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """There are no circles: what nobody holds is gone without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        made = create(certificate)
        ends = shake_hands(made, client_of(authority))
        ends.server.incoming.write_eof()
        with pytest.raises(ssl.SSLEOFError):
            ends.server.read(1)
        gone = weakref.ref(ends.server)
        del ends
        assert gone() is None
        incoming, outgoing, refused = create(
            certificate, unknown_names=context.UnknownNames.REFUSE
        ).begin()
        gone = weakref.ref(refused)
        del incoming, outgoing, refused
        assert gone() is None
    finally:
        gc.enable()


@NEEDS_GROUPS
def test_wrap_bio_carries_over(
    certificate: certs.Certificate, authority: CertificateAuthority
) -> None:
    """Who has buffers of the `ssl` module gets a connection between these."""
    made = pyopenssl.create_server_context(certificate, unknown_names=context.UnknownNames.REFUSE)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server: Any = made.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cadata=authority.certificate.to_pem().decode()).wrap_bio(
        to_client, to_server, server_hostname="elsewhere.test"
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(UnrecognizedName):
        server.do_handshake()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        client.do_handshake()


@NEEDS_GROUPS
def test_error_that_somebody_else_has_left_is_not_ours(
    certificate: certs.Certificate, authority: CertificateAuthority
) -> None:
    """OpenSSL's queue of errors is one for all that a thread does with it."""
    made = pyopenssl.create_server_context(certificate)
    server = shake_hands(made, client_of(authority)).server
    _library.lib.ERR_put_error(20, 0, 193, b"elsewhere", 1)
    with pytest.raises(ssl.SSLWantReadError):
        server.read(1)
    _library.lib.ERR_put_error(20, 0, 193, b"elsewhere", 1)
    server.incoming.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        server.read(1)
