from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp import certs
from tlshttp.certs import _keys
from tlshttp.errors import CertificateError

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_names_and_defaults() -> None:
    """A certificate made with names only lives ninety days from five minutes ago, with P-256."""
    before = datetime.now(UTC)
    certificate = certs.self_signed("localhost", "127.0.0.1")
    after = datetime.now(UTC)
    assert certificate.names == ("localhost", "127.0.0.1")
    assert certificate.chain == ()
    begin = certificate.not_valid_before + timedelta(minutes=5)
    assert before - timedelta(seconds=1) < begin <= after
    period = certificate.not_valid_after - certificate.not_valid_before
    assert period == timedelta(days=90, seconds=-1)
    assert _keys.describe_public_key(certificate.leaf.public_key()) == "ECDSA P-256"


def test_nothing_to_complain_about(certificate: certs.Certificate) -> None:
    """What is issued with defaults passes our own check, to the last warning."""
    assert certificate.check() == ()


def test_serials_are_random_and_long() -> None:
    """Serial numbers have up to 159 bits and do not repeat (RFC 5280, section 4.1.2.2)."""
    serials = {certs.self_signed("localhost").leaf.serial_number for _ in range(20)}
    assert len(serials) == 20
    assert max(serial.bit_length() for serial in serials) in range(140, 160)


def test_extensions_of_a_server(certificate: certs.Certificate) -> None:
    """The leaf is no authority, signs only, and is for servers."""
    extensions = certificate.leaf.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.usefixtures("cached_keys")
@pytest.mark.parametrize("key_type", certs.KeyType)
def test_every_key_type(key_type: certs.KeyType) -> None:
    """Each type gives a key that says so, and enciphers only where it is RSA."""
    made = certs.self_signed("localhost", key_type=key_type)
    described = _keys.describe_public_key(made.leaf.public_key()).lower().replace(" p-", "-p")
    assert described.replace(" ", "-") == key_type.value
    usage = made.leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_encipherment == key_type.value.startswith("rsa")


def test_key_type_must_be_one() -> None:
    """A key type given as text is a wrong type."""
    with pytest.raises(TypeError, match="KeyType"):
        certs.self_signed("localhost", key_type="rsa")  # type: ignore[arg-type]


@pytest.mark.parametrize("first", ["127.0.0.1", "a" * 60 + ".example.org"])
def test_name_unfit_for_a_common_name_still_counts(first: str) -> None:
    """An IP address or a long name stays out of the subject and in the names."""
    made = certs.self_signed(first)
    assert first in made.names
    assert made.leaf.subject.rfc4514_string() == "CN=self-signed"
    assert made.check() == ()


@pytest.mark.parametrize(
    ("arguments", "begin", "end"),
    [
        ({"not_valid_before": NOON}, NOON, NOON + timedelta(days=90, seconds=-1)),
        (
            {"not_valid_before": NOON, "lifetime": timedelta(days=1)},
            NOON,
            NOON + timedelta(days=1, seconds=-1),
        ),
        (
            {"not_valid_before": NOON, "not_valid_after": NOON + timedelta(hours=1)},
            NOON,
            NOON + timedelta(hours=1),
        ),
        ({"not_valid_after": NOON}, NOON - timedelta(days=90), NOON),
    ],
)
def test_explicit_period(arguments: dict[str, datetime], begin: datetime, end: datetime) -> None:
    """Given ends are kept to the second, and an open end follows from the lifetime."""
    made = certs.self_signed("localhost", **arguments)  # type: ignore[arg-type]
    assert (made.not_valid_before, made.not_valid_after) == (begin, end)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lifetime": timedelta(minutes=5)}, "back-dating"),
        ({"lifetime": timedelta(days=-1)}, "back-dating"),
        ({"lifetime": timedelta.max}, "year 9999"),
        ({"not_valid_after": datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"not_valid_before": NOON, "not_valid_after": NOON - timedelta(1)}, "before it begins"),
    ],
)
def test_impossible_period(arguments: dict[str, object], message: str) -> None:
    """A period that is empty, over at once, endless or naive is refused with the reason."""
    with pytest.raises(CertificateError, match=message):
        certs.self_signed("localhost", **arguments)  # type: ignore[arg-type]
