from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.certs import judges
from tlshttp import certs
from tlshttp.certs import _issue
from tlshttp.errors import CertificateError

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
LEAF = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf.test")])

Extensions = dict[str, tuple[x509.ExtensionType, bool]]


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    """Return the key of whatever is built here by hand."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def extensions(key: ec.EllipticCurvePrivateKey) -> Extensions:
    """Return what a good leaf has, for a test to take something away."""
    return {
        "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
        "issuer": (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            False,
        ),
        "usage": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        "names": (x509.SubjectAlternativeName([x509.DNSName("leaf.test")]), False),
    }


def build(
    key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    *,
    subject: x509.Name = LEAF,
    public_key: Any = None,
    days: int = 90,
    begin: datetime = NOW - timedelta(hours=1),
) -> certs.CertificateChain:
    """Build a certificate without our own builder, which makes no bad ones."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ROOT)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days, seconds=-1))
    )
    for extension, critical in extensions.values():
        builder = builder.add_extension(extension, critical=critical)
    return certs.CertificateChain(builder.sign(key, hashes.SHA256()), ())


def codes(chain: certs.CertificateChain, **details: Any) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in chain.check(**details)]


def test_good_leaf_has_no_findings(key: ec.EllipticCurvePrivateKey, extensions: Extensions) -> None:
    """The leaf from which the other tests take something away is good."""
    assert codes(build(key, extensions)) == []


def names(*values: str) -> tuple[x509.ExtensionType, bool]:
    """Build the extension for DNS names that our own parser may not accept."""
    return x509.SubjectAlternativeName([x509.DNSName(value) for value in values]), False


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda found: found.pop("names"), ["common-name-only"]),
        (lambda found: found.update(names=names("*")), ["bare-wildcard"]),
        (lambda found: found.update(names=names("*.localhost")), ["wide-wildcard"]),
        (lambda found: found.update(names=names("*.a.test")), []),
        (lambda found: found.pop("issuer"), ["no-authority-key-identifier"]),
        (lambda found: found.pop("usage"), ["no-server-auth"]),
        (
            lambda found: found.update(
                usage=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
            ),
            ["no-server-auth"],
        ),
        (
            lambda found: found.update(
                access=(
                    x509.AuthorityInformationAccess(
                        [
                            x509.AccessDescription(
                                AuthorityInformationAccessOID.CA_ISSUERS,
                                x509.UniformResourceIdentifier("http://ca.test/ca"),
                            )
                        ]
                    ),
                    False,
                )
            ),
            ["chain-incomplete"],
        ),
    ],
)
def test_one_fault_one_finding(
    key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    change: Callable[[Any], None],
    expected: list[str],
) -> None:
    """Each fault gives its own finding, and nothing else."""
    change(extensions)
    assert codes(build(key, extensions)) == expected


def test_no_name_at_all(key: ec.EllipticCurvePrivateKey, extensions: Extensions) -> None:
    """A certificate with neither names nor common name is said to fit no host."""
    extensions.pop("names")
    assert codes(build(key, extensions, subject=x509.Name([]))) == ["no-names"]


@pytest.mark.parametrize(
    ("begin", "days", "expected"),
    [
        (datetime(2026, 4, 1, tzinfo=UTC), 200, []),
        (datetime(2026, 4, 1, tzinfo=UTC), 201, ["lifetime-public"]),
        (datetime(2027, 4, 1, tzinfo=UTC), 100, []),
        (datetime(2027, 4, 1, tzinfo=UTC), 101, ["lifetime-public"]),
        (datetime(2029, 4, 1, tzinfo=UTC), 47, []),
        (datetime(2029, 4, 1, tzinfo=UTC), 48, ["lifetime-public"]),
        (datetime(2026, 3, 1, tzinfo=UTC), 398, []),
        (datetime(2026, 4, 1, tzinfo=UTC), 825, ["lifetime-public"]),
        (datetime(2026, 4, 1, tzinfo=UTC), 826, ["lifetime-apple", "lifetime-public"]),
    ],
)
def test_lifetime_limits(
    key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    begin: datetime,
    days: int,
    expected: list[str],
) -> None:
    """The limit of the day of issue is kept to the day, for the public and for Apple."""
    built = build(key, extensions, begin=begin, days=days)
    assert codes(built, at=begin + timedelta(days=1)) == expected


def test_default_lifetimes_keep_the_limits_of_the_next_years() -> None:
    """What is issued with the default lifetime stays below every limit until March 2029."""
    for begin in (datetime(2027, 4, 1, tzinfo=UTC), datetime(2029, 3, 1, tzinfo=UTC)):
        authority = certs.CertificateAuthority.generate("Root", not_valid_before=begin)
        made = authority.issue_server("localhost", not_valid_before=begin)
        assert made.check(at=begin + timedelta(days=1)) == ()


def test_time_is_judged_for_the_asked_moment(
    key: ec.EllipticCurvePrivateKey, extensions: Extensions
) -> None:
    """The same certificate is good now, expired in a year and not valid a year ago."""
    built = build(key, extensions)
    assert codes(built, at=NOW + timedelta(days=365)) == ["expired"]
    assert codes(built, at=NOW - timedelta(days=365)) == ["not-yet-valid"]


def test_small_keys(
    key: ec.EllipticCurvePrivateKey, extensions: Extensions, small_rsa_key: rsa.RSAPrivateKey
) -> None:
    """RSA below 2048 and curves below 256 bits are findings."""
    assert codes(build(key, extensions, public_key=small_rsa_key.public_key())) == ["weak-key"]
    small_curve = ec.generate_private_key(ec.SECP224R1()).public_key()
    assert codes(build(key, extensions, public_key=small_curve)) == ["weak-key"]


def test_weak_signature_on_a_leaf_not_on_a_root(tmp_path: Path) -> None:
    """SHA-1 is a finding where it protects something, which it does not on a root."""
    made = "openssl req -x509 -newkey rsa:2048 -nodes -sha1 -keyout key -out root -subj /CN=R"
    asked = "openssl req -new -key key -subj /CN=leaf -out request"
    signed = "openssl x509 -req -in request -CA root -CAkey key -sha1 -out leaf"
    for command in (made, asked, signed):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
    leaf, root = certs.load_chain(tmp_path / "leaf"), certs.load_chain(tmp_path / "root")
    assert "weak-signature" in codes(leaf)
    assert "weak-signature" not in codes(root)
    (weak,) = (finding for finding in leaf.check() if finding.code == "weak-signature")
    assert "SHA1" in weak.sentence


def test_client_needs_client_usage(key: ec.EllipticCurvePrivateKey, extensions: Extensions) -> None:
    """For a client the usage is judged, while names and lifetime are not."""
    extensions.pop("names")
    built = build(key, extensions, days=2000)
    assert codes(built, purpose=certs.Purpose.CLIENT) == ["no-client-auth"]


def authority_with(
    key: ec.EllipticCurvePrivateKey, **changes: tuple[x509.ExtensionType, bool] | None
) -> certs.CertificateChain:
    """Build an authority below the root in which something is different."""
    usage = _issue.key_usage(digital_signature=True, key_encipherment=False, authority=True)
    found: dict[str, tuple[x509.ExtensionType, bool] | None] = {
        "constraints": (x509.BasicConstraints(ca=True, path_length=None), True),
        "usage": (usage, True),
        "own": (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        "issuer": (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    }
    found.update(changes)
    return build(key, {name: value for name, value in found.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (
            {"constraints": (x509.BasicConstraints(ca=True, path_length=None), False)},
            "basic-constraints-not-critical",
        ),
        ({"usage": None}, "no-key-usage"),
        ({"own": None}, "no-subject-key-identifier"),
        ({"issuer": None}, "no-authority-key-identifier"),
    ],
)
def test_authorities_in_the_chain_are_judged_strictly(
    key: ec.EllipticCurvePrivateKey, changes: dict[str, Any], code: str
) -> None:
    """What Python 3.13 refuses about an authority is a finding, as OpenSSL confirms."""
    good, bad = authority_with(key), authority_with(key, **changes)
    assert code not in codes(certs.CertificateChain(good.leaf, (good.leaf,)))
    assert code in codes(certs.CertificateChain(bad.leaf, (bad.leaf,)))
    root = certs.CertificateChain(bad.leaf, ())
    assert judges.openssl(judges.Question(root, [good.leaf], "leaf.test"))


def test_order_and_gaps_of_the_chain() -> None:
    """A chain in the wrong order and one with a gap get different advice."""
    root = certs.CertificateAuthority.generate("Root")
    upper = root.issue_authority("Upper", path_length=1)
    lower = upper.issue_authority("Lower")
    leaf = lower.issue_server("localhost").leaf
    above = (lower.certificate.leaf, upper.certificate.leaf)
    assert codes(certs.CertificateChain(leaf, above)) == []
    swapped = certs.CertificateChain(leaf, above[::-1])
    assert {finding.code for finding in swapped.check()} == {"chain-order"}
    assert "each one's issuer after it" in swapped.check()[0].sentence
    gap = certs.CertificateChain(leaf, (above[1],))
    assert "its issuer is missing" in gap.check()[0].sentence
    with pytest.raises(CertificateError, match="its issuer is missing"):
        certs.load(
            gap.to_pem(), lower.issue_server("x").key_to_pem(), tolerate=["expired", "weak-key"]
        )


def test_hostile_names_do_nothing_to_a_terminal(
    key: ec.EllipticCurvePrivateKey, extensions: Extensions
) -> None:
    """Escape sequences in names of a certificate are shown, not obeyed, wherever they appear."""
    clear_screen = "\x1b[2J"
    extensions["names"] = names(clear_screen, f"*.{clear_screen}")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, clear_screen)])
    built = build(key, extensions, subject=subject, begin=NOW - timedelta(days=1000))
    texts = [str(built), repr(built), *map(str, built.check())]
    assert any("\\x1b[2J" in text for text in texts)
    assert not any("\x1b" in text for text in texts)


def test_finding_reads_as_a_line(key: ec.EllipticCurvePrivateKey, extensions: Extensions) -> None:
    """The text of a finding has severity, sentence and code."""
    extensions.pop("usage")
    (finding,) = build(key, extensions).check()
    assert finding.severity is certs.Severity.WARNING
    assert str(finding) == f"warning: {finding.sentence} (no-server-auth)"


def test_moment_must_be_aware(certificate: certs.Certificate) -> None:
    """A moment without a time zone is refused instead of being taken for another."""
    with pytest.raises(CertificateError, match="time zone"):
        certificate.check(at=datetime(2030, 1, 1))  # noqa: DTZ001
