"""What is made of an application: a handler class like any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar
from wsgiref.types import WSGIApplication

import pytest

from tests.wsgi.conftest import Run, Start, answering
from tlshttp import AccessLogMixIn, AccessRecord, errors, wsgi


def test_mix_ins_see_what_they_see_of_other_handlers(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Fields that one adds are there, and the access log has status and size."""
    caplog.set_level("INFO", "tlshttp.access")
    records: list[AccessRecord] = []

    class Logging(AccessLogMixIn):
        def log_access(self, record: AccessRecord) -> None:
            records.append(record)

    class Adding:
        def end_headers(self: Any) -> None:
            self.send_header("X-Added", "1")
            super().end_headers()  # type: ignore[misc]

    class Watching:
        names: ClassVar[list[str]] = []

        def send_header(self: Any, name: str, value: str, **more: Any) -> None:
            self.names.append(name)
            super().send_header(name, value, **more)  # type: ignore[misc]

    site = run(answering([b"four"], "200 OK", ("X-Own", "1")), Logging, Adding, Watching)
    answer = site.get("/path")
    assert (answer.headers["X-Own"], answer.headers["X-Added"]) == ("1", "1")
    assert Watching.names == ["Server", "Date", "X-Own", "Content-Length", "X-Added"]
    site.end()
    (record,) = records
    assert (record.request, record.status, record.size) == ("GET /path HTTP/1.1", 200, 4)


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "QUERY", "DELETE", "VERSION-CONTROL"])
def test_every_method_is_the_applications(run: Run, method: str) -> None:
    """It answers 405 by itself where it has to."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return [environ["REQUEST_METHOD"].encode()]

    assert run(application).ask(method).body == method.encode()


def test_methods_that_nobody_knows_are_not_implemented(run: Run) -> None:
    """RFC 9110, section 9.1; and an application is no tunnel: what came next would be no HTTP."""
    site = run(answering([b"x"]))
    assert site.ask("NONSENSE").status == 501
    raw = site.exchange(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize(
    ("application", "options", "says"),
    [
        (None, {}, "cannot be called"),
        ("shop:app", {}, "cannot be called"),
        (answering([]), {"script_name": "shop"}, "begins with a slash"),
        (answering([]), {"script_name": "/shop/"}, "ends without one"),
        (answering([]), {"script_name": "/"}, "ends without one"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(
    application: Any, options: dict[str, str], says: str
) -> None:
    """When the handler class is made."""
    with pytest.raises(errors.ConfigurationError, match=says):
        wsgi.handler(application, **options)


def test_asynchronous_applications_are_refused() -> None:
    """Those of ASGI, be they functions or objects."""

    async def asynchronous(scope: Any, receive: Any, send: Any) -> None:
        """Do nothing."""

    class Asynchronous:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Do nothing."""

    for application in asynchronous, Asynchronous():
        with pytest.raises(errors.ConfigurationError, match="is asynchronous, as ASGI"):
            wsgi.handler(cast_to_wsgi(application))


def cast_to_wsgi(application: Any) -> WSGIApplication:
    """Pass by the type checker."""
    passed: WSGIApplication = application
    return passed
