"""The same for `unittest`."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tlshttp.testing._authority import Authority, authority
from tlshttp.testing._running import RunningServer
from tlshttp.testing._serve import Served, own, serve

__all__ = ["TLSServerMixIn"]

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object


class TLSServerMixIn(_Base):
    """Gives each test of a `unittest.TestCase` an HTTPS server, and whatever more it asks for.

    Put it first: ``class Tests(TLSServerMixIn, unittest.TestCase)``. What a handler raises is an
    error of the test.
    """

    tls_served: Any = None
    """What `tls_server` serves, as for `serve`; `None`: an empty mapping, to be filled by
    ``self.tls_server.responses``."""
    tls_options: Mapping[str, Any] = MappingProxyType({})
    """Further arguments of `serve`."""

    tls_server: RunningServer
    """The test's own server, closed after the test."""

    @property
    def tls_ca(self) -> Authority:
        """The authority of the process."""
        return authority()

    def setUp(self) -> None:
        """Start the test's own server."""
        super().setUp()
        # Asked of the class, a function that is a WSGI application does not become a method.
        served = vars(self).get("tls_served", type(self).tls_served)
        self.tls_server = self.serve_tls(own(served), **self.tls_options)

    def serve_tls(self, served: Served | None = None, **options: Any) -> RunningServer:
        """Start a further server, closed after the test; the arguments are those of `serve`."""
        server = serve(served, **options)
        self.addCleanup(server.close)
        return server

    if not TYPE_CHECKING:  # or every name would be one of its attributes

        def __getattr__(self, name: str) -> Any:
            """Say why there is no server, to whoever asks for it.

            Raises:
                AttributeError: There is no such attribute.
            """
            if name == "tls_server":
                raise AttributeError(
                    f"{type(self).__name__} has no tls_server: setUp() of TLSServerMixIn has not"
                    " been run. Name TLSServerMixIn before TestCase, and begin a setUp() of your"
                    " own with super().setUp()"
                )
            ask = getattr(super(), "__getattr__", None)
            if ask is not None:
                return ask(name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
