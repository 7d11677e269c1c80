"""Byte ranges (RFC 9110, section 14): what is asked for, what is sent."""

from __future__ import annotations

import email
import itertools
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.handler.conftest import LONG_AGO, Site, write
from tests.support import UNIT
from tlshttp.handler._ranges import MAX_RANGES, SMALLEST_GAP, Span, requested_spans

CONTENT = b"0123456789" * 100
SIZE = len(CONTENT)


def spans(field: str, size: int = SIZE) -> list[tuple[int, int]] | None:
    """Return the spans as pairs of offset and end."""
    found = requested_spans(field, size)
    return None if found is None else [(span.start, span.stop) for span in found]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(500, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes=950-", [(950, 1000)]),
        ("bytes=0-", [(0, 1000)]),
        ("bytes=999-5000", [(999, 1000)]),
        ("BYTES = 0-1", [(0, 2)]),
        ("bytes= 0-1 ,\t500-501", [(0, 2), (500, 502)]),
        ("bytes=,0-1,,", [(0, 2)]),
        ("bytes=500-501,0-1", [(500, 502), (0, 2)]),  # in the client's order
        ("bytes=0-1,1000-,500-501", [(0, 2), (500, 502)]),  # one of them not satisfiable
        ("bytes=0-9,5-20", [(0, 21)]),  # overlapping
        ("bytes=0-9,10-20", [(0, 21)]),  # adjacent
        ("bytes=0-9,80-90", [(0, 91)]),  # nearly
        ("bytes=0-9,90-99", [(0, 10), (90, 100)]),
        ("bytes=300-400,0-1,350-500", [(300, 501), (0, 2)]),
        ("bytes=0-1,300-400,0-999", [(0, 1000)]),
        ("bytes=00000000-00000001", [(0, 2)]),
        ("bytes=1000-", []),
        ("bytes=5000-6000,7000-", []),
        ("bytes=-0", []),
        ("bytes=" + "9" * 60 + "-", []),
        ("bytes=0-" + "9" * 60, [(0, 1000)]),
    ],
)
def test_well_formed_field_gives_spans(field: str, expected: list[tuple[int, int]]) -> None:
    """Each range means the bytes the section says it means."""
    assert spans(field) == expected


@pytest.mark.parametrize(
    "field",
    ["", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=--1", "bytes=1", "bytes=a-b", "bytes=5-4",
     "bytes=0-1,x", "bytes=0-1;2-3", "bytes=0x0-0x1", "bytes=+1-2", "bytes=1-+2", "bytes=1 - 2",
     "bytes=\u0661-\u0662", "bytes=1_0-2_0", "items=0-1", "bytes 0-1", "bytes:0-1", "xbytes=0-1",
     "bytes=0-1\n", "bytes=0-0-0", "bytes=" + "9" * 5000 + "-", "none"],
)  # fmt: skip
def test_malformed_field_is_ignored(field: str) -> None:
    """A field that is not well-formed, or has another unit, is as if it were not there."""
    assert spans(field) is None


def test_number_of_ranges_is_bounded() -> None:
    """A hundred are looked at; with one more the field is ignored (CVE-2011-3192)."""
    apart = [f"{start}-{start}" for start in range(0, 200 * (MAX_RANGES + 1), 200)]
    assert len(spans("bytes=" + ",".join(apart[:-1]), 10**6) or ()) == MAX_RANGES
    assert spans("bytes=" + ",".join(apart), 10**6) is None


def test_the_apache_killer_sends_no_more_than_the_file() -> None:
    """The overlapping ranges of CVE-2011-3192 come to one span."""
    killer = "bytes=0-," + ",".join(f"5-{end}" for end in range(5, 100))
    assert spans(killer) == [(0, SIZE)]


def test_empty_file_has_no_ranges() -> None:
    """Of nothing no first byte can be had; its last bytes are all there is, without a range."""
    assert spans("bytes=0-", 0) == []
    assert spans("bytes=-5", 0) is None


RANGE_LIKE = st.lists(
    st.one_of(
        st.builds(
            "{}-{}".format, st.one_of(st.just(""), st.integers(0, 2000)), st.integers(0, 2000)
        ),
        st.builds("{}-".format, st.integers(0, 2000)),
        st.text(alphabet="0123456789-, =", max_size=12),
    ),
    max_size=120,
).map(lambda specs: "bytes=" + ",".join(specs))


@given(field=st.one_of(st.text(), RANGE_LIKE), size=st.integers(0, 1500))
@example(field="bytes=0-0,-1", size=1)
@example(field="bytes=" + "9" * 5000 + "-", size=1)
def test_no_field_raises_or_leaves_the_file(field: str, size: int) -> None:
    """Whatever the field, spans are within the file, not empty, apart, and few."""
    found = requested_spans(field, size)
    ordered = sorted(found or ())
    assert len(ordered) <= MAX_RANGES
    assert all(0 <= span.start < span.stop <= size for span in ordered)
    for before, after in itertools.pairwise(ordered):
        assert after.start - before.stop >= SMALLEST_GAP


@given(
    pairs=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)).map(sorted), min_size=1),
)
def test_every_byte_asked_for_is_sent(pairs: list[list[int]]) -> None:
    """Joining loses nothing: each range asked for lies within one span."""
    pairs = pairs[:MAX_RANGES]
    found = spans("bytes=" + ",".join(f"{first}-{last}" for first, last in pairs))
    assert found is not None
    for first, last in pairs:
        assert any(start <= first and last < stop for start, stop in found)


def test_joining_takes_no_quadratic_time() -> None:
    """The longest field that a head can have is dealt with at once."""
    began = time.thread_time()
    requested_spans("bytes=" + "0-0," * 16_000, SIZE)
    requested_spans("bytes=" + "0" * 64_000, SIZE)
    requested_spans("bytes" + " " * 64_000, SIZE)
    assert time.thread_time() - began < 1 * UNIT  # some milliseconds


def test_content_range_names_the_last_byte() -> None:
    """Offsets in ``Content-Range`` include the last byte (section 14.4)."""
    assert Span(0, 10).content_range(100) == "bytes 0-9/100"


# Over the wire ---------------------------------------------------------------------------------


@pytest.mark.smoke
def test_single_range_is_206(site: Site) -> None:
    """One range is the body itself, and says where it belongs."""
    reply = site.get("/digits.txt", Range="bytes=5-14")
    assert reply.status == 206
    assert reply.body == CONTENT[5:15]
    assert reply.headers["Content-Range"] == "bytes 5-14/1000"
    assert reply.headers["Content-Length"] == "10"
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_several_ranges_are_multipart(site: Site) -> None:
    """Each part has its type and place; Python's own MIME parser reads it."""
    reply = site.get("/digits.txt", Range="bytes=0-9,500-509,-10")
    assert reply.status == 206
    assert "Content-Range" not in reply.headers
    head = f"Content-Type: {reply.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + reply.body)
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    parts = message.get_payload()
    assert isinstance(parts, list)
    for part, start in zip(parts, (0, 500, 990), strict=True):
        assert isinstance(part, email.message.Message)
        assert part["Content-Range"] == f"bytes {start}-{start + 9}/1000"
        assert part["Content-Type"] == "text/plain; charset=utf-8"
        assert part.get_payload(decode=True) == CONTENT[start : start + 10]


def test_multipart_has_the_length_it_announces(site: Site) -> None:
    """The body ends after the closing boundary, and exactly there."""
    reply = site.get("/digits.txt", Range="bytes=0-9,500-509")
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    boundary = reply.headers.get_param("boundary")
    assert reply.body.endswith(f"\r\n--{boundary}--\r\n".encode())
    assert re.fullmatch("[0-9a-f]{32}", str(boundary))


def test_joined_ranges_are_no_multipart(site: Site) -> None:
    """Where joining leaves one range, it is sent as one."""
    reply = site.get("/digits.txt", Range="bytes=0-9,5-20")
    assert reply.headers["Content-Range"] == "bytes 0-20/1000"


def test_unsatisfiable_range_is_416(site: Site) -> None:
    """The answer says how long the file is (section 15.5.17)."""
    reply = site.get("/digits.txt", Range="bytes=1000-")
    assert reply.status == 416
    assert reply.headers["Content-Range"] == "bytes */1000"
    assert b"0123456789" not in reply.body


@pytest.mark.parametrize("field", ["bytes=x", "lines=1-2", "bytes=5-4"])
def test_bad_range_gives_the_whole_file(site: Site, field: str) -> None:
    """What cannot be read is ignored: 200 and everything."""
    reply = site.get("/digits.txt", Range=field)
    assert (reply.status, reply.body) == (200, CONTENT)


def test_two_range_fields_give_the_whole_file(site: Site) -> None:
    """``Range`` is no list: two of them contradict each other."""
    reply = site.raw("GET /digits.txt HTTP/1.1", "Range: bytes=0-1", "Range: bytes=2-3")
    assert (reply.status, reply.body) == (200, CONTENT)


def test_range_is_for_get_only(site: Site) -> None:
    """HEAD ignores it (section 14.2), and answers as for the whole file."""
    reply = site.get("/digits.txt", "HEAD", Range="bytes=0-1")
    assert reply.status == 200
    assert reply.headers["Content-Length"] == "1000"
    assert "Content-Range" not in reply.headers


def test_range_of_an_empty_file(site: Site) -> None:
    """No byte of it can be had; its end can."""
    assert site.get("/empty.txt", Range="bytes=0-").status == 416
    assert site.get("/empty.txt", Range="bytes=-5").status == 200


def test_files_say_that_they_have_ranges(site: Site) -> None:
    """``Accept-Ranges`` tells download managers before they ask (section 14.3)."""
    assert site.get("/digits.txt", "HEAD").headers["Accept-Ranges"] == "bytes"


def test_range_of_a_large_file(site: Site, public: Path) -> None:
    """Offsets beyond 4 GiB are no different; the file has a hole and takes no space."""
    with (public / "huge").open("wb") as file:
        file.truncate(5 * 2**30)
        file.seek(5 * 2**30 - 4)
        file.write(b"tail")
    reply = site.get("/huge", Range=f"bytes={5 * 2**30 - 6}-")
    assert reply.body == b"\0\0tail"
    assert reply.headers["Content-Range"].endswith("/5368709120")


# If-Range ----------------------------------------------------------------------------------------


def test_if_range_with_the_right_validator(site: Site) -> None:
    """The tag or the date of what the client has lets the range apply (section 13.1.5)."""
    fields = site.get("/digits.txt", "HEAD").headers
    for validator in (fields["ETag"], fields["Last-Modified"]):
        assert site.get("/digits.txt", Range="bytes=0-1", If_Range=validator).status == 206


@pytest.mark.parametrize(
    "validator",
    ['"other"', "W/{etag}", "Sun, 13 Sep 2020 12:26:39 GMT", "Sun, 13 Sep 2020 12:26:41 GMT", "x",
     "{etag}, {etag}", "*", ""],
)  # fmt: skip
def test_if_range_with_another_validator(site: Site, validator: str) -> None:
    """Anything else, weak tags included, gives the whole file."""
    etag = site.get("/digits.txt", "HEAD").headers["ETag"]
    reply = site.get("/digits.txt", Range="bytes=0-1", If_Range=validator.format(etag=etag))
    assert (reply.status, reply.body) == (200, CONTENT)


def test_if_range_of_a_file_that_has_just_changed(
    site: Site, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within two seconds after a change no validator is strong, and none lets a range apply."""
    write(public / "fresh.txt", CONTENT)
    clock = SimpleNamespace(time=lambda: LONG_AGO + 1.9)
    monkeypatch.setattr("tlshttp.handler._conditions.time", clock)
    fields = site.get("/fresh.txt", "HEAD").headers
    assert fields["ETag"].startswith("W/")
    for validator in (fields["ETag"], fields["ETag"].removeprefix("W/"), fields["Last-Modified"]):
        assert site.get("/fresh.txt", Range="bytes=0-1", If_Range=validator).status == 200
    assert site.get("/fresh.txt", Range="bytes=0-1").status == 206
