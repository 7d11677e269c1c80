"""Where certificates and keys are read from: files, text, bytes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tlshttp.certs._files import ANY_KIND, LIST, Kind, read_bounded
from tlshttp.errors import CertificateError

__all__ = ["Document", "Source", "open_list", "open_source", "read_source"]

Source: TypeAlias = str | os.PathLike[str] | bytes
"""A path, PEM text, or the bytes of a file in PEM, DER or PKCS#12 form."""

BEGIN = b"-----BEGIN "

_PKCS12_START = b"\x02\x01\x03\x30"
"""Version 3 and the begin of the next SEQUENCE: RFC 7292, section 4."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
"""How a URI begins (RFC 3986, section 3.1); a single letter is a drive of Windows."""

_TOKENS = ("pkcs11", "tpm2", "tpmkey", "handle", "engine", "yubikey", "keychain")
"""Schemes that name a key inside a device or a system's store."""

_PLACES = ("data", "env", "ftp", "gs", "http", "https", "s3", "secret", "sops", "vault")
"""Schemes of places that others fetch from; what follows may be a password."""

_NAME_MAX = 255
"""Bytes of a name in a folder on all usual file systems (NAME_MAX)."""

_BASE64 = re.compile(r"(?:MI|LS0t)[A-Za-z0-9+/=\s]{60,}")
"""No path: a key without its first and last line, or the base64 of PEM."""


@dataclass(frozen=True, repr=False)
class Document:
    """The content of a file and what error messages call it. It has no repr: it may hold a key."""

    label: str
    content: bytes
    path: str | None = None

    @property
    def is_pem(self) -> bool:
        """Whether there is a PEM block; otherwise it can only be DER or PKCS#12."""
        return BEGIN in self.content

    @property
    def is_pkcs12(self) -> bool:
        """Whether it begins as PKCS#12 does."""
        return self.content[:1] == b"\x30" and _PKCS12_START in self.content[:16]

    @property
    def argument(self) -> str:
        """What the file is called in a command for a shell."""
        import shlex

        return "FILE" if self.path is None else shlex.quote(self.path)


def open_source(source: Source) -> Document:
    """Read a source, wherever it is.

    Raises:
        CertificateError: It cannot be read, or is larger than 1 MiB.
    """
    return _open(source, ANY_KIND)


def open_list(source: Source) -> Document:
    """Read a source of a revocation list, wherever it is.

    Raises:
        CertificateError: It cannot be read, or is larger than 64 MiB.
    """
    return _open(source, LIST)


def _open(source: Source, kind: Kind) -> Document:
    if isinstance(source, str) and "-----BEGIN" in source:
        source = source.encode("utf-8", "replace")
    if isinstance(source, bytes):
        if len(source) > kind.most:
            size = f"more than {kind.most >> 20} MiB of bytes"
            raise CertificateError(f"{size}: that is no {kind.name}")
        return Document("the given PEM or DER", source)
    path = os.fspath(source)
    if not isinstance(path, str):
        raise TypeError("a path must be str or os.PathLike[str]")
    return Document(repr(path), read_source(path, kind), path)


def read_source(path: str | os.PathLike[str], kind: Kind = ANY_KIND) -> bytes:
    """Read a whole file.

    Raises:
        CertificateError: It cannot be read, or is too large. If it is no path at all, the error
            names its kind only: the URI of a token has a PIN in it, and a key may have been taken
            for a path.
    """
    try:
        return read_bounded(path, kind)
    except CertificateError:
        instead = _instead_of_a_path(os.fspath(path))
        if instead is None:
            raise
    # Raised outside the handler, so that not even the context of the error has the path.
    raise CertificateError(instead)


def _instead_of_a_path(path: str) -> str | None:
    """Say what it is that cannot be read, where it is no path."""
    found = _SCHEME.match(path)
    scheme = found[1].lower() if found else ""
    if scheme in _TOKENS:
        return (
            f"the URI '{scheme}:...' names a key in a token, and Python's ssl module cannot use"
            " one: give the file of a key, or end TLS in a program that can use tokens"
        )
    if scheme == "file":
        return "a URI 'file:...' is no path: leave out 'file://'"
    if scheme in _PLACES:
        return f"a URI '{scheme}:...' is no path: give a file, or what is there, as bytes"
    if _BASE64.fullmatch(path):
        return (
            f"{len(path)} characters of base64 are no path: give PEM with its lines"
            " '-----BEGIN ...-----' and '-----END ...-----', or the decoded bytes"
        )
    longest = max(map(len, Path(path).parts), default=0)
    if "\n" in path or "BEGIN " in path or longest > _NAME_MAX:
        return f"a text of {len(path)} characters is no path: give the path of a file, or PEM"
    if path and "\0" not in path and Path(path).is_dir():
        return f"{path!r} is a folder: name the file in it"
    return None
