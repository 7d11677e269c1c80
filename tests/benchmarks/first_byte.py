"""From nothing to the first byte of an HTTPS test server: ours, and what people use today.

``nox -s first_byte`` calls it. One run measures all by turns, so that whatever else the machine
does it does to all. A turn starts a server, trusts it, and makes one request with `http.client`;
the authority has been made before, as a session's fixture has it, and closing does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import logging
import ssl
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import trustme
from pytest_httpserver import HTTPServer

from tlshttp import testing

TARGET_MILLISECONDS = 15.0
TARGET_SHARE = 0.5
"""What issue "testing" asks for: this median at most, and this share of the other's at most."""

OURS = "tlshttp"
DOCUMENTED = "pytest-httpserver with trustme, as documented"
SHORTEST = "the same, without loading the system's roots"

Start = Callable[[], contextlib.AbstractContextManager[tuple[str, int, ssl.SSLContext]]]


class Hello(BaseHTTPRequestHandler):
    """Answers in a few bytes."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")


@contextlib.contextmanager
def ours() -> Iterator[tuple[str, int, ssl.SSLContext]]:
    """Serve a handler by one line."""
    with testing.serve(Hello) as server:
        yield server.host, server.port, server.client_context()


def theirs(authority: trustme.CA, trusting: Callable[[], ssl.SSLContext]) -> Start:
    """Return what starts pytest-httpserver with a certificate of trustme's."""

    @contextlib.contextmanager
    def start() -> Iterator[tuple[str, int, ssl.SSLContext]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        client_context = trusting()
        authority.configure_trust(client_context)
        with HTTPServer(host="localhost", port=0, ssl_context=context) as server:
            server.expect_request("/").respond_with_data("hello")
            yield server.host, server.port, client_context

    return start


def without_roots() -> ssl.SSLContext:
    """Return a client's context that has not loaded the system's roots, which takes long."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def milliseconds(start: Start) -> float:
    """Start a server, ask it, and return how long that took; closing it does not count."""
    begin = time.perf_counter()
    with start() as (host, port, context):
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=10)
        connection.request("GET", "/")
        with connection.getresponse() as response:
            first = response.read(1)
        took = time.perf_counter() - begin
        connection.close()
    if first != b"h":
        raise RuntimeError("this is not the answer")
    return took * 1000


def main() -> None:
    """Measure all by turns and print what came out; fail where it misses the targets."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=60, help="of each (default: %(default)s)")
    turns = parser.parse_args().turns
    authority = trustme.CA()
    ways: dict[str, Start] = {
        OURS: ours,
        DOCUMENTED: theirs(authority, ssl.create_default_context),
        SHORTEST: theirs(authority, without_roots),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for start in ways.values():
        milliseconds(start)  # imports, and the authority
    for _ in range(turns):
        for name, start in ways.items():
            took[name].append(milliseconds(start))
    medians = {name: statistics.median(values) for name, values in took.items()}
    for name, values in took.items():
        low, _, high = statistics.quantiles(values, n=4)
        share = medians[OURS] / medians[name]
        print(
            f"{name:<55} median {medians[name]:6.2f} ms, quartiles {low:.2f} to {high:.2f};"
            f" ours has {share:.2f} of it"
        )
    print(f"{turns} turns of each, Python {sys.version.split()[0]}")
    missed = medians[OURS] > TARGET_SHARE * medians[DOCUMENTED]
    if missed or medians[OURS] > TARGET_MILLISECONDS:
        sys.exit("first_byte: that misses the targets")


if __name__ == "__main__":
    main()
