"""What is exposed parses, is what has happened, and is the same however many processes serve."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import math
import re
import ssl
import threading
import types
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.calls import counting_calls
from tests.machinery.conftest import Recording, Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import connect, get, handshake, read_response, read_to_end, request
from tests.support import UNIT, wait_until
from tlshttp import Histogram, Latencies, Stats, certs, metrics
from tlshttp._shared_counters import Board, Counted, SharedCounters, total
from tlshttp.errors import ConfigurationError
from tlshttp.stats import LATENCY_BOUNDS

Parsed = dict[tuple[str, frozenset[tuple[str, str]]], float]

_SAMPLE = re.compile(r"(?P<name>[a-z_:]+)\{(?P<labels>.*)\} (?P<value>\S+)")


def parsed(text: str) -> Parsed:
    """Read an exposition by hand, strictly: each sample once."""
    found: Parsed = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match["labels"]))
        labels.pop("server")
        key = match["name"], frozenset(labels.items())
        assert key not in found
        found[key] = float(match["value"])
    return found


def value(found: Parsed, name: str, /, **labels: str) -> float:
    """Return one sample."""
    return found[name, frozenset(labels.items())]


def test_the_counters_are_what_a_thousand_requests_did(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """1 000 requests of known kinds: each counter of the exposition says how many there were."""
    with serve(Plain) as server:
        address = server.server_address
        for _ in range(20):
            with handshake(address, any_client) as sock:
                for _ in range(48):
                    sock.sendall(request("/x"))
                    read_response(sock)
        for _ in range(40):
            get(address, any_client)
        for _ in range(7):
            with connect(address) as sock:
                sock.sendall(b"SSH-2.0-x\r\n")
                read_to_end(sock)
        for _ in range(5):
            with handshake(address, any_client) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
                read_to_end(sock)
        assert wait_until(lambda: not sum(server.stats().parked.values()) + server.stats().active)
        found = parsed(metrics.exposition(server))
        stats = server.stats()
    assert value(found, "tlshttp_requests_total") == 1005
    assert value(found, "tlshttp_handler_duration_seconds_count") == 1005
    assert value(found, "tlshttp_handler_duration_seconds_bucket", le="+Inf") == 1005
    assert 0 < value(found, "tlshttp_handler_duration_seconds_sum") < 60 * UNIT
    assert value(found, "tlshttp_connections_accepted_total") == 20 + 40 + 7 + 5
    assert value(found, "tlshttp_handshakes_total", resumed="false") == 65
    assert value(found, "tlshttp_handshake_duration_seconds_count") == 65
    assert value(found, "tlshttp_handshake_failures_total", reason="not-tls") == 7
    assert value(found, "tlshttp_connections_cut_total", reason="refused-request") == 5
    assert value(found, "tlshttp_received_bytes_total") == stats.bytes_in
    assert value(found, "tlshttp_sent_bytes_total") == stats.bytes_out > 1000
    assert value(found, "tlshttp_connections", state="idle") == 0
    assert value(found, "tlshttp_workers") == 1


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_prometheus_own_parser_reads_it(
    serve: Serve, any_client: ssl.SSLContext, openmetrics: bool
) -> None:
    """prometheus_client's parser finds the same families, types and values as we wrote."""
    client = pytest.importorskip("prometheus_client", reason="prometheus_client is missing")
    assert client
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics_parser

    read: Any = (openmetrics_parser if openmetrics else parser).text_string_to_metric_families
    with serve(Plain) as server:
        get(server.server_address, any_client)
        text = metrics.exposition(server, openmetrics=openmetrics)
    families = {family.name: family for family in read(text)}
    assert len(families) >= 17
    assert families["tlshttp_requests"].type == "counter"
    assert families["tlshttp_handler_duration_seconds"].type == "histogram"
    assert families["tlshttp_connections"].type == "gauge"
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    mine = {
        (name, labels | {("server", server.url)}): count
        for (name, labels), count in parsed(text).items()
    }
    assert samples == mine
    assert text.endswith("# EOF\n") == openmetrics


def test_known_reasons_are_there_from_the_start(serve: Serve) -> None:
    """A rate needs a beginning: each reason is 0 before it happens."""
    with serve(Plain) as server:
        found = parsed(metrics.exposition(server))
    reasons = {
        dict(labels)["reason"]
        for name, labels in found
        if name == "tlshttp_handshake_failures_total"
    }
    assert {"not-tls", "handshake-timeout", "proxy-header", "plain-http"} <= reasons
    assert len(reasons) >= 12


def test_the_ends_of_certificates_are_there(serve: Serve, certificate: certs.Certificate) -> None:
    """An alert on the certificate's end needs its time and its name."""
    with serve(Plain) as server:
        found = parsed(metrics.exposition(server))
    end = value(
        found,
        "tlshttp_certificate_not_after_timestamp_seconds",
        name="localhost",
        fingerprint=certificate.fingerprint(),
    )
    assert end == certificate.not_valid_after.timestamp()


def test_latencies_are_in_their_classes(
    serve: Serve, any_client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that takes its time is in a class above one that does not."""
    clock = types.SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("tlshttp._machinery.serving.time", clock)

    class Slow(Plain):
        """Takes 0.3 s for one of its paths."""

        def do_GET(self) -> None:
            clock.now += 0.3 * (self.path == "/wait")
            super().do_GET()

    with serve(Slow) as server:
        for path in ("/", "/wait", "/"):
            get(server.server_address, any_client, path)
        assert wait_until(lambda: sum(server.latencies().handler.counts) == 3)
        handler = server.latencies().handler
    classes = dict(zip((*LATENCY_BOUNDS, math.inf), handler.counts, strict=True))
    assert {bound: count for bound, count in classes.items() if count} == {0.001: 2, 0.5: 1}
    assert handler.sum == pytest.approx(0.3)


def test_scraping_is_cheap(serve: Serve, any_client: ssl.SSLContext) -> None:
    """An exposition takes some 1 750 calls of functions, which is half a millisecond."""
    with serve(Plain) as server:
        get(server.server_address, any_client)
        metrics.exposition(server)  # the first one imports things
        with counting_calls() as calls:
            metrics.exposition(server)
    assert 0 < calls.total() < 3000


def test_two_servers_are_told_apart(serve: Serve) -> None:
    """Each has its URL as a label; the same twice, or none, is a ConfigurationError."""
    with serve(Plain) as one, serve(Plain) as two:
        text = metrics.exposition(one, two)
        assert text.count("\ntlshttp_workers{") == 2
        assert text.count("# TYPE tlshttp_workers ") == 1
        with pytest.raises(ConfigurationError, match="one URL"):
            metrics.exposition(one, one)
    with pytest.raises(ConfigurationError, match="needs a server"):
        metrics.exposition()


# Paths ------------------------------------------------------------------------------------------


class Watched(metrics.MetricsMixIn, metrics.HealthMixIn, Plain):
    """A handler with paths for who watches."""


def body(response: bytes) -> str:
    """Return the body of a response."""
    return response.partition(b"\r\n\r\n")[2].decode()


def test_metrics_are_a_path_of_the_server(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Text for most, OpenMetrics for who accepts it; other paths are the handler's."""
    with serve(Watched) as server:
        response = get(server.server_address, any_client, "/metrics?x=y")
        assert b"Content-Type: text/plain; version=0.0.4" in response
        assert parsed(body(response))
        with handshake(server.server_address, any_client) as sock:
            sock.sendall(
                b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n"
            )
            assert read_to_end(sock).endswith(b"# EOF\n")
        assert get(server.server_address, any_client, "/other").endswith(b"/other")
        with handshake(server.server_address, any_client) as sock:
            sock.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_to_end(sock).endswith(
                b"Content-Length: 3\r\n\r\n".replace(
                    b"3\r\n\r\n", b"3\r\nConnection: close\r\n\r\n"
                )
            )


def test_a_draining_server_is_alive_and_not_ready(serve: Serve, any_client: ssl.SSLContext) -> None:
    """/healthz stays 200; /readyz is 503 from the moment of drain(), and says why."""
    with serve(Watched) as server, handshake(server.server_address, any_client) as sock:
        sock.sendall(request("/readyz"))
        assert read_response(sock).startswith(b"HTTP/1.1 200 ")
        with handshake(server.server_address, any_client) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert wait_until(lambda: server.stats().parked["request"] == 1)
            thread = threading.Thread(target=server.drain, args=(20 * UNIT,))
            thread.start()
            assert wait_until(lambda: server.draining)
            sock.sendall(request("/readyz"))
            response = read_to_end(sock)
            assert response.startswith(b"HTTP/1.1 503 ")
            assert b"is draining" in response
            other.sendall(b"Host: localhost\r\n\r\n")
            assert read_to_end(other).startswith(b"HTTP/1.1 200 ")
            thread.join()


def test_a_draining_server_that_has_a_successor_is_ready(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """New clients may be sent here, since another process serves here, too."""
    with serve(Watched) as server, handshake(server.server_address, any_client) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\n")
        assert wait_until(lambda: server.stats().parked["request"] == 1)
        server.leave_socket_to_others()
        thread = threading.Thread(target=server.drain, args=(20 * UNIT,))
        thread.start()
        assert wait_until(lambda: server.draining)
        sock.sendall(b"Host: localhost\r\n\r\n")
        response = read_to_end(sock)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in response
        thread.join()


def test_a_certificate_that_has_run_out_is_not_ready(
    serve: Serve, any_client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the certificate has run out, clients refuse it: /readyz says so."""

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) + dt.timedelta(days=4000)

    with serve(Watched) as server:
        monkeypatch.setattr("tlshttp.metrics._mixins.datetime", Later)
        response = get(server.server_address, any_client, "/readyz")
    assert response.startswith(b"HTTP/1.1 503 ")
    assert "the certificate of localhost ran out" in body(response)


class OnlyPaths(metrics.MetricsMixIn, metrics.HealthMixIn, http.server.BaseHTTPRequestHandler):
    """Nothing but paths for who watches."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def plain_listener(server: Recording) -> Iterator[str]:
    """Answer for a server on loopback, without TLS; give the URL."""
    handler = type("For", (OnlyPaths,), {"observed_servers": [server]})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        thread = threading.Thread(target=plain.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{plain.server_port}"
        finally:
            plain.shutdown()
            thread.join()


def test_a_plain_listener_answers_for_the_server(serve: Serve) -> None:
    """A server of the standard library answers the paths, and 501 for all else."""
    with serve(Plain) as server, plain_listener(server) as url:
        fetch: Callable[[str], Any] = lambda path: urllib.request.urlopen(url + path, timeout=20)  # noqa: E731
        with fetch("/metrics") as response:
            assert server.url in response.read().decode()
        with fetch("/readyz") as response:
            assert response.read() == b"ok\n"
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch("/other")
        assert caught.value.code == 501
        caught.value.close()


# Several processes ------------------------------------------------------------------------------


def counted(requests: int, idle: int = 0) -> Counted:
    """Return what a process has counted."""
    stats = Stats(
        accepted=requests, refused=0, active=1, parked={"idle": idle}, waiting=0, full=0,
        handshakes=requests, resumed=0, handshake_failures={"not-tls": requests}, cut={},
        evicted=0, requests=requests, bytes_in=0, bytes_out=0,
    )  # fmt: skip
    histogram = Histogram(counts=(requests, *[0] * len(LATENCY_BOUNDS)), sum=requests / 2)
    return Counted(stats, Latencies(handler=histogram, handshake=histogram))


def test_sums_stay_when_a_process_ends() -> None:
    """What an ended process has counted is added to the others'; what it had open is not."""
    board = Board(3)
    try:
        board.write(0, counted(10, idle=5))
        board.write(1, counted(7, idle=3))
        shared = SharedCounters(board, 2)
        for _ in range(2):
            serving, ended = shared.others()
            sums = total([*serving, *ended])
            assert sums.stats.requests == 17
            assert sums.stats.handshake_failures == {"not-tls": 17}
            assert sums.latencies.handler.sum == 8.5
            assert sum(sums.latencies.handler.counts) == 17
            if not ended:
                assert sums.stats.parked == {"idle": 8}
                board.bury(0)
            else:
                assert sums.stats.parked == {"idle": 3}
        board.bury(1)
        board.bury(1)
        serving, ended = shared.others()
        assert not serving
        assert ended[0].stats.requests == 17
        assert json.dumps(dict(ended[0].stats.parked)) == '{"idle": 0}'
    finally:
        board.close()


def test_what_has_been_told_is_not_taken_back(serve: Serve, any_client: ssl.SSLContext) -> None:
    """A process that is killed right after it has answered a scrape takes nothing with it."""
    board = Board(2)
    try:
        with serve(Plain) as server:
            server.shared_counters = SharedCounters(board, 0)
            metrics.exposition(server)
            for _ in range(5):  # within the quarter of a second until the next write
                get(server.server_address, any_client)
            assert wait_until(lambda: server.stats().requests == 5)
            told = parsed(metrics.exposition(server))
        board.bury(0)
        _, ended = SharedCounters(board, 1).others()
        assert ended[0].stats.requests == value(told, "tlshttp_requests_total") == 5
    finally:
        board.close()


def test_a_writer_that_is_killed_leaves_what_was_there() -> None:
    """A record of which only a part has been written is none; the one before is."""
    board = Board(2)
    try:
        for number in (1, 2, 3):
            board.write(0, counted(number))
            board._fill(0, number + 1, b'{"stats": {"accep')
            (one,) = SharedCounters(board, 1).others()[0]
            assert one.stats.requests == number
    finally:
        board.close()


def test_what_is_being_written_is_not_read() -> None:
    """A reader never sees half of a record, however often the writer writes."""
    board = Board(2)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            board.write(0, counted(number % 1000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(2000):
            for one in SharedCounters(board, 1).others()[0]:
                assert one.stats.requests == one.stats.accepted == one.latencies.handler.counts[0]
    finally:
        over.set()
        thread.join()
        board.close()
