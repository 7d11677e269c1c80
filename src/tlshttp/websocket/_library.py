"""The package that knows frames, which is an extra."""

from __future__ import annotations

from tlshttp.errors import ConfigurationError

try:
    from websockets.exceptions import InvalidHeaderFormat, NegotiationError, PayloadTooBig
    from websockets.extensions import Extension
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    from websockets.frames import Close, Frame, Opcode
    from websockets.headers import build_extension, parse_extension
    from websockets.protocol import Protocol, Side, State
except ImportError as error:
    raise ConfigurationError(
        "tlshttp.websocket needs the package websockets: pip install 'tlshttp-server[websocket]'"
    ) from error

__all__ = [
    "Close", "Extension", "Frame", "InvalidHeaderFormat", "NegotiationError", "Opcode",
    "PayloadTooBig", "Protocol", "ServerPerMessageDeflateFactory", "Side", "State",
    "build_extension", "parse_extension",
]  # fmt: skip
