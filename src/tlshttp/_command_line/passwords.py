"""Passwords: from a file, or asked for where there is a terminal; never on the command line.

Whatever stands on a command line is seen by every user of the machine (``ps``), and kept in the
history of the shell.
"""

from __future__ import annotations

import getpass
import sys
import warnings
from pathlib import Path

from tlshttp._command_line.endings import complain, describe_os_error
from tlshttp._command_line.parsing import program
from tlshttp.errors import CertificateError

MAXIMUM_PASSWORD_FILE = 4096
"""Bytes. OpenSSL reads 1024 of a password at most (PEM_BUFSIZE)."""

STANDARD_INPUT = "-"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class PasswordFile:
    """A file with a password, read when it is needed, and once: it may be a pipe.

    Args:
        path: The file; ``-`` means standard input.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        """The file as given."""
        self._password: bytes | None = None

    @property
    def was_needed(self) -> bool:
        """Whether anything has asked for the password."""
        return self._password is not None

    def read(self) -> bytes:
        """Return the password to protect something with.

        Raises:
            CertificateError: It cannot be read, or there is no password in it.
        """
        if self._password is None:
            self._password = _read_password(self.path)
        if not self._password:
            raise CertificateError(f"there is no password in {_label(self.path)}")
        return self._password

    def read_to_open(self) -> bytes:
        """Return the password to open something with; that of a key may be empty.

        Raises:
            CertificateError: It cannot be read.
        """
        if self._password is None:
            self._password = _read_password(self.path)
            if not self._password:
                note = f"note: there is no password in {_label(self.path)}: an empty one is tried"
                complain(program(), note)
        return self._password


def read_password_file(path: str) -> bytes:
    """Read a password; line ends at its end do not belong to it, nor does a byte order mark.

    Args:
        path: The file; ``-`` means standard input.

    Raises:
        CertificateError: It cannot be read, or there is no password in it.
    """
    return PasswordFile(path).read()


def _read_password(path: str) -> bytes:
    content = _read(path)
    label = _label(path)
    if len(content) > MAXIMUM_PASSWORD_FILE:
        raise CertificateError(f"{label} is larger than 4 KiB: that is no file with a password")
    if content.startswith(_UTF16_MARKS):
        raise CertificateError(f"the password in {label} is in UTF-16: save the file as UTF-8")
    return content.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")


def _label(path: str) -> str:
    return "standard input" if path == STANDARD_INPUT else repr(path)


def ask_password(what: str, advice: str) -> str:
    """Ask for a password at the terminal.

    Args:
        what: What it is for: ``"Password of the private key"``.
        advice: What to do where there is no terminal: ``"give --password-file"``.

    Raises:
        CertificateError: There is nobody to ask, or no answer.
    """
    nobody = f"there is no terminal to ask for a password: {advice}"
    with warnings.catch_warnings():
        # getpass warns, and reads with echo from whatever standard input is.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            password = getpass.getpass(f"{what}: ")
        except EOFError:
            raise CertificateError(f"no password was given: {advice}") from None
        except (getpass.GetPassWarning, AttributeError, OSError, ValueError):
            # A stream that is None, closed or no terminal.
            raise CertificateError(nobody) from None
    if not password:
        raise CertificateError("an empty password protects nothing: type one, or press Ctrl-C")
    return password


def ask_new_password(what: str, advice: str) -> str:
    """Ask for a password twice, so that a slip of the fingers is no loss of a key.

    Args:
        what: What it is for.
        advice: What to do where there is no terminal.

    Raises:
        CertificateError: There is nobody to ask, or the answers differ.
    """
    password = ask_password(what, advice)
    if password != ask_password("The same again", advice):
        raise CertificateError("the two passwords differ")
    return password


def _read(path: str) -> bytes:
    try:
        if path != STANDARD_INPUT:
            with Path(path).open("rb") as file:
                return file.read(MAXIMUM_PASSWORD_FILE + 1)
        if sys.stdin is None:
            raise CertificateError("standard input is closed: there is no password to read")
        return sys.stdin.buffer.read(MAXIMUM_PASSWORD_FILE + 1)
    except OSError as error:
        raise CertificateError(f"cannot read the password: {describe_os_error(error)}") from error
    except ValueError:  # a null character in the path, or a closed stream
        raise CertificateError(f"cannot read the password from {path!r}") from None
