"""One connection of a bad server: what is honest about it, and the deeds in between."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Protocol, TypeVar

from tlshttp.testing._bad.engine import Ended, Engine, Wanting
from tlshttp.testing._bad.requests import SeenRequest, read_request
from tlshttp.testing._bad.vocabulary import (
    At,
    Close,
    Deed,
    Drip,
    Refuse,
    Reply,
    Reset,
    Send,
    Stall,
    Timed,
)

__all__ = ["Conversation", "Owner"]

_Kind = TypeVar("_Kind", Reply, Drip)

_READ_SIZE = 16 * 1024
_RECORD_SIZE = 16 * 1024
"""The most data that a TLS record holds (RFC 8446, section 5.1)."""

_MAXIMUM_HELLO = 64 * 1024
_LINGER_SECONDS = 2.0
"""How long a client has to close its side; after that, what it has not read may be lost."""

_SETTLING_SECONDS = 0.05
"""How long a client has to read what was sent; then the reset destroys what it has not read."""

_FATAL = 2
"""The level of an alert (RFC 8446, section 6)."""


class Owner(Protocol):
    """What a conversation needs of its server."""

    stopping: threading.Event

    def enter(self, request: SeenRequest) -> int:
        """Note a request and return its number, 1 for the first of the server."""

    def start_tls(self, connection: int) -> Engine:
        """Return the server side of TLS for a connection."""


class _Over(Exception):
    """The connection has come to its end, by a deed or by the client."""


class Conversation:
    """Talks on one connection until that ends.

    Args:
        sock: The connection, in blocking mode; it is closed at the end.
        number: Its number, 1 for the first of the server.
        deeds: What is done to it.
        owner: The server.
    """

    def __init__(
        self, sock: socket.socket, number: int, deeds: Sequence[Deed], owner: Owner
    ) -> None:
        self._sock = sock
        self._number = number
        self._request_number: int | None = None
        self._owner = owner
        self._deeds = [
            deed for deed in deeds if getattr(deed, "connection", None) in (None, number)
        ]
        self._engine: Engine | None = None
        self._received = bytearray()
        self._established = False
        self._written = False

    def run(self) -> None:
        """Talk; whatever the client does ends the connection at most."""
        # What is sent leaves at once, whatever is not yet acknowledged (RFC 9293, section 3.7.4).
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._talk()
        except (_Over, Ended, OSError):
            return
        finally:
            self._sock.close()

    def _talk(self) -> None:
        self._do_all(At.ACCEPT)
        hello = self._read_hello()
        self._do_all(At.HELLO)
        for deed in self._deeds:
            if isinstance(deed, Refuse):
                self._refuse(deed)
        self._engine = self._owner.start_tls(self._number)
        self._engine.receive(hello)
        self._shake_hands(self._engine)
        self._established = True
        while self._answer(read_request(self, self._number)):
            pass
        self._close(notify=True)

    # Reading ----------------------------------------------------------------------------------

    def _read_hello(self) -> bytes:
        """Return the client's first record, which need not come in one piece."""
        data = self._receive()
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5]):
            if data[0] != 0x16 or len(data) > _MAXIMUM_HELLO:  # no handshake record: RFC 8446, 5.1
                break
            data += self._receive()
        return data

    def line(self, maximum: int) -> bytes:
        """Return the next decrypted line, with its end."""
        while (end := self._received.find(b"\n") + 1) == 0:
            if len(self._received) > maximum:
                raise _Over
            self._received += self._read()
        return self._take(end)

    def exactly(self, size: int) -> bytes:
        """Return so many decrypted bytes."""
        while len(self._received) < size:
            self._received += self._read()
        return self._take(size)

    def go_on(self) -> None:
        """Let a client send the body that it asks for."""
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def hang_up(self) -> None:
        """End the connection."""
        raise _Over

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _read(self) -> bytes:
        """Return the next decrypted bytes."""
        engine = self._tls()
        while True:
            try:
                data = engine.read()
            except Wanting:
                self._flush()
                engine.receive(self._receive())
                continue
            if not data:
                raise _Over
            return data

    def _receive(self) -> bytes:
        data = self._sock.recv(_READ_SIZE)
        if not data:
            raise _Over
        return data

    # Writing ----------------------------------------------------------------------------------

    def _shake_hands(self, engine: Engine) -> None:
        sent = 0
        while True:
            wanting = False
            try:
                engine.handshake()
            except Wanting:
                wanting = True
            except Ended:
                self._flush()  # the alert that says why
                self._linger()
                raise
            data = engine.pending()
            if data or not wanting:
                write = self._sock.sendall
                sent = self._send(At.HANDSHAKE, data, write, sent, last=not wanting)
            if not wanting:
                return
            engine.receive(self._receive())

    def _answer(self, request: SeenRequest) -> bool:
        """Answer a request, and tell whether another may come on this connection."""
        self._request_number = self._owner.enter(request)
        self._do_all(At.REQUEST)
        reply = self._most_special(Reply) or Reply()
        drip = self._most_special(Drip)
        write = self._write if drip is None else _dripping(drip, self._write, self._wait)
        self._send(At.HEAD, _head(reply), write)
        self._send(At.BODY, b"" if request.method == "HEAD" else reply.body, write)
        self._do_all(At.END)
        return not request.ends_connection

    def _send(
        self,
        moment: At,
        data: bytes,
        write: Callable[[bytes], None],
        before: int = 0,
        *,
        last: bool = True,
    ) -> int:
        """Write data, doing each deed at its place; return the position after it.

        A deed whose place comes after the end is done at the end.

        Args:
            moment: Which part of the connection the data is.
            data: The data, or the next part of it.
            write: What writes.
            before: How many bytes of it went before.
            last: Whether this is the last of it.
        """
        self._written = True
        position, end = before, before + len(data)
        for deed in sorted(self._due(moment), key=lambda deed: deed.after):
            place = min(deed.after, end) if last else deed.after
            if (before < deed.after and place <= end) or deed.after == before == 0:
                write(data[position - before : place - before])
                position = place
                self._do(deed)
        write(data[position - before :])
        return end

    def _write(self, data: bytes) -> None:
        engine = self._tls()
        for start in range(0, len(data), _RECORD_SIZE):
            engine.write(data[start : start + _RECORD_SIZE])
            self._flush()

    def _tls(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("nothing can be encrypted before the handshake")
        return self._engine

    def _flush(self) -> None:
        if self._engine is not None:
            self._sock.sendall(self._engine.pending())

    # Deeds ------------------------------------------------------------------------------------

    def _mine(self) -> list[Deed]:
        """Return the deeds of this request."""
        number = self._request_number
        return [deed for deed in self._deeds if getattr(deed, "request", None) in (None, number)]

    def _most_special(self, kind: type[_Kind]) -> _Kind | None:
        """Return the deed of that kind: for this request before for all, likewise connections."""
        deeds = [deed for deed in self._mine() if isinstance(deed, kind)]
        return min(
            deeds, key=lambda deed: (deed.request is None, deed.connection is None), default=None
        )

    def _due(self, moment: At) -> list[Timed]:
        return [deed for deed in self._mine() if isinstance(deed, Timed) and deed.at is moment]

    def _do_all(self, moment: At) -> None:
        for deed in self._due(moment):
            self._do(deed)

    def _do(self, deed: Timed) -> None:
        match deed:
            case Reset():
                self._reset()
            case Close():
                self._close(notify=deed.notify)
            case Stall(seconds=None):
                self._wait_for_the_end()
            case Stall():
                self._wait(deed.seconds or 0.0)
            case Send():
                write = self._write if deed.sealed else self._sock.sendall
                for _ in range(deed.times):
                    write(deed.data)

    def _refuse(self, deed: Refuse) -> None:
        # A record of type 21 with the version of TLS 1.2, two bytes long (RFC 8446, section 5.1).
        self._sock.sendall(bytes([21, 3, 3, 0, 2, _FATAL, deed.alert]))
        self._close(notify=False)

    def _reset(self) -> None:
        if self._written:
            self._wait(_SETTLING_SECONDS)
        # A close without lingering is a reset; Windows has short integers here.
        layout = "hh" if os.name == "nt" else "ii"
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
        raise _Over

    def _close(self, *, notify: bool) -> None:
        if notify and self._established and self._engine is not None:
            self._engine.close()
            self._flush()
        self._linger()
        raise _Over

    def _linger(self) -> None:
        """Wait until the client has closed, too: a close with unread input would be a reset."""
        self._sock.shutdown(socket.SHUT_WR)
        self._sock.settimeout(_LINGER_SECONDS)
        while self._sock.recv(_READ_SIZE):
            pass

    def _wait(self, seconds: float) -> None:
        if self._owner.stopping.wait(seconds):
            raise _Over

    def _wait_for_the_end(self) -> None:
        while self._sock.recv(_READ_SIZE):
            pass
        raise _Over


def _head(reply: Reply) -> bytes:
    headers = list(reply.headers)
    named = {name.lower() for name, _ in headers}
    if reply.framed and not named & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(reply.body))))
    if "content-type" not in named:
        headers.append(("Content-Type", "text/plain"))
    lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _dripping(
    drip: Drip, write: Callable[[bytes], None], wait: Callable[[float], None]
) -> Callable[[bytes], None]:
    def write_in_pieces(data: bytes) -> None:
        for piece in _pieces(data, drip.size):
            write(piece)
            if drip.pause:
                wait(drip.pause)

    return write_in_pieces


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
