"""Changes of what is trusted, as data: the command line runs them, instructions print them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs._files import read_bounded
from tlshttp.certs._inspect import common_name, describe, is_authority, printable
from tlshttp.certs._load import load_trust_anchors
from tlshttp.certs._local import LocalAuthority
from tlshttp.errors import CertificateError

Find: TypeAlias = Callable[[str], str | None]
"""Returns the path of a program, or `None`: ``shutil.which``."""


@dataclass(frozen=True)
class Step:
    """One command that changes what is trusted."""

    purpose: str
    command: tuple[str, ...]
    may_fail: bool = False
    """Whether a failure means only that there was nothing to undo."""
    condition: Callable[[], bool] | None = None
    """Called right before the command, and tells whether to run it; `None`: run it."""

    def __str__(self) -> str:
        windows = self.command[0].endswith(".exe")
        return subprocess.list2cmdline(self.command) if windows else shlex.join(self.command)


@dataclass(frozen=True)
class Anchor:
    """An authority to trust, as far as trust stores want to know of it."""

    certfile: Path
    """The file of its certificate alone, in PEM."""
    name: str
    """What people see in their trust store."""
    fingerprint: str
    """SHA-256, in lower case, without colons."""
    sha1: str
    """SHA-1, in upper case, by which macOS and Windows name certificates."""
    is_local: bool = False
    """Whether it is the developer's own."""

    @property
    def nickname(self) -> str:
        """What an NSS database calls it: nothing else there has that name."""
        return f"{self.name} {self.fingerprint[:16]}"

    @staticmethod
    def of(authority: LocalAuthority) -> Anchor:
        """Return the anchor of the developer's own authority."""
        return _anchor(authority.certificate.leaf, authority.certfile, is_local=True)

    @staticmethod
    def unknown(certfile: Path) -> Anchor:
        """Return what stands for an authority that has yet to be generated."""
        return Anchor(certfile, "tlshttp local authority", "FINGERPRINT", "FINGERPRINT", True)

    @staticmethod
    def load(certfile: Path) -> Anchor:
        """Return the anchor in any file.

        Raises:
            CertificateError: There is none, more than one, or one that is no authority.
        """
        certificates = load_trust_anchors(certfile)
        name = repr(str(certfile))
        if len(certificates) > 1:
            raise CertificateError(
                f"there are {len(certificates)} certificates in {name}: give one"
            )
        (certificate,) = certificates
        if not is_authority(certificate):
            raise CertificateError(
                f"{describe(certificate)} in {name} is not the certificate of an authority"
                " (basicConstraints): trust the authority that issued it"
            )
        if b"-----BEGIN" not in read_bounded(certfile):
            raise CertificateError(
                f"{name} is not PEM, as trust stores want it: convert it with"
                f" 'openssl x509 -inform der -in {certfile} -out {certfile.with_suffix('.pem')}'"
            )
        return _anchor(certificate, certfile.absolute(), is_local=False)


def _anchor(certificate: x509.Certificate, certfile: Path, *, is_local: bool) -> Anchor:
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303
    digest.update(certificate.public_bytes(Encoding.DER))
    return Anchor(
        certfile,
        printable(common_name(certificate) or "authority"),
        certificate.fingerprint(hashes.SHA256()).hex(),
        digest.finalize().hex().upper(),
        is_local,
    )
