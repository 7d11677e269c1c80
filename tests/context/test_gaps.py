"""certificates F1: who is between two authorities that are trusted has to be known."""

from __future__ import annotations

import itertools
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import VERSIONS, client_context, shake_hands
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

OPENSSL = shutil.which("openssl")

Authority = certs.CertificateAuthority


class Line:
    """A root and three authorities one below the other; a sibling; strangers; clients of all."""

    def __init__(self) -> None:
        self.root = Authority.generate("root")
        self.one = self.root.issue_authority("one", path_length=2)
        self.two = self.one.issue_authority("two", path_length=1)
        self.three = self.two.issue_authority("three")
        self.sibling = self.root.issue_authority("sibling", path_length=2)
        self.other = Authority.generate("other")
        self.alien = self.other.issue_authority("alien", path_length=1)
        self.flat = Authority.generate("flat", path_length=0)
        self.all: dict[str, Authority] = dict(vars(self))
        self.clients = {
            name: one.issue_client(f"alice@{name}.test") for name, one in self.all.items()
        }

    def of(self, names: Sequence[str]) -> list[Any]:
        """Return certificates of authorities."""
        return [self.all[name].certificate.leaf for name in names]

    def lists(self) -> list[Any]:
        """Return the lists of all, of now."""
        return [one.crl() for one in self.all.values()]


ABOVE = {
    "root": None, "one": "root", "two": "one", "three": "two", "sibling": "root",
    "other": None, "alien": "other", "flat": None,
}  # fmt: skip

REFUSED = [
    ("root", "two"), ("root", "three"), ("root", "one", "three"), ("one", "three"),
    ("root", "alien"), ("one", "alien"), ("alien", "one"), ("two", "other"),
    ("root", "sibling", "three"), ("sibling", "two"), ("root", "flat", "two"),
    ("root", "other", "two"), ("root", "one", "two", "three", "alien"),
]  # fmt: skip

TAKEN = [
    ("root",), ("one",), ("two",), ("root", "one"), ("root", "one", "two"),
    ("root", "one", "two", "three"), ("one", "two"), ("one", "two", "three"), ("two", "three"),
    ("one", "sibling"), ("one", "sibling", "two"), ("root", "sibling"), ("root", "other"),
    ("root", "other", "alien"), ("root", "flat"), ("flat", "two"), ("flat", "alien"),
]  # fmt: skip


def guarded(
    certificate: certs.Certificate, line: Line, names: Sequence[str], **more: Any
) -> context.ServerContext:
    """Return a context that trusts some."""
    return context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=line.of(names),
        **{"crls": line.lists(), **more},
    )


@pytest.fixture(scope="module")
def line() -> Line:
    """Return a line in which nobody is revoked."""
    return Line()


def test_the_table_is_whole() -> None:
    """Each pair of them is either in a mixture that is refused, or in one that is taken."""
    pairs = {frozenset(pair) for pair in itertools.combinations(("root", "one", "two", "three"), 2)}
    judged = {frozenset(names) for names in (*REFUSED, *TAKEN) if len(names) == 2}
    assert pairs <= judged


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("names", REFUSED, ids=" ".join)
def test_certificates_f01_gap_is_refused(
    certificate: certs.Certificate, line: Line, names: tuple[str, ...], depth: int | None
) -> None:
    """In any order, with any depth; the error says who it is about and what to do."""
    for order in (names, names[::-1]):
        with pytest.raises(ConfigurationError, match="may be below") as caught:
            guarded(certificate, line, order, verify_depth=depth)
        assert "leave" in str(caught.value)
    if depth is None:
        # Nothing is revoked without lists: who is trusted is.
        assert guarded(certificate, line, names, crls=None) is not None


@pytest.mark.parametrize("names", TAKEN, ids=" ".join)
def test_certificates_f01_nobody_in_between_revoked_is_let_in(
    authority: Authority, certificate: certs.Certificate, names: tuple[str, ...]
) -> None:
    """Whoever is revoked between a client and the highest trusted above it, it stays out."""
    for revoked in ("one", "two", "three"):
        line = Line()
        above = ABOVE[revoked]
        assert above is not None
        line.all[above].revoke(line.all[revoked].certificate.leaf)
        made = guarded(certificate, line, names)
        for (name, client), version in itertools.product(line.clients.items(), VERSIONS):
            peer = client_context(authority, client, version)
            if _is_let_in(name, names, revoked):
                assert shake_hands(made, peer).server.getpeercert(True)
                continue
            with pytest.raises(ssl.SSLCertVerificationError):
                shake_hands(made, peer)


def _is_let_in(name: str, trusted: Sequence[str], revoked: str) -> bool:
    """Tell whether a client of an authority may come in; the lists of all are there.

    The list of who has issued the highest one counts although that is not trusted.
    """
    path = []
    current: str | None = name
    while current is not None:
        path.append(current)
        current = ABOVE[current]
    tops = [number for number, one in enumerate(path) if one in trusted]
    return bool(tops) and revoked not in path[: tops[-1] + 1]


@pytest.mark.skipif(OPENSSL is None, reason="the judge is OpenSSL's command line")
@pytest.mark.parametrize(
    ("names", "message"),
    [(("root",), "certificate revoked"), (("root", "two"), "unable to get issuer certificate")],
)
def test_certificates_f01_openssl_refuses_what_the_mixture_would_let_in(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    """The case as reported: ``openssl verify`` refuses, and without the lower one says revoked."""
    line = Line()
    line.root.revoke(line.one.certificate.leaf)

    def file(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    def pem(names: Sequence[str]) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in line.of(names))

    lists = b"".join(crl.public_bytes(Encoding.PEM) for crl in line.lists())
    judged = subprocess.run(
        [
            OPENSSL or "openssl", "verify", "-crl_check_all", "-CAfile", file("ca", pem(names)),
            "-CRLfile", file("crl", lists), "-untrusted", file("between", pem(("one", "two"))),
            file("client", line.clients["two"].to_pem()),
        ],
        capture_output=True, check=False, timeout=30, text=True,
    )  # fmt: skip
    assert judged.returncode
    assert message in judged.stderr
