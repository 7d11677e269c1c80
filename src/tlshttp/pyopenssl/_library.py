"""What of OpenSSL pyOpenSSL has no public methods for, where it is there.

`OpenSSL._util` is not meant for others and may change with any version. Only `tlshttp.pyopenssl`
uses it, always by way of this module, and what is missing is named with the versions that have it.
"""

from __future__ import annotations

from typing import Any

try:
    from OpenSSL import _util
except ImportError:  # pragma: no cover  # a pyOpenSSL of the future
    _util = None  # type: ignore[assignment]

__all__ = ["ffi", "has", "lib", "versions"]

lib: Any = getattr(_util, "lib", None)
"""OpenSSL's functions, `None` without them."""

ffi: Any = getattr(_util, "ffi", None)
"""What makes and reads C's values, `None` without it."""


def has(*names: str) -> bool:
    """Tell whether all of these functions and constants are there."""
    return ffi is not None and all(hasattr(lib, name) for name in names)


def versions() -> str:
    """Name what is installed, for an error."""
    import cryptography
    import OpenSSL

    return f"cryptography {cryptography.__version__} and pyOpenSSL {OpenSSL.__version__}"
