"""TLS over a non-blocking socket: what is encrypted moves between the two, here.

The engine works on buffers in memory (`ssl.SSLContext.wrap_bio`), not on the socket. So what has
come is read with one system call, however many records it is, and what is ready to go leaves with
one, such as a response with its ``close_notify``.

OpenSSL writes TLS 1.3's session tickets when the handshake ends. Mostly the first request has come
with the client's last flight, and they leave with the response, as they do with BoringSSL and trio
(for good reasons: OpenSSL's issues 7948 and 25538). But they also acknowledge that flight: a client
that has not set ``TCP_NODELAY`` holds its request back without them, for a delayed acknowledgement
of 44 ms on Linux. So where the request is not there, they do not wait for it.

Rules:

1.  Nothing here waits. Where something would have to, `ssl.SSLWantReadError` or
    `ssl.SSLWantWriteError` says for what.
2.  What the engine has written need not be sent at once, but before anybody waits for the peer: a
    read that has to wait sends it first. A peer that has sent all its questions gets all answers.
3.  What the kernel had no room for stands in `TLSChannel.unsent`. Nothing more is encrypted before
    it is gone, so neither a peer that does not read, nor one that asks for new keys again and
    again, makes a buffer grow.
"""

from __future__ import annotations

import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._tls import IncomingBuffer, OutgoingBuffer, TLSContext, TLSObject

__all__ = ["TLSChannel"]

_AT_ONCE = 16_384 + 256 + 5
"""Bytes of one record of the largest size (RFC 8446, section 5.2): what is read at once."""

_MUCH_AT_ONCE = 65_536
"""Bytes to read where the last read has brought all that it could: somebody sends a lot."""

_RECORD = 16_384
"""Bytes that are encrypted at once: a record of the largest size (RFC 8446, section 5.1). The
engine's buffer stays as large as it had to be once, for as long as the connection."""

_MUCH = 65_536
"""Bytes that a generous channel encrypts at once: with four times as large a buffer it takes a
twentieth less of the processor, and with four times as much for each system call a tenth."""

_SENT_AT_ONCE, _MUCH_SENT_AT_ONCE = 65_536, 262_144
"""Bytes that leave at once of a large response; and those of a generous channel."""

_LARGE_TRANSFER = 1 << 20
"""Bytes of large responses after which a channel becomes generous."""

_GENEROUS_AT_MOST = 32
"""How many channels may be: each has 512 KiB more, at worst, as long as it is open."""

_STUCK_AT_MOST = 384
"""How many channels may have more than a record in `TLSChannel.unsent` before all encrypt no more
than that at once: 24 MiB, and of a thousand whose peers take nothing it would be 60. Small pieces
cost time, beside 300 slow readers, since what is written over and over is no longer recognized."""

_HEADER = 5
"""Bytes before the contents of a record: type, version, length (RFC 8446, section 5.1)."""

_UNKNOWN = -1
"""As many bytes are missing of the record that the engine has a part of: it can tell itself."""

_GATHERS = hasattr(socket.socket, "sendmsg")
"""Whether pieces can be sent without copying them together; Windows has no such call."""

_MOST_READS = range(16)
"""How many reads of the socket may bring no data (records of handshake messages, or empty ones)
before others have their turn."""

_MOST_RECORDS = range(64)
"""How many records are read before others have their turn, however little is in each."""

_BACKLOG = 16_384
"""Bytes for the peer that reading may leave to be sent later."""

_generous: weakref.WeakSet[TLSChannel] = weakref.WeakSet()
_stuck: weakref.WeakSet[TLSChannel] = weakref.WeakSet()


class TLSChannel:
    """One connection's TLS.

    Args:
        ssl_context: What makes it.
        sock: The socket, non-blocking. It stays the caller's until `close`.
        first_bytes: What has been read from it already.
    """

    __slots__ = (
        "__weakref__", "_ahead", "_at", "_has_shaken_hands", "_header", "_incoming", "_missing",
        "_most_at_once", "_next_read", "_outgoing", "_record_left", "_says_goodbye", "_until_large",
        "by_record", "has_input", "socket", "tls", "unsent",
    )  # fmt: skip

    tls: TLSObject
    """The engine's side; what it knows of the session can be asked there."""

    def __init__(self, ssl_context: TLSContext, sock: socket.socket, first_bytes: bytes) -> None:
        self._incoming, self._outgoing, self.tls = _begin(ssl_context)
        self._incoming.write(first_bytes)
        self.has_input = bool(first_bytes)
        """Whether there may be more to `recv` without the network."""
        self._has_shaken_hands = False
        self._says_goodbye = False
        self._ahead: memoryview | bytes = b""
        self._at = 0  # what is before it in there, the engine has
        self._missing = _UNKNOWN
        self._next_read = _AT_ONCE
        self.by_record = False
        """Whether no more than a record is read from the socket at once."""
        self._record_left = 0
        self._header = b""
        self.socket = sock
        self.unsent: bytes = b""
        """What is encrypted and was not taken by the kernel."""
        self._most_at_once = _SENT_AT_ONCE
        self._until_large = _LARGE_TRANSFER

    @property
    def at_once(self) -> int:
        """Bytes of which `send` sends all that it can."""
        return self._most_at_once if len(_stuck) < _STUCK_AT_MOST else _RECORD

    def do_handshake(self) -> None:
        """Take the handshake as far as the peer's bytes go; raises what the engine raises.

        What the engine says last, whoever reads or writes next sends.
        """
        for _ in _MOST_READS:
            if not self.has_input:
                self._receive()
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.has_input = False
                if self._outgoing.pending:
                    self.flush()
                    raise
            else:
                self._has_shaken_hands = True
                self.has_input = self._incoming.pending > 0
                return
        raise ssl.SSLWantReadError

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, decrypted; empty at the peer's end."""
        for _ in _MOST_READS:
            if not self.has_input:
                self._receive()
                if not self.has_input:
                    continue  # of a record more has yet to come
            try:
                data = self.tls.read(size)
            except ssl.SSLWantReadError:
                self.has_input = False
            else:
                if self._ahead and not self._missing and size >= _RECORD:
                    self._give_next()  # the engine had one record, and has it no more
                    return data
                left = self._incoming.pending
                # Who got less than was asked for, or than goes into one, has had the whole record.
                self.has_input = left > 0 or (
                    len(data) == size < _RECORD and self.tls.pending() > 0
                )
                if self._ahead and (left or not self.has_input):
                    if self._missing < 0:
                        self._find_record(left)
                    else:
                        self._give_next()
                return data
        self.has_input = len(self._ahead) > 0
        self.flush()
        raise ssl.SSLWantReadError

    def recv_more(self, pieces: list[bytes], size: int) -> None:
        """Append what is there, decrypted: `size` bytes, or fewer where there are no more now.

        It may come to an exception of `recv`; what has been appended by then counts. Where an empty
        piece is the last one, the peer has come to its end.
        """
        for _ in _MOST_RECORDS:
            data = self.recv(min(size, _RECORD))
            pieces.append(data)
            size -= len(data)
            # After a large record there may be more in the kernel.
            if not size or not data or not (self.has_input or len(data) == _RECORD):
                return

    def send(self, data: Buffer, *, hold: bool = False) -> int:
        """Encrypt a piece of `data`, not empty, and send it; return how many bytes of it.

        They count as sent, although `unsent` may have some of them, encrypted.

        Args:
            data: What to send.
            hold: Whether something else is sent next, with which a small piece may leave.
        """
        if self.unsent:
            self.flush()
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if size > _RECORD:
            return self._send_records(memoryview(data)[: self.at_once])
        sent = self.tls.write(data)
        if not hold:
            self._push()  # what is left the next call sees to, or whoever asks for `unsent`
        return sent

    def _send_records(self, data: memoryview) -> int:
        """Encrypt and send several records, with one system call where there is one for that."""
        write, read = self.tls.write, self._outgoing.read
        step = _MUCH if self._most_at_once > _SENT_AT_ONCE else _RECORD
        records = [read()]
        for begin in range(0, len(data), step):
            write(data[begin : begin + step])
            records.append(read())
        if self._until_large > 0:
            self._until_large -= len(data)
            if self._until_large <= 0:
                self._become_generous()
        size = sum(map(len, records))
        try:
            sock = self.socket
            sent = sock.sendmsg(records) if _GATHERS else sock.send(b"".join(records))
        except BlockingIOError:
            sent = 0
        if sent < size:
            self.unsent = b"".join(records)[sent:]
            if size - sent > _AT_ONCE:
                _stuck.add(self)
        return len(data)

    def _become_generous(self) -> None:
        """Send more at once from now on, if not too many do."""
        # Our own buffers for pyOpenSSL take one record after the other.
        if type(self._outgoing) is ssl.MemoryBIO and len(_generous) < _GENEROUS_AT_MOST:
            _generous.add(self)
            self._most_at_once = _MUCH_SENT_AT_ONCE

    def flush(self) -> None:
        """Send what has been encrypted.

        Raises:
            ssl.SSLWantWriteError: There is not room for all of it.
        """
        if not self._push():
            raise ssl.SSLWantWriteError

    def say_goodbye(self) -> None:
        """Send ``close_notify`` (RFC 8446, section 6.1) after all else; again, only what is left.

        Before the end of the handshake there is an alert to send, or nothing.

        Raises:
            ssl.SSLWantWriteError: There is no room.
        """
        if not self._says_goodbye:
            self._says_goodbye = True
            if self._has_shaken_hands or self.tls.version() is not None:
                # unwrap() writes ours and then asks for the peer's, which is not waited for; a
                # peer that has more for us makes it fail, too.
                try:
                    self.tls.unwrap()
                except (OSError, ValueError):
                    pass
        self.flush()

    def close(self) -> None:
        """Close the socket at once."""
        self.socket.close()
        if self._most_at_once > _SENT_AT_ONCE:
            _generous.discard(self)
        if self.unsent:
            _stuck.discard(self)

    def _receive(self) -> None:
        """Read from the socket, or send what is left and have the caller wait."""
        if self.unsent or self._outgoing.pending > _BACKLOG:
            self.flush()
        if self._ahead:
            self._give_next()
            if self.has_input:
                return
        try:
            data = self._recv_record() if self.by_record else self.socket.recv(self._next_read)
        except BlockingIOError:
            data = self._receive_after_sending()
        if len(data) >= _AT_ONCE or (data and self._missing > 0):
            self._next_read = _MUCH_AT_ONCE if len(data) >= _AT_ONCE else _AT_ONCE
            self._ahead, self._at = memoryview(data), 0
            self._give_next()
            return
        self._next_read = _AT_ONCE
        self._missing = _UNKNOWN
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        self.has_input = True

    def _give_next(self) -> None:
        """Give the engine a piece of what was read: its buffer stays as large as it was once.

        If it can be told, that is a record, or what is missing of one; where the rest has yet to
        come, the engine is not asked. It would say so by an exception, which takes as long as to
        decrypt half a record.
        """
        ahead, at = self._ahead, self._at
        end = at + (self._missing or _record_size(ahead, at))
        if at < end < len(ahead):  # as nearly always
            self._incoming.write(ahead[at:end])
            self._at = end
            self._missing = 0
            self.has_input = True
            return
        is_known = end > at
        data = ahead[at:] if is_known else ahead[at : at + _AT_ONCE]
        self._incoming.write(data)
        self._missing = end - len(ahead) if is_known else _UNKNOWN
        self.has_input = self._missing <= 0
        self._at = at + len(data)
        if self._at == len(ahead):
            self._ahead, self._at = b"", 0

    def _find_record(self, left: int) -> None:
        """Find out where the next record begins, now that the engine has returned one.

        Args:
            left: How many bytes it has beyond that.
        """
        size = _record_size(self._ahead, self._at - left)
        if size < 0 or size > left:
            self._missing = size - left if size > 0 else _UNKNOWN
            self._give_next()

    def _recv_record(self) -> bytes:
        """Read no further than the record goes that comes next (RFC 8446, section 5.1)."""
        if self._record_left:
            data = self.socket.recv(self._record_left)
            self._record_left -= len(data)
            return data
        data = self.socket.recv(_HEADER - len(self._header))
        self._header += data
        if len(self._header) == _HEADER:
            self._record_left = int.from_bytes(self._header[3:], "big")
            self._header = b""
        return data

    def _receive_after_sending(self) -> bytes:
        """Send what is left, and read what a peer on this machine has held back until then."""
        try:
            if self._outgoing.pending:
                self.flush()
                return self._recv_record() if self.by_record else self.socket.recv(_AT_ONCE)
        except BlockingIOError:
            pass
        raise ssl.SSLWantReadError

    def _push(self) -> bool:
        """Send what has been encrypted; tell whether that is all of it."""
        while data := self.unsent or self._outgoing.read():
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                self.unsent = data
                return False
            if sent == len(data) and not self.unsent:
                return True  # as nearly always
            self.unsent = data[sent:]
            if len(self.unsent) <= _AT_ONCE:
                _stuck.discard(self)
        return True


def _begin(ssl_context: TLSContext) -> tuple[IncomingBuffer, OutgoingBuffer, TLSObject]:
    """Return a new connection between two buffers: the engine's own, where it has any."""
    begin: Any = getattr(ssl_context, "begin", None)
    if begin is not None:
        own: tuple[IncomingBuffer, OutgoingBuffer, TLSObject] = begin()
        return own
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return incoming, outgoing, ssl_context.wrap_bio(incoming, outgoing, server_side=True)


def _record_size(data: bytes | memoryview, at: int) -> int:
    """Return how many bytes a record has that begins there; `_UNKNOWN` without its header."""
    if at < 0 or len(data) - at < _HEADER:
        return _UNKNOWN
    return min(_AT_ONCE, _HEADER + (data[at + 3] << 8 | data[at + 4]))
