"""Has a page read by somebody who does what it says, in an empty folder with an empty home."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs.pages import INSTALL, Block, Kind, blocks, installed
from tests.support import UNIT

PROGRAMS: Final = ("bash", "curl", "gzip", "openssl")
"""What pages call besides Python."""

PATIENCE: Final = 160 * UNIT
"""Seconds that a page may take; a busy machine needs a minute for some."""

RUN: Final = set(Kind) - {Kind.OTHER}
READER: Final = Path(__file__).with_name("run_page.py")


def to_run(page: Path) -> list[Block]:
    """Return what a reader of the page does, without what says why it is not for tests."""
    return [block for block in blocks(page) if block.kind in RUN and not block.reason]


def lacking(page: Path) -> list[str]:
    """Return the programs that the page calls and this machine lacks."""
    shell = [block.text for block in to_run(page) if block.kind is Kind.SHELL]
    called = {"bash", *" ".join(shell).split()} if shell else set()
    return [name for name in PROGRAMS if name in called and shutil.which(name) is None]


@functools.cache
def own_network() -> tuple[str, ...]:
    """Return the command that has another one run where all ports are free, or none."""
    command = ("unshare", "--user", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return () if tried.returncode else command


def read(
    page: Path,
    folder: Path,
    *,
    change: Callable[[str], str] | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = 1,
) -> subprocess.CompletedProcess[str]:
    """Do what a reader of the page does, in an empty folder with an empty home.

    Args:
        page: The page.
        folder: Gets both of them.
        change: What is changed about each block; `None`: tlshttp is not installed, since it is.
        environment: Variables beside those that everybody has; `None`: no others.
        patience: How many times as long as usual it may take.
    """
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    if change is None and INSTALL.search(page.read_text(encoding="utf-8")):
        (work / ".venv").symlink_to(sys.prefix)  # what the reader would make
    told = [
        {
            "kind": block.kind.value,
            "text": (change or installed)(block.text),
            "place": block.place,
            "name": block.name,
        }
        for block in to_run(page)
    ]
    network = own_network()
    return subprocess.run(
        [*network, sys.executable, "-u", str(READER),
         *(["--bring-up-loopback"] if network else [])],
        input=json.dumps(told), cwd=work, capture_output=True, text=True,
        env=_variables(home, patience) | dict(environment or {}),
        timeout=PATIENCE * patience, check=False,
    )  # fmt: skip


def _variables(home: Path, patience: float) -> dict[str, str]:
    """Return what everybody's environment has."""
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",  # as in a terminal
        "TLSHTTP_TEST_UNIT": str(UNIT * patience),
    }
