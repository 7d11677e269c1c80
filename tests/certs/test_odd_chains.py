"""certificates F12: what is odd about a chain and hurts nobody is a warning that says so."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.calls import counting_calls
from tests.certs import judges
from tests.certs.zoo import Zoo, twin
from tlshttp import certs
from tlshttp.context import create_server_context
from tlshttp.errors import CertificateError

NOW = datetime.now(UTC)
PAST = NOW - timedelta(days=3)

List = Sequence[x509.Certificate]


class Chains(Zoo):
    """Names for what chains are made of."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.leaf_, self.inter = self.pair.leaf, self.authority.certificate.leaf
        self.top = self.root.certificate.leaf
        other = certs.CertificateAuthority.generate("Other root")
        self.other, self.other_root = other, other.certificate.leaf
        below = other.issue_authority("Other intermediate")
        self.stranger = below.certificate.leaf
        self.stranger_leaf = below.issue_server("other.test").leaf


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Chains:
    """Make the parts of all chains."""
    return Chains(tmp_path_factory.mktemp("chains"))


ODD: dict[str, tuple[Callable[[Chains], List], str]] = {
    "leaf twice": (lambda p: [p.leaf_, p.leaf_, p.inter], "'localhost' is in the chain twice"),
    "leaf at the end": (lambda p: [p.leaf_, p.inter, p.leaf_], "'localhost' is in the chain twice"),
    "intermediate twice": (
        lambda p: [p.leaf_, p.inter, p.inter],
        "'Intermediate' is in the chain twice: once is enough",
    ),
    "intermediate three times": (
        lambda p: [p.leaf_, p.inter, p.inter, p.inter],
        "'Intermediate' is in the chain 3 times",
    ),
    "root included": (
        lambda p: [p.leaf_, p.inter, p.top],
        "the root 'Root' is in the chain, and clients use their own copy: leave it out",
    ),
    "root twice": (lambda p: [p.leaf_, p.inter, p.top, p.top], "'Root' is in the chain twice"),
    "expired copy of the root": (
        lambda p: [p.leaf_, p.inter, p.root_of(PAST)],
        "UTC; no client needs it, and some stumble over it: leave it out",
    ),
    "cross-signed twin after": (
        lambda p: [p.leaf_, p.inter, twin(p.authority, p.other)],
        "'Intermediate' is in the chain in 2 versions, issued by 'CN=Root' and 'CN=Other root'",
    ),
    "cross-signed twin with its root": (
        lambda p: [p.leaf_, p.inter, twin(p.authority, p.other), p.other_root],
        "the root 'Other root' is in the chain",
    ),
    "root with a cross-signed twin": (
        lambda p: [p.leaf_, p.inter, twin(p.root, p.other), p.top],
        "'Root' is in the chain in 2 versions, issued by 'CN=Other root' and 'CN=Root'",
    ),
    "expired cross-signed root": (
        lambda p: [p.leaf_, p.inter, p.top, twin(p.root, p.other, PAST)],
        "'Root' expired on",
    ),
    "expired twin after": (
        lambda p: [p.leaf_, p.inter, twin(p.authority, p.root, PAST)],
        "'Intermediate' expired on",
    ),
    "expired twin before": (
        lambda p: [p.leaf_, twin(p.authority, p.root, PAST), p.inter],
        "'Intermediate' expired on",
    ),
    "stranger at the end": (
        lambda p: [p.leaf_, p.inter, p.stranger],
        "of the chain: leave it out, unless 'CN=Root', the issuer of 'Intermediate', is missing",
    ),
    "strange leaf at the end": (
        lambda p: [p.leaf_, p.inter, p.stranger_leaf],
        "'other.test' has issued no other certificate of the chain",
    ),
    "strange root at the end": (
        lambda p: [p.leaf_, p.inter, p.other_root],
        "'Other root' has issued no other certificate of the chain: leave it out",
    ),
    "two strangers": (
        lambda p: [p.leaf_, p.inter, p.stranger_leaf, p.stranger],
        "'other.test' has issued no other certificate of the chain",
    ),
    "stranger in the middle": (
        lambda p: [p.leaf_, p.stranger, p.inter],
        "'Other intermediate' has issued no other certificate of the chain",
    ),
}

WRONG: dict[str, tuple[Callable[[Chains], List], str]] = {
    "issuer missing": (
        lambda p: [p.leaf_, p.top],
        "'localhost' is followed by 'Root', which did not issue it: its issuer is missing",
    ),
    "issuer missing, a stranger instead": (
        lambda p: [p.leaf_, p.stranger],
        "its issuer is missing",
    ),
    "root before the intermediate": (
        lambda p: [p.leaf_, p.top, p.inter],
        "'localhost' is followed by 'Root', which did not issue it: put the leaf first",
    ),
    "intermediate expired": (
        lambda p: [p.leaf_, twin(p.authority, p.root, PAST)],
        "'Intermediate' expired on",
    ),
    "both twins expired": (
        lambda p: [
            p.leaf_,
            twin(p.authority, p.root, PAST),
            twin(p.authority, p.other, PAST - timedelta(days=1)),
        ],
        "'Intermediate' expired on",
    ),
}


def pem(certificates: List) -> bytes:
    """Put certificates into one file."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def gnutls(certificates: List, root: x509.Certificate, folder: Path) -> str | None:
    """Ask GnuTLS; where it is not installed it has nothing to say."""
    tool = shutil.which("certtool")
    if tool is None:
        return None
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    command = [tool, "--verify", "--load-ca-certificate", "root.pem", "--verify-hostname",
               "localhost"]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, input=pem(certificates), capture_output=True, timeout=30, check=False
    )
    return done.stdout.decode() if done.returncode else None


@pytest.mark.parametrize(("making", "sentence"), ODD.values(), ids=ODD)
def test_certificates_f12_harmless_oddities_load(
    making: Callable[[Chains], List],
    sentence: str,
    parts: Chains,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Judges accept the chain as it stands, so it is served, and the log says what is odd."""
    chain = making(parts)
    shown = certs.Certificate(chain[0], tuple(chain[1:]), parts.pair.private_key)
    question = judges.Question(shown, [parts.top])
    assert not any(judge(question) for judge in (judges.openssl, judges.python_client, judges.pyca))
    if making is not ODD["expired twin before"][0]:  # which GnuTLS alone stumbles over
        assert gnutls(chain, parts.top, tmp_path) is None
    loaded = certs.load(pem(chain), parts.key)
    texts = [record.getMessage() for record in caplog.records if record.name == "tlshttp.certs"]
    assert any(sentence in text for text in texts), texts
    assert len(set(loaded.chain) | {loaded.leaf}) == len(loaded.chain) + 1
    question = judges.Question(loaded, [parts.top])
    assert not any(judge(question) for judge in (judges.openssl, judges.python_client, judges.pyca))
    client = ssl.create_default_context(cadata=parts.top.public_bytes(Encoding.DER))
    judges.shake_hands(create_server_context(loaded), client, "localhost")


@pytest.mark.parametrize(("making", "sentence"), ODD.values(), ids=ODD)
def test_certificates_f12_check_agrees(
    making: Callable[[Chains], List], sentence: str, parts: Chains
) -> None:
    """What loads with a warning is a warning of `check`, with the same sentence."""
    found = certs.CertificateChain(making(parts)[0], tuple(making(parts)[1:])).check()
    assert {finding.severity for finding in found} <= {certs.Severity.WARNING}
    assert any(sentence in finding.sentence for finding in found)


@pytest.mark.parametrize(("making", "sentence"), WRONG.values(), ids=WRONG)
def test_certificates_f12_what_clients_miss_is_an_error(
    making: Callable[[Chains], List], sentence: str, parts: Chains
) -> None:
    """A chain that leads nowhere, or only over what has expired, is refused."""
    chain = making(parts)
    with pytest.raises(CertificateError) as caught:
        certs.load(pem(chain), parts.key)
    assert sentence in str(caught.value)
    found = certs.CertificateChain(chain[0], tuple(chain[1:])).check()
    assert certs.Severity.ERROR in {finding.severity for finding in found}


def test_certificates_f12_an_authority_keeps_its_root(
    parts: Chains, caplog: pytest.LogCaptureFixture
) -> None:
    """An authority is loaded with its issuers up to the root, as its documentation asks."""
    own = parts.authority.certificate
    certs.CertificateAuthority.load(pem([own.leaf, parts.top]), own.key_to_pem())
    assert not caplog.records


def test_certificates_f12_a_self_signed_leaf_needs_no_issuer(
    parts: Chains, caplog: pytest.LogCaptureFixture
) -> None:
    """What follows a self-signed certificate is superfluous, and nothing is missing."""
    own = certs.self_signed("localhost")
    loaded = certs.load(own.to_pem() + pem([parts.inter]), own.key_to_pem())
    assert loaded.leaf == own.leaf
    with caplog.at_level(logging.WARNING):
        assert "is missing" not in caplog.text
    assert (
        "'Intermediate' has issued no other certificate of the chain: leave it out" in caplog.text
    )


def test_certificates_f12_long_chains_cost_little(parts: Chains) -> None:
    """A ladder of many certificates of one name is not tried in every pair: that were 14 000."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(120)]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "one name")])
    ladder = [
        x509.CertificateBuilder(name, name, own.public_key(), number + 1, PAST, NOW + (NOW - PAST))
        .sign(above, hashes.SHA256())
        for number, (own, above) in enumerate(pairwise(keys))
    ]  # fmt: skip
    with counting_calls() as calls:
        found = certs.CertificateChain(ladder[0], tuple(ladder[1:])).check()
    assert 0 < calls["verify_directly_issued_by"] < 3000
    wanted = "118 certificates follow 'one name', and only the first 32"
    assert any(wanted in finding.sentence for finding in found)


def test_certificates_f12_a_whole_bundle_behind_the_leaf_is_one_warning(
    parts: Chains, caplog: pytest.LogCaptureFixture
) -> None:
    """Who puts all roots of the system behind a chain is told so, and served."""
    chain = [parts.leaf_, parts.inter, *[parts.other_root] * 40]
    loaded = certs.load(pem(chain), parts.key)
    assert loaded.chain == (parts.inter, parts.other_root)
    assert "41 certificates follow 'localhost'" in caplog.text
    assert len(caplog.records) == 3


def test_certificates_f02_f12_the_last_word_is_about_what_clients_need(parts: Chains) -> None:
    """Verifiers that are not ours get the way up, so that a stranger's faults are not the leaf's.

    And a stranger's fault does not speak for the chain: what they refuse about that is said.
    """
    good = certs.CertificateChain(parts.leaf_, (parts.inter,))
    weak = parts.root_of(PAST)
    for beside in (parts.stranger, parts.stranger_leaf, weak, twin(parts.authority, parts.other)):
        whole = certs.CertificateChain(parts.leaf_, (parts.inter, beside))
        errors = [one for one in whole.check() if one.severity is certs.Severity.ERROR]
        assert errors == [], beside
    assert good.check() == ()
    bad = certs.CertificateChain(refused_by_others_only(parts), (parts.inter, weak))
    assert "refused-openssl" in {one.code for one in bad.check()}


def refused_by_others_only(parts: Chains) -> x509.Certificate:
    """Return a leaf of which no rule of ours speaks: its issuer has a serial number it denies."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = parts.authority.certificate
    builder = x509.CertificateBuilder(
        issuer.leaf.subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
        key.public_key(),
        x509.random_serial_number(),
        NOW - timedelta(days=1),
        NOW + timedelta(days=80),
    )
    for extension in parts.leaf_.extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityKeyIdentifier):
            value = x509.AuthorityKeyIdentifier(
                value.key_identifier, [x509.DirectoryName(issuer.leaf.issuer)], 4711
            )
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(issuer.private_key, hashes.SHA256())
