"""A context that can be tuned until it has served.

What is set on it goes to the contexts that stand behind it, too: each setting is a step, and the
steps are repeated on every context that is made later.
"""

from __future__ import annotations

import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

from tlshttp.errors import ConfigurationError

__all__ = ["Step", "TunableContext"]

Step = Callable[[ssl.SSLContext], object]

_TUNABLE = frozenset(
    {"maximum_version", "minimum_version", "options", "num_tickets", "verify_flags", "verify_mode"}
)
_FIXED = frozenset(
    {
        "keylog_filename",
        "post_handshake_auth",
        "sni_callback",
        "sslobject_class",
        "sslsocket_class",
    }
)


class TunableContext(ssl.SSLContext):
    """An `ssl.SSLContext` for servers: what of it can be set, until when, and what is refused."""

    _ready = False
    """Whether it is made. Until then, what is set is set on this object only."""
    _served = False

    def __new__(cls, *_arguments: object, **_named: object) -> Self:
        """Return a context for servers."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    @abstractmethod
    def _rebuild(self) -> None:
        """Make the contexts behind this one anew, by all steps so far."""

    def _apply(self, steps: Sequence[Step]) -> None:
        """Do the first steps on this object, and keep them for the contexts behind it."""
        self._steps = list(steps)
        for step in self._steps:
            step(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, on the contexts behind this one, too."""
        if name in _FIXED and self._ready:
            raise ConfigurationError(f"{name} of this context cannot be set")
        if name not in _TUNABLE or not self._ready:
            super().__setattr__(name, value)
            return
        self._tune(name, lambda context: ssl.SSLContext.__setattr__(context, name, value))

    def _tune(self, name: str, step: Step) -> None:
        if self._served:
            raise ConfigurationError(
                f"{name}: this context has served and cannot be changed; create another one"
            )
        step(self)
        self._steps.append(step)
        try:
            self._rebuild()
        except ConfigurationError:
            self._steps.pop()
            raise

    def _call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        method = getattr(ssl.SSLContext, name)
        if not self._ready:
            method(self, *arguments, **named)
            return
        self._tune(name, lambda context: method(context, *arguments, **named))

    def set_ciphers(self, *arguments: Any, **named: Any) -> None:
        """Do what `ssl.SSLContext.set_ciphers` does, before the first connection."""
        self._call("set_ciphers", arguments, named)

    def set_ecdh_curve(self, *arguments: Any, **named: Any) -> None:
        """Do what `ssl.SSLContext.set_ecdh_curve` does, before the first connection."""
        self._call("set_ecdh_curve", arguments, named)

    def load_verify_locations(self, *arguments: Any, **named: Any) -> None:
        """Do what `ssl.SSLContext.load_verify_locations` does, before the first connection.

        The ``verify_depth`` of `create_server_context` holds for its ``client_cas`` only.
        """
        self._call("load_verify_locations", arguments, named)

    def set_default_verify_paths(self) -> None:
        """Do what `ssl.SSLContext.set_default_verify_paths` does, before the first connection."""
        self._call("set_default_verify_paths", (), {})

    if sys.version_info >= (3, 15):

        def set_ciphersuites(self, *arguments: Any) -> None:
            """Do what `ssl.SSLContext.set_ciphersuites` does, before the first connection."""
            self._call("set_ciphersuites", arguments, {})

        def set_groups(self, *arguments: Any) -> None:
            """Do what `ssl.SSLContext.set_groups` does, before the first connection."""
            self._call("set_groups", arguments, {})

        def set_server_sigalgs(self, *arguments: Any) -> None:
            """Do what `ssl.SSLContext.set_server_sigalgs` does, before the first connection."""
            self._call("set_server_sigalgs", arguments, {})

        def set_client_sigalgs(self, *arguments: Any) -> None:
            """Do what `ssl.SSLContext.set_client_sigalgs` does, before the first connection."""
            self._call("set_client_sigalgs", arguments, {})

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Refuse: protocols are an argument of `create_server_context`.

        Raises:
            ConfigurationError: Always.
        """
        if not self._ready:
            super().set_alpn_protocols(alpn_protocols)
            return
        raise ConfigurationError("give alpn_protocols to create_server_context()")

    def load_cert_chain(self, *_arguments: Any, **_named: Any) -> NoReturn:
        """Refuse: certificates are arguments of `create_server_context`.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError("give the certificate to create_server_context()")
