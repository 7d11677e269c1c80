"""certificates F1: of a file of several revocation lists each counts by itself."""

from __future__ import annotations

import itertools
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.support import wait_until
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

CRL = x509.CertificateRevocationList
Authority = certs.CertificateAuthority
HOUR = timedelta(hours=1)


def crl(
    issuer: Authority, *revoked: certs.Certificate, begin: timedelta = -HOUR,
    end: timedelta = 24 * HOUR, key: Authority | None = None, delta: bool = False,
) -> CRL:  # fmt: skip
    """Return a list, from a time to another as seen from now; signed by another key, if given."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.leaf.subject)
        .last_update(now + begin)
        .next_update(now + end)
    )
    if delta:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.leaf.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
    return builder.sign((key or issuer).certificate.private_key, hashes.SHA256())


def pem(*lists: CRL) -> bytes:
    """Return lists as a file has them."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in lists)


# What stands in the file for the second authority instead of its new list, and the words for it.
FAULTS: dict[str, tuple[Callable[[Authority, Authority], bytes], str]] = {
    "expired": (
        lambda two, _: pem(crl(two, begin=-9 * HOUR, end=-HOUR)), "expired at .* by 'CN=two'"
    ),
    "not yet valid": (lambda two, _: pem(crl(two, begin=HOUR)), "'CN=two' is not valid before"),
    "older": (lambda two, _: pem(crl(two, begin=-9 * HOUR)), "'CN=two' .* is older than"),
    "foreign signature": (
        lambda two, other: pem(crl(two, key=other, begin=-HOUR / 2)), "'CN=two' .* is not signed by"
    ),
    "delta": (lambda two, _: pem(crl(two, begin=-HOUR / 2, delta=True)), "'CN=two' is a delta"),
    "gone": (lambda *_: b"", "there is none of 'CN=two' any more"),
    "a stranger's": (lambda _, other: pem(crl(other)), "there is none of 'CN=two' any more"),
    "damaged": (lambda two, _: pem(crl(two)).replace(b"\nMI", b"\nAA"), "or is damaged"),
    "cut off": (lambda two, _: pem(crl(two))[:-90], "or is damaged"),
    "expired twice": (
        lambda two, _: pem(*[crl(two, begin=-9 * HOUR, end=-HOUR)] * 2), "expired at .* by 'CN=two'"
    ),
}  # fmt: skip


@dataclass
class Scene:
    """Two authorities in one file, a client of each, and one of the second who is revoked."""

    path: Path
    one: Authority = field(default_factory=lambda: Authority.generate("one"))
    two: Authority = field(default_factory=lambda: Authority.generate("two"))
    stranger: Authority = field(default_factory=lambda: Authority.generate("stranger"))

    def __post_init__(self) -> None:
        self.alice = self.one.issue_client("alice@one.test")
        self.bob = self.two.issue_client("bob@two.test")
        self.mallory = self.two.issue_client("mallory@two.test")
        self.begin = pem(self.of_one(), crl(self.two, self.mallory, begin=-2 * HOUR))
        self.path.write_bytes(self.begin)
        self.store = certs.CRLStore(self.path)
        self._times = itertools.count(1e9, 9)

    def of_one(self, *revoked: certs.Certificate, begin: timedelta = -2 * HOUR) -> CRL:
        """Return a list of the first authority."""
        return crl(self.one, *revoked, begin=begin)

    def server(self, certificate: certs.Certificate) -> context.ServerContext:
        """Return a context that trusts both."""
        return context.create_server_context(
            certificate,
            client_auth=ClientAuth.REQUIRED,
            client_cas=[self.one.certificate.leaf, self.two.certificate.leaf],
            crls=[self.store],
        )

    def look(self, made: context.ServerContext | None = None) -> None:
        """Let a context, or the store alone, look at the file three times, each to its end."""
        poll = self.store.poll if made is None else made.maintain
        for _ in range(3):
            poll(next(self._times))
            assert wait_until(lambda: self._has_looked(poll))

    def _has_looked(self, poll: Callable[[float], object]) -> bool:
        """Look on, as a server does, where a look takes its time."""
        if self.store._pending is not None:
            poll(next(self._times))
        return self.store._pending is None

    def put(self, content: bytes) -> None:
        """Replace the file."""
        self.path.write_bytes(content)


def refuses(
    made: context.ServerContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> bool:
    """Tell whether a client is refused as revoked."""
    try:
        shake_hands(made, client, session=session)
    except ssl.SSLError as error:
        assert "revoked" in str(error), error  # noqa: PT017
        return True
    return False


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", FAULTS)
def test_certificates_f01_one_bad_list_keeps_no_other_one_out(
    authority: Authority, certificate: certs.Certificate, tmp_path: Path, kind: str,
    version: ssl.TLSVersion, turned: bool, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What the first authority has revoked counts; the second's old list does; one line says so."""
    if kind == "cut off" and turned:
        pytest.skip("what follows a list that is cut off is read as the rest of it")
    scene = Scene(tmp_path / "a.crl")
    made = scene.server(certificate)
    alice, bob, mallory = (
        client_context(authority, one, version) for one in (scene.alice, scene.bob, scene.mallory)
    )
    session = shake_hands(made, alice).client.session
    make, words = FAULTS[kind]
    parts = [pem(scene.of_one(scene.alice, begin=-HOUR)), make(scene.two, scene.stranger)]
    scene.put(b"".join(reversed(parts) if turned else parts))
    scene.look(made)
    assert refuses(made, alice)
    assert refuses(made, alice, session)
    assert refuses(made, mallory)
    assert not refuses(made, bob)
    with pytest.raises(ConfigurationError, match=words):
        scene.store.reload()
    error = str(scene.store.last_error)
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert error in warnings[0]
    # The file of before is not what is in use any more.
    scene.put(scene.begin)
    scene.look(made)
    assert refuses(made, alice)
    # Mended, all of it counts.
    scene.put(pem(scene.of_one(begin=-HOUR / 3), crl(scene.two, scene.bob, begin=-HOUR / 3)))
    scene.look(made)
    # All but that of a stranger, who may be an authority below: what came is not dropped.
    left = "there is none of 'CN=stranger' any more" if kind == "a stranger's" else "None"
    assert left in str(scene.store.last_error)
    assert not refuses(made, alice)
    assert not refuses(made, mallory)
    assert refuses(made, bob)


@pytest.mark.parametrize("version", VERSIONS)
def test_certificates_f01_strangers_list_that_goes_blocks_nothing(
    authority: Authority, certificate: certs.Certificate, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """As reported: start with a stranger's list, which is gone when somebody is revoked."""
    scene = Scene(tmp_path / "a.crl")
    scene.put(scene.begin + pem(crl(scene.stranger)))
    scene.look()
    assert len(scene.store.current) == 3
    made = scene.server(certificate)
    alice = client_context(authority, scene.alice, version)
    assert not refuses(made, alice)
    scene.put(pem(scene.of_one(scene.alice, begin=-HOUR), crl(scene.two)))
    scene.look(made)
    assert refuses(made, alice)
    assert "there is none of 'CN=stranger' any more" in str(scene.store.last_error)


@pytest.mark.parametrize("kind", FAULTS)
def test_certificates_f01_start_up_wants_them_all(tmp_path: Path, kind: str) -> None:
    """At the beginning a list that cannot be used is an error, as ever."""
    scene = Scene(tmp_path / "a.crl")
    made = FAULTS[kind][0](scene.two, scene.stranger)
    scene.put(pem(scene.of_one()) + made)
    if kind in ("older", "gone", "a stranger's", "foreign signature"):
        assert certs.CRLStore(scene.path).current[0].issuer == scene.one.certificate.leaf.subject
        return  # nothing to compare with, and no authority to ask
    with pytest.raises(ConfigurationError):
        certs.CRLStore(scene.path)


def test_certificates_f01_replace_judges_each_by_itself(tmp_path: Path) -> None:
    """A program hears what is wrong with one list, and the other one counts."""
    scene = Scene(tmp_path / "a.crl")
    old = scene.store.current
    new = scene.of_one(scene.alice, begin=-HOUR)
    with pytest.raises(ConfigurationError, match=r"expired at .* by 'CN=two'"):
        scene.store.replace(new, crl(scene.two, begin=-9 * HOUR, end=-HOUR))
    assert scene.store.current == (new, old[1])
    with pytest.raises(ConfigurationError, match="there is none of 'CN=two' any more"):
        scene.store.replace(new)
    assert scene.store.current == (new, old[1])
