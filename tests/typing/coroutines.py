"""Coroutines and ASGI applications, as users write them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, assert_type

from tlshttp import AccessLogMixIn, ThreadingTLSHTTPServer, TLSHTTPServer, aio


class Clock(aio.AsyncTLSRequestHandler):
    """What is read and written is typed; hooks are as ever."""

    cancel_when_left = False
    allowed_hosts = ("localhost",)

    async def do_POST(self) -> None:
        """Read, and write."""
        assert_type(await self.read(), bytes)
        assert_type(await self.read1(100), bytes)
        self.send_response(200)
        self.end_headers()
        await self.write(b"text")
        await self.write(memoryview(b"view"))
        await self.write("text")  # type: ignore[arg-type]
        await self.flush()

    def do_GET(self) -> None:
        """Be none."""

    def answered(self) -> None:
        """Take note."""
        super().answered()


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """An ASGI application."""


made = aio.asgi(application, root_path="/shop", lifespan=True, origins=["https://example.org"])
assert_type(made, type[aio.AsyncTLSRequestHandler])


class Logged(AccessLogMixIn, Clock):
    """A mix-in before it."""


async def main() -> None:
    """Serve in the running loop."""
    await aio.serve(TLSHTTPServer(("localhost", 0), Logged, certfile="cert.pem"))
    await aio.serve(
        ThreadingTLSHTTPServer(("localhost", 0), made, certfile="cert.pem"), drain_timeout=None
    )


asyncio.run(main())
