"""Exactly the profile, by what is negotiated with clients that can do one thing only."""

from __future__ import annotations

import ssl

import pytest
from OpenSSL import SSL

from tests.engines import NEEDS_GROUPS
from tests.pyopenssl.conftest import Create
from tests.pyopenssl.peer import client_of, shake_hands
from tlshttp import certs, context, profiles, pyopenssl
from tlshttp.certs import CertificateAuthority, KeyType
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import INSECURE_OLD, INTERMEDIATE, MODERN, TLSProfile
from tlshttp.pyopenssl import _library

GROUPS = [
    "X25519MLKEM768", "SecP256r1MLKEM768", "X25519", "X448", "prime256v1", "secp384r1", "secp521r1",
    "ffdhe2048", "ffdhe3072",
]  # fmt: skip

SIGNATURES = {
    "ecdsa_secp256r1_sha256": KeyType.ECDSA_P256,
    "ecdsa_secp384r1_sha384": KeyType.ECDSA_P384,
    "ed25519": KeyType.ED25519,
    "rsa_pss_rsae_sha256": KeyType.RSA_2048,
    "rsa_pss_rsae_sha512": KeyType.RSA_2048,
}

REFUSED = (SSL.Error, ssl.SSLError)


@pytest.mark.parametrize("profile", [MODERN, INTERMEDIATE], ids=lambda one: one.name)
@pytest.mark.parametrize("group", GROUPS)
def test_each_group_alone(
    create: Create,
    authority: CertificateAuthority,
    certificate: certs.Certificate,
    profile: TLSProfile,
    group: str,
) -> None:
    """A client that can do one group connects by those of the profile, and by no other."""
    made = create(certificate, profile=profile)
    client = client_of(authority, version="TLSv1.3", groups=group)
    if group in profile.groups:
        assert shake_hands(made, client).server.group() == group
    else:
        with pytest.raises(REFUSED):
            shake_hands(made, client)


def test_hybrid_group_comes_first(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """A client that can do all takes the one that a quantum computer does not open."""
    made = create(certificate)
    everything = client_of(authority, groups=":".join(INTERMEDIATE.groups))
    assert shake_hands(made, everything).server.group() == "X25519MLKEM768"
    without = client_of(authority, groups="X25519:prime256v1")
    assert shake_hands(made, without).server.group() == "X25519"


@pytest.mark.parametrize("there", [True, False], ids=["in the profile", "left out"])
@pytest.mark.parametrize("signature", SIGNATURES)
def test_each_signature_alone(
    create: Create, authority: CertificateAuthority, signature: str, there: bool
) -> None:
    """The server signs as the profile says, and in no other way, though it has the key for it."""
    others = tuple(one for one in INTERMEDIATE.signature_algorithms if one != signature)
    profile = INTERMEDIATE.replace(
        certificate_keys=(), signature_algorithms=(*others, signature) if there else others
    )
    made = create(
        authority.issue_server("localhost", key_type=SIGNATURES[signature]), profile=profile
    )
    # What the authority has signed by a client has to be able to verify, too.
    client = client_of(
        authority, version="TLSv1.3", signatures=f"{signature}:ecdsa_secp256r1_sha256"
    )
    if there:
        shake_hands(made, client)
    elif SIGNATURES[signature] is not KeyType.ECDSA_P256:
        with pytest.raises(REFUSED):
            shake_hands(made, client)


@pytest.mark.parametrize("profile", [MODERN, INTERMEDIATE, INSECURE_OLD], ids=lambda one: one.name)
def test_suites_and_ciphers_are_those_of_the_profile(
    create: Create, authority: CertificateAuthority, profile: TLSProfile
) -> None:
    """An audit by handshakes finds them, all of them, and no deviation."""
    rsa = authority.issue_server("localhost", key_type=KeyType.RSA_2048)
    ec = authority.issue_server("localhost")
    shown = {MODERN: [ec], INTERMEDIATE: [ec, rsa], INSECURE_OLD: [rsa]}[profile]
    made = create(*shown, profile=profile)
    shake_hands(made, client_of(authority))  # one that has served can be asked, too
    report = context.audit(made, profile=profile)
    assert report.deviations == (), str(report)
    assert set(report.ciphers["TLSv1.3"]) == set(profile.ciphersuites)
    assert set(report.groups) == set(profile.groups)
    assert set(report.signature_algorithms) <= set(profile.signature_algorithms)
    assert all(report.enforced.values())
    assert "ffdhe" not in str(report)


def test_order_is_the_servers_where_the_profile_says_so(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """The client's order of ciphers counts, or the server's."""
    for server_preference, expected in ((False, "AES256"), (True, "AES128")):
        made = create(
            certificate, profile=INTERMEDIATE.replace(server_preference=server_preference)
        )
        client = client_of(authority, version="TLSv1.2")
        client.set_cipher_list(b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
        name, version, bits = shake_hands(made, client).server.cipher()
        assert (expected in name, version, bits > 0) == (True, "TLSv1.2", True)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_foreign_protocols_are_refused_by_an_alert(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, version: str
) -> None:
    """ALPN without anything in common ends the handshake (RFC 7301, section 3.2)."""
    made = create(certificate)
    client = client_of(authority, version=version)
    client.set_alpn_protos([b"h2"])
    with pytest.raises(REFUSED, match=r"(?i)no.application.protocol"):
        shake_hands(made, client)
    client = client_of(authority, version=version)
    client.set_alpn_protos([b"h2", b"http/1.0", b"http/1.1"])
    assert shake_hands(made, client).server.selected_alpn_protocol() == "http/1.1"
    ends = shake_hands(made, client_of(authority, version=version))
    assert ends.server.selected_alpn_protocol() is None


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_unknown_names_are_refused_by_an_alert(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, version: str
) -> None:
    """What the client gets is ``unrecognized_name`` (RFC 6066, section 3), in the engine itself."""
    made = create(certificate, unknown_names=context.UnknownNames.REFUSE)
    incoming, outgoing, server = made.begin()
    client = SSL.Connection(client_of(authority, version=version))
    client.set_tlsext_host_name(b"elsewhere.test")
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    incoming.write(client.bio_read(1 << 16))
    with pytest.raises(OSError, match="no certificate for the name"):
        server.do_handshake()
    assert outgoing.read() == b"\x15\x03\x03\x00\x02\x02\x70"


def test_versions_that_cannot_are_named(
    certificate: certs.Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where groups cannot be set there is no context, and the error says which version can."""
    monkeypatch.setattr(_library, "has", lambda *names: "SSL_CTX_set1_curves_list" not in names)
    with pytest.raises(ConfigurationError, match=r"groups cannot be set by cryptography .* 47 or"):
        pyopenssl.create_server_context(certificate)


@NEEDS_GROUPS
@pytest.mark.parametrize("field", ["ciphersuites", "groups", "signature_algorithms", "ciphers"])
def test_names_that_openssl_does_not_know(certificate: certs.Certificate, field: str) -> None:
    """What cannot be negotiated at all is said at the start."""
    profile = profiles.INTERMEDIATE.replace(**{field: ("nonsense",)})
    with pytest.raises(ConfigurationError, match="OpenSSL knows none of its"):
        pyopenssl.create_server_context(certificate, profile=profile)


@pytest.mark.parametrize("name", ["minimum_version", "verify_mode", "options", "num_tickets"])
def test_setting_that_would_have_no_effect_is_refused(
    create: Create, certificate: certs.Certificate, name: str
) -> None:
    """Who tunes it like an `ssl.SSLContext` hears that it is finished, and goes on with no less."""
    made = create(certificate)
    with pytest.raises(ConfigurationError, match=f"{name}: this context is finished"):
        setattr(made, name, 0)


def test_impossible_name_is_refused_without_a_trace(
    create: Create,
    authority: CertificateAuthority,
    certificate: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A name that is not ASCII gets ``illegal_parameter``, and nobody a traceback."""
    incoming, outgoing, server = create(certificate).begin()
    client = SSL.Connection(client_of(authority))
    client.set_tlsext_host_name(b"\xff\xfe.test")
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    incoming.write(client.bio_read(1 << 16))
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    assert outgoing.read() == b"\x15\x03\x03\x00\x02\x02\x2f"
    assert caplog.records == []
