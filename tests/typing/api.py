"""What a user would write, for the type checkers; never run.

The session ``types`` checks it with mypy. A line that must be refused says so with a
``type: ignore[code]``, which mypy reports when it is not needed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from cryptography import x509

import tlshttp
from tlshttp import certs, context, errors

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


def stores_tell_what_they_keep(certificate: certs.Certificate, path: str) -> None:
    """Both kinds of stores have the same methods, each for its own kind of thing."""
    store, lists = certs.CertificateStore(path), certs.CRLStore(path, poll_interval=60)
    store.require(lambda new: ["too short"] if new.ends_within(timedelta(days=3)) else [])
    store.current.check(purpose=certs.Purpose.AUTHORITY)
    assert_type(store.current, certs.Certificate)
    assert_type(store.last_error, errors.CertificateError | None)
    assert_type(lists.current, tuple[x509.CertificateRevocationList, ...])
    assert_type(lists.last_error, errors.ConfigurationError | None)
    lists.subscribe(lambda crls: crls[0].issuer, lambda error: error.findings)
    store.subscribe(lambda new: new.names, lambda error: error.findings)
    context.create_server_context(certificate, crls=[lists, path, *lists.current], verify_depth=1)
    context.create_server_context(certificate, crls=[certificate])  # type: ignore[list-item]


def findings_may_come_from_any_iterable() -> None:
    """``raise_if`` takes what yields strings, and returns nothing."""
    errors.CertificateError.raise_if(str(number) for number in range(2))
    errors.CertificateError.raise_if([1, 2])  # type: ignore[list-item]
    errors.HandshakeError("positional", "server.example")  # type: ignore[call-arg]
