"""The rows of the catalogue about TLS."""

from __future__ import annotations

import ssl

from tlshttp.testing._bad.fault import Fault, FaultKind
from tlshttp.testing._bad.vocabulary import At, Refuse, Send, Show, Terms, Trait

__all__ = ["TLS_FAULTS"]


def _fault(name: str, does: str, report: str, *traits: Trait) -> Fault:
    return Fault(name, FaultKind.TLS, does, report, traits)


def _refusal(name: str, alert: ssl.AlertDescription, words: str) -> Fault:
    return _fault(
        name, f"refuses every handshake with the alert {words}", f"alert: {words}", Refuse(alert)
    )


def _only(version: ssl.TLSVersion) -> Terms:
    return Terms(minimum_version=version, maximum_version=version)


TLS_FAULTS = (
    _fault(
        "tls-v1-0",
        "speaks TLS 1.0 only",
        "no shared protocol version",
        _only(ssl.TLSVersion.TLSv1),
    ),
    _fault(
        "tls-v1-1",
        "speaks TLS 1.1 only",
        "no shared protocol version",
        _only(ssl.TLSVersion.TLSv1_1),
    ),
    _fault(
        "cbc",
        "accepts one cipher: ECDHE-ECDSA-AES128-SHA, of TLS 1.2",
        "success, or no shared cipher where CBC is off",
        Terms(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-SHA"),
    ),
    _fault(
        "null",
        "accepts one cipher, which does not encrypt: ECDHE-ECDSA-NULL-SHA",
        "no shared cipher",
        Terms(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-NULL-SHA"),
    ),
    _fault(
        "one-group",
        "accepts one group, P-384, which most clients send no key for: they are asked again",
        "success, after a second hello",
        Terms(group="P-384"),
    ),
    _fault(
        "post-quantum-only",
        "accepts one group: X25519MLKEM768, of TLS 1.3",
        "success, or no shared group where the client knows none after quantum computers",
        Terms(group="X25519MLKEM768", minimum_version=ssl.TLSVersion.TLSv1_3),
    ),
    _fault(
        "no-shared-alpn",
        "accepts one application protocol, coap, from clients that offer any",
        "alert: no application protocol",
        Terms(alpn="coap"),
    ),
    _fault(
        "wrong-alpn",
        "claims that coap was agreed on, which the client has not offered",
        "a handshake failure, or at least not to speak HTTP/1.1",
        Terms(forced_alpn="coap"),
    ),
    _fault(
        "client-cert-missing",
        "wants a certificate of the client",
        "certificate required, also after the handshake has seemed done (TLS 1.3)",
        Terms(client_certificate=True),
    ),
    _refusal(
        "handshake-refused",
        ssl.AlertDescription.ALERT_DESCRIPTION_HANDSHAKE_FAILURE,
        "handshake failure",
    ),
    _refusal(
        "unrecognized-name",
        ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME,
        "unrecognized name",
    ),
    _refusal(
        "internal-error",
        ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR,
        "internal error",
    ),
    _refusal(
        "insufficient-security",
        ssl.AlertDescription.ALERT_DESCRIPTION_INSUFFICIENT_SECURITY,
        "insufficient security",
    ),
    _refusal(
        "access-denied",
        ssl.AlertDescription.ALERT_DESCRIPTION_ACCESS_DENIED,
        "access denied",
    ),
    _fault(
        "renewed-then-expired",
        "shows a certificate to the first connection, a new one to the second, then an expired one",
        "success twice, then: certificate has expired",
        Show("honest", connection=1),
        Show("honest", connection=2),
        Show("expired", connection=3),
    ),
    _fault(
        "garbage-for-hello",
        "answers the hello with bytes that are no TLS",
        "not TLS: wrong version number",
        Send(At.HELLO, data=b"\x00garbage, " * 16, sealed=False),
    ),
)
"""In the order of the documentation."""
