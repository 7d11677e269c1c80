"""certificates F1: revocation counts for the whole chain, whatever else is among the anchors."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.support import wait_until
from tlshttp import certs, context
from tlshttp._engines.moments import refused_from
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

OPENSSL = shutil.which("openssl")

CRL = x509.CertificateRevocationList

Cell = tuple[context.ServerContext, ssl.SSLContext, ssl.SSLSession | None]
"""A server, a client, and what that client has to resume."""


class Family:
    """A root, an authority below it, one below that, and a client of each; and strangers."""

    def __init__(self) -> None:
        self.root = certs.CertificateAuthority.generate("root")
        self.inter = self.root.issue_authority("intermediate", path_length=1)
        self.sub = self.inter.issue_authority("sub")
        self.of_root, self.of_inter, self.of_sub = (
            one.issue_client(f"alice@{name}.test")
            for name, one in (("root", self.root), ("inter", self.inter), ("sub", self.sub))
        )
        self.other_root = certs.CertificateAuthority.generate("other")
        self.unrelated = self.other_root.issue_authority("other intermediate")
        self.of_unrelated = self.unrelated.issue_client("bob@other.test")
        self.authorities = self.root, self.inter, self.sub, self.other_root, self.unrelated

    def lists(self, *without: str, **lifetime: timedelta) -> list[CRL]:
        """Return the lists of all, of now, but of those named; of others with a lifetime."""
        return [
            getattr(self, name).crl(lifetime=lifetime.get(name, timedelta(days=1)))
            for name in ("root", "inter", "sub", "other_root", "unrelated")
            if name not in without
        ]


ANCHORS: dict[str, tuple[str, ...]] = {
    "root": ("root",),
    "root and intermediate": ("root", "inter"),
    "root, intermediate and sub": ("sub", "root", "inter"),
    "intermediate alone": ("inter",),
    "intermediate and sub": ("inter", "sub"),
    "unrelated with its root": ("root", "unrelated", "other_root"),
    "all": ("root", "inter", "sub", "unrelated", "other_root"),
}

WITHOUT_ROOT = ("intermediate alone", "intermediate and sub")


@dataclass(frozen=True)
class State:
    """What is wrong, who is shut out by it, and what OpenSSL calls it."""

    revoked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    clients: frozenset[str] = frozenset()
    """Who is shut out where the root is trusted."""
    below: frozenset[str] | None = None
    """Who is where it is not; `None`: the same."""
    message: str = "certificate revoked"


STATES = {
    "nothing": State(),
    "leaf revoked": State(("of_inter",), (), frozenset({"of_inter"})),
    "leaf below sub revoked": State(("of_sub",), (), frozenset({"of_sub"})),
    "leaf of the root revoked": State(("of_root",), (), frozenset({"of_root"}), frozenset()),
    "intermediate revoked": State(("inter",), (), frozenset({"of_inter", "of_sub"})),
    "sub revoked": State(("sub",), (), frozenset({"of_sub"})),
    "unrelated revoked": State(("unrelated",), (), frozenset()),
    "root's list missing": State(
        (), ("root",), frozenset({"of_root", "of_inter", "of_sub"}), frozenset(), "unable to get"
    ),
    "intermediate's list missing": State(
        (), ("inter",), frozenset({"of_inter", "of_sub"}), None, "unable to get"
    ),
    "sub's list missing": State((), ("sub",), frozenset({"of_sub"}), None, "unable to get"),
}


def guarded(
    certificate: certs.Certificate, family: Family, anchors: Sequence[str], crls: Sequence[Any],
    **more: Any,
) -> context.ServerContext:  # fmt: skip
    """Return a context that trusts some of a family."""
    return context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[getattr(family, name).certificate.leaf for name in anchors],
        crls=crls,
        **more,
    )


def shut_out(anchors: str, state: State) -> set[str]:
    """Return which clients have to stay out."""
    if anchors not in WITHOUT_ROOT:
        return set(state.clients)
    below = state.clients if state.below is None else state.below
    return {"of_root", *below}


def revoke(family: Family, state: State) -> None:
    """Have their authorities take back what the state says."""
    issuers = {
        "inter": family.root, "sub": family.inter, "unrelated": family.other_root,
        "of_root": family.root, "of_inter": family.inter, "of_sub": family.sub,
    }  # fmt: skip
    for name in state.revoked:
        one = getattr(family, name)
        issuers[name].revoke(getattr(one, "certificate", one).leaf)


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(None, id="no depth"),
        pytest.param(7, id="depth", marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize("anchors", ANCHORS)
@pytest.mark.parametrize("state", STATES)
def test_certificates_f01_table(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    anchors: str, state: str, depth: int | None,
) -> None:  # fmt: skip
    """No cell lets in who must stay out: new connections, and sessions from before.

    Of a session from before nothing is asked where only a list is missing: that is refused at
    start-up, by the store, or shuts out everybody from the beginning.
    """
    family, wrong = Family(), STATES[state]
    if set(ANCHORS[anchors]) <= set(wrong.missing) or not _any_list(ANCHORS[anchors], wrong):
        with pytest.raises(ValueError, match="every client would be refused"):
            guarded(certificate, family, ANCHORS[anchors], family.lists(*wrong.missing))
        return
    stores = [certs.CRLStore.from_crl(crl) for crl in family.lists(*wrong.missing)]
    made = guarded(certificate, family, ANCHORS[anchors], stores, verify_depth=depth)
    names = "of_root", "of_inter", "of_sub"
    peers = {
        (name, version): client_context(authority, getattr(family, name), version)
        for name, version in itertools.product(names, VERSIONS)
    }
    sessions = {}
    always_out = shut_out(anchors, State()) | (shut_out(anchors, wrong) if wrong.missing else set())
    for key, peer in peers.items():
        if key[0] not in always_out:
            sessions[key] = shake_hands(made, peer).client.session
    revoke(family, wrong)
    for store, crl in zip(stores, family.lists(*wrong.missing), strict=True):
        store.replace(crl)
    out = shut_out(anchors, wrong)
    for (name, version), peer in peers.items():
        for session in (None, sessions.get((name, version))):
            case = (name, version.name, session is not None)
            if name not in out:
                pair = shake_hands(made, peer, session=session)
                assert pair.server.getpeercert(True), case
                continue
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                shake_hands(made, peer, session=session)
            assert name == "of_root" or wrong.message in str(caught.value), case


def _any_list(anchors: Sequence[str], state: State) -> bool:
    return any(name not in state.missing for name in anchors)


@pytest.mark.skipif(OPENSSL is None, reason="the judge is OpenSSL's command line")
@pytest.mark.parametrize("anchors", sorted(set(ANCHORS).difference(WITHOUT_ROOT)))
def test_certificates_f01_table_agrees_with_openssl_verify(anchors: str, tmp_path: Path) -> None:
    """Where it can be asked, ``openssl verify -crl_check_all`` shuts out the same clients."""
    for state in STATES.values():
        family = Family()
        revoke(family, state)
        trusted = [getattr(family, name).certificate.leaf for name in ANCHORS[anchors]]
        (tmp_path / "ca").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in trusted))
        (tmp_path / "crl").write_bytes(
            b"".join(crl.public_bytes(Encoding.PEM) for crl in family.lists(*state.missing))
        )
        out = set()
        for name in ("of_root", "of_inter", "of_sub"):
            (tmp_path / "leaf").write_text(getattr(family, name).to_pem().decode())
            files = [f"{tmp_path}/{one}" for one in ("ca", "crl", "leaf", "leaf")]
            arguments = ["-CAfile", files[0], "-CRLfile", files[1], "-untrusted", *files[2:]]
            judged = subprocess.run(
                [OPENSSL or "openssl", "verify", "-crl_check_all", *arguments],
                capture_output=True, check=False, timeout=30,
            )  # fmt: skip
            if judged.returncode:
                out.add(name)
        assert out == shut_out(anchors, state), state


def test_certificates_f01_list_that_runs_out(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """Once a list above it has run out nobody is let in, by a session from before either."""
    family = Family()
    cells: dict[tuple[str, str, int | None, ssl.TLSVersion], Cell] = {}
    lists: list[CRL] = []
    for (anchors, names), late, depth in itertools.product(
        ANCHORS.items(), ("root", "inter"), (None, 7)
    ):
        peers = [client_context(authority, family.of_inter, version) for version in VERSIONS]
        crls, begun = let_in_before(late, family, peers, certificate, names, verify_depth=depth)
        lists += crls
        for version, cell in zip(VERSIONS, begun, strict=True):
            cells[anchors, late, depth, version] = cell
    assert wait_until(lambda: not any(_is_about_to_run_out(crl) for crl in lists))
    for (anchors, late, depth, version), (made, peer, session) in cells.items():
        for old in (session, None):
            # The list of the root says nothing where nobody trusts the root, but it was given.
            case = anchors, late, depth, version.name, old is not None
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                shake_hands(made, peer, session=old)
            assert "CRL has expired" in str(caught.value), case


def let_in_before(
    late: str, family: Family, peers: Sequence[ssl.SSLContext],
    certificate: certs.Certificate, names: Sequence[str], **more: Any,
) -> tuple[list[CRL], list[Cell]]:  # fmt: skip
    """Begin sessions before a list runs out, which lasts as long as a busy machine needs."""
    for seconds in (3, 8, 20):
        crls = family.lists(**{late: timedelta(seconds=seconds)})
        with contextlib.suppress(ConfigurationError, ssl.SSLCertVerificationError):
            made = guarded(certificate, family, names, crls, **more)
            return crls, [(made, one, shake_hands(made, one).client.session) for one in peers]
    raise TimeoutError("it runs out before anybody is let in")


def _is_about_to_run_out(crl: CRL) -> bool:
    """Tell whether OpenSSL may still take a list of a few seconds."""
    end = crl.next_update_utc
    return end is not None and -60 < time.time() - refused_from(end) < 0


def test_certificates_f01_as_reported(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """An unrelated intermediate beside changes nothing for others, and its clients get in."""
    family = Family()
    family.root.revoke(family.inter.certificate.leaf)
    anchors = "root", "unrelated", "other_root"
    made = guarded(certificate, family, anchors, family.lists("sub"))
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
        shake_hands(made, client_context(authority, family.of_inter))
    shake_hands(made, client_context(authority, family.of_unrelated))


@pytest.mark.parametrize("depth", [None, 0])
def test_certificates_f01_chain_ends_with_the_authority_as_it_was_given(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, depth: int | None
) -> None:
    """Nobody sees the root that stands in for one that is not trusted."""
    family = Family()
    made = guarded(certificate, family, ("inter",), [family.inter.crl()], verify_depth=depth)
    server: Any = shake_hands(made, client_context(authority, family.of_inter)).server
    if sys.version_info >= (3, 13):
        seen = [x509.load_der_x509_certificate(der) for der in server.get_verified_chain()]
        assert seen == [family.of_inter.leaf, family.inter.certificate.leaf]
    assert x509.load_der_x509_certificate(server.getpeercert(True)) == family.of_inter.leaf


def test_certificates_f01_no_source_of_lists_is_not_no_lists(
    certificate: certs.Certificate, clients: certs.CertificateAuthority, engine: str
) -> None:
    """A store is never empty, so that it could not turn revocation off."""
    store = certs.CRLStore.from_crl(clients.crl())
    with pytest.raises(ValueError, match="there is none"):
        store.replace()
    with pytest.raises(ValueError, match="there is none"):
        certs.CRLStore.from_crl()
    made = context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[clients.certificate.leaf],
        crls=[store],
    )
    if engine != "ssl":
        return  # pyOpenSSL does not tell its flags
    assert made._front.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN
    assert not made._front.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
