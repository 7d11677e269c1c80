"""Every named fault, as two clients see it, and its honest twin."""

from __future__ import annotations

import re
import ssl
import threading
import time
from datetime import UTC, datetime

import pytest
from cryptography import x509
from OpenSSL import _util

from tests.support import wait_until
from tests.testing.bad_outcomes import (
    GOOD,
    ROWS,
    Client,
    Patience,
    Row,
    by_http_client,
    by_httpx,
)
from tests.testing.bad_peers import (
    FORGOTTEN,
    answer_to_hello,
    connection_to,
    count_hellos,
    get,
    pyopenssl_version,
    records_after_request,
    tls_of,
)
from tlshttp import testing
from tlshttp.testing._bad import recipes

CLIENTS = [pytest.param(by_http_client, id="http.client"), pytest.param(by_httpx, id="httpx")]
NAMED = [
    pytest.param(row, id=row.fault, marks=[FORGOTTEN] if row.fault == "reset-at-accept" else [])
    for row in ROWS
]


QUANTUM = next(row for row in ROWS if row.fault == "post-quantum-only")


def possible(row: Row) -> None:
    """Skip the one fault that the oldest pyOpenSSL and cryptography cannot make."""
    if row is QUANTUM and not hasattr(_util.lib, "SSL_CTX_set1_curves_list"):
        pytest.skip("this pyOpenSSL has no function to hold a context to a group")


def matches(reports: list[str], patterns: tuple[str, ...]) -> bool:
    """Tell whether each line is what a row says."""
    wanted = patterns if len(patterns) == len(reports) else patterns * len(reports)
    pairs = zip(reports, wanted, strict=True)
    return all(re.match(f"({pattern})", line, re.IGNORECASE) for line, pattern in pairs)


def test_every_fault_has_a_row() -> None:
    """At least 45 faults, and what clients report of each is known."""
    assert [row.fault for row in ROWS] == list(testing.FAULTS)
    assert len(ROWS) >= 45


@pytest.fixture
def _expires_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a certificate that expires during a connection be good as long as a test lasts."""
    monkeypatch.setattr(recipes, "EXPIRES_SOON_SECONDS", 3600)


@pytest.mark.usefixtures("_expires_late")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("row", NAMED)
def test_the_report_of_a_client(row: Row, client: Client) -> None:
    """A client reports exactly what its row says, for both of its requests."""
    possible(row)
    with testing.bad_server(row.fault) as server:
        reports = client(server, row.patience)
    assert matches(reports, row.http_client if client is by_http_client else row.httpx), reports


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("row", NAMED)
def test_the_honest_twin_succeeds(row: Row, client: Client) -> None:
    """The same server without its fault serves both requests, to the same clients."""
    possible(row)
    with testing.bad_server(row.fault, honest=True) as server:
        assert client(server, Patience()) == [GOOD, GOOD]
        assert server.connections == 1  # and it keeps the connection


def test_one_that_expires_while_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is accepted, serves on when it has expired, and is refused to who connects then.

    Where no connection was there in time it has twice the time, until it is enough for the machine.
    """
    while not _outlived():
        seconds = 2 * recipes.EXPIRES_SOON_SECONDS
        monkeypatch.setattr(recipes, "EXPIRES_SOON_SECONDS", seconds)


def _outlived() -> bool:
    """Outlive the certificate on a connection; tell whether one could be had in time."""
    with testing.bad_server("expired-while-connected") as server:
        context = server.client_context()
        leaf = x509.load_der_x509_certificate(server.certificates[0])
        end = leaf.not_valid_after_utc
        connection = connection_to(server, context)
        try:
            assert get(connection) == GOOD
        except ssl.SSLCertVerificationError:
            assert datetime.now(UTC) > end
            return False
        assert wait_until(lambda: (datetime.now(UTC) - end).total_seconds() > 1)
        assert get(connection) == GOOD
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
            server.get("/")
        connection.close()
        assert server.connections == 2
    return True


def test_a_renewal_in_mid_test() -> None:
    """The first two connections see two good certificates, the third an expired one."""
    seen = []
    with testing.bad_server("renewed-then-expired") as server:
        context = server.client_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(4):
            connection = connection_to(server, context)
            connection.connect()
            seen.append(tls_of(connection).getpeercert(binary_form=True) or b"")
            connection.close()
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
            server.get("/")
    assert seen[0] != seen[1] != seen[2] == seen[3]
    first, second, third = map(x509.load_der_x509_certificate, seen[:3])
    now = datetime.now(UTC)
    assert first.not_valid_after_utc > now < second.not_valid_after_utc
    assert third.not_valid_after_utc < now


def test_one_group_makes_a_client_say_hello_again() -> None:
    """A client that has sent no key for P-384 is asked for one: two hellos (RFC 8446, 4.1.4)."""
    with testing.bad_server("one-group") as server:
        assert count_hellos(server) == 2
    with testing.bad_server("one-group", honest=True) as server:
        assert count_hellos(server) == 1


def test_post_quantum_only_serves_who_has_it() -> None:
    """A client with X25519MLKEM768 gets in, so the server does speak TLS."""
    possible(QUANTUM)
    with testing.bad_server("post-quantum-only") as server:
        assert pyopenssl_version(server) == "TLSv1.3"


def test_a_client_certificate_opens() -> None:
    """Who shows the certificate that the server wants is served."""
    with testing.bad_server("client-cert-missing") as server:
        assert server.get("/", certificate=server.client_certificate("alice")).status == 200


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_spoken(version: str) -> None:
    """A client that is told to speak them gets in, so the server does speak them."""
    name = {"TLSv1": "tls-v1-0", "TLSv1_1": "tls-v1-1"}[version]
    with testing.bad_server(name) as server:
        context = server.client_context()
        context.minimum_version = ssl.TLSVersion[version]
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        connection = connection_to(server, context)
        assert get(connection) == GOOD
        assert tls_of(connection).version() == version.replace("_", ".")
        connection.close()


@pytest.mark.parametrize(
    ("name", "cipher"), [("cbc", "ECDHE-ECDSA-AES128-SHA"), ("null", "ECDHE-ECDSA-NULL-SHA")]
)
def test_a_single_cipher_is_the_one_it_says(name: str, cipher: str) -> None:
    """A client with that very cipher gets in."""
    with testing.bad_server(name) as server:
        context = server.client_context()
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        connection = connection_to(server, context)
        assert get(connection) == GOOD
        assert (tls_of(connection).cipher() or ("",))[0] == cipher
        connection.close()


def test_a_slow_accept_is_a_timeout_for_the_impatient() -> None:
    """A client that waits for much less than a second does not get in."""
    with testing.bad_server("slow-accept") as server:
        assert by_http_client(server, Patience(connect=0.05))[0].startswith("TimeoutError")


def test_dripping_takes_its_time() -> None:
    """1024 bytes of body in pieces of 64, 20 ms apart, take 0.3 seconds at least."""
    with testing.bad_server("dripped-body") as server:
        began = time.monotonic()
        assert server.get("/").body == b"0123456789abcde\n" * 64
        assert time.monotonic() - began > 0.3


def test_one_byte_records_are_records() -> None:
    """On the wire each byte of the response is a record of its own."""
    with testing.bad_server("one-byte-records") as server:
        assert len(records_after_request(server)) > 1024
    with testing.bad_server("one-byte-records", honest=True) as server:
        assert len(records_after_request(server)) < 10


def test_alerts_are_the_chosen_ones() -> None:
    """Whatever alert is asked for is the one that is sent, byte by byte."""
    chosen = [alert for alert in ssl.AlertDescription if alert]
    for alert in chosen:
        with testing.bad_server(testing.Refuse(alert)) as server:
            assert answer_to_hello(server) == bytes([21, 3, 3, 0, 2, 2, alert])
    assert len(chosen) > 20


@pytest.mark.exhaustive
@pytest.mark.usefixtures("_expires_late")
@pytest.mark.parametrize("row", NAMED)
def test_reports_do_not_vary(row: Row) -> None:
    """Five runs, with two clients at a time, all give what the row says."""
    possible(row)
    wrong: list[list[str]] = []

    def run(client: Client, patterns: tuple[str, ...]) -> None:
        with testing.bad_server(row.fault) as server:
            reports = client(server, row.patience)
        if not matches(reports, patterns):
            wrong.append(reports)

    for _ in range(5):
        threads = [
            threading.Thread(target=run, args=(by_http_client, row.http_client)),
            threading.Thread(target=run, args=(by_httpx, row.httpx)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
