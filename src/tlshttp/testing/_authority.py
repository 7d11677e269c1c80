"""The authority of a test run: made once per process, trusted by file or by context.

Its key stays in memory. Files exist only for clients that take nothing else: the authority's
certificate, and the certificates and keys of clients, in a folder of mode 0700 that goes with the
process.
"""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import shutil
import ssl
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Self

from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs import Certificate, CertificateAuthority
from tlshttp.certs._memory import pem_path
from tlshttp.certs._validity import BACKDATING, Validity

__all__ = ["LOCAL_NAMES", "Authority", "ClientCertificate", "authority", "now"]

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""What every test's server is called."""

_LIFETIME = timedelta(days=7)
"""Longer than a test run, and short enough for whoever has come to trust it by mistake."""

_making = threading.Lock()


def authority() -> Authority:
    """Return the authority of this process, generated on first use."""
    with _making:
        return _authority()


class ClientCertificate(Certificate):
    """A client's certificate and key, in memory and, when they are asked for, as files."""

    @functools.cached_property
    def certfile(self) -> Path:
        """A PEM file with the certificate and its chain, there until the process ends."""
        return self._files[0]

    @functools.cached_property
    def keyfile(self) -> Path:
        """A PEM file with the private key, mode 0600, there until the process ends."""
        return self._files[1]

    @functools.cached_property
    def _files(self) -> tuple[Path, Path]:
        folder = Path(tempfile.mkdtemp(dir=_folder(), prefix="client-"))
        certfile, keyfile = folder / "certificate.pem", folder / "key.pem"
        self.write(certfile, keyfile)
        return certfile, keyfile


class Authority(CertificateAuthority):
    """An authority for tests: what it issues is trusted by whoever is given its file or context.

    What it issues lives a week unless told otherwise.

    Args:
        certificate: The authority's own certificate, with its private key.
    """

    _leaf_lifetime: ClassVar[timedelta] = _LIFETIME

    @classmethod
    def of(cls, ca: CertificateAuthority) -> Self:
        """Return any authority as one for tests; what is revoked by one is by the other.

        Args:
            ca: A root, or an authority below one.
        """
        made = cls(ca.certificate)
        vars(made).update(vars(ca))
        return made

    @property
    def ca_pem(self) -> str:
        """What clients have to trust, as PEM text: the root, as far up as it is known."""
        return self._pem

    @property
    def ca_path(self) -> Path:
        """The same as a file, there until the process ends."""
        return self._file

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return a new context for a client that trusts this authority and nobody else.

        Args:
            certificate: What the client shows where a server asks for a certificate; `None`:
                nothing.
        """
        context = ssl.create_default_context(cadata=self._pem)
        self.configure_trust(context)  # trusted by itself, even if it is known to be below a root
        if certificate is not None:
            _show(context, certificate)
        return context

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return a new context for a server of another library, with a certificate of its own.

        Args:
            *names: The DNS names and addresses of the certificate; none: ``localhost``,
                ``127.0.0.1`` and ``::1``.

        Raises:
            CertificateError: A name is impossible.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        _show(context, self.server_certificate(*(names or LOCAL_NAMES)))
        return context

    def server_certificate(self, *names: str) -> Certificate:
        """Return a server's certificate, issued when these names are first asked for.

        Args:
            *names: DNS names and addresses; at least one.

        Raises:
            CertificateError: A name is impossible.
        """
        if names not in self._leaves:
            self._leaves[names] = self.issue_server(*names)
        return self._leaves[names]

    def client_certificate(self, *names: str) -> ClientCertificate:
        """Issue a certificate for a client.

        Args:
            *names: Whom it is for: a name such as ``"alice"``, an e-mail address or a URI; at
                least one.

        Raises:
            CertificateError: A name is impossible.
        """
        made = self.issue_client(*names)
        return ClientCertificate(made.leaf, made.chain, made.private_key)

    def _validity(
        self, lifetime: timedelta | None, begin: datetime | None, end: datetime | None
    ) -> Validity:
        if begin is None and end is None:
            begin = now() - BACKDATING
            end = min(begin + (lifetime or _LIFETIME), *self._ends())
        return super()._validity(lifetime, begin, end)

    def _ends(self) -> list[datetime]:
        return [authority.not_valid_after_utc for authority in self._authorities]

    @functools.cached_property
    def _leaves(self) -> dict[tuple[str, ...], Certificate]:
        return {}

    @functools.cached_property
    def _pem(self) -> str:
        return self._authorities[-1].public_bytes(Encoding.PEM).decode("ascii")

    @functools.cached_property
    def _file(self) -> Path:
        descriptor, path = tempfile.mkstemp(dir=_folder(), prefix="authority-", suffix=".pem")
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self._pem)
        return Path(path)


def _show(context: ssl.SSLContext, certificate: Certificate) -> None:
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        context.load_cert_chain(path)


@functools.cache
def _authority() -> Authority:
    # A name of its own: where the roots of two processes (pytest-xdist) come together, clients
    # find an issuer by its name.
    name = f"tlshttp testing {secrets.token_hex(4)}"
    begin = now() - BACKDATING
    root = CertificateAuthority.generate(
        name, not_valid_before=begin, not_valid_after=begin + _LIFETIME
    )
    return Authority(root.certificate)


def now() -> datetime:
    """Return the machine's time, by which OpenSSL judges, whatever a test makes of Python's clock.

    Tests that stop the clock do not stop that of the file system.
    """
    with tempfile.TemporaryFile() as file:
        return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tlshttp-testing-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    """Remove the folder, but not in a forked child that ends before its parent."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
