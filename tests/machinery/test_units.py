"""The small parts: why a handshake failed, who is overdue, what is logged, counted and allowed."""

from __future__ import annotations

import dataclasses
import logging
import math
import ssl
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import client_context, connect, handshake, read_response, request
from tests.support import wait_until
from tlshttp import Limits, Stats, errors
from tlshttp._machinery import report
from tlshttp._machinery.eviction import Eviction, group_of
from tlshttp._machinery.handshake import handshake_error
from tlshttp._machinery.registry import Phase, Registry
from tlshttp._machinery.report import Reports, ThrottledLog, peer_name
from tlshttp._machinery.stream import Stream

# Handshake ----------------------------------------------------------------------------------


def ssl_error(reason: str | None) -> ssl.SSLError:
    """Return what the ssl module raises with this reason."""
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("UNEXPECTED_EOF_WHILE_READING", errors.HandshakeDisconnected),
        ("UNSUPPORTED_PROTOCOL", errors.NoSharedProtocol),
        ("TLSV1_ALERT_PROTOCOL_VERSION", errors.NoSharedProtocol),
        ("VERSION_TOO_LOW", errors.NoSharedProtocol),
        ("INAPPROPRIATE_FALLBACK", errors.NoSharedProtocol),
        ("TLSV1_ALERT_INAPPROPRIATE_FALLBACK", errors.NoSharedProtocol),
        ("NO_APPLICATION_PROTOCOL", errors.NoSharedProtocol),
        ("TLSV1_ALERT_UNKNOWN_CA", errors.PeerRejected),
        ("SSLV3_ALERT_BAD_CERTIFICATE", errors.PeerRejected),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", errors.PeerRejected),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", errors.PeerRejected),
        ("TLSV1_UNRECOGNIZED_NAME", errors.PeerRejected),
        ("NO_SHARED_CIPHER", errors.NoSharedCipher),
        ("NO_SUITABLE_KEY_SHARE", errors.NoSharedCipher),
        ("NO_SHARED_GROUP", errors.NoSharedCipher),
        ("NO_SUITABLE_SIGNATURE_ALGORITHM", errors.NoSharedCipher),
        ("NO_SHARED_SIGNATURE_ALGORITHMS", errors.NoSharedCipher),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", errors.ClientCertificateError),
        ("CERTIFICATE_VERIFY_FAILED", errors.ClientCertificateError),
        ("CA_KEY_TOO_SMALL", errors.ClientCertificateError),
        ("BAD_SIGNATURE", errors.ClientCertificateError),
        ("LENGTH_MISMATCH", errors.MalformedHandshake),
        ("WRONG_VERSION_NUMBER", errors.MalformedHandshake),
        ("SOMETHING_NEW", errors.MalformedHandshake),
        (None, errors.MalformedHandshake),
    ],
)
def test_the_reason_tells_the_kind(reason: str | None, kind: type[errors.HandshakeError]) -> None:
    """Each of OpenSSL's reasons has one meaning for the operator of a server."""
    error = handshake_error(ssl_error(reason), "a.example")
    assert type(error) is kind
    assert error.server_name == "a.example"
    assert "[" not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"),
        ssl.SSLSyscallError(5, "Some I/O error occurred"),
    ],
)
def test_a_broken_connection_is_the_peer_that_left(error: OSError) -> None:
    """Whatever is not TLS's own complaint is the end of the connection."""
    assert type(handshake_error(error, None)) is errors.HandshakeDisconnected


# Registry -----------------------------------------------------------------------------------


class Stub:
    """A connection as far as the registry knows it."""

    def __init__(self, fd: int, deadline: float) -> None:
        self.fd = fd
        self.deadline = deadline
        self.phase = Phase.HELLO
        self.parked = True

    @property
    def spared_as(self) -> Phase | None:
        """As what it may give way to another."""
        return self.phase if self.parked else None


def filled(*deadlines: float) -> tuple[Any, list[Any]]:
    """Return a registry with a connection for each deadline."""
    registry: Any = Registry()
    stubs = [Stub(fd, deadline) for fd, deadline in enumerate(deadlines)]
    for stub in stubs:
        registry.add(stub)
    return registry, stubs


def test_the_overdue_are_taken_once() -> None:
    """Whose deadline has passed is taken, is no longer parked, and is not taken again."""
    registry, stubs = filled(1, 2, 3)
    assert registry.take_overdue(2) == stubs[:2]
    assert registry.take_overdue(2) == []
    assert [stub.parked for stub in stubs] == [False, False, True]


def test_who_is_not_parked_is_left_alone() -> None:
    """A connection that a thread is advancing is neither overdue nor dispensable nor ready."""
    registry, stubs = filled(1, 1)
    stubs[0].parked = False
    assert registry.take_overdue(5) == [stubs[1]]
    assert not registry.take_back(stubs[1])
    stubs[1].parked = True
    assert registry.take([0, 1, 7]) == ([stubs[1]], [0, 7])
    assert registry.take([1]) == ([], [1])


def test_the_handshakes_phases_share_one_queue() -> None:
    """A hello that has come later does not get behind silent connections by going on."""
    registry, stubs = filled(1, 2, 3)
    registry.move(stubs[0], Phase.HANDSHAKE, 1)
    registry.move(stubs[1], Phase.PLAIN, 2)
    assert registry.take_overdue(1) == stubs[:1]
    assert registry.take_overdue(2) == stubs[1:2]


def test_a_phase_entered_again_is_entered_last() -> None:
    """The second idle time of a connection begins behind those that are idle already."""
    registry, stubs = filled(1, 1)
    for deadline, stub in enumerate((*stubs, stubs[0])):
        registry.move(stub, Phase.IDLE, deadline)
    assert registry.take_overdue(9) == [stubs[1], stubs[0]]
    assert registry.count() == {Phase.IDLE: 2}


@pytest.mark.parametrize("phase", [Phase.BODY, Phase.RESPONSE])
def test_where_deadlines_move_the_overdue_are_found_behind_others(phase: Phase) -> None:
    """Who keeps pace has a later deadline than whoever came after and does not."""
    registry, stubs = filled(1, 1)
    registry.move(stubs[0], phase, 9)
    registry.move(stubs[1], phase, 2)
    assert registry.take_overdue(2) == [stubs[1]]


# Eviction -----------------------------------------------------------------------------------


def chosen(*stubs: tuple[bytes, Phase, float, float], parked: bool = True) -> list[int]:
    """Return the numbers of those that make room, in order: group, phase, deadline, age.

    Those that are not parked have waited in a handler since their deadline.
    """
    now = time.monotonic()
    connections: Any = [
        SimpleNamespace(
            number=number,
            group=group,
            phase=phase,
            deadline=deadline,
            since=now - age,
            handler_waits_since=deadline,
            parked=parked,
            spared_as=phase,
        )
        for number, (group, phase, deadline, age) in enumerate(stubs)
    ]
    eviction = Eviction(lambda: connections)
    eviction.find()
    chosen: list[Any] = [one for one, _ in eviction._chosen]
    return [one.number for one in chosen]


def test_the_address_that_holds_most_makes_room() -> None:
    """However young or busy its connections are; of others nobody is touched."""
    mine = [(b"a", Phase.REQUEST, 3.0, 9.0), (b"a", Phase.REQUEST, 2.0, 9.0)]
    others = [(name, Phase.HELLO, 1.0, 9.0) for name in (b"b", b"c", b"d")]
    assert chosen(*others, *mine) == [4, 3]


def test_who_has_waited_longest_inside_a_handler_makes_room_first() -> None:
    """As where the loop waits for the peer."""
    waiting = [(b"a", Phase.BODY, float(since), 9.0) for since in (3, 1, 2)]
    assert chosen(*waiting, parked=False) == [1, 2, 0]


class Held:
    """A connection as far as eviction knows it."""

    def __init__(self, group: bytes, phase: Phase | None = Phase.IDLE) -> None:
        self.group = group
        self.phase = self.spared_as = phase
        self.parked = True
        self.deadline = self.since = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that eviction goes by, to be set."""
    now = [1000.0]
    monkeypatch.setattr("tlshttp._machinery.eviction.time.monotonic", lambda: now[0])
    return now


def test_nobody_gives_way_because_the_greediest_is_at_work_for_a_moment(clock: list[float]) -> None:
    """When it is for longer, others do; and what can be spared of it is taken at any time."""
    idle, *working = held = [Held(b"b"), *(Held(b"a", None) for _ in range(5))]
    eviction: Any = Eviction(lambda: held)  # type: ignore[arg-type, return-value]
    assert eviction.find() is None
    clock[0] += 0.2
    assert eviction.find() is None
    clock[0] += 0.1
    assert eviction.find() is idle
    working[3].spared_as = Phase.RESPONSE
    clock[0] += 0.3
    assert eviction.find() is working[3]
    working[3].spared_as = None
    assert eviction.find() is None


def test_a_choice_that_does_not_hold_any_more_is_made_anew(clock: list[float]) -> None:
    """Though it is fresh: else nobody would give way, and another would come in all the same."""
    held = [Held(b"a", Phase.RESPONSE), Held(b"a", None)]
    eviction: Any = Eviction(lambda: held)  # type: ignore[arg-type, return-value]
    assert eviction.find() is held[0]
    held[0].spared_as, held[1].spared_as = None, Phase.BODY
    assert eviction.find() is held[1]
    eviction.forget(held[1])
    held[1].spared_as = None
    assert eviction.find() is None


def test_nothing_is_done_to_a_number_that_belongs_to_another() -> None:
    """A connection that has gone is not hung up on: its number may have been given out again."""
    registry, [old] = filled(9)
    done: list[str] = []
    registry.while_open(old, lambda: done.append("open"))
    registry.remove(old)
    registry.while_open(old, lambda: done.append("gone"))
    registry.add(Stub(old.fd, 9))
    registry.while_open(old, lambda: done.append("another"))
    assert done == ["open"]


def test_where_nobody_holds_much_the_commonest_phase_makes_room() -> None:
    """Half-sent requests from everywhere push out half-sent requests."""
    requests = [(b"%d" % number, Phase.REQUEST, float(number), 9.0) for number in range(9)]
    bodies = [(b"b%d" % number, Phase.BODY, 0.0, 9.0) for number in range(8)]
    assert chosen(*bodies, *requests) == [number + 8 for number in range(9)]


def test_idle_connections_and_young_handshakes_make_room_last() -> None:
    """One that is closing, or an old handshake, goes first, though they are many more."""
    idle = [(b"a", Phase.IDLE, 5.0, 9.0)] * 5
    young = [(b"a", Phase.HANDSHAKE, 1.0, 0.1)] * 6
    assert chosen(*idle, *young, (b"a", Phase.PLAIN, 1.0, 9.0)) == [11]
    assert chosen(*idle, *young) == [5, 6, 7, 8, 9, 10]
    assert chosen(*idle) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("address", "group"),
    [
        (("192.0.2.1", 1), b"192.0.2.1"),
        (("::ffff:192.0.2.1", 1, 0, 0), b"192.0.2.1"),
        (("2001:db8:1:2::3", 1, 0, 0), bytes.fromhex("20010db800010002")),
        (("fe80::1%eth0", 1, 0, 2), bytes.fromhex("fe80000000000000")),
        (("unix:", 0), b"unix:"),
        ("@name", b""),
        (None, b""),
    ],
)
def test_who_holds_a_connection(address: object, group: bytes) -> None:
    """An IPv4 address, however it is written, or a /64 network of IPv6."""
    assert group_of(address) == group


def test_who_has_gone_is_gone() -> None:
    """A closed connection enters no phase, and is not removed twice."""
    registry, [stub] = filled(1)
    assert registry.remove(stub)
    registry.move(stub, Phase.IDLE, 9)
    assert stub.phase is Phase.CLOSED
    assert not registry.remove(stub)
    assert len(registry.by_fd) == 0
    assert not registry.count()


def test_a_number_given_out_again_belongs_to_the_new_connection() -> None:
    """Letting the old one go does not take the number from the one that has it now."""
    registry, [old] = filled(1)
    new: Any = Stub(old.fd, 2)
    registry.add(new)
    assert not registry.remove(old)
    assert registry.take([new.fd]) == ([new], [])
    assert list(registry) == [new]


def test_all_that_are_parked_can_be_taken() -> None:
    """When the server closes it takes those that wait, and leaves those at work."""
    registry, stubs = filled(1, 2, 3)
    stubs[1].parked = False
    assert registry.take_all() == [stubs[0], stubs[2]]
    assert registry.take_all() == []


# Report -------------------------------------------------------------------------------------


def throttled(lines: int, seconds: float) -> ThrottledLog:
    """Return a throttled log."""
    return ThrottledLog(logging.getLogger("tlshttp.test"), lines=lines, seconds=seconds)


def test_lines_are_left_out_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many lines in a period they are counted, and the count is told when it ends."""
    now = 1000.0
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: now))
    log = throttled(2, 0.05)
    for number in range(5):
        log.log(logging.WARNING, "line %d", number)
    log.flush()
    assert caplog.messages == ["line 0", "line 1"]
    now += 0.06
    log.flush()
    assert caplog.messages[2:] == ["3 more such lines were left out in the last 0.05 s"]
    log.log(logging.WARNING, "again")
    assert caplog.messages[3] == "again"


def test_what_is_left_out_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A server that closes does not wait for the period to end; without a rest it says nothing."""
    log = throttled(1, 1000)
    log.log(logging.WARNING, "line")
    log.flush(at_once=True)
    log.log(logging.WARNING, "line")
    log.log(logging.WARNING, "line")
    log.flush(at_once=True)
    log.flush(at_once=True)
    assert caplog.messages == [
        "line",
        "line",
        "1 more such lines were left out in the last 1000 s",
    ]


def test_a_line_left_out_while_another_thread_looks_is_seen_to(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop asks `Reports.has_some` in each turn; a worker may be about to leave a line out."""
    caplog.set_level(logging.WARNING)
    reports = Reports()
    cut, logger = errors.RequestTimeout("too slow"), logging.getLogger("tlshttp.connection")
    for port in range(20):
        reports.cut_connection(cut, ("192.0.2.1", port))
    reports.flush()
    assert not reports.has_some

    def look_meanwhile(_level: int) -> bool:
        reports.flush()
        return True

    monkeypatch.setattr(logger, "isEnabledFor", look_meanwhile)
    reports.cut_connection(cut, ("192.0.2.1", 20))
    assert len(caplog.messages) == 20
    assert reports.has_some


def test_peers_09_one_noisy_source_hides_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Peers 9: other peers, and other things the same peer does, have their lines."""
    log = throttled(2, 1000)
    noisy, other = ("192.0.2.1", 1), ("192.0.2.2", 1)
    for port in range(100):
        log.log(logging.WARNING, "noise", address=("192.0.2.1", port), reason="timeout")
    log.log(logging.WARNING, "other peer", address=other, reason="timeout")
    log.log(logging.WARNING, "other reason", address=noisy, reason="smuggling")
    log.flush(at_once=True)
    assert caplog.messages == [
        "noise", "noise", "other peer", "other reason",
        "98 more such lines were left out in the last 1000 s",
    ]  # fmt: skip


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_lines_of_a_disabled_level_count_for_nothing(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Peers 9: what is not written takes nobody's place, nor is it said to have been left out."""
    caplog.set_level(logging.WARNING, "tlshttp.test")
    log = throttled(2, 1000)
    address = ("192.0.2.1", 1)
    for _ in range(100):
        log.log(level, "come and gone", address=address, reason="timeout")
    log.log(logging.WARNING, "plain HTTP", address=address, reason="timeout")
    log.flush(at_once=True)
    assert caplog.messages == ["plain HTTP"]


@pytest.mark.parametrize("pattern", ["10.0.{}.{}", "2001:db8:{:x}:{:x}::1"])
def test_ever_new_addresses_are_bounded(pattern: str, caplog: pytest.LogCaptureFixture) -> None:
    """Peers 9: neither memory nor lines grow with the number of addresses."""
    log = throttled(2, 1000)
    for number in range(2000):
        host = pattern.format(*divmod(number, 250))
        log.log(logging.WARNING, "line", address=(host, 1), reason="timeout")
    assert len(caplog.messages) == 52
    assert len(log._written) == 51
    log.flush(at_once=True)
    assert caplog.messages[-1] == "1948 more such lines were left out in the last 1000 s"


def test_one_peer_is_one_source_whatever_it_calls_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Peers 9: of IPv6 a peer has a whole /64; an IPv4 address has two forms."""
    log = throttled(1, 1000)
    for host in ("2001:db8::1", "2001:db8::2:1", "::ffff:192.0.2.1", "192.0.2.1", "fe80::1%eth0"):
        log.log(logging.WARNING, "%s", host, address=(host, 1, 0, 0))
    log.log(logging.WARNING, "path", address=("unix:", 0))
    log.log(logging.WARNING, "odd", address=b"odd")
    log.log(logging.WARNING, "no address", address=("a:b", 0))
    assert caplog.messages == [
        "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "path", "odd", "no address",
    ]  # fmt: skip


def test_a_log_that_raises_costs_nothing() -> None:
    """Peers 14: what cannot be written is left out, and nobody else fails by it."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left on device")

    logger = logging.getLogger("tlshttp.test.broken")
    logger.addHandler(Broken())
    log = ThrottledLog(logger, lines=1, seconds=1000)
    log.log(logging.WARNING, "line")
    log.log(logging.WARNING, "line")
    log.flush(at_once=True)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("unix:", 0), "unix:"),
        ("", "unix:"),
        ("@name", "@name"),
    ],
)
def test_names_of_peers(address: object, name: str) -> None:
    """Addresses of every family are written as an operator knows them."""
    assert peer_name(address) == name


# Limits -------------------------------------------------------------------------------------


def test_all_wrong_limits_are_named_at_once() -> None:
    """One exception lists every field that is zero, negative, infinite, not a number or missing."""
    with pytest.raises(errors.ConfigurationError) as caught:
        Limits(
            handshake_timeout=0,
            header_timeout=-1,
            write_timeout=math.inf,
            body_min_rate=math.nan,
            max_connections=0,
            max_header_bytes=None,  # type: ignore[arg-type]
        )
    named = {finding.split()[0] for finding in caught.value.findings}
    assert named == {
        "Limits.handshake_timeout",
        "Limits.header_timeout",
        "Limits.write_timeout",
        "Limits.body_min_rate",
        "Limits.max_connections",
        "Limits.max_header_bytes",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [("linger_timeout", "5"), ("linger_timeout", True), ("max_connections", 1.5)],
)
def test_wrong_types_are_type_errors(field: str, value: Any) -> None:
    """A limit of the wrong type is a mistake in the program, not in a number."""
    with pytest.raises(TypeError, match=field):
        Limits(**{field: value})


def test_every_limit_but_two_may_be_none() -> None:
    """`None` is no limit; only the size of a head has always one."""
    fields = {field.name for field in dataclasses.fields(Limits)}
    fields -= {"max_header_bytes", "max_header_count"}
    assert Limits(**dict.fromkeys(fields)).write_timeout is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("files", "connections"), [(20, 10), (400, 200), (1024, 768)])
def test_the_number_of_connections_follows_from_the_file_limit(
    files: int, connections: int
) -> None:
    """Of the files that may be open 256, but never more than half, are kept back."""
    code = (
        "import resource; from tlshttp import Limits;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}));"
        "print(Limits().connections(), Limits(max_connections=7).connections())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [str(connections), "7"]


# Statistics ---------------------------------------------------------------------------------


def test_the_counters_tell_what_happened(serve: Serve, tls_version: ssl.TLSVersion) -> None:
    """Connections, handshakes, resumed ones, requests and bytes are counted, and phases told."""
    context = client_context(tls_version)
    with serve(Plain) as server:
        address = server.server_address
        with handshake(address, context) as first:
            first.sendall(request("/a"))
            sent = len(read_response(first))
            session = first.session
            sock = connect(address)
            with context.wrap_socket(sock, server_hostname="localhost", session=session) as again:
                again.sendall(request("/a"))
                sent += len(read_response(again))
                with connect(address):
                    assert wait_until(
                        lambda: (
                            {name: n for name, n in server.stats().parked.items() if n}
                            == {"hello": 1, "idle": 2}
                        )
                    )
        assert wait_until(lambda: bool(server.stats().handshake_failures))
        assert wait_until(lambda: not any(server.stats().parked.values()))
        stats = server.stats()
    assert (stats.accepted, stats.refused, stats.active, stats.evicted) == (3, 0, 0, 0)
    assert (stats.handshakes, stats.resumed, stats.requests) == (2, 1, 2)
    assert dict(stats.handshake_failures) == {"disconnected": 1}
    assert not stats.cut
    assert (stats.bytes_in, stats.bytes_out) == (2 * len(request("/a")), sent)


def test_a_snapshot_does_not_change(serve: Serve, any_client: ssl.SSLContext) -> None:
    """What was taken stays as it is, and cannot be changed."""
    with serve(Plain) as server:
        stats = server.stats()
        with handshake(server.server_address, any_client) as sock:
            sock.sendall(request())
            read_response(sock)
        assert stats.requests == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.requests = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.parked["idle"] = 1  # type: ignore[index]
    assert isinstance(stats, Stats)


def test_stream_has_what_handlers_use_of_a_tls_socket() -> None:
    """Nothing of an accepted `ssl.SSLSocket` is missing; what it refuses, it refuses by itself."""
    of_others = {"accept", "bind", "connect", "connect_ex", "listen", "sendmsg_afalg"}
    names = {name for name in dir(ssl.SSLSocket) if not name.startswith("_")}
    names |= {"__enter__", "__exit__"}
    nobody: Any = None
    assert names - of_others <= set(dir(Stream(nobody, Limits(), nobody)))
