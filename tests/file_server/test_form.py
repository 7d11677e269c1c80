"""Forms, as they come: whole, in pieces, cut off, and made up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlshttp._file_server.form import FormReader, MalformedForm, boundary_of

BOUNDARY = b"----WebKitFormBoundary7MA4"


def pieces_of(data: bytes, sizes: Iterator[int]) -> Callable[[int], bytes]:
    """Return what reads data in pieces."""
    left = [data]

    def read(size: int) -> bytes:
        count = max(1, min(size, next(sizes, size)))
        piece, left[0] = left[0][:count], left[0][count:]
        return piece

    return read


def parts(data: bytes, *sizes: int) -> list[tuple[str | None, bytes]]:
    """Return name and content of all parts."""
    reader = FormReader(pieces_of(data, iter(sizes)), BOUNDARY)
    return [(name, b"".join(content)) for name, content in reader.parts()]


def form(*files: tuple[bytes, bytes]) -> bytes:
    """Write a form as browsers do."""
    written = [
        b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%s\r\n" % (BOUNDARY, name, content)
        for name, content in files
    ]
    return b"".join(written) + b"--%s--\r\n" % BOUNDARY


CONTENTS = st.binary(max_size=300) | st.lists(
    st.sampled_from([b"\r\n", b"--", BOUNDARY[:-1], b"\r\n--" + BOUNDARY[:-1], b"\r", b"x"])
).map(b"".join)


@given(
    st.lists(st.tuples(st.sampled_from([b"a.txt", "ü.txt".encode()]), CONTENTS), max_size=4),
    st.lists(st.integers(1, 50)),
)
def test_what_was_sent_arrives(files: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    """Whatever the content, also what nearly is a boundary, and wherever the pieces are cut."""
    files = [(name, content) for name, content in files if BOUNDARY not in content]
    found = parts(form(*files), *sizes)
    assert found == [(name.decode(), content) for name, content in files]


def test_large_contents_come_in_pieces() -> None:
    """A file is never there as a whole."""
    reader = FormReader(pieces_of(form((b"a", b"x" * 1_000_000)), iter(())), BOUNDARY)
    ((_, content),) = [(name, [len(piece) for piece in pieces]) for name, pieces in reader.parts()]
    assert sum(content) == 1_000_000
    assert max(content) <= 2 * 65_536


def test_what_is_not_read_is_skipped() -> None:
    """A part that nobody wants does not shift the next one."""
    reader = FormReader(pieces_of(form((b"a", b"1" * 99), (b"b", b"2")), iter(())), BOUNDARY)
    assert [name for name, _ in reader.parts()] == ["a", "b"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'form-data; name="note"', None),
        (b'form-data; name="file"; filename=""', ""),
        (b"form-data; name=file; filename=plain.txt", "plain.txt"),
        (b'form-data; name="f"; filename="a \\"b\\".txt"', 'a "b".txt'),
        (b"form-data; name=f; filename*=UTF-8''%E2%82%AC.txt", "€.txt"),
        ('form-data; name="f"; filename="日本; a=b.txt"'.encode(), "日本; a=b.txt"),
        (b'form-data; name="f"; filename="\xff.txt"', "\ufffd.txt"),
        (b"form-data; name=f; filename=my photo.jpg", "my photo.jpg"),
        (b'form-data; name=f;; filename="C:\\fakepath\\a.txt";', "C:\\fakepath\\a.txt"),
        (b'form-data;name=f;FileName = "a.txt" ; x=', "a.txt"),
        (b"form-data; filename=plain; filename*=iso-8859-1'de'%FC.txt", "ü.txt"),
        (b"form-data; filename*=utf-8''%FF.txt", "\ufffd.txt"),
        (b'form-data; filename="a"; filename="b"', "a"),
        (b"form-data", None),
        (b"", None),
    ],
)
def test_names_of_files(disposition: bytes, name: str | None) -> None:
    """As browsers, curl and Python's requests write them."""
    data = form((b"x", b"1")).replace(b'form-data; name="file"; filename="x"', disposition)
    assert parts(data) == [(name, b"1")]


@pytest.mark.parametrize(
    "parameter",
    [
        b"filename*=idna''x..", b"filename*=undefined''x", b"filename*=u\0f''x",
        b"filename*=zlib''x",
        b"filename*=''x", b"filename*=x", b"filename*=UTF-8'x", b"filename*", b'filename="a',
        b'filename="a"b.txt"', b"file name=a", b"=a", b'filename="a\\"', b"\0=1",
        b"filename*=hex''41",
    ],
)  # fmt: skip
def test_parameters_that_are_none_are_malformed(parameter: bytes) -> None:
    """People P14: also where Python has a codec of that name, which raises what it likes."""
    data = form((b"x", b"1")).replace(b'filename="x"', parameter)
    with pytest.raises(MalformedForm, match="in the head of a part"):
        parts(data)


@given(st.text("'*=;\"\\ %aFf8-u\0", max_size=60))
def test_no_parameters_fail_otherwise(text: str) -> None:
    """People P14: whatever stands there, a name is found, or none, or it is malformed."""
    data = form((b"x", b"1")).replace(b'"x"', text.encode()).replace(b"filename=", b"filename*=")
    with contextlib.suppress(MalformedForm):
        parts(data)


@pytest.mark.parametrize(
    ("begin", "again"),
    [(b';x="', b";"), (b"", b";"), (b'; x="', b'\\"'), (b"", b";a=b"), (b"", b";a"),
     (b';x="', b'";"'), (b"", b"; "), (b"", b';a=""')],
)  # fmt: skip
def test_parameters_cost_what_their_length_costs(begin: bytes, again: bytes) -> None:
    """People P2: heads that are eight times as long, each as bad as it may be, cost eight times.

    With a way to read them that is quadratic, it is 64 times. The least of five rounds counts.
    """

    def spent(size: int) -> float:
        made = begin + again * (size // len(again))
        data = form((b"x", b"1")).replace(b'; filename="x"', made)
        began = time.process_time()
        for _ in range(40):
            with contextlib.suppress(MalformedForm):
                parts(data)
        return time.process_time() - began

    rounds = [(spent(500), spent(4000)) for _ in range(5)]
    short, long = (min(times) for times in zip(*rounds, strict=True))
    assert long < 20 * short


@pytest.mark.parametrize("length", [4097, 16_000, 300_000])
def test_a_long_head_is_malformed(length: int) -> None:
    """People P2: names have 255 bytes at most."""
    with pytest.raises(MalformedForm, match="too long"):
        parts(form((b"x" * length, b"1")))


def test_preamble_padding_and_parts_without_a_head() -> None:
    """What RFC 2046 allows around the parts, and curl and browsers never send."""
    data = b"preamble\r\n--%s \t\r\n\r\nbare\r\n--%s--epilogue\r\nmore" % (BOUNDARY, BOUNDARY)
    assert parts(data) == [(None, b"bare")]


WHOLE = form((b"a.txt", b"content"), (b"b.txt", b"more"))


@pytest.mark.parametrize("length", range(len(WHOLE) - 2))
def test_what_is_cut_off_is_malformed(length: int) -> None:
    """Up to the last boundary, no beginning of a form passes for a form."""
    if WHOLE[:length].endswith(BOUNDARY + b"--"):
        assert len(parts(WHOLE[:length])) == 2
    else:
        with pytest.raises(MalformedForm):
            parts(WHOLE[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 300_000,
        b"--%s\r\nX: %s" % (BOUNDARY, b"y" * 300_000),
        b"--%s%s" % (BOUNDARY, b" " * 300_000),
        b"--%sx\r\n\r\n1\r\n--%s--" % (BOUNDARY, BOUNDARY),
    ],
)
def test_what_is_no_form_is_malformed(data: bytes) -> None:
    """Nothing, anything, a head without end, and a boundary that goes on."""
    with pytest.raises(MalformedForm):
        parts(data)


@given(st.binary())
def test_nothing_fails_otherwise(data: bytes) -> None:
    """Whatever is sent, it is a form or it is malformed."""
    with contextlib.suppress(MalformedForm):
        parts(b"--" + BOUNDARY + data)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
        ("multipart/form-data; boundary=a; x=" + ";" * 15_000, None),
        ("multipart/form-data; boundary=a; x=" + "x" * 1000, None),
        ('multipart/form-data; boundary="a', None),
        ("multipart/form-data; boundary*=idna''x..", None),
        ("multipart/form-data;", None),
        ("multipart/form-data; boundary=ü", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/x-www-form-urlencoded", None),
        ("", None),
    ],
)
def test_boundaries(content_type: str, boundary: bytes | None) -> None:
    """It is taken from the type of a form, and of nothing else."""
    assert boundary_of(content_type) == boundary
