"""How a command ends: with a status, and a sentence where something went wrong.

A traceback is for whoever mends the program. Whoever uses it is told what is the matter, on
standard error, whatever state the terminal and the streams are in: `sys.stdout` and its like are
`None` where they were closed before the program started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import IO

from tlshttp.errors import ConfigurationError

OK = 0
FAILED = 1
"""What was looked at is not in order."""
UNUSABLE = 2
"""Something has to be mended first, as `argparse` has it."""
INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the number of SIGINT, as shells have it."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk says that takes no more."""


def run(program: str, command: Callable[[], int]) -> int:
    """Run a command to its end.

    Args:
        program: What the user called, to begin each complaint with.
        command: Returns the exit status.

    Returns:
        The exit status; of what the command raises, one of those above.
    """
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    try:
        status = command()
        _flush()
    except SystemExit as exit_:
        # argparse has said why; it is up to the caller to end the process.
        return exit_.code if isinstance(exit_.code, int) else UNUSABLE
    except ConfigurationError as error:
        complain(program, *error.findings)
    except BrokenPipeError:  # who reads our output has had enough: `... | head`
        _discard_output()
        return FAILED
    except OSError as error:
        if error.errno in _FULL:  # errors about files name them: this is the output
            _discard_output()
            complain(program, f"the output cannot be written: {error.strerror}")
        else:
            complain(program, describe_os_error(error))
    except KeyboardInterrupt:
        _begin_new_line()
        complain(program, "stopped")
        return INTERRUPTED
    else:
        return status
    return UNUSABLE


def complain(program: str, *sentences: str) -> None:
    """Print sentences on standard error, if there is any."""
    if sys.stderr is None:
        return  # print() would take standard output instead
    with contextlib.suppress(OSError, ValueError):
        for sentence in sentences:
            print(f"{program}: {sentence}", file=sys.stderr, flush=True)


def say(*lines: str) -> None:
    """Print lines at once, and go on where nobody reads them: a server serves all the same."""
    try:
        for line in lines:
            print(line, flush=True)
    except OSError:
        _discard_output()


def describe_os_error(error: OSError) -> str:
    """Say what the system refused, without its number, and for which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{os.fsdecode(error.filename)!r}: {reason}"


def _write_anything(stream: IO[str] | None) -> None:
    """Have a stream escape the letters that its encoding lacks, rather than raise."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _discard_output() -> None:
    """Let what is still to be written go nowhere, since the interpreter flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _begin_new_line() -> None:
    """Leave the line in which the terminal shows ``^C``."""
    if sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(OSError, ValueError):
            print(file=sys.stderr)
