"""What a server holds for peers in the worst state each can bring about: memory and disk.

Run by hand: ``python -m tests.benchmarks.worst_states [NAME...] --count 1000``. For each state it
prints the server's resident memory before, with, and after, for one connection, and the disk that
its unnamed temporary files hold.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks.attacks import SERVERS
from tests.server.attacks import (
    GET,
    Siege,
    many_idle,
    non_readers,
    non_readers_of_new_pieces,
    tiny_pipeline,
)
from tests.server.program import ServerProcess, server_process
from tests.support import wait_until

MIB: Final = 1 << 20
_HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 60_000
_SETTLE_SECONDS: Final = 20.0

State = Callable[[Siege, int], None]


def _after(*sent: bytes, answered: bool = False) -> State:
    """Return a state that is reached by sending this, and perhaps by receiving an answer."""

    def bring_about(siege: Siege, count: int) -> None:
        def act(sock: object) -> None:
            for data in sent:
                sock.sendall(data)  # type: ignore[attr-defined]
            if answered and not sock.recv(1000):  # type: ignore[attr-defined]
                raise EOFError

        siege.peers(count, act)

    return bring_about


def _body(size: int) -> State:
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
    return _after(head, bytes(size - 1))


def _silent(siege: Siege, count: int) -> None:
    for _ in range(count):
        siege.raw()


def _half_hello(siege: Siege, count: int) -> None:
    for _ in range(count):
        siege.raw().sendall(b"\x16\x03\x01\x40\x00" + bytes(4000))


_CHUNKS: Final = b"1\r\na\r\n" * 10_000

STATES: Final[dict[str, State]] = {
    "silent": _silent,
    "half hello": _half_hello,
    "handshake done": _after(),
    "60 kB of a head": _after(_HEAD),
    "idle": many_idle,
    "idle after a 60 kB head": _after(_HEAD + b"\r\n\r\n", answered=True),
    "16 KiB body but a byte": _body(1 << 14),
    "1 MiB body but a byte": _body(MIB),
    "8 MiB body but a byte": _body(8 * MIB),
    "one-byte chunks": _after(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", _CHUNKS
    ),
    "50 MB unread": non_readers,
    "50 MB of new pieces unread": non_readers_of_new_pieces,
    "responses unread": tiny_pipeline,
    "head after head": _after(GET + _HEAD),
}


def measure(state: State, server_class: str, options: argparse.Namespace) -> str:
    """Bring a state about so many times, and return a line of figures."""
    with server_process(server_class, source=options.source, handler=options.handler) as server:
        with Siege(server.address) as siege:
            many_idle(siege, 50)  # so that what is made once is made
        _wait_until_gone(server)
        before, threads = server.resident(), server.threads()
        with Siege(server.address) as siege:
            state(siege, options.count)
            wait_until(lambda: False, timeout=1.0)  # the server takes in what has been sent
            held, disk = server.resident(), server.spool_bytes()
            refused = siege.refused
        _wait_until_gone(server)
        # Threads in which handlers have waited for their peers end when they have been idle.
        wait_until(lambda: server.threads() <= threads, timeout=2 * _SETTLE_SECONDS)
        after, left = server.resident(), server.spool_bytes()
        evicted = server.stats()["evicted"]
    each = (held - before) / options.count / 1024
    return (
        f"{before / MIB:6.1f} {held / MIB:8.1f} {after / MIB:8.1f} {each:9.1f} "
        f"{disk / MIB:10.1f} {left / MIB:6.1f}   {evicted} {refused}"
    )


def _wait_until_gone(server: ServerProcess) -> None:
    def gone() -> bool:
        stats = server.stats()
        return not stats["active"] and not sum(stats["parked"].values())

    wait_until(gone, timeout=_SETTLE_SECONDS)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.worst_states", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(STATES)}; default: all")
    parser.add_argument("--server", choices=[*SERVERS, "both"], default="both")
    parser.add_argument("--handler", default="plain", help="plain, function, own-handle, streaming")
    parser.add_argument("--count", type=int, default=1000, help="connections")
    parser.add_argument("--source", type=Path, help="the folder src of another checkout")
    options = parser.parse_args()
    unknown = set(options.names) - set(STATES)
    if unknown:
        sys.exit(f"no such state: {', '.join(sorted(unknown))}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(
        f"{options.count} connections; MiB before, with, after; KiB each; MiB of disk with, after;"
    )
    print("evicted, and how often the peers gave up because they were not served")
    servers = SERVERS if options.server == "both" else (options.server,)
    for name, server in itertools.product(options.names or STATES, servers):
        try:
            line = measure(STATES[name], SERVERS[server], options)
        except AssertionError as error:
            line = f"the server did not survive: {str(error)[-100:]}"
        print(f"{name:26} {server:10} {line}", flush=True)


if __name__ == "__main__":
    main()
