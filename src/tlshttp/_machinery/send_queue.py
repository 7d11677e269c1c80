"""What the kernel has of a connection that its peer does not have yet."""

from __future__ import annotations

import array

try:
    import fcntl
    import termios
except ImportError:  # Windows
    _tells = False
else:
    _tells = True

__all__ = ["size_of_send_queue"]


def size_of_send_queue(fd: int) -> int:
    """Return how many bytes wait in the kernel for the peer; 0 where nobody can tell: only Linux.

    A poller does not tell of a few that leave, only when about half has left of what the kernel
    takes. Until then a peer that reads slowly would seem to take nothing.

    Args:
        fd: The descriptor of a socket.
    """
    size = array.array("i", [0])
    if _tells:
        try:
            fcntl.ioctl(fd, termios.TIOCOUTQ, size)  # as SIOCOUTQ: tcp(7)
        except (OSError, ValueError):  # it has just been closed, or it is not Linux
            return 0
    return size[0]
