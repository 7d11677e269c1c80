"""What the kernel has of a connection that its peer does not have yet."""

from __future__ import annotations

import sys

__all__ = ["size_of_send_queue"]

if sys.platform == "linux":
    import array
    import fcntl
    import termios

    def size_of_send_queue(fd: int) -> int:
        """Return how many bytes wait in the kernel for the peer; 0 where nobody can tell.

        A poller does not tell of a few that leave, only when about half has left of what the kernel
        takes. Until then a peer that reads slowly would seem to take nothing.

        Args:
            fd: The descriptor of a socket.
        """
        size = array.array("i", [0])
        try:
            fcntl.ioctl(fd, termios.TIOCOUTQ, size)  # SIOCOUTQ: tcp(7)
        except (OSError, ValueError):  # it has just been closed
            return 0
        return size[0]

else:

    def size_of_send_queue(fd: int) -> int:  # noqa: ARG001
        """Return 0: nobody can tell."""
        return 0
