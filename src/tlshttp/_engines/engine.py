"""The little in which engines differ while a context is made."""

from __future__ import annotations

from typing import Any, Protocol

from tlshttp._engines.anchors import TrustAnchors
from tlshttp._engines.directory import Group
from tlshttp._engines.pins import Pins
from tlshttp.certs import Certificate
from tlshttp.profiles import TLSProfile

__all__ = ["Engine"]


class Engine(Protocol):
    """One TLS library. Its contexts are what it takes them for: nobody else looks into them."""

    def profile_findings(self, profile: TLSProfile) -> list[str]:
        """Say what of a profile it cannot do."""

    def certificate_findings(self, certificate: Certificate, profile: TLSProfile) -> list[str]:
        """Say what it has against a certificate that fits the profile."""

    def load_certificates(self, context: Any, group: Group) -> None:
        """Have a context show certificates, of different kinds of keys.

        Raises:
            ConfigurationError: It refuses one.
        """

    def trust(self, context: Any, anchors: TrustAnchors, crls: bytes | None, pins: Pins) -> None:
        """Have a context that has not served accept client certificates, less what is revoked.

        Args:
            context: The context.
            anchors: The authorities.
            crls: Revocation lists in PEM; `None`: nothing is ever revoked.
            pins: Certificates of single clients.
        """
