"""A table of raw requests, and what must come of each.

The judge is RFC 9112; sections named here are its sections. Ideas came from the published lists of
request-smuggling mutations (PortSwigger's, defparam's smuggler, Http11Probe). Whatever follows an
offending request is a valid request, so that taking it for one shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlshttp.limits import Limits

__all__ = ["PROBE", "ROWS", "Fate", "Row"]

HOST = b"Host: a\r\n"
SMALL = Limits(max_body_bytes=20, max_header_bytes=300, max_header_count=5)


def get(path: str = "/", *lines: bytes) -> bytes:
    """Return a GET request with these header lines besides Host."""
    head = f"GET {path} HTTP/1.1\r\n".encode("latin-1")
    return head + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(body: bytes, *lines: bytes, path: str = "/") -> bytes:
    """Return a POST request with these header lines and body."""
    return get(path, *lines).replace(b"GET", b"POST", 1) + body


def with_length(body: bytes, *lines: bytes, path: str = "/") -> bytes:
    """Return a POST request with the length of its body."""
    return post(body, b"Content-Length: %d" % len(body), *lines, path=path)


def in_chunks(body: bytes, *lines: bytes, path: str = "/") -> bytes:
    """Return a POST request with a body that is in chunks."""
    return post(body, b"Transfer-Encoding: chunked", *lines, path=path)


PROBE = get("/probe", b"Connection: close")
"""What is sent after each row: it must be answered where the connection stays open, only there."""

NEXT = get("/next")
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Fate:
    """What must come of a row."""

    statuses: tuple[int, ...]
    """Of all responses, in order; 0 for one without a head."""
    handled: tuple[str, ...]
    """What the handler saw: method, target and body of each; a full stop after whole requests."""
    open: bool = False
    """Whether the connection stays open."""


@dataclass(frozen=True)
class Row(Fate):
    """One row of the table, and what comes of it where bodies are collected."""

    name: str = ""
    data: bytes = b""
    waits: bool = False
    """Whether the request is not finished, so that more is awaited."""
    streamed: Fate | None = None
    """What comes of it for a handler that reads bodies as they come; `None`: the same."""
    rule: str = ""
    """The rule it shows, as the documentation has it."""
    limits: Limits = Limits()
    handler: str = "Recorder"


ROWS: list[Row] = []


def served(name: str, data: bytes, *handled: str, **more: object) -> None:
    """Add a row whose requests are all served, and whose connection stays open."""
    more.setdefault("open", True)
    more.setdefault("statuses", (200,) * len(handled))
    ROWS.append(Row(name=name, data=data, handled=handled, **more))  # type: ignore[arg-type]


def refused(name: str, data: bytes, status: int = 400, *handled: str, **more: object) -> None:
    """Add a row whose last request is refused, after those in `handled` have been served."""
    more.setdefault("statuses", (*(200,) * len(handled), status))
    ROWS.append(Row(name=name, data=data, handled=handled, **more))  # type: ignore[arg-type]


def refused_in_body(name: str, data: bytes, status: int = 400, **more: object) -> None:
    """Add a row whose body is refused: a handler that reads it as it comes has seen its head."""
    refused(name, data, status, streamed=Fate((status,), ("POST /",)), **more)


# Request lines and heads that are served ---------------------------------------------------------

served("get", get(), "GET /.")
served("head", get().replace(b"GET", b"HEAD"), "HEAD /.")
served("options-asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "OPTIONS *.")
served("absolute-form", get("http://a/x"), "GET http://a/x.")
served("query", get("/a?b=c&d=%00;e#f"), "GET /a?b=c&d=%00;e#f.")
served("eight-bit-target", get("/\xe4\xff"), "GET /\xe4\xff.")
served("two-slashes", get("//evil/x"), "GET /evil/x.")
served("target-without-slash", get("x"), "GET x.", rule="target without a slash")
served("long-target", get("/" + "x" * 60_000), "GET /" + "x" * 60_000 + ".")
served("empty-value", get("/", b"X:"), "GET /.")
served("value-without-blank", get("/", b"X:y"), "GET /.")
served("blanks-around-value", get("/", b"X: \t y \t"), "GET /.")
served("eight-bit-value", get("/", b"X: \xe4\xff"), "GET /.")
served("tab-in-value", get("/", b"X: a\tb"), "GET /.")
served("token-name", get("/", b"!#$%&'*+-.^_`|~0aZ: y"), "GET /.")
served("repeated-field", get("/", b"X: 1", b"X: 2", b"x: 3"), "GET /.")
served("empty-host", get().replace(b" a\r", b"\r"), "GET /.")
served("host-with-port", get().replace(b" a\r", b" a.example:8443\r"), "GET /.")
served("host-ipv6", get().replace(b" a\r", b" [::1]:8443\r"), "GET /.")
served("host-ipv4", get().replace(b" a\r", b" 127.0.0.1\r"), "GET /.")
served("version-1.9", get().replace(b"1.1", b"1.9"), "GET /.")
served("no-host-1.0", b"GET / HTTP/1.0\r\n\r\n", "GET /.", open=False)
served("version-1.0", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", "GET /.", open=False)
served("keep-alive-1.0", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /.", open=True)
served("close", get("/", b"Connection: close"), "GET /.", open=False)
served("close-among-others", get("/", b"Connection: x, Close ,y"), "GET /.", open=False)
served(
    "close-in-one-of-two", get("/", b"Connection: close", b"Connection: keep-alive"), "GET /.",
    open=False,
)  # fmt: skip
served(
    "upgrade-ignored",
    get("/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"),
    "GET /.",
)
served("line-before", b"\r\n" + get(), "GET /.", rule="up to ten empty lines before a request")
served("bare-line-before", b"\n" + get(), "GET /.")
served("two-lines-before", b"\r\n\r\n" + get(), "GET /.")
served("mixed-lines-before", b"\n\n\r\n\n" + get(), "GET /.")
served("ten-lines-before", b"\r\n" * 10 + get(), "GET /.")
served("ten-bare-lines-before", b"\n" * 10 + get(), "GET /.")
served("lines-before-a-body", b"\r\n" * 3 + with_length(b"hello") + b"\r\n" * 3, "POST / hello.")
served("lines-before-chunks", b"\r\n\r\n" + in_chunks(HELLO) + b"\n\n", "POST / hello.")
served("line-feeds-only", get().replace(b"\r", b""), "GET /.", rule="bare line feed in a head")
served("some-line-feeds", get("/", b"X: y\nY: z"), "GET /.")
served("line-feed-at-the-end", get()[:-2] + b"\n", "GET /.")
served("hundred-headers", get("/", *[b"X: y"] * 99), "GET /.")
served(
    "nothing-but-a-target", b"GET /simple\r\n\r\n", "GET /simple.", statuses=(0,), open=False,
    rule="HTTP/0.9 request",
)  # fmt: skip
served("content-length-underscore", get("/", b"Content_Length: 30"), "GET /.")
served("content-encoding-chunked", get("/", b"Content-Encoding: chunked"), "GET /.")
served("nothing", b"", open=True)
served("half-a-line", b"GET / HT", open=True, waits=True)
served("half-a-head", get()[:-2], open=True, waits=True)
served("half-a-body", with_length(b"hello")[:-1], open=True, waits=True,
       streamed=Fate((), ("POST /",)))  # fmt: skip

# Bodies that are served --------------------------------------------------------------------------

served("length", with_length(b"hello"), "POST / hello.")
served("length-0", with_length(b""), "POST /.")
served("length-with-zeros", post(b"hello", b"Content-Length: 00005"), "POST / hello.")
served("length-with-blanks", post(b"hello", b"Content-Length: \t5 "), "POST / hello.")
served("no-length", post(b""), "POST /.")
served("put", with_length(b"x").replace(b"POST", b"PUT"), "PUT / x.")
served("body-is-a-request", with_length(NEXT), f"POST / {NEXT.decode()}.")
served("get-with-body", with_length(NEXT).replace(b"POST", b"GET"), f"GET / {NEXT.decode()}.")
served("large-body", with_length(b"x" * 20_000), "POST / 20000.")
served("chunked", in_chunks(HELLO), "POST / hello.")
served("chunked-empty", in_chunks(b"0\r\n\r\n"), "POST /.")
served("chunked-zeros", in_chunks(b"0005\r\nhello\r\n000\r\n\r\n"), "POST / hello.")
served("two-chunks", in_chunks(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), "POST / hello.")
served(
    "chunk-upper-hex", in_chunks(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
    "POST / 01234567890123456789.",
)  # fmt: skip
served("chunk-is-a-request", in_chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT)),
       f"POST / {NEXT.decode()}.")  # fmt: skip
served("chunk-extension", in_chunks(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), "POST / hello.")
served("chunk-extension-quoted", in_chunks(b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n'), "POST / hello.")
served("chunk-size-padded", in_chunks(b"5 \t\r\nhello\r\n0 ; x\r\n\r\n"), "POST / hello.")
served("trailer", in_chunks(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), "POST / hello.")
served(
    "trailers-that-frame",
    in_chunks(b"0\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n") + NEXT,
    "POST /.", "GET /next.",
)  # fmt: skip
served("chunked-mixed-case", post(HELLO, b"tRANSFER-eNCODING: cHUNKED"), "POST / hello.")
served("chunked-after-tab", post(HELLO, b"Transfer-Encoding:\tchunked"), "POST / hello.")
served("chunked-before-tab", post(HELLO, b"Transfer-Encoding: chunked\t"), "POST / hello.")
served(
    "expect", with_length(b"hello", b"Expect: 100-continue"), "POST / hello.", statuses=(100, 200)
)
served("expect-mixed-case", in_chunks(HELLO, b"Expect: 100-Continue"), "POST / hello.",
       statuses=(100, 200))  # fmt: skip
served("expect-without-body", get("/", b"Expect: 100-continue"), "GET /.")
served("expect-something-else", with_length(b"hello", b"Expect: more"), "POST / hello.")
served(
    "expect-1.0",
    with_length(b"hello", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "POST / hello.", open=False,
)  # fmt: skip
served(
    "expect-unread",
    with_length(NEXT, b"Expect: 100-continue", path="/unread"), "POST /unread",
    statuses=(100, 200), streamed=Fate((200,), ("POST /unread",)),
)  # fmt: skip
served("unread-body", with_length(NEXT, path="/unread"), "POST /unread",
       streamed=Fate((200,), ("POST /unread",)))  # fmt: skip
served(
    "unread-body-in-chunks",
    in_chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT), path="/unread") + NEXT,
    "POST /unread", "GET /next.",
    streamed=Fate((200,), ("POST /unread",)),
)  # fmt: skip
served(
    "unread-body-of-get",
    with_length(NEXT, path="/unread").replace(b"POST", b"GET") + NEXT,
    "GET /unread", "GET /next.",
    streamed=Fate((200,), ("GET /unread",)),
)  # fmt: skip
served("unread-body-too-long", with_length(NEXT * 9_000, path="/unread"), "POST /unread",
       streamed=Fate((200,), ("POST /unread",)))  # fmt: skip
refused("unread-body-malformed", in_chunks(b"zz\r\n" + HELLO, path="/unread") + NEXT,
        streamed=Fate((200,), ("POST /unread",)))  # fmt: skip

# Pipelines ---------------------------------------------------------------------------------------

served("two", get("/1") + get("/2"), "GET /1.", "GET /2.")
served("twelve", b"".join(get(f"/{n}") for n in range(12)), *[f"GET /{n}." for n in range(12)])
served("head-then-get", get().replace(b"GET", b"HEAD") + NEXT, "HEAD /.", "GET /next.")
served("body-then-get", with_length(b"hello") + NEXT, "POST / hello.", "GET /next.")
served("chunks-then-get", in_chunks(HELLO) + NEXT, "POST / hello.", "GET /next.")
served("chunks-then-chunks", in_chunks(HELLO) * 2, "POST / hello.", "POST / hello.")
served("unread-then-get", with_length(NEXT, path="/unread") + NEXT, "POST /unread", "GET /next.",
       streamed=Fate((200,), ("POST /unread",)))  # fmt: skip
served("line-between", get() + b"\r\n" + NEXT, "GET /.", "GET /next.")
served("ten-lines-each", (b"\r\n" * 10 + get()) * 2, "GET /.", "GET /.")
served("line-after-body", with_length(b"hello") + b"\r\n" + NEXT, "POST / hello.", "GET /next.")
served("two-and-a-half", get() * 2 + b"GET", "GET /.", "GET /.", waits=True)
served("after-close", get("/", b"Connection: close") + NEXT, "GET /.", open=False)
served("after-1.0", b"GET / HTTP/1.0\r\n\r\n" + NEXT, "GET /.", open=False)
served("after-0.9", b"GET /simple\r\n\r\n" + NEXT, "GET /simple.", statuses=(0,), open=False)
served("after-404", get("/missing") + NEXT, "GET /missing.", "GET /next.", statuses=(404, 200))
served("after-501", b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, "GET /next.",
       statuses=(501, 200))  # fmt: skip
refused("second-is-malformed", get() + b"GET  / HTTP/1.1\r\n\r\n" + NEXT, 400, "GET /.")
refused("second-lacks-host", get() + b"GET / HTTP/1.1\r\n\r\n" + NEXT, 400, "GET /.")
served("body-longer-than-said", post(b"hello" + NEXT, b"Content-Length: 3") + NEXT,
       "POST / hel.", "GET /next.", statuses=(200, 501, 200))  # fmt: skip
refused("body-without-length", post(b"hello=1\r\n\r\n") + NEXT, 400, "POST /.")
refused("body-after-get", get() + b"hello\r\n\r\n" + NEXT, 400, "GET /.")

# Content-Length with Transfer-Encoding -----------------------------------------------------------

BOTH = "Content-Length with Transfer-Encoding"
refused("cl.te", post(b"0\r\n\r\n" + NEXT, b"Content-Length: 40", b"Transfer-Encoding: chunked"),
        rule=BOTH)  # fmt: skip
refused("te.cl", post(HELLO + NEXT, b"Transfer-Encoding: chunked", b"Content-Length: 4"))
refused("te.cl-0", post(HELLO + NEXT, b"Transfer-Encoding: chunked", b"Content-Length: 0"))
refused("te-identity.cl", post(NEXT, b"Transfer-Encoding: identity", b"Content-Length: 38"))
refused("te.te", post(HELLO + NEXT, b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"),
        rule="repeated Transfer-Encoding")  # fmt: skip
refused(
    "te.te-reversed", post(HELLO + NEXT, b"Transfer-Encoding: x", b"Transfer-Encoding: chunked")
)
refused(
    "te.te-same", post(HELLO + NEXT, b"Transfer-Encoding: chunked", b"transfer-encoding: chunked")
)
refused("cl.cl", post(NEXT, b"Content-Length: 0", b"Content-Length: 38"),
        rule="repeated Content-Length")  # fmt: skip
refused("cl.cl-same", post(NEXT, b"Content-Length: 38", b"Content-Length: 38"))
refused("cl.cl-mixed-case", post(NEXT, b"Content-Length: 0", b"content-length: 38"))

for number, value in enumerate(
    [b"5, 5", b"5,6", b"+5", b"-5", b"5 5", b"0x5", b"5.0", b"5_0", b"", b"five", b'"5"', b"5;",
     b"\xb2", b"1e1", b"0" * 20, b"9" * 20, b"99999999999999999999999999"]
):  # fmt: skip
    refused(f"length-malformed-{number}", post(b"hello" + NEXT, b"Content-Length: " + value),
            rule="malformed Content-Length")  # fmt: skip

CODINGS = "unknown transfer coding"
refused("te-gzip-chunked", post(HELLO + NEXT, b"Transfer-Encoding: gzip, chunked"), 501,
        rule=CODINGS)  # fmt: skip
for number, value in enumerate(
    [b"xchunked", b"chunk", b"identity", b'"chunked"', b"'chunked'", b"chunked;q=1", b"chunkedx",
     b"chunked chunked", b"x chunked", b"gzip", b"\xa0chunked", b"chunked\x85", b"c\xe7hunked"]
):  # fmt: skip
    refused(f"te-unknown-{number}", post(HELLO + NEXT, b"Transfer-Encoding: " + value), 501,
            rule=CODINGS)  # fmt: skip
for number, value in enumerate(
    [b"chunked, identity", b"chunked, gzip", b"chunked, chunked", b",chunked", b"chunked,", b"",
     b",", b"\x0bchunked", b"\x0cchunked", b"chunked\x00", b"\x00chunked", b"chunked\r",
     b"chun\rked", b"\rchunked", b"\n chunked", b"\r\n chunked", b"\r\n\tchunked"]
):  # fmt: skip
    refused(f"te-malformed-{number}", post(HELLO + NEXT, b"Transfer-Encoding:" + value),
            rule="malformed Transfer-Encoding" if b"chunked," in value else "")  # fmt: skip
refused("te-1.0", in_chunks(HELLO).replace(b"HTTP/1.1", b"HTTP/1.0") + NEXT,
        rule="Transfer-Encoding in HTTP/1.0")  # fmt: skip
served("te-of-unknown-method", in_chunks(HELLO).replace(b"POST", b"BREW") + NEXT,
       statuses=(501,), open=False)  # fmt: skip

# Fields ------------------------------------------------------------------------------------------

for number, line in enumerate(
    [
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b"X : y",
        b"Content-Length : 5",
    ]
):
    refused(f"blank-before-colon-{number}", post(HELLO + NEXT, line), rule="blank before a colon")
for number, lines in enumerate(
    [(b"X: y", b" Transfer-Encoding: chunked"), (b"X: y", b"\tz"), (b"X: y", b" "),
     (b"Content-Length: 0", b" 38"), (b"Transfer-Encoding", b": chunked")]
):  # fmt: skip
    refused(
        f"folded-{number}", post(HELLO + NEXT, *lines), rule="line folding" if number < 4 else ""
    )
refused("folded-first", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n" + NEXT)
refused("folded-first-tab", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n" + NEXT)
for number, line in enumerate(
    [b"X: y\rTransfer-Encoding: chunked", b"X: y\r", b"X\r: y", b"\rX: y"]
):
    refused(f"bare-cr-{number}", post(HELLO + NEXT, line), rule="bare carriage return")
for number, line in enumerate(
    [b"X: \x00", b"X\x00: y", b"X: a\x01b", b"X: \x7f", b"X: \x1b[2J", b"X: \x0b", b"\x00"]
):
    refused(f"control-{number}", get("/", line) + NEXT, rule="control character in a field")
for number, line in enumerate(
    [b"X", b": y", b"X Y: z", b'"X": y', b"X(Y): z", b"\xe4: y", b"X@: y", b"GET / HTTP/1.1",
     b"Transfer Encoding: chunked", b"[X]: y", b"X,Y: z"]
):  # fmt: skip
    refused(f"name-{number}", get("/", line) + NEXT, rule="malformed field")
refused(
    "bare-lf-before-chunked",
    post(HELLO + NEXT, b"Content-Length: 5", b"X: y\nTransfer-Encoding: chunked"),
)

# Hosts -------------------------------------------------------------------------------------------

refused("no-host", b"GET / HTTP/1.1\r\n\r\n" + NEXT, rule="no Host in HTTP/1.1")
refused("no-host-but-target", b"GET http://a/ HTTP/1.1\r\n\r\n" + NEXT)
refused("absolute-form-of-another-host", get("http://b/x") + NEXT,
        rule="Host that differs from the target's")  # fmt: skip
refused("two-hosts", get("/", b"Host: b") + NEXT, rule="repeated Host")
refused("two-hosts-same", get("/", b"host: a") + NEXT)
refused("two-hosts-1.0", get("/", b"Host: b").replace(b"HTTP/1.1", b"HTTP/1.0", 1) + NEXT)
for number, host in enumerate(
    [b"a b", b"a/b", b"u@a", b"a:b", b"a:1:2", b"[::1", b"::1", b"a#b", b"a?b", b"a\\b", b"\xe4",
     b"<a>", b"a\tb", b"http://a", b"[a]b"]
):  # fmt: skip
    refused(f"host-{number}", get().replace(b" a\r", b" " + host + b"\r") + NEXT,
            rule="malformed Host")  # fmt: skip
refused("expect-twice", with_length(b"x", b"Expect: 100-continue", b"Expect: 100-continue") + NEXT)

# Request lines -----------------------------------------------------------------------------------

for number, line in enumerate(
    [b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ",
     b"GET\t/\tHTTP/1.1", b"GET /\tHTTP/1.1", b"GET /a b HTTP/1.1", b"GET HTTP/1.1", b"GET",
     b"GET / http/1.1", b"GET / HTTP/1", b"GET / HTTP/1.", b"GET / HTTP/.1", b"GET / HTTP/1.1.1",
     b"GET / HTTP/1.10", b"GET / HTTP/01.1", b"GET / HTTP/0.9", b"GET / HTTP/ 1.1",
     b"GET / HTTP /1.1", b"GET / HTTPS/1.1", b"GET / HTTP/1.1x", b"GET / HTTP/-1.1",
     b"GET / HTTP/1,1", b"GET / ICY/1.1", b"POST /simple", b"HEAD /simple", b"G@T / HTTP/1.1",
     b"GET/ / HTTP/1.1", b"\xc3\x84 / HTTP/1.1", b"/ HTTP/1.1", b"\"GET\" / HTTP/1.1", b"hello",
     b"\x16\x03\x01\x02\x00\x01", b"HTTP/1.1 200 OK", b": / HTTP/1.1"]
):  # fmt: skip
    refused(f"line-{number}", line + b"\r\n" + HOST + b"\r\n" + NEXT, rule="malformed request line")
for number, line in enumerate(
    [b"GET /\x00 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\x1b[2J HTTP/1.1", b"GET /\rX HTTP/1.1",
     b"G\x00T / HTTP/1.1", b"GET / HTTP/1.1\r", b"GET /simple\r", b"\rGET / HTTP/1.1"]
):  # fmt: skip
    refused(f"line-control-{number}", line + b"\r\n" + HOST + b"\r\n" + NEXT,
            rule="control character in a request line")  # fmt: skip
refused("lines-before", b"\r\n" * 11 + NEXT, rule="eleven empty lines before a request")
refused("bare-lines-before", b"\n" * 11 + NEXT, rule="eleven empty lines before a request")
refused("nothing-but-lines", b"\r\n" * 100, rule="eleven empty lines before a request")
refused("line-feed-in-line", b"GET /\nHTTP/1.1\r\n" + HOST + b"\r\n" + NEXT)
for number, line in enumerate(
    [b"GET / HTTP/2.0", b"PRI * HTTP/2.0", b"GET / HTTP/3.0", b"GET / HTTP/9.9", b"GET / HTTP/11.1"]
):
    refused(
        f"version-{number}", line + b"\r\n" + HOST + b"\r\n" + NEXT, 505, rule="another version"
    )
for number, method in enumerate([b"BREW", b"get", b"TRACE", b"!", b"__init__"]):
    served(f"method-{number}", get().replace(b"GET", method) + NEXT, "GET /next.",
           statuses=(501, 200), rule="unknown method")  # fmt: skip
refused("connect", get().replace(b"GET", b"CONNECT") + NEXT, 501, rule="unknown method")
served("method-without-host", b"BREW / HTTP/1.1\r\n\r\n" + NEXT, "GET /next.", statuses=(501, 200))

# Chunks ------------------------------------------------------------------------------------------

for number, chunk in enumerate(
    [b"5\nhello", b"5\r\nhelloX", b"5\r\nhello\n", b"-5\r\nhello", b"+5\r\nhello", b"0x5\r\nhello",
     b" 5\r\nhello", b"5 5\r\nhello", b"5_0\r\nhello", b"\r\nhello", b"g\r\nhello", b"5,\r\nhello",
     b"5\rhello", b"5\r\r\nhello", b"\x005\r\nhello", b"5\x00\r\nhello", b"\xb2\r\nhello",
     b"10000000000000005\r\nhello", b"FFFFFFFFFFFFFFFF\r\nhello", b"0000000000000005\r\nhello",
     b"8000000000000005\r\nhello"]
):  # fmt: skip
    refused_in_body(f"chunk-{number}", in_chunks(chunk + b"\r\n0\r\n\r\n") + NEXT,
            rule="malformed chunk")  # fmt: skip
for number, extension in enumerate([b";a\rb", b";\x00", b";a\nb", b"; \x7f", b";" + b"x" * 5000]):
    chunks = b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
    refused_in_body(f"chunk-extension-{number}", in_chunks(chunks) + NEXT,
            rule="malformed chunk")  # fmt: skip
for number, trailer in enumerate(
    [b"X", b": y", b"X : y", b" X: y", b"X: y\r\n z", b"X: \x00", b"X: y\r", b"\n" + NEXT[:-4],
     b"X: " + b"y" * 70_000, b"X: y\r\n" * 12_000 + b"X: y"]
):  # fmt: skip
    refused_in_body(f"trailer-{number}", in_chunks(b"0\r\n" + trailer + b"\r\n\r\n") + NEXT,
            rule="malformed trailer")  # fmt: skip
refused_in_body("chunk-of-two-lengths", in_chunks(b"5\r\nhello0\r\n\r\n") + NEXT)
refused_in_body("chunk-malformed-after-good", in_chunks(b"2\r\nhe\r\nzz\r\n" + HELLO) + NEXT)
refused(
    "chunk-malformed-and-swallowed", in_chunks(b"zz\r\n" + HELLO, path="/swallow") + NEXT,
    streamed=Fate((200,), ("POST /swallow",)),
)  # fmt: skip

# Limits ------------------------------------------------------------------------------------------

refused("target-too-long", get("/" + "x" * 70_000) + NEXT, 414, rule="request line too long")
refused("line-without-end", b"x" * 70_000, 414)
refused("target-too-long-here", get("/" + "x" * 400) + NEXT, 414, limits=SMALL)
refused("header-too-long", get("/", b"X: " + b"y" * 70_000) + NEXT, 431,
        rule="header section too large")  # fmt: skip
refused("header-too-long-here", get("/", b"X: " + b"y" * 400) + NEXT, 431, limits=SMALL)
refused("headers-too-long", get("/", *[b"X: " + b"y" * 1000] * 80) + NEXT, 431)
refused("header-without-end", b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000, 431)
refused("too-many-headers", get("/", *[b"X: y"] * 100) + NEXT, 431, rule="too many headers")
refused("too-many-headers-here", get("/", *[b"X: y"] * 5) + NEXT, 431, limits=SMALL)
served("as-many-headers", get("/", *[b"X: y"] * 4), "GET /.", limits=SMALL)
served("as-many-headers-after-a-line", b"\r\n" + get("/", *[b"X: y"] * 4), "GET /.", limits=SMALL)
refused("length-too-large", post(b"", b"Content-Length: 1073741825"), 413, rule="body too large")
refused("length-far-too-large", post(b"", b"Content-Length: " + b"9" * 19), 413)
refused("length-too-large-here", with_length(b"x" * 21) + NEXT, 413, limits=SMALL)
served("length-large-enough", with_length(b"x" * 20), "POST / " + "x" * 20 + ".", limits=SMALL)
refused_in_body("chunk-too-large", in_chunks(b"15\r\n" + b"x" * 21 + b"\r\n0\r\n\r\n") + NEXT, 413,
                limits=SMALL)  # fmt: skip
refused_in_body("chunks-too-large", in_chunks(b"5\r\nhello\r\n" * 5 + b"0\r\n\r\n") + NEXT, 413,
                limits=SMALL)  # fmt: skip
refused_in_body("chunk-far-too-large", in_chunks(b"FFFFFFFFFFFFFFF\r\nhello") + NEXT, 413)
refused(
    "expect-too-large", post(b"", b"Content-Length: 30", b"Expect: 100-continue"), 413, limits=SMALL
)

# Hosts this server does not answer for, and expectations it does not meet ------------------------

refused("foreign-host", get().replace(b" a\r", b" evil.example\r") + NEXT, 421, handler="Picky",
        rule="foreign host")  # fmt: skip
refused("foreign-target", get("https://evil.example/").replace(b" a\r", b" evil.example\r") + NEXT,
        421, handler="Picky")  # fmt: skip
refused("foreign-target-and-own-host", get("https://evil.example/") + NEXT, 400, handler="Picky",
        rule="Host that differs from the target's")  # fmt: skip
refused("foreign-target-disguised", get("https://evil.example?@a/") + NEXT, 400, handler="Picky",
        rule="Host that differs from the target's")  # fmt: skip
refused("no-host-where-asked", b"GET / HTTP/1.0\r\n\r\n", 421, handler="Picky")
served("own-host", get().replace(b" a\r", b" A.:443\r"), "GET /.", handler="Picky")
served("own-subdomain", get().replace(b" a\r", b" x.own.example\r"), "GET /.", handler="Picky")
served("own-target", get("https://a/x"), "GET https://a/x.", handler="Picky")
served("expectation", with_length(NEXT, b"Expect: 100-continue") + NEXT, statuses=(417,),
       open=False, handler="Reluctant",
       rule="expectation refused by the handler")  # fmt: skip
