from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.context.support import (
    TIMEOUT,
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tests.support import wait_until
from tlshttp import certs, context, profiles
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError, NoSharedProtocol


def test_everything_impossible_is_said_at_once(
    authority: certs.CertificateAuthority, tmp_path: Path
) -> None:
    """One error names each impossible wish."""
    rsa = authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048)
    (tmp_path / "damaged.crl").write_bytes(b"no list")
    profile = profiles.MODERN.replace(
        minimum_version=ssl.TLSVersion.TLSv1_3,
        maximum_version=ssl.TLSVersion.TLSv1_2,
        ciphersuites=(),
        groups=(),
    )
    with pytest.raises(ConfigurationError) as caught:
        context.create_server_context(
            rsa,
            profile=profile,
            client_auth=ClientAuth.REQUIRED,
            client_auth_by_name={"127.0.0.1": ClientAuth.NONE, "a b": ClientAuth.NONE},
            crls=[tmp_path / "missing.crl", tmp_path / "damaged.crl"],
            alpn_protocols=["", "h\xff"],
            tickets=context.Tickets(number=-1),
        )
    for expected in (
        "minimum_version TLSv1_3 is above maximum_version TLSv1_2",
        "TLS 1.2 needs ciphers, and the list is empty",
        "TLS 1.3 needs ciphersuites, and the list is empty",
        "a key exchange needs groups",
        "wants a certificate with a key of ECDSA P-256 or ECDSA P-384",
        "client_auth needs client_cas",
        "no client can ask for '127.0.0.1'",
        "'a b' is not a DNS name",
        "cannot read CRL",
        "damaged.crl is not a CRL",
        "alpn_protocols: '' is not",
        "Tickets.number",
    ):
        assert [one for one in caught.value.findings if expected in one], expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ciphers": ()}, "TLS 1.2 needs ciphers, and the list is empty"),
        ({"ciphersuites": ()}, "TLS 1.3 needs ciphersuites, and the list is empty"),
        ({"ciphers": ("NO-SUCH-CIPHER",)}, "OpenSSL knows none of its ciphers"),
        ({"minimum_rsa_bits": 4096}, "wants RSA keys of 4096 bits or more"),
        pytest.param(
            {"groups": ("no-such-group",), "ciphersuites": ("no-suite",)},
            "OpenSSL knows none of its ciphersuites; .*OpenSSL knows none of its groups",
            marks=pytest.mark.skipif(sys.version_info < (3, 15), reason="ssl cannot set them"),
        ),
    ],
)
def test_impossible_profile(
    authority: certs.CertificateAuthority, changes: dict[str, Any], message: str
) -> None:
    """Each field that cannot be had is named."""
    rsa = authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048)
    with pytest.raises(ConfigurationError, match=message):
        context.create_server_context(rsa, profile=profiles.INTERMEDIATE.replace(**changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"client_cas": "anchor"}, "client_auth asks nobody"),
        ({"client_auth": ClientAuth.OPTIONAL, "client_cas": "leaf"}, "not the certificate of an"),
        ({"crls": "crl"}, "crls revoke nothing without client_cas"),
    ],
)
def test_useless_arguments(
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    arguments: dict[str, Any],
    message: str,
) -> None:
    """What would silently have no effect is refused."""
    things: dict[str, Any] = {
        "anchor": [clients.certificate.leaf],
        "leaf": [certificate.leaf],
        "crl": [clients.crl()],
    }
    wanted: dict[str, Any] = {name: things.get(value, value) for name, value in arguments.items()}
    with pytest.raises(ConfigurationError, match=message):
        context.create_server_context(certificate, **wanted)


def test_expired_list_is_refused(
    certificate: certs.Certificate, clients: certs.CertificateAuthority
) -> None:
    """OpenSSL would refuse every client because of it."""
    old = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(clients.certificate.leaf.subject)
        .last_update(datetime.now(UTC) - timedelta(days=2))
        .next_update(datetime.now(UTC) - timedelta(days=1))
        .sign(clients.certificate.private_key, hashes.SHA256())
    )
    with pytest.raises(ConfigurationError, match="expired at"):
        context.create_server_context(
            certificate,
            client_auth=ClientAuth.REQUIRED,
            client_cas=[clients.certificate.leaf],
            crls=[old],
        )


@pytest.mark.parametrize("arguments", [{"crls": [1]}, {"alpn_protocols": "http/1.1"}])
def test_wrong_types(certificate: certs.Certificate, arguments: dict[str, Any]) -> None:
    """Wrong types stay TypeError."""
    with pytest.raises(TypeError):
        context.create_server_context(certificate, **arguments)


@pytest.mark.parametrize("setting", ["client_cas", "client_certificates"])
@pytest.mark.parametrize("kind", ["path", "text", "paths", "PEM", "one", "with key"])
def test_certificates_are_no_files(
    certificate: certs.Certificate, tmp_path: Path, setting: str, kind: str
) -> None:
    """Who gives a path, or one certificate alone, is told what to give."""
    given = {
        "path": tmp_path / "ca.pem",
        "text": "ca.pem",
        "paths": ["ca.pem"],
        "PEM": certificate.to_pem(),
        "one": certificate.leaf,
        "with key": [certificate],
    }[kind]
    options: dict[str, Any] = {setting: given, "client_auth": ClientAuth.REQUIRED}
    with pytest.raises(TypeError, match=rf"{setting} must be certificates, such as those that"):
        context.create_server_context(certificate, **options)


def test_certificates_may_come_from_an_iterator(authority: certs.CertificateAuthority) -> None:
    """The twin: whatever gives certificates is read once."""
    anchors = iter([authority.certificate.leaf])
    context.create_server_context(
        authority.issue_server("localhost"), client_auth=ClientAuth.REQUIRED, client_cas=anchors
    )
    assert next(anchors, None) is None


# ALPN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_alpn_without_overlap_is_refused(
    certificate: certs.Certificate, authority: certs.CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """The client gets no_application_protocol; the server one typed event and a count."""
    client = client_context(authority, version=version)
    client.set_alpn_protocols(["smtp", "h2"])
    with running(RecordingServer(context.create_server_context(certificate))) as server:
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            visit(server, client, "localhost")
        error = server.failure()
        assert isinstance(error, NoSharedProtocol)
        assert "offered 'smtp', 'h2'" in str(error)
        assert error.server_name == "localhost"
        assert server.stats().handshake_failures == {"no-shared-protocol": 1}
        assert server.served == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("first", [20, 120, 170, None], ids=["random", "ciphers", "names", "many"])
def test_alpn_in_a_later_record_is_looked_at_too(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
    first: int | None,
) -> None:
    """A hello in two records, or in very many, is judged when it is whole."""
    client = client_context(authority, version=version)
    client.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    with (
        running(RecordingServer(context.create_server_context(certificate))) as server,
        socket.create_connection(server.server_address, timeout=TIMEOUT) as raw,
    ):
        for part in [hello[5:][: first or 8], hello[5 + (first or 8) :]]:
            step = len(part) if first else 8
            for begin in range(0, len(part), step):
                piece = part[begin : begin + step]
                raw.sendall(hello[:3] + len(piece).to_bytes(2) + piece)
            assert wait_until(lambda: server.stats().accepted == 1)
        assert raw.recv(100) == b"\x15\x03\x03\x00\x02\x02\x78"
        assert isinstance(server.failure(), NoSharedProtocol)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("offered", [[], ["http/1.1"], ["h2", "http/1.1"]])
def test_alpn_with_overlap_or_none_is_fine(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
    offered: list[str],
) -> None:
    """Clients without ALPN, or with a protocol of ours, are served."""
    client = client_context(authority, version=version)
    if offered:
        client.set_alpn_protocols(offered)
    with running(RecordingServer(context.create_server_context(certificate))) as server:
        assert visit(server, client, "localhost").status == 200


def test_without_protocols_of_ours_alpn_is_ignored(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """A server that offers no ALPN refuses nobody for it."""
    client = client_context(authority)
    client.set_alpn_protocols(["h2"])
    server_context = context.create_server_context(certificate, alpn_protocols=())
    with running(RecordingServer(server_context)) as server:
        assert visit(server, client, "localhost").status == 200


# Key log ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_key_log(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    version: ssl.TLSVersion,
) -> None:
    """Keys go to a file of mode 0600, also one that was open to others, with one warning."""
    path = tmp_path / "keys.log"
    path.touch()
    path.chmod(0o666)
    store = certs.CertificateStore.from_certificate(certificate)
    server_context = context.create_server_context(store, keylog_file=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = client_context(authority, version=version)
    shake_hands(server_context, client)
    before = path.read_text().count("CLIENT")
    assert before >= 1
    store.replace(authority.issue_server("localhost"))
    server_context.maintain(1e9)
    shake_hands(server_context, client)
    assert path.read_text().count("CLIENT") == 2 * before
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert str(path) in warnings[0]


def test_key_log_is_not_taken_from_the_environment(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSLKEYLOGFILE alone has no keys written."""
    client = client_context(authority)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    shake_hands(context.create_server_context(certificate), client)
    assert not (tmp_path / "keys").exists()


def test_key_log_goes_through_no_link(certificate: certs.Certificate, tmp_path: Path) -> None:
    """Nobody can have the keys written to a place of theirs, and other errors are ours, too."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "link", tmp_path / "missing" / "keys"):
        with pytest.raises(ConfigurationError, match="keylog_file"):
            context.create_server_context(certificate, keylog_file=path)
    assert [one.name for one in tmp_path.iterdir()] == ["link"]


# Tuning -----------------------------------------------------------------------------------------


@pytest.mark.only_engine("ssl", reason="a context of pyOpenSSL is finished, and cannot be tuned")
def test_tuning_before_the_first_connection_counts_everywhere(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    clients: certs.CertificateAuthority,
    alice: certs.Certificate,
) -> None:
    """What is set as on any SSLContext holds for the contexts behind it, also renewed ones."""
    store = certs.CertificateStore.from_certificate(certificate)
    server_context = context.create_server_context(store)
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    server_context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    server_context.verify_mode = ssl.CERT_REQUIRED
    clients.configure_trust(server_context)
    store.replace(authority.issue_server("localhost"))
    for later in (0.0, 1e9):
        server_context.maintain(later)
        server_context.renew_tickets()
        pair = shake_hands(server_context, client_context(authority, alice))
        assert pair.server.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
        with pytest.raises(ssl.SSLError):
            shake_hands(server_context, client_context(authority))


@pytest.mark.skipif(sys.version_info < (3, 15), reason="the ssl module has these from 3.15 on")
def test_tuning_what_python_3_15_can_set(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """Groups, suites and signatures set on the context are those that are negotiated."""
    server_context: Any = context.create_server_context(certificate)
    server_context.set_groups("secp384r1")
    server_context.set_ciphersuites("TLS_CHACHA20_POLY1305_SHA256")
    server_context.set_server_sigalgs("ecdsa_secp256r1_sha256")
    server_context.set_client_sigalgs("ecdsa_secp256r1_sha256")
    server: Any = shake_hands(server_context, client_context(authority)).server
    assert server.group() == "secp384r1"
    assert server.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    assert server.server_sigalg() == "ecdsa_secp256r1_sha256"
    for name in ("groups", "ciphersuites", "server_sigalgs", "client_sigalgs"):
        with pytest.raises(ConfigurationError, match="has served"):
            getattr(server_context, f"set_{name}")("x")


@pytest.mark.only_engine("ssl", reason="a context of pyOpenSSL is finished, and cannot be tuned")
def test_tuning_afterwards_is_refused(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """A context that has served is not changed, nor what it is made for."""
    server_context = context.create_server_context(certificate)
    for name in ("sni_callback", "sslsocket_class", "keylog_filename", "post_handshake_auth"):
        with pytest.raises(ConfigurationError, match=name):
            setattr(server_context, name, None)
    with pytest.raises(ConfigurationError, match="certificate"):
        server_context.load_cert_chain("anything")
    with pytest.raises(ConfigurationError, match="alpn_protocols"):
        server_context.set_alpn_protocols(["h2"])
    shake_hands(server_context, client_context(authority))
    with pytest.raises(ConfigurationError, match="has served"):
        server_context.verify_mode = ssl.CERT_OPTIONAL
    with pytest.raises(ConfigurationError, match="has served"):
        server_context.set_ciphers("ALL")
    with pytest.raises(ConfigurationError, match="has served"):
        server_context.set_ecdh_curve("prime256v1")
    with pytest.raises(ConfigurationError, match="has served"):
        server_context.load_default_certs()


@pytest.mark.only_engine("ssl", reason="other servers take contexts of the ssl module only")
def test_context_serves_in_other_servers(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """It is an SSLContext, and what it says of itself is true."""
    server_context = context.create_server_context(certificate, profile=profiles.MODERN)
    assert isinstance(server_context, ssl.SSLContext)
    assert server_context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert server_context.options & ssl.OP_NO_RENEGOTIATION
    import asyncio

    async def fetch() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(authority), server_hostname="localhost"
        )
        writer.write(b"ping")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answer

    assert asyncio.run(fetch()) == b"ping"
