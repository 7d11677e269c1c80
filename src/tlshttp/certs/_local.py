"""The developer's own authority: kept in the user's data folder, good for local names only.

Whoever trusts an authority trusts whoever holds its key. So the key's folder is its owner's alone,
and name constraints tell every client that the authority speaks for this machine and the network
around it, not for the rest of the world: a stolen key is worth little.

Key and certificate are one file, created in one step, so that two processes that start at the same
time end up with the same authority. The certificate is there a second time, for trust stores.
"""

from __future__ import annotations

import getpass
import os
import platform
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from cryptography import x509

from tlshttp._own_files import OWN_FILES
from tlshttp._user_folders import FOLDER_VARIABLE, authority_folder
from tlshttp.certs._authority import CertificateAuthority
from tlshttp.certs._certificate import Certificate
from tlshttp.certs._constraints import are_allowed, local_constraints
from tlshttp.certs._files import PRIVATE, PUBLIC, create_exclusively, write_atomically
from tlshttp.certs._load import load
from tlshttp.certs._store import CertificateStore
from tlshttp.errors import CertificateError

_LEAF_LIFETIME = timedelta(days=7)
"""Local certificates are reissued by whoever serves, so they need not outlive a week."""

_RENEWAL_SHARE = 3
"""Renewed when a third of the lifetime is left, as ACME clients do."""

_FOLDER_MODE = 0o700
_KEY_NAME = "authority-key.pem"
_CERTIFICATE_NAME = "authority.pem"
_MAXIMUM_COMMON_NAME = 64

_OTHER_NAMES = (
    "your local authority certifies local names only: call a machine of your network NAME.local or"
    " NAME.internal, or make an authority without that limit: 'python -m tlshttp certs ca', then"
    " 'python -m tlshttp certs issue ... --ca ca.pem --ca-key ca-key.pem'"
)


class LocalAuthority(CertificateAuthority):
    """The developer's own authority; get it from `local_authority`.

    What it issues lives seven days unless told otherwise.

    Args:
        certificate: The authority's own certificate, with its private key.
        certfile: The file of the certificate alone, for trust stores.
    """

    _leaf_lifetime: ClassVar[timedelta] = _LEAF_LIFETIME

    def __init__(self, certificate: Certificate, certfile: Path) -> None:
        super().__init__(certificate)
        self.certfile = certfile
        """The file of the certificate alone, for trust stores."""

    def store(self, *names: str) -> CertificateStore:
        """Return a store whose certificate is reissued while a third of its life is left.

        Args:
            *names: Local DNS names, wildcards or IP addresses; at least one.

        Raises:
            CertificateError: A name is impossible, or not local.
        """
        current: Certificate | None = None

        def renew() -> Certificate:
            nonlocal current
            if current is None or current.expires_in < _LEAF_LIFETIME / _RENEWAL_SHARE:
                current = self.issue_server(*names)
            return current

        return CertificateStore.from_callable(renew)

    def _forbidden(self, names: Sequence[x509.GeneralName]) -> Iterable[str]:
        findings = list(super()._forbidden(names))
        if not findings:
            return []
        if are_allowed(names, local_constraints(platform.node())):
            return [*findings, f"a new one may: {self._renewal}"]
        return [*findings, _OTHER_NAMES]

    @property
    def _renewal(self) -> str:
        return (
            "run 'python -m tlshttp certs trust --undo', delete"
            f" {str(self.certfile.with_name(_KEY_NAME))!r} and {str(self.certfile)!r}, and run"
            " 'python -m tlshttp certs trust'"
        )


def local_authority(folder: str | os.PathLike[str] | None = None) -> LocalAuthority:
    """Return the developer's own authority, generated on first use.

    It may issue for ``localhost``, ``test``, ``local``, ``internal``, ``home.arpa``, the name that
    this machine had when it was generated, and all names below them, and for loopback, private,
    shared (100.64.0.0/10) and link-local addresses; clients refuse anything else from it.

    Args:
        folder: Where it is kept; `None` means `local_authority_folder`.

    Raises:
        CertificateError: It cannot be kept there, or what is there cannot be used.
    """
    place = local_authority_folder() if folder is None else Path(folder)
    keyfile, certfile = place / _KEY_NAME, place / _CERTIFICATE_NAME
    OWN_FILES.add_folder(place)
    try:
        if not keyfile.exists():
            _generate(keyfile)
    except OSError as error:
        raise CertificateError(
            f"cannot keep the local authority in {str(place)!r}: {error.strerror}"
        ) from error
    try:
        certificate = load(keyfile, tolerate=_tolerable(place))
    except CertificateError as error:
        advice = f"to begin anew, delete {str(keyfile)!r} and trust the new authority"
        raise CertificateError(*error.findings, advice) from error
    if not certfile.exists():
        write_atomically(certfile, certificate.to_pem(), mode=PUBLIC)
    return LocalAuthority(certificate, certfile)


def find_local_authority(
    folder: str | os.PathLike[str] | None = None,
) -> LocalAuthority | None:
    """Return the developer's own authority if there is one; `None`, and nothing made, if not.

    Args:
        folder: As for `local_authority`.

    Raises:
        CertificateError: What is there cannot be used.
    """
    try:
        place = local_authority_folder() if folder is None else Path(folder)
        if not (place / _KEY_NAME).exists():
            return None
    except (OSError, CertificateError):  # a folder that may not be looked into, no home at all
        return None
    return local_authority(place)


def local_authority_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the developer's own authority is kept, whether there is one or not.

    That is ``$TLSHTTP_AUTHORITY`` where that is set, otherwise the folder ``tlshttp`` among the
    user's data: ``$XDG_DATA_HOME`` or ``~/.local/share``, ``~/Library/Application Support`` on
    macOS, ``%LOCALAPPDATA%`` on Windows.

    Args:
        environment: The environment variables to look at.

    Raises:
        CertificateError: The user has no home folder.
    """
    try:
        return authority_folder(environment)
    except RuntimeError:
        raise CertificateError(
            f"the user has no home folder: set the environment variable {FOLDER_VARIABLE} to a"
            " folder for the local authority, or give local_authority() one (--authority-folder)"
        ) from None


def _tolerable(folder: Path) -> tuple[str, ...]:
    """Tolerate a key that others may read where the file system cannot keep it from them.

    WSL's mounts of Windows drives and NTFS and FAT show fixed modes for every file. Elsewhere
    somebody has opened the file, and the owner has to know.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:  # made with mode 0600
            kept = not stat.S_IMODE(os.fstat(probe.fileno()).st_mode) & 0o077
    except OSError:  # a folder to read from only
        return ()
    return () if kept else ("key-exposed",)


def _generate(keyfile: Path) -> None:
    """Generate the authority, unless another process is first."""
    keyfile.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    authority = CertificateAuthority.generate(
        _describe_owner(), path_length=0, name_constraints=local_constraints(platform.node())
    )
    own = authority.certificate
    create_exclusively(keyfile, own.key_to_pem() + own.to_pem(), mode=PRIVATE)


def _describe_owner() -> str:
    """Name the authority so that its owner knows it in a trust store."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # Neither variable nor password database: a container with an arbitrary user.
        user = "somebody"
    text = f"tlshttp local authority of {user} at {platform.node() or 'this machine'}"
    return "".join(letter for letter in text if letter.isprintable())[:_MAXIMUM_COMMON_NAME]
