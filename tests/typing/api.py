"""What a user would write, for the type checkers; never run.

The session ``types`` checks it with mypy. A line that must be refused says so with a
``type: ignore[code]``, which mypy reports when it is not needed.
"""

from __future__ import annotations

from typing import assert_type

import tlshttp
from tlshttp import errors

assert_type(tlshttp.__version__, str)


def errors_tell_what_they_know(error: Exception) -> None:
    """Findings and reasons are typed."""
    match error:
        case errors.ConfigurationError():
            assert_type(error.findings, tuple[str, ...])
        case errors.PeerError():
            assert_type(error.reason, str)
            assert_type(error.server_name, str | None)
        case _:
            pass


def hooks_sort_errors_by_their_base(error: errors.HandshakeError) -> str:
    """One base class is all that a hook for handshakes needs."""
    if isinstance(error, TimeoutError):
        return "slow"
    return error.reason


def findings_may_come_from_any_iterable() -> None:
    """``raise_if`` takes what yields strings, and returns nothing."""
    errors.CertificateError.raise_if(str(number) for number in range(2))
    errors.CertificateError.raise_if([1, 2])  # type: ignore[list-item]
    errors.HandshakeError("positional", "server.example")  # type: ignore[call-arg]
