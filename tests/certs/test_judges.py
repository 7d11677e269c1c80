"""What is issued, before judges that are not ours; each must refuse the negative twins, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.certs import judges
from tlshttp import certs

Judge = Callable[[judges.Question], str | None]

ALL: list[Judge] = [judges.openssl, judges.pyca, judges.identity, judges.python_client]
VERIFIERS: list[Judge] = [judges.openssl, judges.pyca, judges.python_client]
WITH_CRLS: list[Judge] = [judges.openssl, judges.python_client]
NAMES = ("localhost", "*.example.org", "bücher.example", "127.0.0.1", "::1")
NOW = datetime.now(UTC)


def name_of(judge: Judge) -> str:
    """Name a parameter after the judge."""
    return judge.__name__


@pytest.fixture(scope="module")
def root() -> certs.CertificateAuthority:
    """Return the root that clients trust."""
    return certs.CertificateAuthority.generate("Trusted root")


@pytest.fixture(scope="module")
def intermediate(root: certs.CertificateAuthority) -> certs.CertificateAuthority:
    """Return an authority below the root."""
    return root.issue_authority("Intermediate")


def question(
    shown: certs.CertificateChain, authority: certs.CertificateAuthority, **details: object
) -> judges.Question:
    """Ask about a certificate for a client that trusts the authority."""
    return judges.Question(shown, [authority.certificate.leaf], **details)  # type: ignore[arg-type]


@pytest.mark.parametrize("judge", ALL, ids=name_of)
@pytest.mark.parametrize("name", ["localhost", "www.example.org", "127.0.0.1", "::1"])
def test_issued_by_root_and_intermediate(
    judge: Judge,
    name: str,
    root: certs.CertificateAuthority,
    intermediate: certs.CertificateAuthority,
) -> None:
    """Every judge accepts a server certificate for every kind of name, at both depths."""
    for authority in (root, intermediate):
        assert judge(question(authority.issue_server(*NAMES), root, name=name)) is None


@pytest.mark.usefixtures("cached_keys")
@pytest.mark.parametrize("judge", ALL, ids=name_of)
@pytest.mark.parametrize("key_type", certs.KeyType)
def test_every_key_type(judge: Judge, key_type: certs.KeyType) -> None:
    """Every judge accepts every key type, on authority and leaf; Ed25519 is not of the web."""
    authority = certs.CertificateAuthority.generate("Root", key_type=key_type)
    asked = question(authority.issue_server("localhost", key_type=key_type), authority)
    refusal = judge(asked)
    if judge is judges.pyca and key_type is certs.KeyType.ED25519:
        assert "Forbidden" in str(refusal)
    else:
        assert refusal is None


@pytest.mark.parametrize("judge", ALL, ids=name_of)
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_self_signed(judge: Judge, name: str) -> None:
    """Every judge accepts a self-signed certificate that is itself what the client trusts."""
    made = certs.self_signed(name)
    assert judge(judges.Question(made, [made.leaf], name)) is None


@pytest.mark.parametrize("judge", VERIFIERS, ids=name_of)
def test_self_signed_untrusted(judge: Judge) -> None:
    """Every judge refuses a self-signed certificate when it trusts another of the same name."""
    made, other = certs.self_signed("localhost"), certs.self_signed("localhost")
    assert judge(judges.Question(made, [other.leaf]))


@pytest.mark.parametrize("judge", ALL, ids=name_of)
@pytest.mark.parametrize("name", ["other.example", "example.org", "a.b.example.org", "127.0.0.2"])
def test_wrong_name(judge: Judge, name: str, root: certs.CertificateAuthority) -> None:
    """Every judge refuses a name that the certificate does not have."""
    assert judge(question(root.issue_server(*NAMES), root, name=name))


@pytest.mark.parametrize("judge", VERIFIERS, ids=name_of)
def test_wrong_authority(judge: Judge, root: certs.CertificateAuthority) -> None:
    """Every judge refuses what another authority of the same name has issued."""
    namesake = certs.CertificateAuthority.generate("Trusted root")
    assert judge(question(namesake.issue_server("localhost"), root))


@pytest.mark.parametrize("judge", VERIFIERS, ids=name_of)
def test_missing_intermediate(
    judge: Judge, root: certs.CertificateAuthority, intermediate: certs.CertificateAuthority
) -> None:
    """Every judge refuses a chain that lacks its intermediate."""
    issued = intermediate.issue_server("localhost")
    alone = certs.Certificate(issued.leaf, (), issued.private_key)
    assert judge(question(alone, root))


@pytest.mark.parametrize("judge", VERIFIERS, ids=name_of)
@pytest.mark.parametrize(
    "period",
    [
        {"not_valid_after": NOW - timedelta(minutes=1)},
        {"not_valid_before": NOW + timedelta(hours=1)},
    ],
    ids=["expired", "not yet valid"],
)
def test_wrong_time(
    judge: Judge, period: dict[str, datetime], root: certs.CertificateAuthority
) -> None:
    """Every judge refuses a certificate before and after its time."""
    assert judge(question(root.issue_server("localhost", **period), root))  # type: ignore[arg-type]


@pytest.mark.parametrize("judge", VERIFIERS, ids=name_of)
def test_client_certificate_as_server(judge: Judge, root: certs.CertificateAuthority) -> None:
    """Every judge refuses a client certificate that a server shows."""
    assert judge(question(root.issue_client("localhost"), root))


@pytest.mark.parametrize("judge", [judges.openssl, judges.pyca], ids=name_of)
def test_client_certificate(
    judge: Judge, root: certs.CertificateAuthority, intermediate: certs.CertificateAuthority
) -> None:
    """A client certificate passes as one, with any kind of name, and a server's does not."""
    for name in ("me@example.org", "spiffe://prod/web", "host.example"):
        issued = intermediate.issue_client(name)
        assert judge(question(issued, root, purpose=certs.Purpose.CLIENT)) is None
        assert issued.check(purpose=certs.Purpose.CLIENT) == ()
    server = root.issue_server("localhost")
    assert judge(question(server, root, purpose=certs.Purpose.CLIENT))


@pytest.mark.parametrize("judge", WITH_CRLS, ids=name_of)
def test_revoked(judge: Judge, root: certs.CertificateAuthority) -> None:
    """With the CRL at hand, every judge that reads one refuses the revoked certificate only."""
    good, revoked = root.issue_server("localhost"), root.issue_server("localhost")
    root.revoke(revoked)
    crls = [root.crl()]
    assert judge(question(good, root, crls=crls)) is None
    assert "revoked" in str(judge(question(revoked, root, crls=crls)))
