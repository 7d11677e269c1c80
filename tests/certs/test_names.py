from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tlshttp.certs import _names
from tlshttp.errors import CertificateError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", x509.DNSName("localhost")),
        ("Example.ORG", x509.DNSName("example.org")),
        ("*.example.org", x509.DNSName("*.example.org")),
        ("my_container", x509.DNSName("my_container")),
        ("bücher.example", x509.DNSName("xn--bcher-kva.example")),
        ("*.BÜCHER.example", x509.DNSName("*.xn--bcher-kva.example")),
        ("xn--bcher-kva.example", x509.DNSName("xn--bcher-kva.example")),
        ("例え。テスト", x509.DNSName("xn--r8jz45g.xn--zckzah")),
        ("\N{GRINNING FACE}.example", x509.DNSName("xn--e28h.example")),
        ("127.0.0.1", x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
        ("::1", x509.IPAddress(ipaddress.ip_address("::1"))),
        ("2001:DB8::1", x509.IPAddress(ipaddress.ip_address("2001:db8::1"))),
        ("spiffe://prod/web", x509.UniformResourceIdentifier("spiffe://prod/web")),
        ("urn:uuid:1234", x509.UniformResourceIdentifier("urn:uuid:1234")),
        ("me@example.org", x509.RFC822Name("me@example.org")),
        ("me@bücher.example", x509.RFC822Name("me@xn--bcher-kva.example")),
    ],
)
def test_name_goes_into_the_kind_its_form_calls_for(name: str, expected: x509.GeneralName) -> None:
    """Each form of name becomes its own kind of GeneralName."""
    assert _names.parse_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "*",
        "*.",
        "**.example.org",
        "w*.example.org",
        "www.*.org",
        "-a.example",
        "a-.example",
        "a..b",
        "example.org.",
        "exa mple.org",
        "localhost:8443",
        "[::1]",
        "10.0.0.0/8",
        "fe80::1%eth0",
        "999.1.1.1",
        "1.2.3",
        "a" * 64 + ".example",
        ".".join(["a" * 50] * 6),
        "straße.example",
        "ü\u200d.example",
        "\ud800.example",
        "a\0b",
        "a\nb.example",
        "https://",
        "https:///path",
        "http://[::1",
        "spiffe://Prod/web",
        "spiffe://prod:1/web",
        "spiffe://prod/web?query",
        "http://bücher.example/",
        "@example.org",
        "a b@example.org",
        "me@",
        "me@*.example.org",
        "mé@example.org",
    ],
)
def test_impossible_name_is_an_error_that_names_it(name: str) -> None:
    """What cannot stand in a certificate is refused, and the error shows it."""
    with pytest.raises(CertificateError) as caught:
        _names.parse_name(name)
    assert repr(name) in str(caught.value)


def test_every_impossible_name_is_found() -> None:
    """One error lists all names that are wrong, not only the first."""
    with pytest.raises(CertificateError) as caught:
        _names.general_names(["*", "localhost", "a..b"])
    assert len(caught.value.findings) == 2


def test_at_least_one_name() -> None:
    """A certificate without names, which fits nobody, is refused."""
    with pytest.raises(CertificateError, match="at least one name"):
        _names.general_names([])


def test_repeated_names_are_dropped() -> None:
    """A name given twice, in whatever spelling, stands in the certificate once."""
    assert len(_names.general_names(["a.example", "A.example", "b.example"])) == 2


def test_wrong_type_is_a_type_error() -> None:
    """A name that is no text is the caller's mistake, not a bad certificate."""
    with pytest.raises(TypeError, match="name must be str"):
        _names.parse_name(b"localhost")  # type: ignore[arg-type]


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_certificate_error(text: str) -> None:
    """No text makes the parser fail in another way, and what it accepts reads back as itself."""
    try:
        name = _names.parse_name(text)
    except CertificateError:
        return
    rendered = _names.render_name(name)
    assert rendered is not None
    assert _names.parse_name(rendered) == name
