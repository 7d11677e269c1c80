"""What the figures of a session depend on: the machine, its system, and how Python was built."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import ssl
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["build", "facts", "key"]


def facts() -> dict[str, str]:
    """Say on what is measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": _first(cpuinfo, "model name") or platform.machine(),
        "frequency": frequency(cpuinfo),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "build": build(sysconfig.get_config_vars(), platform.python_compiler()),
        "openssl": ssl.OPENSSL_VERSION,
        "commit": _commit(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def frequency(cpuinfo: str) -> str:
    """Return how fast the first processor runs now, in GHz, as ``/proc/cpuinfo`` has it."""
    found = _first(cpuinfo, "cpu MHz")
    return f"{float(found) / 1000:.1f} GHz" if found else "frequency unknown"


def build(variables: Mapping[str, Any], compiler: str) -> str:
    """Say how Python was built, as far as its speed depends on it.

    Args:
        variables: What `sysconfig.get_config_vars` returns. An interpreter that was built without
            ``configure`` (on Windows) has none of them, and is said to have nothing.
        compiler: What built it.
    """
    options = f"{variables.get('CONFIG_ARGS') or ''} {variables.get('PY_CORE_CFLAGS') or ''}"
    has = {
        "PGO": "--enable-optimizations" in options or "-fprofile-use" in options,
        "LTO": "--with-lto" in options or "-flto" in options,
        "tail calls": bool(variables.get("Py_TAIL_CALL_INTERP"))
        or "--with-tail-call-interp" in options,
        "JIT": "--enable-experimental-jit" in options,
    }
    words = [name if there else f"no {name}" for name, there in has.items()]
    if variables.get("Py_GIL_DISABLED"):
        words.append("free-threaded")
    return ", ".join([*words, compiler])


def key(machine: Mapping[str, str]) -> str:
    """Return what tells one kind of machine from another: processor and Python, for a file name."""
    python = ".".join(machine.get("python", "").split(".")[:2])
    words = re.findall(r"[a-z0-9.]+", f"{machine.get('processor', '')} python {python}".lower())
    return "-".join(words)


def _first(cpuinfo: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
