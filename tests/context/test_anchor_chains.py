"""What is above an authority counts where it is trusted, too, with a limit on the depth as without.

The judge is OpenSSL, which is given the same anchors as they are.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type

from tests.context.hierarchy import (
    Node,
    client_of,
    issue,
    named,
    refusal_of_openssl,
    trusting,
)
from tests.context.support import VERSIONS, client_context, shake_hands
from tests.revocation_lists import part
from tlshttp import certs

OPENSSL = shutil.which("openssl")
DEPTHS = tuple(zip((None, 0, 1), (*VERSIONS, VERSIONS[0]), strict=True))
"""Each with one version: they do not differ in how a chain is verified."""


@dataclass(frozen=True)
class Case:
    """Who is trusted, who comes, and what the lists are."""

    anchors: Sequence[Node]
    client: certs.Certificate
    below: int
    """How many there are between the client and the root."""
    crls: Sequence[Any] = ()


def line(below: int = 1, *, top: dict[str, Any] | None = None, **more: Any) -> list[Node]:
    """Return a root and authorities one below the other; `more` is of the first below the root."""
    found = [issue("Root", **(top or {}))]
    for number in range(below):
        found.append(issue(f"below {number}", found[-1], **(more if number == 0 else {})))
    return found


def case(nodes: Sequence[Node], crls: Callable[..., Sequence[Any]] | None = None) -> Case:
    """Return the case of a client of the lowest of a line, all of whom are trusted."""
    client = client_of(nodes[-1])
    lists = () if crls is None else crls(*nodes)
    return Case(nodes, client.as_client(), len(nodes) - 1, lists)


SPELLINGS = {
    "case": named("ROOT"),
    "spaces": named("  Root "),
    "kind": named("Root", _ASN1Type.PrintableString),
}

ONLY_EXAMPLE = x509.NameConstraints([x509.DNSName("example.org")], None)
AT_B = x509.CRLDistributionPoints(
    [x509.DistributionPoint([x509.UniformResourceIdentifier("http://b/")], None, None, None)]
)
AT_A = x509.CRLDistributionPoints(
    [x509.DistributionPoint([x509.UniformResourceIdentifier("http://a/")], None, None, None)]
)
IN_A, IN_B = part(place="http://a/"), part(place="http://b/")


def of_all(*nodes: Node) -> list[Any]:
    """Return the lists of all."""
    return [one.crl() for one in nodes]


def other_key() -> Case:
    """Return a line beside a root of the same name with another key."""
    root, below = line()
    return Case([issue("Root"), below, root], client_of(below).as_client(), 1)


def outside() -> Case:
    """Return the client of an authority below a root whose name constraints it breaks."""
    nodes = line(top={"more": [ONLY_EXAMPLE]})
    stranger = client_of(
        nodes[-1], more=[x509.SubjectAlternativeName([x509.DNSName("alice.test")])]
    )
    return Case(nodes, stranger.as_client(), 1)


def without(*names: int) -> Callable[..., list[Any]]:
    """Return what makes the lists of all but some."""
    return lambda *nodes: [one.crl() for number, one in enumerate(nodes) if number not in names]


CASES: dict[str, Callable[[], Case]] = {
    "root": lambda: case(line(0)),
    "one below": lambda: case(line()),
    "one below, lists": lambda: case(line(), of_all),
    "two below, lists": lambda: case(line(2), of_all),
    "root expired": lambda: case(line(top={"expired": True})),
    "root expired, lists": lambda: case(line(top={"expired": True}), of_all),
    "one below expired": lambda: case(line(2, expired=True)),
    "nobody below the root": lambda: case(line(top={"path_length": 0})),
    "nobody below that": lambda: case(line(2, path_length=0)),
    "name constraints": outside,
    "another key of that name": other_key,
    "list of the root missing": lambda: case(line(), without(0)),
    "list of the one below missing": lambda: case(line(2), without(1)),
    "revoked by the root": lambda: case(line(), lambda a, b: [a.crl(b), b.crl()]),
    "revoked below the root": lambda: case(line(2), lambda a, b, c: [a.crl(), b.crl(c), c.crl()]),
    "list for another place": lambda: case(
        line(top={"more": [AT_A]}, more=[AT_B]), lambda a, b: [a.crl(of=IN_A), b.crl()]
    ),
    "lists for both places": lambda: case(
        line(top={"more": [AT_A]}, more=[AT_B]),
        lambda a, b: [a.crl(of=IN_A), a.crl(of=IN_B), b.crl()],
    ),
    "revoked at its place": lambda: case(
        line(top={"more": [AT_A]}, more=[AT_B]),
        lambda a, b: [a.crl(of=IN_A), a.crl(b, of=IN_B), b.crl()],
    ),
    "case": lambda: case(line(spelled=SPELLINGS["case"])),
    "case, list of the root missing": lambda: case(line(spelled=SPELLINGS["case"]), without(0)),
    "case, nobody below the root": lambda: case(
        line(spelled=SPELLINGS["case"], top={"path_length": 0})
    ),
    "spaces, root expired": lambda: case(line(spelled=SPELLINGS["spaces"], top={"expired": True})),
    "spaces, lists": lambda: case(line(spelled=SPELLINGS["spaces"]), of_all),
    "kind, list of the root missing": lambda: case(line(spelled=SPELLINGS["kind"]), without(0)),
    "kind, revoked by the root": lambda: case(
        line(spelled=SPELLINGS["kind"]), lambda a, b: [a.crl(b), b.crl()]
    ),
}  # fmt: skip


def lets_in(made: Any, client: ssl.SSLContext) -> bool:
    """Tell whether a client is let in."""
    try:
        shake_hands(made, client)
    except ssl.SSLError:
        return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_a_limit_only_takes_away(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, name: str
) -> None:
    """Whom OpenSSL refuses stays out at any depth, and of the others who is too far below."""
    it = CASES[name]()
    refusal = refusal_of_openssl(it.anchors, it.client, it.crls)
    for depth, version in DEPTHS if refusal is None else DEPTHS[::2]:
        made = trusting(certificate, *it.anchors, crls=it.crls or None, verify_depth=depth)
        right = refusal is None and (depth is None or it.below <= depth)
        client = client_context(authority, it.client, version)
        assert lets_in(made, client) is right, (depth, refusal)


def test_the_cases_are_of_both_kinds() -> None:
    """Some are let in, and others are refused for what the root has or forbids."""
    reasons = {name: refusal_of_openssl(it.anchors, it.client, it.crls) for name, it in _made()}
    assert [reasons[name] for name in ("one below", "two below, lists", "spaces, lists")] == [
        None
    ] * 3
    for name, word in (
        ("root expired", "expired"),
        ("spaces, root expired", "expired"),
        ("nobody below the root", "path length"),
        ("name constraints", "permitted subtree"),
        ("revoked by the root", "revoked"),
        ("kind, list of the root missing", "unable to get"),
        ("list for another place", "scope"),
    ):
        assert word in (reasons[name] or ""), name


def _made() -> list[tuple[str, Case]]:
    return [(name, make()) for name, make in CASES.items()]


@pytest.mark.only_engine("ssl", reason="the judge is OpenSSL's command line, once is enough")
@pytest.mark.skipif(OPENSSL is None, reason="the judge is OpenSSL's command line")
def test_openssl_verify_counts_likewise(
    tmp_path: Path, authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """``openssl verify -verify_depth`` goes up to the root, too, past authorities it trusts."""
    for below in range(3):
        it = case(line(below))
        files = {
            "ca": b"".join(one.leaf.public_bytes(Encoding.PEM) for one in it.anchors),
            "client": it.client.leaf.public_bytes(Encoding.PEM),
        }
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        for depth in range(3):
            made = trusting(certificate, *it.anchors, verify_depth=depth)
            judged = subprocess.run(
                [
                    OPENSSL or "openssl", "verify", "-verify_depth", str(depth),
                    "-CAfile", str(tmp_path / "ca"), str(tmp_path / "client"),
                ],
                capture_output=True, check=False, timeout=30,
            )  # fmt: skip
            client = client_context(authority, it.client)
            assert lets_in(made, client) is (judged.returncode == 0), (below, depth)
