"""Conditional requests (RFC 9110, section 13) and validators (section 8.8)."""

from __future__ import annotations

import os
import time
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handler.conftest import LONG_AGO, Site, write
from tlshttp.handler._conditions import Outcome, Validators, evaluate, range_applies

TAG = '"it"'
DATE, BEFORE, AFTER = (
    "Sun, 13 Sep 2020 12:26:40 GMT",
    "Sun, 13 Sep 2020 12:26:39 GMT",
    "Sun, 13 Sep 2020 12:26:41 GMT",
)
STATE = Validators(opaque="it", strong=True, last_modified=LONG_AGO)
SEND, NOT_MODIFIED, FAILED = Outcome.SEND, Outcome.NOT_MODIFIED, Outcome.FAILED


def headers(fields: dict[str, str]) -> Message:
    """Return request fields as the handler has them."""
    message = Message()
    for name, value in fields.items():
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, SEND),
        # Step 1: If-Match, strong comparison
        ({"If-Match": TAG}, SEND),
        ({"If-Match": "*"}, SEND),
        ({"If-Match": f'"a", {TAG}, "b"'}, SEND),
        ({"If-Match": f'"a,{TAG[1:]}'}, FAILED),  # one tag that has a comma in it
        ({"If-Match": '"other"'}, FAILED),
        ({"If-Match": f"W/{TAG}"}, FAILED),
        ({"If-Match": "it"}, FAILED),
        ({"If-Match": ""}, FAILED),
        # Step 2: If-Unmodified-Since, only without If-Match
        ({"If-Unmodified-Since": DATE}, SEND),
        ({"If-Unmodified-Since": AFTER}, SEND),
        ({"If-Unmodified-Since": BEFORE}, FAILED),
        ({"If-Unmodified-Since": "yesterday"}, SEND),
        ({"If-Match": TAG, "If-Unmodified-Since": BEFORE}, SEND),
        ({"If-Match": '"other"', "If-Unmodified-Since": DATE}, FAILED),
        # Step 3: If-None-Match, weak comparison
        ({"If-None-Match": TAG}, NOT_MODIFIED),
        ({"If-None-Match": f"W/{TAG}"}, NOT_MODIFIED),
        ({"If-None-Match": "*"}, NOT_MODIFIED),
        ({"If-None-Match": f'"a",{TAG}'}, NOT_MODIFIED),
        ({"If-None-Match": '"other"'}, SEND),
        ({"If-None-Match": "it"}, SEND),
        # Step 4: If-Modified-Since, only without If-None-Match
        ({"If-Modified-Since": DATE}, NOT_MODIFIED),
        ({"If-Modified-Since": AFTER}, NOT_MODIFIED),
        ({"If-Modified-Since": BEFORE}, SEND),
        ({"If-None-Match": '"other"', "If-Modified-Since": DATE}, SEND),
        ({"If-None-Match": TAG, "If-Modified-Since": BEFORE}, NOT_MODIFIED),
        # The three forms of a date, and what is none (section 5.6.7)
        ({"If-Modified-Since": "Sunday, 13-Sep-20 12:26:40 GMT"}, NOT_MODIFIED),
        ({"If-Modified-Since": "Sun Sep 13 12:26:40 2020"}, NOT_MODIFIED),
        ({"If-Modified-Since": "Sun, 13 Sep 2020 14:26:40 +0200"}, SEND),
        ({"If-Modified-Since": "2020-09-13T12:26:40Z"}, SEND),
        ({"If-Modified-Since": "Sun, 13 Sep 99999 12:26:40 GMT"}, SEND),
        ({"If-Modified-Since": "Sun, 99 Sep 2020 12:26:40 GMT"}, SEND),
        ({"If-Modified-Since": ""}, SEND),
        # The first two steps come first
        ({"If-Match": '"other"', "If-None-Match": TAG}, FAILED),
        ({"If-Match": TAG, "If-None-Match": TAG}, NOT_MODIFIED),
        ({"If-Unmodified-Since": BEFORE, "If-None-Match": TAG}, FAILED),
        ({"If-Unmodified-Since": DATE, "If-Modified-Since": DATE}, NOT_MODIFIED),
    ],
)
def test_conditions_come_in_the_order_of_the_standard(
    fields: dict[str, str], expected: Outcome
) -> None:
    """Each row is one path through section 13.2.2, for GET and HEAD alike."""
    assert evaluate(headers(fields), STATE, "GET") is expected
    assert evaluate(headers(fields), STATE, "HEAD") is expected


def test_other_methods_fail_where_reading_ones_are_not_modified() -> None:
    """``If-None-Match`` guards a PUT with 412; ``If-Modified-Since`` says nothing to it."""
    assert evaluate(headers({"If-None-Match": "*"}), STATE, "PUT") is FAILED
    assert evaluate(headers({"If-Modified-Since": DATE}), STATE, "PUT") is SEND


def test_a_weak_state_matches_weakly_only() -> None:
    """Right after a change the tag proves enough for 304, and not enough for If-Match."""
    state = Validators(opaque="it", strong=False, last_modified=LONG_AGO)
    assert evaluate(headers({"If-None-Match": TAG}), state, "GET") is NOT_MODIFIED
    assert evaluate(headers({"If-Match": TAG}), state, "GET") is FAILED
    assert not range_applies(headers({"If-Range": TAG}), state)
    assert not range_applies(headers({"If-Range": DATE}), state)


def test_several_lines_are_one_list() -> None:
    """A list may be split over several fields of the same name (section 5.3)."""
    fields = headers({"If-None-Match": '"a"'})
    fields["If-None-Match"] = TAG
    assert evaluate(fields, STATE, "GET") is NOT_MODIFIED


def test_two_dates_are_no_date() -> None:
    """A date that is there twice, which it must not be, is ignored."""
    fields = headers({"If-Modified-Since": DATE})
    fields["If-Modified-Since"] = DATE
    assert evaluate(fields, STATE, "GET") is SEND


@given(
    st.dictionaries(
        st.sampled_from(
            ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"]
        ),
        st.one_of(
            st.text(st.characters(max_codepoint=255)), st.sampled_from([TAG, DATE, BEFORE, "*"])
        ),
    )
)
def test_no_fields_raise(fields: dict[str, str]) -> None:
    """Whatever stands in them, conditions come to one of their outcomes."""
    assert evaluate(headers(fields), STATE, "GET") in Outcome
    range_applies(headers(fields), STATE)


# Validators -----------------------------------------------------------------------------------


def validators(file: Path, coding: str | None = None, now: float | None = None) -> Validators:
    """Return those of a file."""
    return Validators.of(file.stat(), coding, now=now)


def test_tag_changes_with_every_way_to_change_a_file(tmp_path: Path) -> None:
    """Other content of the same size and time, written in place or moved there, has another tag."""
    file = write(tmp_path / "file", b"one")
    seen = {validators(file).etag}
    spare = write(tmp_path / "spare", b"two")
    spare.replace(file)
    seen.add(validators(file).etag)
    changed = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == changed:  # until the clock of the file system has moved
        write(file, b"six")
    seen.add(validators(file).etag)
    write(file, b"three")
    seen.add(validators(file).etag)
    assert len(seen) == 4


def test_tag_stays_while_the_file_does(tmp_path: Path) -> None:
    """Reading changes nothing."""
    file = write(tmp_path / "file", b"one")
    first = validators(file).etag
    file.read_bytes()
    assert validators(file).etag == first


def test_tag_tells_codings_apart(tmp_path: Path) -> None:
    """What is sent with a coding is another representation (section 8.8.3.3)."""
    file = write(tmp_path / "file", b"one")
    assert len({validators(file, coding).opaque for coding in (None, "gzip", "br")}) == 3


def test_tag_does_not_tell_the_inode(tmp_path: Path) -> None:
    """Neither in decimal nor in hexadecimal (CVE-2003-1418)."""
    file = write(tmp_path / "file", b"one")
    inode = file.stat().st_ino
    assert f"{inode:x}" not in validators(file).etag or inode < 256
    assert len(validators(file).opaque) == 24


@pytest.mark.parametrize(("age", "strong"), [(0, False), (1.9, False), (2, True), (3600, True)])
def test_validators_are_strong_after_two_seconds(tmp_path: Path, age: float, strong: bool) -> None:
    """Until the clock of the coarsest file system has moved on, a further write might not show."""
    file = write(tmp_path / "file", b"one")
    assert validators(file, now=LONG_AGO + age).strong is strong


@pytest.mark.parametrize("changed", [LONG_AGO + 10**9, -5, 2**33])
def test_last_modified_is_never_in_the_future(tmp_path: Path, changed: int) -> None:
    """A file from the future was changed now at the latest (section 8.8.2.1)."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    os.utime(file, (changed, changed))
    assert 0 <= validators(file).last_modified <= time.time()


# Over the wire ---------------------------------------------------------------------------------


@pytest.mark.smoke
def test_not_modified_has_the_validators_and_no_body(site: Site) -> None:
    """304 repeats what a 200 would say of the state (section 15.4.5), and sends nothing."""
    full = site.get("/hello.txt")
    assert full.headers["Last-Modified"] == DATE
    reply = site.get("/hello.txt", If_None_Match=full.headers["ETag"])
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["ETag"] == full.headers["ETag"]
    assert reply.headers["Last-Modified"] == DATE


def test_failed_condition_is_412(site: Site) -> None:
    """Nothing of the file is sent, and the connection can go on."""
    reply = site.get("/hello.txt", If_Match='"other"')
    assert reply.status == 412
    assert b"Hello" not in reply.body


def test_conditions_come_before_the_range(site: Site) -> None:
    """Step 5 is the range: a failed condition is 412 and a known state is 304, not 206."""
    etag = site.get("/hello.txt", "HEAD").headers["ETag"]
    assert site.get("/hello.txt", Range="bytes=0-1", If_Match='"other"').status == 412
    assert site.get("/hello.txt", Range="bytes=0-1", If_None_Match=etag).status == 304
    assert site.get("/hello.txt", Range="bytes=0-1", If_Match=etag).status == 206


def test_conditions_do_not_hide_that_a_file_is_missing(site: Site) -> None:
    """They are evaluated only where there would be a 200 (section 13.2.1)."""
    assert site.get("/nothing", If_None_Match="*").status == 404
