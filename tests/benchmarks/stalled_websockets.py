"""How WebSocket clients fare while others stop reading, and what those cost.

Run by hand: ``python -m tests.benchmarks.stalled_websockets``. An echo serves a thousand clients.
Half of them send without ever reading, until nothing of it is taken any more. The other half is
echoed before, meanwhile and afterwards, one client after the other. The server, those who stop and
those who do not are a process each.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import logging
import resource
import select
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from tests.benchmarks import client
from tests.benchmarks.asynchronous import Running
from tests.benchmarks.ground import Ground, NotServed, prepared_ground
from tests.benchmarks.peers import Peer
from tests.benchmarks.running import serving

SERVERS: Final = {
    "single": "WebSocketHandler, TLSHTTPServer",
    "threading": "WebSocketHandler, ThreadingTLSHTTPServer",
    "asgi": "ASGI, TLSHTTPServer, aio.serve(), asyncio's own loop",
}

_SETTLED_SECONDS: Final = 2.0
"""Those who stop have stopped when nothing has been taken from any of them for so long."""


# The servers -------------------------------------------------------------------------------------


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo messages, as an ASGI application."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


def serve(name: str, port: int, certfile: str, keyfile: str) -> None:
    """Serve an echo until SIGTERM."""
    import tlshttp
    from tlshttp import aio, websocket

    logging.disable()

    class Echo(websocket.WebSocketHandler):
        ping_interval = None  # which those who stop would not answer

        def received(self, message: str | bytes) -> None:
            self.websocket.send(message)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    class Application(aio.asgi(echo, lifespan=False)):  # type: ignore[misc]
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    handler: Any = Application if name == "asgi" else Echo
    threads = name == "threading"
    server_class = tlshttp.ThreadingTLSHTTPServer if threads else tlshttp.TLSHTTPServer
    limits = tlshttp.Limits(max_connections=3000)
    server = server_class(
        ("127.0.0.1", port), handler, certfile=certfile, keyfile=keyfile, limits=limits
    )
    if name == "asgi":
        asyncio.run(aio.serve(server, drain_timeout=0.5))
        return
    with server:
        server.serve_forever()


@contextlib.contextmanager
def running(name: str, ground: Ground) -> Iterator[Running]:
    """Run a server as long as the block lasts."""

    def command(ground: Ground, port: int) -> list[str]:
        files = str(ground.certfile), str(ground.keyfile)
        return [sys.executable, "-m", __spec__.name, "--serve", name, str(port), *files]

    with serving(Peer(name, name, command), ground, ask=_ask) as server:
        yield Running(server.port, server.pid)


# The clients -------------------------------------------------------------------------------------


_PATIENCE_SECONDS: Final = 60.0
"""Others may pour for so long before it is an honest client's turn."""


def _open(port: int, context: ssl.SSLContext, buffer: int | None = None) -> ssl.SSLSocket:
    """Open a WebSocket; `buffer`: bytes that the kernel may keep for it here, each way."""
    raw = client.connect_raw(port)
    raw.settimeout(_PATIENCE_SECONDS)
    if buffer is not None:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            raw.setsockopt(socket.SOL_SOCKET, option, buffer)
    sock = context.wrap_socket(raw)
    key = base64.b64encode(bytes(16)).decode()
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(1)
        if not data:
            raise NotServed("closes instead of opening a WebSocket")
        head += data
    if not head.startswith(b"HTTP/1.1 101 "):
        raise NotServed(head.decode("latin-1").partition("\r\n")[0])
    return sock


def _ask(port: int) -> None:
    _open(port, client.create_context()).close()


_BINARY, _PING, _PONG = 0x82, 0x89, 0x8A  # whole frames (RFC 6455, section 5.2)
_LONGER: Final = 126
"""In place of a size: two bytes follow that have it."""


def _frame(size: int) -> bytes:
    """Return a message of more than 125 and less than 65 536 zeros, masked with zeros."""
    return struct.pack("!BBHI", _BINARY, 0x80 | _LONGER, size, 0) + bytes(size)


_ASKED: Final = _frame(256)
_POURED: Final = _frame(16_384)
_KERNEL_BUFFER: Final = 65_536
"""Without that the kernel takes 8 MiB of each before anybody else sees that it has stopped."""


@dataclass(frozen=True)
class Echoes:
    """What echoes have taken."""

    p99: float
    """The 99th percentile, in milliseconds."""
    cpu: float
    """Of the server, in microseconds for each."""


class Readers:
    """Clients that read: one is echoed after the other, and all answer pings.

    Args:
        server: Whose clients they are.
        count: How many.
    """

    def __init__(self, server: Running, count: int) -> None:
        self._server = server
        context = client.create_context()
        self._socks: dict[int, ssl.SSLSocket] = {}
        self._poll = select.poll()
        for _ in range(count):
            sock = _open(server.port, context)
            self._socks[sock.fileno()] = sock
            self._poll.register(sock, select.POLLIN)

    def echoed(self, times: int) -> Echoes:
        """Have messages echoed over each connection, so many times."""
        took = []
        cpu = self._server.cpu()
        for sock in [*self._socks.values()] * times:
            began = time.perf_counter()
            sock.sendall(_ASKED)
            while _next(sock) != _BINARY:
                pass
            took.append((time.perf_counter() - began) * 1e3)
            self._answer_pings(0)
        cpu = (self._server.cpu() - cpu) * 1e6 / len(took)
        return Echoes(statistics.quantiles(took, n=100)[98], cpu)

    def line(self, says: IO[str]) -> str:
        """Return the next line of a pipe, answering pings until it is there."""
        self._poll.register(says, select.POLLIN)
        while not self._answer_pings(None):
            pass
        self._poll.unregister(says)
        return says.readline()

    def _answer_pings(self, timeout: int | None) -> bool:
        """Answer those that have come, or come in so many milliseconds; tell of anything else."""
        fds = [fd for fd, _ in self._poll.poll(timeout)]
        for fd in fds:
            if fd in self._socks:
                _next(self._socks[fd])
        return any(fd not in self._socks for fd in fds)

    def close(self) -> None:
        """Close them all."""
        for sock in self._socks.values():
            sock.close()


def _next(sock: ssl.SSLSocket) -> int:
    """Read a message, or a ping, which is answered; return which it was."""
    kind, size = _exactly(sock, 2)
    if size == _LONGER:
        (size,) = struct.unpack("!H", _exactly(sock, 2))
    body = _exactly(sock, size)
    if kind == _PING:
        sock.sendall(bytes((_PONG, 0x80 | size, 0, 0, 0, 0)) + body)
    elif kind != _BINARY:
        raise NotServed("an honest client has been told goodbye")
    return kind


def _exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise NotServed("an honest client has been cut off")
        data += more
    return data


def stall(port: int, count: int) -> None:
    """Open so many WebSockets; when told to, send on each without reading, until nothing goes."""
    context = client.create_context()
    socks = [_open(port, context, _KERNEL_BUFFER) for _ in range(count)]
    for sock in socks:
        sock.setblocking(False)
    print("open", flush=True)
    sys.stdin.readline()
    sent, moved, is_open = 0, time.monotonic(), dict.fromkeys(socks, True)
    while time.monotonic() - moved < _SETTLED_SECONDS:
        for sock in socks:
            try:
                sent += sock.send(_POURED)
            except ssl.SSLWantWriteError:
                continue
            except OSError:
                is_open[sock] = False
                continue
            moved = time.monotonic()
        time.sleep(0.01)
    print(sent, sum(is_open.values()), flush=True)
    sys.stdin.readline()


# What is measured --------------------------------------------------------------------------------


def measure(ground: Ground, name: str, count: int, times: int) -> None:
    """Print how long echoes take beside those who stop reading, and what these cost."""
    half = count // 2
    with running(name, ground) as server:
        command = [sys.executable, "-m", __spec__.name, "--stall", str(server.port), str(half)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as stalling:
            told, says = stalling.stdin, stalling.stdout
            assert told is not None
            assert says is not None
            with contextlib.closing(Readers(server, half)) as readers:
                readers.line(says)
                idle, memory = readers.echoed(times), server.memory()
                told.write("go\n")
                meanwhile = readers.echoed(times)
                sent, is_open = (int(word) for word in readers.line(says).split())
                beside = readers.echoed(times)
                each = (server.memory() - memory) / half / 1024
    print(
        f"{name:<10} echo p99 {idle.p99:.1f} ms beside {half} idle clients, {meanwhile.p99:.1f}"
        f" while they send and stop reading, {beside.p99:.1f} afterwards; CPU {idle.cpu:.0f} and"
        f" {beside.cpu:.0f} us; {each:.0f} KiB for each of them, which had {sent / half / 1024:.0f}"
        f" taken; {is_open} are still open",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stalled_websockets")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--stall", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", default=[*SERVERS], help=", ".join(SERVERS))
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--times", type=int, default=8, help="echoes for each client that reads")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if given.serve:
        name, port, certfile, keyfile = given.serve
        serve(name, int(port), certfile, keyfile)
        return
    if given.stall:
        stall(*map(int, given.stall))
        return
    with prepared_ground() as ground:
        for name in given.names:
            measure(ground, name, given.clients, given.times)


if __name__ == "__main__":
    main()
