"""A QR code of a URL, for the camera of a telephone."""

from __future__ import annotations

import io

from tlshttp.errors import ConfigurationError

__all__ = ["qr_code", "require_library"]

_BLOCKS = "\u2588\u2580\u2584"  # full, upper half, lower half


def require_library() -> None:
    """Find out whether the library is there that makes them.

    Raises:
        ConfigurationError: It is not; the finding says how to get it.
    """
    try:
        import segno  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "--qr needs the package segno: pip install 'tlshttp-server[qr]'"
        ) from None


def qr_code(url: str, encoding: str = "utf-8") -> str:
    """Return the code as lines of text.

    Args:
        url: What is in it.
        encoding: Of the terminal. Where that lacks blocks, the code is spaces in two colours, and
            twice as high.
    """
    import segno

    text = io.StringIO()
    segno.make_qr(url).terminal(text, border=2, compact=_has_blocks(encoding))
    return text.getvalue().rstrip("\n")


def _has_blocks(encoding: str) -> bool:
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
