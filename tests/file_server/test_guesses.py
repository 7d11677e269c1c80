"""``--auth``: how often a password may be guessed, and that this keeps out nobody who knows it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading

import pytest

from tests.file_server.conftest import Serve, Site
from tests.file_server.test_gate import basic
from tests.support import UNIT
from tlshttp._file_server.gate import Gate
from tlshttp._file_server.guesses import AT_ONCE, MOST_SOURCES, SECONDS, Guesses, source_of
from tlshttp.errors import CertificateError

RIGHT = basic("me", "s3cret")
STRANGER = "192.0.2.1"


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Stop the time."""
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    """Make a gate whose password is ``s3cret``."""
    return Gate("me", lambda: b"s3cret", Guesses(clock))


def guess(gate: Gate, count: int, host: str = STRANGER, *, first: int = 0) -> list[bool]:
    """Guess so often, each time another word; return which guesses were looked at."""
    numbers = range(first, first + count)
    answers = [gate.judge([basic("me", f"guess {number}")], host) for number in numbers]
    assert not any(answer.admitted for answer in answers)
    return [answer.wait == 0 for answer in answers]


def is_in(gate: Gate, host: str = STRANGER, token: str = "") -> bool:
    """Return whether somebody with the right password comes in."""
    return gate.judge([RIGHT], host, token).admitted


# How many --------------------------------------------------------------------------------------


def test_guesses_are_bounded(gate: Gate, clock: Clock) -> None:
    """Some at once, then one every few seconds, for ever; the right one counts only when it may."""
    assert guess(gate, AT_ONCE + 5) == [True] * AT_ONCE + [False] * 5
    assert gate.judge([RIGHT], STRANGER).wait == pytest.approx(SECONDS)
    assert not is_in(gate)
    looked_at = 0
    for second in range(600):
        clock.now += 1
        looked_at += sum(guess(gate, 20, first=1000 * second + 1000))
    assert looked_at == 600 / SECONDS


def test_nobody_is_out_for_long(gate: Gate, clock: Clock) -> None:
    """However often somebody was wrong, they may try again a few seconds later."""
    guess(gate, 10_000)
    clock.now += SECONDS
    assert is_in(gate)


def test_all_places_are_free_again(gate: Gate, clock: Clock) -> None:
    """After a while of rest it is as if nothing had been."""
    guess(gate, AT_ONCE)
    clock.now += AT_ONCE * SECONDS
    assert guess(gate, AT_ONCE, first=500) == [True] * AT_ONCE


def test_others_are_not_concerned(gate: Gate) -> None:
    """Another address is let in; so is the same by its other family."""
    guess(gate, AT_ONCE + 1)
    assert not is_in(gate)
    assert is_in(gate, "192.0.2.2")
    assert is_in(gate, "2001:db8::1")


def test_the_same_word_again_is_one_guess(gate: Gate) -> None:
    """A program that has an old password sends it with each request, and locks nobody out."""
    for _ in range(100):
        assert gate.judge([basic("me", "old")], STRANGER).wait == 0
    assert is_in(gate)


def test_no_word_is_no_guess(gate: Gate) -> None:
    """Browsers ask without a password first, and what is none cannot be right."""
    for fields in ([], ["Basic"], ["Bearer x"], ["Basic !"], [RIGHT, RIGHT]):
        for _ in range(AT_ONCE + 1):
            assert gate.judge(fields, STRANGER) == gate.judge([], STRANGER)
    assert is_in(gate)


def test_the_right_word_is_no_guess(gate: Gate) -> None:
    """Whoever knows it may come as often as they like."""
    assert all(is_in(gate) for _ in range(10 * AT_ONCE))


def test_guesses_at_the_same_time_are_bounded(gate: Gate) -> None:
    """Threads that ask together get no more places than one that asks alone."""
    looked_at: list[bool] = []
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        looked_at.extend(guess(gate, 50, first=1000 * number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(looked_at) == AT_ONCE


@pytest.mark.parametrize(
    ("host", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix:", "unix:", True),
    ],
)
def test_who_counts_as_one(host: str, other: str, same: bool) -> None:
    """An IPv4 address, and the network of an IPv6 one, of which everybody has 2**64."""
    assert (source_of(host) == source_of(other)) is same


def test_memory_is_bounded(clock: Clock) -> None:
    """Many addresses at once: those that find no room share the places of one, and no more."""
    guesses = Guesses(clock)
    for number in range(MOST_SOURCES):
        guesses.count(f"{number}", b"x")
    assert guesses.wait("late") == 0
    for number in range(AT_ONCE):
        guesses.count(f"late {number}", b"%d" % number)
    assert guesses.wait("another") > 0
    assert guesses.wait("0") == 0  # who was there before is not concerned
    assert len(guesses._records) == MOST_SOURCES + 1
    clock.now += AT_ONCE * SECONDS
    guesses.count("later", b"x")
    assert set(guesses._records) == {"later"}


# Who was let in before -------------------------------------------------------------------------


def test_who_was_let_in_is_known_again(gate: Gate) -> None:
    """Behind the address of somebody who guesses, they come in all the time."""
    token = gate.token
    guess(gate, AT_ONCE + 1)
    assert not is_in(gate)
    assert is_in(gate, token=token)


@pytest.mark.parametrize("token", ["", "0" * 64, "é", "x" * 10_000])
def test_a_token_that_is_none_helps_nobody(gate: Gate, token: str) -> None:
    """Nothing is compared for it."""
    guess(gate, AT_ONCE + 1)
    assert not is_in(gate, token=token)


def test_a_token_lets_in_nobody(gate: Gate) -> None:
    """It only says who may be asked."""
    assert not gate.judge([basic("me", "guess")], STRANGER, gate.token).admitted
    assert not gate.judge([], STRANGER, gate.token).admitted


def test_a_token_ends_with_its_password(clock: Clock) -> None:
    """Who knew the old one may not guess at the new one; a reload of the same changes nothing."""
    words = iter([b"old", b"old", b"s3cret"])
    gate = Gate("me", lambda: next(words), Guesses(clock))
    old = gate.token
    gate.reload()
    assert gate.token == old
    gate.reload()
    guess(gate, AT_ONCE)
    assert not is_in(gate, token=old)
    assert is_in(gate, token=gate.token)


def test_a_failed_reload_changes_no_token() -> None:
    """The old password counts, and so does what was given for it."""
    words = iter([b"old"])

    def read() -> bytes:
        for word in words:
            return word
        raise CertificateError("gone")

    gate = Gate("me", read)
    old = gate.token
    with pytest.raises(CertificateError):
        gate.reload()
    assert gate.token == old


def test_each_run_has_tokens_of_its_own() -> None:
    """One for the same password in another run means nothing."""
    assert Gate("me", lambda: b"x").token != Gate("me", lambda: b"x").token


# Over HTTPS ------------------------------------------------------------------------------------


@pytest.fixture
def site(serve: Serve) -> Site:
    """Serve a folder to one user."""
    return serve("--auth", "me", password=b"s3cret")


def test_too_many_guesses_are_told_when_to_come_again(site: Site) -> None:
    """429 with Retry-After, whatever the method, and even for the right password."""
    for number in range(AT_ONCE):
        reply = site.ask("/", Authorization=basic("me", f"{number}"))
        assert (reply.status, "Retry-After" in reply.headers) == (401, False)
    for method in ("GET", "HEAD", "POST", "BREW"):
        for field in (RIGHT, basic("me", "more")):
            reply = site.ask("/hello.txt", method, Authorization=field)
            assert reply.status == 429
            assert 1 <= int(reply.headers["Retry-After"]) <= SECONDS
            assert b"Hello" not in reply.body
            assert "Set-Cookie" not in reply.headers
    assert site.ask("/").status == 401  # who has not guessed is asked for the password


def test_a_browser_that_was_let_in_stays_in(site: Site) -> None:
    """It gets a cookie that no script and no other host sees, once; others get none."""
    refused = site.ask("/", Authorization=basic("me", "wrong"))
    assert "Set-Cookie" not in refused.headers
    reply = site.ask("/hello.txt", Authorization=RIGHT)
    cookie, *attributes = reply.headers["Set-Cookie"].split("; ")
    assert cookie.startswith(f"__Host-tlshttp-{site.server.server_port}=")
    assert attributes == ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
    for number in range(AT_ONCE + 1):
        site.ask("/", Authorization=basic("me", f"{number}"))
    assert site.ask("/hello.txt", Authorization=RIGHT).status == 429
    for field in (cookie, f"a=b; {cookie}", f"{cookie}; a=b"):
        again = site.ask("/hello.txt", Authorization=RIGHT, Cookie=field)
        assert (again.status, "Set-Cookie" in again.headers) == (200, False)
    for field in (f"x{cookie}", cookie[:-1], cookie.replace("=", "0="), "a" * 9000 + "; " + cookie):
        assert site.ask("/hello.txt", Authorization=RIGHT, Cookie=field).status == 429


def test_one_connection_is_given_one_cookie_each_time_it_needs_it(site: Site) -> None:
    """What was to be sent with one response is not sent with the next, whatever that is."""
    with contextlib.closing(site.connect()) as connection:
        seen = []
        for fields in ({"Authorization": RIGHT}, {}, {"Authorization": RIGHT}, {}):
            connection.request("GET", "/nothing", headers=fields)
            with connection.getresponse() as response:
                response.read()
                seen.append((response.status, "Set-Cookie" in response.headers))
        assert seen == [(404, True), (401, False)] * 2


def test_a_malformed_request_after_one_that_was_let_in_gets_no_cookie(site: Site) -> None:
    """The head is refused before anybody is asked who they are."""
    with (
        socket.create_connection(("127.0.0.1", site.server.server_port), timeout=50 * UNIT) as raw,
        site.client.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        good = f"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: {RIGHT}\r\n\r\n"
        connection.sendall(good.encode() + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        received = b""
        with contextlib.suppress(ssl.SSLEOFError):
            while piece := connection.recv(65_536):
                received += piece
    heads = re.findall(rb"HTTP/1.1 (\d+) .*?\r\n\r\n", received, re.DOTALL)
    assert heads == [b"200", b"400"]
    assert received.count(b"Set-Cookie") == 1
