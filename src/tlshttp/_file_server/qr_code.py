"""A QR code of a URL, for the camera of a telephone."""

from __future__ import annotations

import io

from tlshttp.errors import ConfigurationError

__all__ = ["qr_code", "require_library"]


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


def qr_code(url: str) -> str:
    """Return the code as lines of text."""
    import segno

    text = io.StringIO()
    segno.make_qr(url).terminal(text, border=2, compact=True)
    return text.getvalue().rstrip("\n")
