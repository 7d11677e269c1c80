"""Where this package keeps what is the user's own: the folder of the local authority.

It is looked up here, below everything else, so that the file handlers keep away from it whether or
not this process ever uses the authority.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "authority_folder", "authority_folders", "user_data_folder"]

FOLDER_VARIABLE = "TLSHTTP_AUTHORITY"
"""The environment variable that says where the authority is kept."""


def authority_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the local authority is kept, whether there is one or not.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser().absolute()
    return user_data_folder(environment=environment)


def authority_folders(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield where there may be one: where the environment says, and the usual place."""
    for known in (environment, {**environment, FOLDER_VARIABLE: ""}):
        try:
            yield str(authority_folder(known))
        except (RuntimeError, OSError):  # no home folder, no working directory
            continue


def user_data_folder(
    system: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Path:
    """Return the folder for this package among the user's data, as each platform has it."""
    if system == "win32":
        base = environment.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "tlshttp"
    if system == "darwin":
        return Path.home() / "Library" / "Application Support" / "tlshttp"
    # The XDG Base Directory Specification 0.8 wants relative paths ignored.
    base = environment.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local/share") / "tlshttp"
