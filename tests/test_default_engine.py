"""Which engine serves where nobody has chosen one."""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from tlshttp import _default_engine
from tlshttp._default_engine import default_engine
from tlshttp.pyopenssl import _choice


@pytest.fixture(autouse=True)
def _decides_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have each test decide for itself, on a machine that has what pyOpenSSL takes."""
    monkeypatch.delattr(ssl.SSLContext, "set_groups", raising=False)
    monkeypatch.setattr(SSL, "OPENSSL_VERSION_NUMBER", 0x4000_0000)
    monkeypatch.setattr(_choice, "why_not_direct", lambda: None)
    default_engine.cache_clear()
    yield
    default_engine.cache_clear()


def test_pyopenssl_where_it_is_faster_and_exact() -> None:
    """With the newest versions, before Python 3.15."""
    assert default_engine() == "pyopenssl"


def test_ssl_where_it_keeps_to_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.15 on."""
    monkeypatch.setattr(ssl.SSLContext, "set_groups", lambda *_: None, raising=False)
    assert default_engine() == "ssl"


def test_ssl_where_the_other_has_no_newer_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL 3.5 is no faster."""
    monkeypatch.setattr(SSL, "OPENSSL_VERSION_NUMBER", 0x3050_0040)
    assert default_engine() == "ssl"


def test_ssl_where_functions_are_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Public methods alone cost more; the reason is told to who looks for it, once."""
    monkeypatch.setattr(_choice, "why_not_direct", lambda: "there is no SSL_read")
    with caplog.at_level(logging.DEBUG, "tlshttp.context"):
        assert default_engine() == default_engine() == "ssl"
    assert [record.getMessage() for record in caplog.records] == [
        "the default engine is ssl: there is no SSL_read"
    ]


def test_ssl_where_pyopenssl_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of cryptography and pyOpenSSL that do not fit end no server that can do without."""
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    assert default_engine() == "ssl"


def test_both_engines_have_names() -> None:
    """And no others: what the command line offers is what servers take."""
    assert _default_engine.ENGINES == ("ssl", "pyopenssl")
