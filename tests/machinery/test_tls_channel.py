"""What passes between the TLS engine and the socket, and when."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import statistics
import subprocess
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import (
    client_context,
    client_hello,
    connect,
    read_response,
    read_to_end,
    request,
)
from tests.machinery.test_client_hello import in_records
from tests.support import NoOwner, wait_until
from tlshttp import Limits, errors
from tlshttp._machinery import tls_channel as channel_module
from tlshttp._machinery.stream import Stream
from tlshttp._machinery.tls_channel import TLSChannel

OPENSSL = shutil.which("openssl")


class Counted:
    """A socket that counts what it is asked for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.reads = 0
        self.writes: list[int] = []
        self.after_send: Callable[[], None] = lambda: None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def recv(self, size: int) -> bytes:
        """Read."""
        self.reads += 1
        return self._socket.recv(size)

    def send(self, data: bytes) -> int:
        """Write."""
        self.writes.append(self._socket.send(data))
        self.after_send()
        return self.writes[-1]

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def sendmsg(self, pieces: list[bytes]) -> int:
        """Write them all."""
        return self.send(b"".join(pieces))


class Pair:
    """A channel and its client, in one process."""

    def __init__(self, server_context: ssl.SSLContext, client: ssl.SSLContext) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self.near = near
        self.is_tls13 = client.maximum_version is ssl.TLSVersion.TLSv1_3
        self.counted = Counted(near)
        self.client = self._begin(client)
        hello = self.far_bytes()
        self.channel = TLSChannel(server_context, self.counted, hello)  # type: ignore[arg-type]

    def _begin(self, context: ssl.SSLContext) -> ssl.SSLObject:
        self._to_client, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(self._to_client, self._to_server, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        return client

    def far_bytes(self) -> bytes:
        """Take what the client has for the server."""
        return self._to_server.read()

    def deliver(self) -> None:
        """Bring what is under way to the client."""
        try:
            while data := self.far.recv(65_536):
                self._to_client.write(data)
        except BlockingIOError:
            pass

    def reply(self) -> None:
        """Bring what the client has for the server on its way."""
        data = self.far_bytes()
        if data:
            self.far.sendall(data)

    def shake_hands(self) -> None:
        """Finish the handshake on both sides, and send what follows it."""
        with pytest.raises(ssl.SSLWantReadError):
            self.channel.do_handshake()
        self.deliver()
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:  # TLS 1.2: two flights more
            self.reply()
            self.channel.do_handshake()
            with pytest.raises(ssl.SSLWantReadError):
                self.channel.recv(1)
            self.deliver()
            self.client.do_handshake()
        else:
            self.reply()
            self.channel.do_handshake()

    def ask(self, data: bytes = b"ask") -> None:
        """Have the client send something."""
        self.client.write(data)
        self.reply()

    def take_all(self) -> bytes:
        """Return all that the client has got."""
        pieces = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                pieces.append(self.client.read(65_536))
        return b"".join(pieces)

    def close(self) -> None:
        """Give all back."""
        self.near.close()
        self.far.close()


@pytest.fixture
def pair(server_context: ssl.SSLContext, tls_version: ssl.TLSVersion) -> Iterator[Pair]:
    """Return a channel and its client, before the handshake."""
    made = Pair(server_context, client_context(tls_version))
    yield made
    made.close()


@pytest.fixture
def open_pair(pair: Pair) -> Pair:
    """Return a channel and its client, after the handshake."""
    pair.shake_hands()
    return pair


def test_a_request_is_one_read_and_a_response_one_write(open_pair: Pair) -> None:
    """The system is called once each way."""
    open_pair.counted.reads, open_pair.counted.writes = 0, []
    open_pair.ask()
    assert open_pair.channel.recv(100) == b"ask"
    assert open_pair.channel.send(b"answer") == 6
    assert open_pair.counted.reads == len(open_pair.counted.writes) == 1
    assert not open_pair.channel.has_input
    open_pair.deliver()
    assert open_pair.client.read(100) == b"answer"


def test_tickets_do_not_wait_for_a_request(open_pair: Pair) -> None:
    """A client that says nothing after the handshake has them, and an acknowledgement."""
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.channel.recv(100)
    open_pair.deliver()
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.client.read(1)
    assert open_pair.client.session is not None
    assert open_pair.client.session.has_ticket


def test_tickets_leave_with_the_response_to_a_request_that_is_there(open_pair: Pair) -> None:
    """A client that does not wait before it asks costs one write, not two."""
    if not open_pair.is_tls13:
        pytest.skip("in TLS 1.2 they are a part of the handshake")
    open_pair.ask()
    open_pair.counted.writes = []
    assert open_pair.channel.recv(100) == b"ask"
    open_pair.channel.send(b"answer")
    assert len(open_pair.counted.writes) == 1
    open_pair.deliver()
    assert open_pair.client.read(100) == b"answer"
    assert open_pair.client.session is not None
    assert open_pair.client.session.has_ticket


def test_what_the_peer_held_back_for_us_is_read_at_once(open_pair: Pair) -> None:
    """As a client on this machine that has Nagle's algorithm does with its first request."""
    if not open_pair.is_tls13:
        pytest.skip("in TLS 1.2 there is nothing that it would wait for")
    open_pair.counted.after_send = open_pair.ask
    open_pair.counted.reads = 0
    assert open_pair.channel.recv(100) == b"ask"
    assert open_pair.counted.reads == 2


def test_tickets_that_nobody_takes_do_not_matter(pair: Pair) -> None:
    """A client that asks and leaves without waiting for them has made a handshake all the same."""
    with pytest.raises(ssl.SSLWantReadError):
        pair.channel.do_handshake()
    pair.deliver()
    if not pair.is_tls13:
        pytest.skip("in TLS 1.2 they are a part of the handshake")
    pair.client.do_handshake()
    pair.ask()
    pair.far.close()
    pair.channel.do_handshake()
    assert pair.channel.recv(100) == b"ask"
    with pytest.raises(ssl.SSLEOFError):
        pair.channel.recv(100)


def test_several_records_are_one_read(open_pair: Pair) -> None:
    """What has come is read at once; what is not asked for yet is known to be there."""
    for data in (b"one", b"two", b"three"):
        open_pair.client.write(data)
    open_pair.reply()
    open_pair.counted.reads = 0
    assert open_pair.channel.recv(2) == b"on"
    assert open_pair.channel.has_input
    assert [open_pair.channel.recv(100) for _ in range(3)] == [b"e", b"two", b"three"]
    assert open_pair.counted.reads == 1
    assert not open_pair.channel.has_input


@pytest.mark.parametrize("cut", [1_000, 9_999, 16_645, 40_000, 65_536])
@pytest.mark.parametrize("record", [700, 16_384])
def test_records_arrive_whole_however_they_are_cut(open_pair: Pair, record: int, cut: int) -> None:
    """The engine gets them one by one, wherever a read of the socket ends."""
    channel, tls, wanted = open_pair.channel, open_pair.channel.tls, 0
    sent = bytes(range(256)) * 1_000
    for at in range(0, len(sent), record):
        open_pair.client.write(sent[at : at + record])
    stream, received, deepest = open_pair.far_bytes(), bytearray(), 0

    class Asked:
        """The engine, counting what it is asked in vain."""

        def read(self, size: int) -> bytes:
            nonlocal wanted
            try:
                return tls.read(size)
            except ssl.SSLWantReadError:
                wanted += 1
                raise

        def pending(self) -> int:
            return tls.pending()

    channel.tls = Asked()  # type: ignore[assignment]
    for at in range(0, len(stream), cut):
        open_pair.far.sendall(stream[at : at + cut])
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                received += channel.recv(16_384)
                deepest = max(deepest, channel._incoming.pending)
        assert not channel.has_input
    assert received == sent
    assert deepest < 2 * 16_645  # its buffer never shrinks
    if cut > 16_645:  # else there is nothing to be gained
        assert wanted <= 2


@pytest.mark.parametrize("size", [10, 16_384, 50_000, 65_536])
@pytest.mark.parametrize("cut", [1_000, 40_000, 200_000])
def test_many_bytes_are_as_many_as_asked_for(open_pair: Pair, size: int, cut: int) -> None:
    """What is left of a record comes next; a wait loses nothing, and nothing is left unseen."""
    channel, received = open_pair.channel, bytearray()
    sent = bytes(range(256)) * 500
    for at in range(0, len(sent), 16_384):
        open_pair.client.write(sent[at : at + 16_384])
    stream = open_pair.far_bytes()
    for at in range(0, len(stream), cut):
        open_pair.far.sendall(stream[at : at + cut])
        waits = False
        while not waits:
            pieces: list[bytes] = []
            try:
                channel.recv_more(pieces, size)
            except ssl.SSLWantReadError:
                waits = True
            data = b"".join(pieces)
            assert len(data) <= size
            assert pieces or waits
            received += data
        assert not channel.has_input
    assert received == sent


def test_many_bytes_end_with_the_peer(open_pair: Pair) -> None:
    """The end is the last piece."""
    open_pair.client.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.client.unwrap()
    open_pair.reply()
    pieces: list[bytes] = []
    open_pair.channel.recv_more(pieces, 100)
    assert pieces == [b"last", b""]


def test_many_small_records_are_not_all_read_at_once(open_pair: Pair) -> None:
    """Others have their turn."""
    for _ in range(200):
        open_pair.client.write(b"1")
    open_pair.reply()
    pieces: list[bytes] = []
    open_pair.channel.recv_more(pieces, 65_536)
    assert pieces == [b"1"] * 64


class Measured:
    """A TLS engine that remembers how much it was given at once."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.sizes: list[int] = []

    def write(self, data: Any) -> int:
        """Encrypt."""
        self.sizes.append(memoryview(data).nbytes)
        return int(self._engine.write(data))


def drain(pair: Pair) -> bytes:
    """Have the client take all there is; return it."""
    received = bytearray()
    while pair.channel.unsent:
        pair.deliver()
        received += pair.take_all()
        with contextlib.suppress(ssl.SSLWantWriteError):
            pair.channel.flush()
    pair.deliver()
    return bytes(received + pair.take_all())


def send_all(pair: Pair, data: bytes) -> bytes:
    """Send it all; return what the client has got."""
    left, received = memoryview(data), bytearray()
    while left:
        left = left[pair.channel.send(left) :]
        received += drain(pair)
    return bytes(received)


@pytest.mark.parametrize("gathers", [True, False])
def test_a_large_response_makes_no_large_buffer(
    open_pair: Pair, monkeypatch: pytest.MonkeyPatch, gathers: bool
) -> None:
    """The engine gets a record at a time, because its buffer never shrinks; four leave at once."""
    monkeypatch.setattr(channel_module, "_GATHERS", gathers)
    channel, measured = open_pair.channel, Measured(open_pair.channel.tls)
    monkeypatch.setattr(channel, "tls", measured)
    open_pair.counted.writes = []
    assert send_all(open_pair, bytes(range(256)) * 1000) == bytes(range(256)) * 1000
    assert max(measured.sizes) == 16_384
    assert max(open_pair.counted.writes) > 4 * 16_384


@pytest.mark.parametrize("room", [True, False])
def test_a_few_channels_send_much_at_once(
    open_pair: Pair, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    """Who has sent a mebibyte gets larger buffers while it is open, if not too many have some."""
    generous: weakref.WeakSet[TLSChannel] = weakref.WeakSet()
    monkeypatch.setattr(channel_module, "_generous", generous)
    monkeypatch.setattr(channel_module, "_GENEROUS_AT_MOST", int(room))
    channel, measured = open_pair.channel, Measured(open_pair.channel.tls)
    monkeypatch.setattr(channel, "tls", measured)
    data = bytes(range(256)) * 5_000
    assert send_all(open_pair, data) == data
    is_generous = room and type(channel._outgoing) is ssl.MemoryBIO
    assert max(measured.sizes) == (65_536 if is_generous else 16_384)
    assert set(generous) == ({channel} if is_generous else set())
    channel.close()
    assert not generous


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[TLSChannel]:
    """Return the channels that have much which the kernel has not taken."""
    channels: weakref.WeakSet[TLSChannel] = weakref.WeakSet()
    monkeypatch.setattr(channel_module, "_stuck", channels)
    return channels


def fill(channel: TLSChannel) -> int:
    """Send until the kernel takes no more; return how many bytes there were."""
    size = 0
    while not channel.unsent:
        size += channel.send(bytes(65_536))
        assert size < 50_000_000
    return size


@pytest.mark.parametrize("gathers", [True, False])
def test_beside_many_that_are_stuck_less_is_encrypted_at_once(
    open_pair: Pair,
    stuck: weakref.WeakSet[TLSChannel],
    monkeypatch: pytest.MonkeyPatch,
    gathers: bool,
) -> None:
    """What the kernel does not take is memory: no more than a record of each, then."""
    monkeypatch.setattr(channel_module, "_GATHERS", gathers)
    channel = open_pair.channel
    assert channel.at_once == 65_536
    monkeypatch.setattr(channel_module, "_STUCK_AT_MOST", 0)
    assert channel.at_once == 16_384
    size = fill(channel)
    assert len(channel.unsent) <= 16_384 + 256
    assert not stuck
    assert drain(open_pair) == bytes(size)


@pytest.mark.parametrize("how", ["taken", "closed"])
def test_who_is_stuck_counts_until_that_is_over(
    open_pair: Pair, stuck: weakref.WeakSet[TLSChannel], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whichever way it ends; others encrypt as much at once as before."""
    other = TLSChannel.__new__(TLSChannel)
    other._most_at_once = 65_536
    monkeypatch.setattr(channel_module, "_STUCK_AT_MOST", 1)
    fill(open_pair.channel)
    while not stuck:  # it depends on where the kernel stops
        drain(open_pair)
        open_pair.channel.send(bytes(1_000))
        fill(open_pair.channel)
    assert (set(stuck), other.at_once) == ({open_pair.channel}, 16_384)
    if how == "taken":
        drain(open_pair)
    else:
        open_pair.channel.close()
    assert (set(stuck), other.at_once) == (set(), 65_536)


@pytest.mark.parametrize("gathers", [True, False])
def test_a_peer_that_does_not_read_makes_nothing_grow(
    open_pair: Pair, monkeypatch: pytest.MonkeyPatch, gathers: bool
) -> None:
    """Nothing is encrypted while something is unsent, and all of it arrives in order."""
    monkeypatch.setattr(channel_module, "_GATHERS", gathers)
    sent = bytearray()
    while not open_pair.channel.unsent:
        piece = bytes([len(sent) // 65_536 % 256]) * 65_536
        sent += piece[: open_pair.channel.send(piece)]
        assert len(sent) < 50_000_000
    unsent = open_pair.channel.unsent
    for _ in range(3):
        with pytest.raises(ssl.SSLWantWriteError):
            open_pair.channel.send(b"more")
    assert open_pair.channel.unsent == unsent
    with pytest.raises(ssl.SSLWantWriteError):
        open_pair.channel.flush()
    received = bytearray()
    while len(received) < len(sent):
        open_pair.deliver()
        received += open_pair.take_all()
        with contextlib.suppress(ssl.SSLWantWriteError):
            open_pair.channel.flush()
    assert received == sent
    assert open_pair.channel.send(b"more") == 4


def test_goodbye_is_said_once_and_after_everything(open_pair: Pair) -> None:
    """The response comes first, then ``close_notify``; to say it again sends nothing more."""
    open_pair.channel.send(b"answer")
    open_pair.channel.say_goodbye()
    writes = len(open_pair.counted.writes)
    open_pair.channel.say_goodbye()
    assert len(open_pair.counted.writes) == writes
    open_pair.deliver()
    assert open_pair.client.read(100) == b"answer"
    assert open_pair.client.read(100) == b""


def test_a_goodbye_is_the_end(open_pair: Pair) -> None:
    """The peer's ``close_notify`` is its end."""
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.client.unwrap()
    open_pair.reply()
    assert open_pair.channel.recv(1) == b""


def test_an_end_without_goodbye_is_an_error(open_pair: Pair) -> None:
    """Nobody can tell that nothing was cut off."""
    open_pair.far.shutdown(socket.SHUT_WR)
    with pytest.raises(ssl.SSLEOFError):
        open_pair.channel.recv(1)


def test_an_end_within_the_handshake_is_an_error(pair: Pair) -> None:
    """The engine is told that nothing more comes."""
    with pytest.raises(ssl.SSLWantReadError):
        pair.channel.do_handshake()
    pair.far.shutdown(socket.SHUT_WR)
    with pytest.raises(ssl.SSLEOFError):
        pair.channel.do_handshake()


def test_an_alert_is_sent_by_the_goodbye(pair: Pair) -> None:
    """What OpenSSL has to say of a broken handshake reaches the peer."""
    with pytest.raises(ssl.SSLWantReadError):
        pair.channel.do_handshake()
    pair.deliver()
    pair.far.sendall(b"\x16\x03\x03\x00\x05garbage")
    with pytest.raises(ssl.SSLError):
        pair.channel.do_handshake()
    pair.channel.say_goodbye()
    # From TLS 1.3's first flight on alerts look like data (RFC 8446, section 5.2).
    assert pair.far.recv(100)[:1] == (b"\x17" if pair.is_tls13 else b"\x15")


class Chatterbox:
    """An engine that finds no data in what comes, and has a hundred bytes to say to each read."""

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def wrap_bio(self, incoming: Any, outgoing: Any, *, server_side: bool) -> Any:
        """Be the context, too."""
        return Chatterbox(incoming, outgoing)

    def read(self, size: int) -> bytes:
        """Want more."""
        self._incoming.read()
        self._outgoing.write(bytes(1000))
        raise ssl.SSLWantReadError


def chatterbox(sock: socket.socket) -> tuple[Counted, TLSChannel]:
    """Return a channel with such an engine."""
    counted: Any = Counted(sock)
    context: Any = Chatterbox(ssl.MemoryBIO(), ssl.MemoryBIO())
    return counted, TLSChannel(context, counted, b"")


def test_records_without_data_let_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends what holds no data, and faster than it is read, does not stay for ever."""
    monkeypatch.setattr(channel_module, "_MOST_READS", range(4))
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.sendall(bytes(100_000))
        counted, channel = chatterbox(near)
        with pytest.raises(ssl.SSLWantReadError):
            channel.recv(1)
        assert counted.reads <= 4
        assert channel.has_input or counted.reads == 4  # else what is left would be forgotten
        assert near.recv(1)  # there was more


def test_what_the_engine_has_to_say_is_said_before_waiting() -> None:
    """Whoever waits for the peer has sent all that the peer may be waiting for."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        _, channel = chatterbox(near)
        far.sendall(b"x")
        with pytest.raises(ssl.SSLWantReadError):
            channel.recv(1)
        assert far.recv(2000) == bytes(1000)


def test_answers_that_nobody_takes_are_bounded() -> None:
    """A peer that makes the engine answer and never reads is not read from any more."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        counted, channel = chatterbox(near)
        while not channel.unsent:
            far.sendall(b"x")
            with pytest.raises((ssl.SSLWantReadError, ssl.SSLWantWriteError)):
                channel.recv(1)
            assert counted.reads < 50_000
        assert len(channel.unsent) <= 20_000
        before = counted.reads
        for _ in range(3):
            far.sendall(b"x")
            with pytest.raises(ssl.SSLWantWriteError):
                channel.recv(1)
        assert counted.reads == before


# A response that is the last ----------------------------------------------------------------------


def ending_stream(pair: Pair, **limits: float) -> Stream:
    """Return a stream over a channel whose goodbye may leave with the response."""
    stream = Stream(pair.channel, Limits(**limits), NoOwner())  # type: ignore[arg-type]
    stream.goodbye_with_response = True
    return stream


def test_the_last_response_and_the_goodbye_are_one_write(open_pair: Pair) -> None:
    """The peer gets the response, then the end; nothing more can be sent."""
    stream = ending_stream(open_pair)
    open_pair.counted.writes = []
    stream.transmit(b"answer", is_last=True)
    stream.say_goodbye()
    assert len(open_pair.counted.writes) == 1
    open_pair.deliver()
    assert open_pair.client.read(100) == b"answer"
    assert open_pair.client.read(100) == b""
    with pytest.raises(BrokenPipeError):
        stream.sendall(b"more")


def test_a_slow_reader_is_waited_for_until_it_has_the_last_response(open_pair: Pair) -> None:
    """What the kernel has no room for is no less a part of the response; the wait is bounded."""
    stream = ending_stream(open_pair, write_timeout=0.05)
    while not open_pair.channel.unsent:
        open_pair.channel.send(bytes(65_536))
    stream.watched = True  # as by the drainer: somebody sends it on
    stream.transmit(b"answer", is_last=True)
    assert stream.backlog > len(b"answer")
    with pytest.raises(errors.WriteTimeout):
        stream.end_waiting()
    assert isinstance(stream.failure, errors.WriteTimeout)


def test_a_last_response_that_cannot_be_sent_is_a_failure(open_pair: Pair) -> None:
    """A peer that is gone is noticed as with any other response."""
    stream = ending_stream(open_pair)
    open_pair.far.close()
    with pytest.raises(errors.PeerDisconnected):
        stream.transmit(b"answer", is_last=True)


# The whole server ---------------------------------------------------------------------------------


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_a_client_may_ask_for_new_keys(serve: Serve) -> None:
    """A KeyUpdate that asks for one (RFC 8446, section 4.6.3) is answered, and all goes on."""
    with serve(Plain) as server:
        host, port = server.server_address
        command = [OPENSSL or "openssl", "s_client", "-tls1_3", "-connect", f"{host}:{port}"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stderr is not None
            for _ in range(3):
                client.stdin.write(b"K\n")
                while client.stderr.readline() != b"KEYUPDATE\n":
                    assert client.poll() is None
            client.stdin.write(request("/a", close=True))
            answer = client.stdout.read()
        assert b"HTTP/1.1 200 OK" in answer
        assert not server.events


def test_a_request_after_the_handshake_is_not_held_back(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """Nor is it by Nagle's algorithm in a client that leaves it on: no delayed acknowledgement."""

    def seconds(address: Any, *, nagle: bool) -> float:
        """Return how long connecting and asking take."""
        began = time.monotonic()
        with connect(address) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not nagle)
            with any_client.wrap_socket(raw, server_hostname="localhost") as sock:
                sock.sendall(request())
                read_response(sock)
        return time.monotonic() - began

    def is_held_back(address: Any) -> bool:
        """Tell whether most take 40 ms longer; half of that is a busy machine's."""
        pairs = [[seconds(address, nagle=nagle) for nagle in (True, False)] for _ in range(15)]
        with_it, without = map(statistics.median, zip(*pairs, strict=True))
        return bool(with_it > without + 0.02)

    with serve(Plain) as server:
        assert not all(is_held_back(server.server_address) for _ in range(5))


@pytest.mark.parametrize("step", [1, 7, 400])
@pytest.mark.parametrize("family", ["TCP", "AF_UNIX"])
def test_a_hello_in_pieces_is_seen_whole(
    serve: Serve, tmp_path: Any, family: str, step: int
) -> None:
    """Whatever its pieces and the kind of socket, what it asks for is judged before there is TLS.

    Also where it is cut into records, and the kernel cannot be asked to wait for all of them.
    """
    context = client_context()
    context.set_alpn_protocols(["h2"])
    hello = in_records(client_hello(context), 200)
    address = {} if family == "TCP" else {"address": str(tmp_path / "socket")}
    with serve(Plain, **address) as server, connect(server.server_address) as sock:
        for begin in range(0, len(hello), step):
            sock.sendall(hello[begin : begin + step])
        assert read_to_end(sock) == b"\x15\x03\x03\x00\x02\x02\x78"  # no_application_protocol
        assert wait_until(lambda: bool(server.events))
        [(error, _)] = server.events
    assert type(error) is errors.NoSharedProtocol
    assert error.server_name == "localhost"
