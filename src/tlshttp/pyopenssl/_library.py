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

__all__ = ["NEEDED", "ffi", "has", "lib", "versions"]

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


NEEDED = (
    "BIO_free", "BIO_get_mem_data", "BIO_new", "BIO_read", "BIO_s_mem", "BIO_set_mem_eof_return",
    "BIO_write", "ERR_clear_error", "ERR_get_error", "ERR_lib_error_string",
    "ERR_reason_error_string", "OPENSSL_malloc", "SSL_CIPHER_get_bits", "SSL_CIPHER_get_name",
    "SSL_CIPHER_get_version", "SSL_CTX_set_alpn_select_cb",
    "SSL_CTX_set_keylog_callback", "SSL_CTX_set_tlsext_servername_callback",
    "SSL_CTX_set_tlsext_status_cb",
    "SSL_ERROR_SSL", "SSL_ERROR_WANT_READ", "SSL_ERROR_ZERO_RETURN",
    "SSL_TLSEXT_ERR_ALERT_FATAL", "SSL_TLSEXT_ERR_NOACK", "SSL_TLSEXT_ERR_OK", "SSL_do_handshake",
    "SSL_free", "SSL_get0_group_name", "SSL_get0_verified_chain", "SSL_get_certificate",
    "SSL_get_current_cipher", "SSL_get_error", "SSL_get_peer_cert_chain",
    "SSL_get_peer_certificate",
    "SSL_get_servername", "SSL_get_verify_result", "SSL_get_version", "SSL_new", "SSL_pending",
    "SSL_read", "SSL_session_reused", "SSL_set_SSL_CTX", "SSL_set_accept_state", "SSL_set_bio",
    "SSL_set_tlsext_status_ocsp_resp", "SSL_set_verify", "SSL_shutdown", "SSL_write",
    "TLSEXT_NAMETYPE_host_name", "X509_V_OK", "X509_free", "X509_verify_cert_error_string",
    "i2d_X509_bio", "sk_X509_num", "sk_X509_value",
)  # fmt: skip
"""Everything that `_direct`, `_direct_way` and `_buffers` use."""
