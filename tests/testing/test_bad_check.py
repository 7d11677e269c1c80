"""What a bad server cannot be made of: it is refused at the start, and what can be is not."""

from __future__ import annotations

import math
import re
import ssl
import subprocess
import sys
from typing import Any

import pytest

from tests.support import UNIT
from tlshttp import testing
from tlshttp.errors import ConfigurationError
from tlshttp.testing import At, Close, Drip, Refuse, Reply, Reset, Send, Show, Stall, Terms, Trait

ELSEWHERE = testing.Fault("elsewhere", testing.FaultKind.TLS, "", "", (), host="::1")
INTERNAL_ERROR = ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR


@pytest.mark.parametrize(
    ("faults", "finding"),
    [
        (["expird"], "there is no fault called 'expird'; perhaps 'expired'"),
        (["expired", "wrong-host"], "connection 1 cannot show two certificates"),
        (["tls-v1-0", "one-group"], "one set of Terms"),
        (["address-as-name", ELSEWHERE], "one host, and here are several: 127.0.0.1, ::1"),
        ([Terms(group="no-such-group")], "cannot be held to the group no-such-group"),
        ([Terms(ciphers="NO-SUCH")], "knows none of the ciphers 'NO-SUCH'"),
        ([Terms(ciphers="NO-SUCH", alpn="h2")], "knows none of the ciphers 'NO-SUCH'"),
        ([Reset(At.ACCEPT, 5)], "nothing is sent at At.ACCEPT"),
        ([Reset(At.HELLO, request=1)], "comes before any request"),
        ([Reset(At.BODY, -1)], "cannot be negative"),
        ([Reset(At.BODY, 2000)], "no body is that long; the longest has 1024 bytes"),
        ([Reset(At.BODY, request=0)], "request counts from 1"),
        ([Close(At.END, connection=0)], "connection counts from 1"),
        ([Stall(At.END, seconds=-1)], "seconds cannot be negative"),
        ([Send(At.HELLO, data=b"x")], "nothing can be encrypted at At.HELLO"),
        ([Send(At.END, data=b"x", times=0)], "times counts from 1"),
        ([Reply(500), Drip(1), Reply(404)], "another Reply for the same"),
        (["redirect-loop", "broken-gzip"], "another Reply for the same"),
        (["handshake-refused", "access-denied"], "another Refuse for the same"),
        ([Drip(0)], "at least one byte"),
        ([Reply(100)], "an interim one is a Send"),
        ([Show("silent")], "the fault 'silent' has no certificate of its own"),
        ([Show("nonsense")], "there is no fault called 'nonsense'"),
        ([Show("expired", connection=0)], "connections are counted from 1"),
        (
            [Terms(minimum_version=ssl.TLSVersion.TLSv1_3, maximum_version=ssl.TLSVersion.TLSv1_2)],
            "minimum_version is above maximum_version",
        ),
    ],
)
def test_what_cannot_be_is_refused(faults: list[str | Trait], finding: str) -> None:
    """What would never happen, or contradicts itself, is an error at the start."""
    with pytest.raises(ConfigurationError, match=finding.replace("(", r"\(")):
        testing.bad_server(*faults)


def test_all_that_is_wrong_is_named_at_once() -> None:
    """One error lists everything."""
    with pytest.raises(ConfigurationError) as caught:
        testing.bad_server(Drip(0), Reset(At.END, 5), Show("expired"), Show("sha1"))
    assert len(caught.value.findings) == 3


@pytest.mark.parametrize(
    ("traits", "lost"),
    [
        ([Refuse(INTERNAL_ERROR), Reset(At.BODY)], "Reset"),
        ([Reset(At.BODY), Refuse(INTERNAL_ERROR)], "Reset"),
        ([Reset(At.ACCEPT), Refuse(INTERNAL_ERROR)], "Refuse"),
        ([Close(At.HELLO), Refuse(INTERNAL_ERROR)], "Refuse"),
        ([Close(At.BODY, 100), Reset(At.BODY, 200)], "Reset"),
        ([Reset(At.BODY, 200), Close(At.BODY, 100)], "Reset"),
        ([Close(At.BODY, 5), Reset(At.BODY, 5)], "Reset"),
        ([Stall(At.HEAD), Send(At.BODY, data=b"x")], "Send"),
        ([Reset(At.REQUEST), Reply(500)], "Reply"),
        ([Reset(At.HEAD), Drip(1)], "Drip"),
        ([Reset(At.ACCEPT), Close(At.END, request=2)], "Close"),
        ([Reset(At.REQUEST, request=2), Reply(500, request=2)], "Reply"),
        ([Reset(At.ACCEPT, connection=2), Close(At.END, connection=2)], "Close"),
        ([Reset(At.REQUEST, connection=2), Stall(At.BODY, request=3, connection=2)], "Stall"),
    ],
    ids=repr,
)
def test_what_comes_after_the_end_is_refused(traits: list[Trait], lost: str) -> None:
    """Where every connection that a deed is for has ended before it, it is named."""
    with pytest.raises(ConfigurationError) as caught:
        testing.bad_server(*traits)
    (finding,) = caught.value.findings
    assert finding.startswith(f"{lost}(")
    assert " never comes: " in finding


@pytest.mark.parametrize(
    "traits",
    [
        [Close(At.END), Reset(At.REQUEST, request=2)],
        [Reset(At.ACCEPT, connection=2), Close(At.END)],
        [Reset(At.REQUEST, request=2), Reply(500)],
        [Reset(At.REQUEST, request=2), Close(At.BODY, 10, request=1)],
        [Reset(At.REQUEST, request=2, connection=3), Close(At.BODY, request=2)],
        [Stall(At.HELLO, seconds=0.01), Reset(At.BODY)],
        [Reset(At.HEAD, 1), Reply(500)],
        [Reset(At.BODY, 100), Drip(1)],
        [Refuse(INTERNAL_ERROR, connection=1), Reset(At.BODY)],
        [Refuse(INTERNAL_ERROR), Send(At.HELLO, data=b"x", sealed=False)],
        [Send(At.BODY, 5, data=b"x"), Reset(At.BODY, 5)],
    ],
    ids=repr,
)
def test_what_can_come_is_served(traits: list[Trait]) -> None:
    """The twin of the refusals: a deed that some connection can meet is none of them."""
    with testing.bad_server(*traits) as server:
        assert server.port


def test_an_end_and_a_later_request_are_both_done() -> None:
    """The first connection is closed in order, and the second request finds its reset."""
    with testing.bad_server(Close(At.END), Reset(At.REQUEST, request=2)) as server:
        assert server.get("/").status == 200
        with pytest.raises(ConnectionResetError):
            server.get("/")
        assert server.get("/").status == 200


UNLIKE: list[tuple[Any, str]] = [
    (Reset("body"), "at has to be At"),  # type: ignore[arg-type]
    (Reset(At.BODY, 10.5), "after has to be int"),  # type: ignore[arg-type]
    (Reset(At.BODY, request="2"), "request has to be int or None"),  # type: ignore[arg-type]
    (Close(At.END, connection=1.0), "connection has to be int or None"),  # type: ignore[arg-type]
    (Stall(At.END, seconds="1"), "seconds has to be int or float or None"),  # type: ignore[arg-type]
    (Stall(At.END, seconds=math.nan), "seconds cannot be negative"),
    (Drip(1, math.nan), "a pause is not negative"),
    (Drip("1"), "size has to be int"),  # type: ignore[arg-type]
    (Send(At.BODY, data="text"), "data has to be bytes"),  # type: ignore[arg-type]
    (Reply(body="text"), "body has to be bytes"),  # type: ignore[arg-type]
    (Reply(headers={"X-Mine": "yes"}), "headers has to be tuple or list"),  # type: ignore[arg-type]
    (Reply(headers=("X-Mine", "yes")), "headers has to be pairs of str"),  # type: ignore[arg-type]
    (Reply(headers=(("X", 5),)), "headers has to be pairs of str"),  # type: ignore[arg-type]
    (Reply("200"), "status has to be int"),  # type: ignore[arg-type]
    (Refuse(999), "an alert is a number from 0 to 255"),  # type: ignore[arg-type]
    (Refuse("internal_error"), "alert has to be int"),  # type: ignore[arg-type]
    (Show(5), "certificate has to be str or Certificate"),  # type: ignore[arg-type]
    (Show("expired", connection=None), "connection has to be int"),  # type: ignore[arg-type]
    (Terms(minimum_version="TLSv1_2"), "minimum_version has to be TLSVersion"),  # type: ignore[arg-type]
    (Terms(group=5), "group has to be str or None"),  # type: ignore[arg-type]
    (None, "None is no name of a fault, no Fault and no deed"),
    (b"expired", "b'expired' is no name of a fault"),
    (["expired"], "['expired'] is no name of a fault"),
    (Reset, "Reset'> is no name of a fault"),
    (testing.Fault("mine", testing.FaultKind.TLS, "", "", (5,)), "5 is no name"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("trait", "finding"), UNLIKE, ids=repr)
def test_what_is_of_another_kind_is_refused(trait: Any, finding: str) -> None:
    """Who has no type checker is told at the start which field is wrong, and what it has to be."""
    with pytest.raises(ConfigurationError, match=re.escape(finding)) as caught:
        testing.bad_server(trait)
    assert len(caught.value.findings) == 1


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan])
def test_a_time_limit_is_above_zero(timeout: float) -> None:
    """As for `serve`: with none at all nothing could be waited for."""
    with pytest.raises(ConfigurationError, match="timeout is in seconds and above zero"):
        testing.bad_server(timeout=timeout)


def test_who_does_not_close_can_leave() -> None:
    """The interpreter ends although a bad server, a connection included, is still there."""
    program = (
        "import socket\n"
        "from tlshttp import testing\n"
        "server = testing.bad_server(testing.Stall(testing.At.ACCEPT))\n"
        "sock = socket.create_connection((server.host, server.port))\n"
        "while not server.connections: pass\n"
        "print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120 * UNIT,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("left\n", "")
