"""What hostile, slow and greedy peers do to a server, each bounded and ended by its `Siege`.

Each attack takes a siege and a number of peers. It returns when its peers are in place; their
threads go on until the siege ends.

``python -m tests.server.attacks NAME COUNT PORT [VERSION]`` does one from a process of its own: it
prints a line when it is in place, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from tests.support import UNIT

GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE: Final = 3 * UNIT
"""Seconds an attacker waits for anything before it takes it as refused, unless told otherwise."""

DRIP_BYTES: Final = 300
DRIP_SECONDS: Final = 0.5
"""So 600 bytes a second, which is above the minimum rate."""


def client_context(version: str = "1.3") -> ssl.SSLContext:
    """Return a client's context for one version of TLS that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    chosen = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = chosen
    return context


@dataclass
class Siege:
    """Peers of one server; all of them go when its block ends."""

    address: tuple[str, int]
    context: ssl.SSLContext = field(default_factory=client_context)
    source: str = "127.0.0.1"
    patience: float = PATIENCE
    """Seconds that it waits for anything."""
    refused: int = 0
    """How often it gave up because a peer did not get as far as it wanted."""

    def __post_init__(self) -> None:
        self.over = threading.Event()
        self._socks: list[Any] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for sock in list(self._socks):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(self.patience)
        for sock in self._socks:
            sock.close()

    def raw(self, *, rcvbuf: int | None = None) -> socket.socket:
        """Return a TCP connection."""
        sock = socket.socket()
        self._socks.append(sock)
        sock.settimeout(self.patience)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((self.source, 0))
        sock.connect(self.address)
        return sock

    def tls(self, *, rcvbuf: int | None = None) -> ssl.SSLSocket:
        """Return a TLS connection."""
        wrapped = self.context.wrap_socket(self.raw(rcvbuf=rcvbuf), server_hostname="localhost")
        self._socks[-1] = wrapped
        return wrapped

    def peers(self, count: int, act: Callable[[ssl.SSLSocket], Any], **options: Any) -> list[Any]:
        """Open connections, have each act once, and return those that got so far."""
        held = []
        for _ in range(count):
            try:
                sock = self.tls(**options)
                act(sock)
            except (OSError, EOFError):
                self.refused += 1
                break  # it serves nobody any more, which is what was to be shown
            else:
                held.append(sock)
        return held

    def go_on(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function over and over in a thread of its own, until the siege is over."""

        def run() -> None:
            while not self.over.is_set():
                try:
                    function(*arguments)
                except (OSError, ValueError, EOFError):
                    self.over.wait(0.02)

        thread = threading.Thread(target=run, name=function.__name__)
        self._threads.append(thread)
        thread.start()

    def forget(self, sock: Any) -> None:
        """Close one connection before the end."""
        with contextlib.suppress(ValueError):
            self._socks.remove(sock)
        sock.close()

    def encrypted(self, payload: bytes, step: int) -> tuple[socket.socket, bytes]:
        """Return a connection after its handshake, and the payload in records of `step` bytes."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = self.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        sock = self.raw()
        while True:
            try:
                engine.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                data = sock.recv(65_536)
                if not data:
                    raise EOFError from None
                incoming.write(data)
        view = memoryview(payload)
        for at in range(0, len(payload), step):
            engine.write(view[at : at + step])
        return sock, outgoing.read()


Attack = Callable[[Siege, int], None]

# Slow bodies (peers 4, clients D1) ---------------------------------------------------------------


def _slow_upload(framing: str, piece: bytes) -> Attack:
    """Post at 600 bytes a second."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode()

    def attack(siege: Siege, count: int) -> None:
        peers = siege.peers(count, lambda sock: sock.sendall(head + piece))
        siege.go_on(_drip, siege, peers, piece)

    return attack


def _drip(siege: Siege, peers: list[ssl.SSLSocket], piece: bytes) -> None:
    for sock in list(peers):
        sock.settimeout(0.05)
        try:
            sock.sendall(piece)
        except OSError:
            peers.remove(sock)
    siege.over.wait(DRIP_SECONDS)


_CHUNK = b"%x\r\n%s\r\n" % (DRIP_BYTES, bytes(DRIP_BYTES))

slow_length = _slow_upload("Content-Length: 1000000", bytes(DRIP_BYTES))
slow_chunked = _slow_upload("Transfer-Encoding: chunked", _CHUNK)
slow_expected = _slow_upload("Expect: 100-continue\r\nContent-Length: 1000000", bytes(DRIP_BYTES))


def _silent_body(framing: str) -> Attack:
    """Announce a body of a few bytes and never send it (peers 10)."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode()
    return lambda siege, count: void(siege.peers(count, lambda sock: sock.sendall(head)))


def void(_: object) -> None:
    """Return nothing."""


silent_expected = _silent_body("Expect: 100-continue\r\nContent-Length: 5")
silent_chunked = _silent_body("Transfer-Encoding: chunked")
silent_zeros = _silent_body("Content-Length: 0000005")

# Slow readers (peers 4, 10, clients D1) ----------------------------------------------------------


def non_readers(siege: Siege, count: int) -> None:
    """Ask for 50 MB, and read nothing."""
    _read_nothing(siege, count, b"/large")


def non_readers_of_new_pieces(siege: Siege, count: int) -> None:
    """Ask for 50 MB that are not in memory, and read nothing."""
    _read_nothing(siege, count, b"/large-new")


def non_readers_of_one_object(siege: Siege, count: int) -> None:
    """Ask for 50 MB that are one object, and read nothing."""
    _read_nothing(siege, count, b"/large-whole")


def _read_nothing(siege: Siege, count: int, target: bytes) -> None:
    ask = GET.replace(b"/ ", target + b" ", 1)
    siege.peers(count, lambda sock: sock.sendall(ask), rcvbuf=4096)


def slow_readers(siege: Siege, count: int) -> None:
    """Ask for 50 MB, and read 32 bytes every half second."""
    ask = GET.replace(b"/ ", b"/large ", 1)
    peers = siege.peers(count, lambda sock: sock.sendall(ask), rcvbuf=4096)
    siege.go_on(_sip, siege, peers)


def _sip(siege: Siege, peers: list[ssl.SSLSocket]) -> None:
    for sock in list(peers):
        sock.settimeout(0.05)
        try:
            sock.recv(32)
        except TimeoutError:
            continue
        except OSError:
            peers.remove(sock)
    siege.over.wait(DRIP_SECONDS)


def tiny_pipeline(siege: Siege, count: int) -> None:
    """Send requests until the server takes no more of them, and read none of the responses."""
    for sock in siege.peers(count, lambda sock: sock.sendall(GET), rcvbuf=4096):
        sock.settimeout(0.3)
        with contextlib.suppress(OSError):
            for _ in range(200):
                sock.sendall(GET * 500)


def many_idle(siege: Siege, count: int) -> None:
    """Make a request, and keep the connection (peers 5: with handlers from functions)."""

    def ask(sock: ssl.SSLSocket) -> None:
        sock.sendall(GET)
        if not sock.recv(1000):
            raise EOFError

    siege.peers(count, ask)


# Greed (peers 2, 3, 11) --------------------------------------------------------------------------

_BATCH: Final = 400
_AHEAD: Final = 8


def pipelining(siege: Siege, count: int) -> None:
    """Send requests without a pause, eight batches ahead of the responses, which are read."""
    for sock in siege.peers(count, lambda sock: sock.sendall(GET)):
        size = len(sock.recv(1000))
        siege.go_on(_pipeline, siege, sock, size * _BATCH)


def _pipeline(siege: Siege, sock: ssl.SSLSocket, size: int) -> None:
    """Send batches, each when the one so many before it has been answered."""
    batch = GET * _BATCH
    sock.sendall(batch * _AHEAD)
    while not siege.over.is_set():
        left = size
        while left > 0:
            data = sock.recv(65_536)
            if not data:
                siege.over.wait(0.05)
                return
            left -= len(data)
        sock.sendall(batch)


def _repeated(payload: bytes, step: int) -> Attack:
    """Send a payload in records of so many bytes, each time on a connection of its own."""

    def send(siege: Siege, made: list[tuple[socket.socket, bytes]]) -> None:
        sock, data = made.pop() if made else siege.encrypted(payload, step)
        with contextlib.suppress(OSError):
            sock.sendall(data)
            while sock.recv(65_536):  # the next one when the server has done with this one
                pass
        siege.forget(sock)

    def attack(siege: Siege, count: int) -> None:
        made = [siege.encrypted(payload, step) for _ in range(count)]
        for _ in range(count):
            siege.go_on(send, siege, made)

    return attack


one_byte_records = _repeated(b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000, 1)
one_byte_records_of_a_body = _repeated(
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"a" * 60_000, 1
)
_CHUNKED = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
one_byte_chunks = _repeated(_CHUNKED + b"1\r\na\r\n" * 250_000, 16_384)
chunk_extensions = _repeated(_CHUNKED + (b"1;" + b"x" * 4000 + b"\r\na\r\n") * 500, 16_384)


def connects(siege: Siege, count: int) -> None:
    """Connect thirty times a second, and say nothing."""

    def once() -> None:
        siege.raw()
        siege.over.wait(1 / 30)

    for _ in range(count):
        siege.go_on(once)


def half_requests(siege: Siege, count: int) -> None:
    """Send the first byte of a request after the handshake."""
    siege.peers(count, lambda sock: sock.sendall(b"G"))


def _all_with(some_non_readers: Attack) -> Attack:
    """Return what does all that is slow, at once."""

    def attack(siege: Siege, count: int) -> None:
        for each in (slow_length, slow_chunked, slow_expected, some_non_readers, many_idle):
            each(siege, count)

    return attack


ATTACKS: Final[dict[str, Attack]] = {
    "slow-length": slow_length,
    "slow-chunked": slow_chunked,
    "slow-expected": slow_expected,
    "silent-expected": silent_expected,
    "silent-chunked": silent_chunked,
    "silent-zeros": silent_zeros,
    "non-readers": non_readers,
    "non-readers-of-new-pieces": non_readers_of_new_pieces,
    "non-readers-of-one-object": non_readers_of_one_object,
    "slow-readers": slow_readers,
    "tiny-pipeline": tiny_pipeline,
    "many-idle": many_idle,
    "pipelining": pipelining,
    "one-byte-records": one_byte_records,
    "one-byte-records-of-a-body": one_byte_records_of_a_body,
    "one-byte-chunks": one_byte_chunks,
    "chunk-extensions": chunk_extensions,
    "connects": connects,
    "half-requests": half_requests,
    "everything": _all_with(non_readers),
    "everything-of-new-pieces": _all_with(non_readers_of_new_pieces),
    "everything-of-one-object": _all_with(non_readers_of_one_object),
}


@contextlib.contextmanager
def besieged(name: str, count: int, port: int, version: str = "1.3") -> Iterator[int]:
    """Attack from a process of its own while the block runs; yield how often it was refused."""
    command = (sys.executable, "-m", "tests.server.attacks", name, str(count), str(port), version)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
            process.communicate(timeout=40 * UNIT)
        except BaseException:
            process.kill()
            raise


# Honest clients ----------------------------------------------------------------------------------


@dataclass
class Honest:
    """How long honest requests took, in seconds; those that failed are counted."""

    fresh: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def worst(self) -> float:
        """The longest that one took; for ever where one failed."""
        return float("inf") if self.failed else max(self.fresh + self.kept)

    def percentile(self, percent: float, *, kept: bool = False) -> float:
        """Return what so many of a hundred on fresh connections, or on the kept one, stay below."""
        taken = sorted(self.kept if kept else self.fresh) or [float("inf")]
        return taken[min(len(taken) - 1, int(len(taken) * percent / 100))]


def ask_honestly(
    address: tuple[str, int],
    context: ssl.SSLContext,
    *,
    count: int = 20,
    seconds: float = float("inf"),
    patience: float = 3 * UNIT,
    pause: float = 0.0,
) -> Honest:
    """Ask on fresh connections, and as often on one that is kept.

    Args:
        address: Whom.
        context: How.
        count: How often at most.
        seconds: After how long it is enough.
        patience: Seconds a client waits before it counts its request as failed.
        pause: Seconds between two.
    """
    found = Honest()
    end = time.monotonic() + seconds
    kept: ssl.SSLSocket | None = None
    for _ in itertools.takewhile(lambda _: time.monotonic() < end, range(count)):
        kept = _ask_kept(found, kept, address, context, patience)
        began = time.perf_counter()
        try:
            with _connect(address, context, patience) as sock:
                _ask(sock)
            found.fresh.append(time.perf_counter() - began)
        except (OSError, EOFError):
            found.failed += 1
            if found.failed > 1:
                break
        if pause:
            time.sleep(pause)
    if kept is not None:
        kept.close()
    return found


def _ask_kept(
    found: Honest,
    sock: ssl.SSLSocket | None,
    address: tuple[str, int],
    context: ssl.SSLContext,
    patience: float,
) -> ssl.SSLSocket | None:
    """Ask on a connection that is kept, which the first call opens."""
    try:
        began = time.perf_counter()
        taken = found.fresh if sock is None else found.kept
        sock = sock or _connect(address, context, patience)
        _ask(sock)
        taken.append(time.perf_counter() - began)
    except (OSError, EOFError):
        found.failed += 1
        if sock is not None:
            sock.close()
        return None
    return sock


def _connect(address: tuple[str, int], context: ssl.SSLContext, patience: float) -> ssl.SSLSocket:
    raw = socket.create_connection(address, timeout=patience)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(raw, server_hostname="localhost")
    except BaseException:
        raw.close()
        raise


def _ask(sock: ssl.SSLSocket) -> None:
    sock.sendall(GET)
    data = b""
    while not data.endswith(b"hello"):
        piece = sock.recv(4096)
        if not piece:
            raise EOFError("no answer")
        data += piece


def main(name: str, count: str, port: str, version: str = "1.3") -> None:
    """Attack until the end of standard input."""
    with Siege(("127.0.0.1", int(port)), client_context(version)) as siege:
        ATTACKS[name](siege, int(count))
        sys.stdout.write(f"{siege.refused}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
