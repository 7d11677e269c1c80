"""Everything a context shows and trusts, as it is now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp._engines.anchors import TrustAnchors
from tlshttp._engines.crls import RevocationLists, reload_all
from tlshttp._engines.directory import Group
from tlshttp._engines.moments import refused_from
from tlshttp._engines.pins import Pins
from tlshttp._engines.rules import certificate_findings
from tlshttp.certs import Certificate
from tlshttp.profiles import TLSProfile

if TYPE_CHECKING:
    from tlshttp._engines.engine import Engine
    from tlshttp.certs import CertificateStore

__all__ = ["EVERYTHING", "NOTHING", "Change", "Material"]


class Change(NamedTuple):
    """What a look has found."""

    certificates: bool = False
    """Whether another certificate is shown."""
    trust: bool = False
    """Whether clients are verified against other lists."""
    revoked: bool = False
    """Whether something has been revoked that was not before, or a list has run out or is gone."""

    def __or__(self, other: Change) -> Change:
        """Return all that either has found."""
        return Change(
            certificates=self.certificates or other.certificates,
            trust=self.trust or other.trust,
            revoked=self.revoked or other.revoked,
        )


NOTHING = Change()
EVERYTHING = Change(certificates=True, trust=True, revoked=True)


class Material:
    """Certificates, authorities and revocation lists, reloaded.

    A new certificate that cannot be used leaves the old one in place.

    Raises:
        ConfigurationError: A certificate does not fit the profile; all of them are named.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[Certificate | CertificateStore],
        profile: TLSProfile,
        anchors: TrustAnchors,
        crls: RevocationLists,
        pins: Pins,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._profile = profile
        self._anchors = anchors
        self._crls = crls
        self._pins = pins
        self._in_force = crls.in_force()
        self._lists: bytes | None = None
        self._ends: list[float] = []
        self._set_lists()
        self._stores = [source for source in sources if not isinstance(source, Certificate)]
        # It joins the judges before it looks: so a store has nothing that this did not judge.
        for store in self._stores:
            store.require(self._judge)
        self.certificates: list[Certificate] = [_current(source) for source in sources]
        """One of each source, in their order."""
        self.may_change: bool = bool(self._stores) or crls.may_change
        """Whether it is of any use to `poll`."""

    def load_into(self, context: Any, group: Group) -> None:
        """Give a context what it verifies clients against, and certificates to show."""
        self._engine.trust(context, self._anchors, self._lists, self._pins)
        self._engine.load_certificates(context, group)

    def findings(self) -> list[str]:
        """Say what is wrong with the certificates there are now."""
        return [finding for one in self.certificates for finding in self._judge(one)]

    def reload(self) -> list[str]:
        """Load now everything that may change; return why some of it cannot be used.

        The caller polls next, which takes the rest.
        """
        return [*reload_all(self._stores), *self._crls.reload()]

    def poll(self, now: float) -> Change:
        """Look whether something has changed."""
        for store in self._stores:
            store.poll(now)
        taken = [self._take(index) for index in range(len(self._sources))]
        if not self._crls.poll(now):
            return Change(certificates=any(taken), revoked=self._has_run_out())
        self._set_lists()
        before, self._in_force = self._in_force, self._crls.in_force(self._in_force)
        revoked = self._crls.revoke_more(before, self._in_force)
        return Change(certificates=any(taken), trust=True, revoked=revoked)

    def refresh(self) -> None:
        """Take everything anew, where it is not known how far the last look has come."""
        self._in_force = self._crls.in_force()
        self._set_lists()

    def _set_lists(self) -> None:
        """Take the lists that count now, and those of roots of ours."""
        if not self._crls.may_change:
            return
        crls = self._crls.current
        self._lists = b"".join(
            crl.public_bytes(Encoding.PEM) for crl in (*self._anchors.lists(crls), *crls)
        )
        self._ends = sorted(
            refused_from(crl.next_update_utc) for crl in crls if crl.next_update_utc is not None
        )

    def _has_run_out(self) -> bool:
        """Tell whether a list has run out since the last look.

        From then on OpenSSL refuses the clients that it is about, but not one that resumes a
        session.
        """
        if not self._ends or time.time() < self._ends[0]:
            return False
        self._ends.pop(0)
        return True

    def _take(self, index: int) -> bool:
        """Take the certificate that a source has now, if it is another one; it has been judged."""
        certificate = _current(self._sources[index])
        if certificate is self.certificates[index]:
            return False
        self.certificates[index] = certificate
        return True

    def _judge(self, certificate: Certificate) -> list[str]:
        """Find what the profile or the engine has against a certificate."""
        return certificate_findings(
            certificate, self._profile
        ) or self._engine.certificate_findings(certificate, self._profile)


def _current(source: Certificate | CertificateStore) -> Certificate:
    return source if isinstance(source, Certificate) else source.current
