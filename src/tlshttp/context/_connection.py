"""Connections of the `ssl` module, with the check of `tlshttp._engines.checked`."""

from __future__ import annotations

import ssl
import sys
from typing import Any

from tlshttp._engines.checked import Checked

__all__ = ["CheckedObject", "CheckedSocket"]


class _TellsChain:
    """What the `ssl` module knows of a chain, and tells in public from Python 3.13 on."""

    def verified_chain(self: Any) -> list[bytes]:
        """Return the client's chain as OpenSSL has verified it, in DER; empty where resumed."""
        tell = getattr(self._sslobj, "get_verified_chain", None)
        found = (tell() or ()) if tell is not None else ()
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]


class CheckedSocket(Checked, _TellsChain, ssl.SSLSocket):
    """What ``wrap_socket`` returns."""

    def local_address(self) -> str | None:
        """Return the IP address that the client has connected to; `None` where it is none."""
        address = self.getsockname()
        return address[0] if isinstance(address, tuple) else None

    if sys.version_info >= (3, 13):

        def get_verified_chain(self) -> list[bytes]:
            """Do what `ssl.SSLSocket.get_verified_chain` does."""
            return self._originals(super().get_verified_chain())

    def read(self, *arguments: Any) -> Any:
        """Do what `ssl.SSLSocket.read` does."""
        if not self._accepted:
            self.do_handshake()
        return super().read(*arguments)

    def write(self, data: Any) -> int:
        """Do what `ssl.SSLSocket.write` does."""
        if not self._accepted:
            self.do_handshake()
        return super().write(data)


class _AcceptedObject(Checked, _TellsChain, ssl.SSLObject):
    """An in-memory connection that has passed the check: it costs no more than `ssl`'s own."""

    if sys.version_info >= (3, 13):

        def get_verified_chain(self) -> list[bytes]:
            """Do what `ssl.SSLObject.get_verified_chain` does."""
            return self._originals(super().get_verified_chain())


class CheckedObject(_AcceptedObject):
    """What ``wrap_bio`` returns."""

    def _accept(self) -> None:
        self.__class__ = _AcceptedObject  # type: ignore[assignment]  # of the same shape

    def read(self, *arguments: Any) -> Any:
        """Do what `ssl.SSLObject.read` does, after the handshake."""
        self.do_handshake()
        return super().read(*arguments)

    def write(self, data: Any) -> int:
        """Do what `ssl.SSLObject.write` does, after the handshake."""
        self.do_handshake()
        return super().write(data)
