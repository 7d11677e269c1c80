"""The file with the keys of all connections, for Wireshark."""

from __future__ import annotations

import logging
import os

from tlshttp._own_files import OWN_FILES
from tlshttp.errors import ConfigurationError

__all__ = ["KeyLog"]

_log = logging.getLogger("tlshttp.context")

# Not through a link: by one, somebody else could have our keys written to a place of theirs.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


class KeyLog:
    """The file, readable by its owner only; a line of the log says that it is there.

    Args:
        path: Where it is.

    Raises:
        ConfigurationError: It cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fsdecode(path)
        OWN_FILES.add(path)
        try:
            descriptor = os.open(path, _FLAGS, 0o600)
            try:
                if hasattr(os, "fchmod"):
                    os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ConfigurationError(f"keylog_file {self.path}: {error.strerror}") from None
        except ValueError:  # a null character
            raise ConfigurationError(
                f"keylog_file: {self.path!r} cannot be the path of a file"
            ) from None
        _log.warning(
            "the keys of all connections are written to %s: who reads it reads all traffic",
            self.path,
        )

    def write(self, line: bytes) -> None:
        """Append a line, for engines that do not write it themselves.

        The file is opened each time: nothing has to close it, and it may be moved away.

        Args:
            line: The line, without its end.

        Raises:
            OSError: It cannot be written.
        """
        descriptor = os.open(self.path, _FLAGS, 0o600)
        try:
            os.write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)
