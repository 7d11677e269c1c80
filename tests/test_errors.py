from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from tlshttp import errors


def subclasses(base: type[errors.TLSHTTPError]) -> Iterator[type[errors.TLSHTTPError]]:
    """Yield a class and all below it."""
    yield base
    for derived in base.__subclasses__():
        yield from subclasses(derived)


PEER_ERRORS = [
    kind for kind in subclasses(errors.TLSHTTPError) if issubclass(kind, errors.PeerError)
]
HANDSHAKE_ERRORS = [kind for kind in PEER_ERRORS if issubclass(kind, errors.HandshakeError)]
CONNECTION_CUTS = [kind for kind in PEER_ERRORS if issubclass(kind, errors.ConnectionCut)]


@pytest.mark.smoke
def test_every_error_is_public() -> None:
    """Every exception class of the module is in ``__all__``, and nothing else is."""
    names = {kind.__name__ for kind in subclasses(errors.TLSHTTPError)}
    assert sorted(names) == sorted(errors.__all__)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.CertificateError, ValueError),
        (errors.PeerError, OSError),
        (errors.HandshakeTimeout, TimeoutError),
        (errors.RequestTimeout, TimeoutError),
        (errors.BodyTimeout, TimeoutError),
        (errors.WriteTimeout, TimeoutError),
        (errors.PeerDisconnected, ConnectionError),
    ],
)
def test_code_that_knows_only_the_builtin_exceptions_catches_ours(
    ours: type[errors.TLSHTTPError], builtin: type[Exception]
) -> None:
    """Ours are special cases of the exceptions that Python has for the same faults."""
    assert issubclass(ours, builtin)


def test_a_fault_of_ours_is_no_fault_of_the_peer() -> None:
    """Nothing is both a configuration error and the peer's doing."""
    assert not issubclass(errors.ConfigurationError, OSError)
    assert not any(issubclass(kind, errors.ConfigurationError) for kind in PEER_ERRORS)


def test_every_peer_error_is_before_or_after_the_handshake() -> None:
    """A peer's error goes to one hook: that for handshakes or that for cut connections."""
    assert set(PEER_ERRORS) == {errors.PeerError, *HANDSHAKE_ERRORS, *CONNECTION_CUTS}
    assert not set(HANDSHAKE_ERRORS) & set(CONNECTION_CUTS)


@pytest.mark.parametrize("kinds", [HANDSHAKE_ERRORS, CONNECTION_CUTS], ids=["handshake", "cut"])
def test_each_kind_has_its_own_reason(kinds: list[type[errors.PeerError]]) -> None:
    """Counters by reason tell the kinds that one hook gets apart."""
    reasons = [kind.reason for kind in kinds]
    assert sorted(set(reasons)) == sorted(reasons)


@pytest.mark.parametrize("kind", PEER_ERRORS)
def test_reasons_can_be_names_in_logs_and_metrics(kind: type[errors.PeerError]) -> None:
    """A reason is lower-case words joined by hyphens, defined by the class itself."""
    assert "reason" in vars(kind)
    assert all(word.isalpha() and word.islower() for word in kind.reason.split("-"))


@pytest.mark.parametrize("kind", PEER_ERRORS)
def test_a_peer_error_tells_its_message_and_the_name_asked_for(
    kind: type[errors.PeerError],
) -> None:
    """The message is what the log shows; the server name is `None` unless it is known."""
    assert str(kind("it broke")) == "it broke"
    assert kind("it broke").server_name is None
    assert kind("it broke", server_name="a.example").server_name == "a.example"


def test_a_configuration_error_lists_every_finding() -> None:
    """All findings are in the attribute and in the text."""
    error = errors.ConfigurationError("no certificate.", "no key.")
    assert error.findings == ("no certificate.", "no key.")
    assert str(error) == "no certificate.; no key."


@pytest.mark.parametrize("kind", [errors.ConfigurationError, errors.CertificateError])
def test_findings_are_raised_as_the_class_that_was_asked(
    kind: type[errors.ConfigurationError],
) -> None:
    """``raise_if`` raises one exception of its class for all findings of an iterator."""
    with pytest.raises(kind) as caught:
        kind.raise_if(finding for finding in ("first", "second"))
    assert type(caught.value) is kind
    assert caught.value.findings == ("first", "second")


def test_no_findings_raise_nothing() -> None:
    """``raise_if`` without findings returns."""
    errors.ConfigurationError.raise_if([])


def test_a_configuration_error_survives_pickling() -> None:
    """Findings arrive when a worker process reports the error to its parent."""
    copy = pickle.loads(pickle.dumps(errors.CertificateError("expired", "wrong name")))
    assert type(copy) is errors.CertificateError
    assert copy.findings == ("expired", "wrong name")
