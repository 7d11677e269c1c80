"""peers 8: no key exchange in a group that the profile does not have."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import Recording, Serve
from tests.machinery.peers import connect
from tests.support import UNIT, wait_until
from tlshttp import certs, context, profiles
from tlshttp._machinery.client_hello import parse
from tlshttp.context._groups import Groups
from tlshttp.errors import NoSharedCipher

OPENSSL = shutil.which("openssl")

P256, P384, P521, X25519, X448 = 0x17, 0x18, 0x19, 0x1D, 0x1E
FF2048, FF3072, FF4096, FF6144, FF8192 = range(0x100, 0x105)
BRAINPOOL, KOBLITZ, HYBRID, GREASE, UNKNOWN = 0x1A, 0x16, 0x11EC, 0x0A0A, 0x1234

SIZES = {P256: 65, P384: 97, P521: 133, X25519: 32, X448: 56, HYBRID: 1216} | {
    group: bits // 8
    for group, bits in ((FF2048, 2048), (FF3072, 3072), (FF4096, 4096), (FF6144, 6144))
} | {FF8192: 1024}  # fmt: skip

SETS_GROUPS = hasattr(ssl.SSLContext, "set_groups")


def extension(kind: int, content: bytes) -> bytes:
    """Return an extension of a hello."""
    return struct.pack("!HH", kind, len(content)) + content


def numbers(values: Sequence[int]) -> bytes:
    """Return numbers of two bytes after their length."""
    return struct.pack(f"!H{len(values)}H", 2 * len(values), *values)


def hello(
    groups: Sequence[int] | None, shares: Sequence[int] | None, ciphers: Sequence[int] = ()
) -> bytes:
    """Return a ClientHello: of TLS 1.3 where there is a list of shares, else of TLS 1.2."""
    extensions = extension(13, numbers([0x0403, 0x0804, 0x0401]))
    if groups is not None:
        extensions += extension(10, numbers(groups))
    if shares is not None:
        sent = b"".join(
            struct.pack("!HH", group, SIZES.get(group, 32)) + b"\4" + os.urandom(
                SIZES.get(group, 32) - 1
            )
            for group in shares
        )  # fmt: skip
        extensions += extension(43, b"\2\3\4") + extension(51, struct.pack("!H", len(sent)) + sent)
    used = ciphers or ([0x1301] if shares is not None else [0xC02B, 0xC02F])
    body = b"\3\3" + os.urandom(32) + b"\0" + numbers(used) + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    content = b"\1" + len(body).to_bytes(3) + body
    return b"\x16\3\1" + struct.pack("!H", len(content)) + content


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def answer(address: Any, sent: bytes) -> tuple[str, int]:
    """Send a hello, and return what is answered: an alert, or a group, asked for or used."""
    with connect(address) as sock:
        sock.sendall(sent)
        data = b""
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5]):
            piece = sock.recv(65_536)
            if not piece:
                return "closed", 0
            data += piece
    if data[0] == 0x15:
        return "alert", data[6]
    at = 5 + 4 + 2 + 32 + 1 + data[5 + 4 + 2 + 32] + 2 + 1 + 2
    found = {}
    while at < 5 + int.from_bytes(data[3:5]):
        kind, length = struct.unpack_from("!HH", data, at)
        found[kind] = data[at + 4 : at + 4 + length]
        at += 4 + length
    group = int.from_bytes(found.get(51, b"")[:2])
    return ("retry" if data[11:43] == RETRY else "hello"), group


FOREIGN = [
    ([FF8192], [FF8192]),
    ([FF2048], [FF2048]),
    ([FF8192], []),
    ([FF2048, FF3072, FF4096, FF6144, FF8192], [FF4096, FF8192]),
    ([GREASE, FF8192], [GREASE, FF8192]),
    ([UNKNOWN, FF8192], [UNKNOWN, FF8192]),
    ([FF8192, P521], [FF8192]),
    ([P521], []),
    ([P521], [P521]),
    ([X448, P521], [X448]),
    ([X448], None),
    ([P521], None),
    ([BRAINPOOL, P521, X448], None),
    ([FF2048, P521], None),
    ([UNKNOWN], [UNKNOWN]),
    ([KOBLITZ], [KOBLITZ]),
]

# What the client offers, what it sends shares for, and what it gets.
STEERED = [
    ([FF8192, X25519], [FF8192], ("retry", X25519)),
    ([X25519, FF8192], [FF8192, X25519], ("hello", X25519)),
    ([FF8192, P256], [], ("retry", P256)),
    ([P521, P384], [P521], ("retry", P384)),
    ([X448, P256, X25519], [X448], ("retry", P256)),
    ([P521, X25519], [P521, X25519], ("hello", X25519)),
    ([GREASE, FF2048, X25519], [GREASE, FF2048, X25519], ("hello", X25519)),
    ([HYBRID, FF8192, X25519], [HYBRID, FF8192], ("retry", X25519)),
    ([X25519, P256, X448, P521, P384, FF2048], [X25519], ("hello", X25519)),
    ([X448, P521, P384], [], ("retry", P384)),
]

CONTEXTS = {
    "modern": lambda one: {
        "ssl_context": context.create_server_context(one, profile=profiles.MODERN)
    },
    "intermediate": lambda one: {"ssl_context": context.create_server_context(one)},
    "RSA": lambda one: {
        "ssl_context": context.create_server_context(
            certs.CertificateAuthority.generate("a").issue_server(
                "localhost", key_type=certs.KeyType.RSA_2048
            )
        )
    },
    "without sessions": lambda one: {
        "ssl_context": context.create_server_context(one, tickets=context.Tickets(number=0))
    },
}


@pytest.mark.skipif(SETS_GROUPS, reason="OpenSSL itself has the profile's groups and no others")
@pytest.mark.parametrize("kind", CONTEXTS)
def test_peers_08_hello_without_a_group_of_the_profile_is_refused(
    serve: Serve, certificate: certs.Certificate, kind: str
) -> None:
    """It gets handshake_failure, one typed event, and nothing is computed for it."""
    with serve(Handler, **CONTEXTS[kind](certificate)) as server:
        for groups, shares in FOREIGN:
            sent = hello(groups, shares)
            if kind == "modern" and shares is None:
                continue
            assert answer(server.server_address, sent) == ("alert", 40), (groups, shares)
        assert wait_until(lambda: len(server.events) >= len(FOREIGN) - 5)
        assert {type(error) for error, _ in server.events} == {NoSharedCipher}


@pytest.mark.only_engine("ssl", reason="OpenSSL itself has the profile's groups and no others")
@pytest.mark.skipif(SETS_GROUPS, reason="OpenSSL itself has the profile's groups and no others")
@pytest.mark.parametrize("kind", CONTEXTS)
def test_peers_08_client_with_others_besides_is_steered(
    serve: Serve, certificate: certs.Certificate, kind: str
) -> None:
    """It is asked for a share in a group of the profile, or that share of its own is used."""
    with serve(Handler, **CONTEXTS[kind](certificate)) as server:
        for groups, shares, expected in STEERED:
            got = answer(server.server_address, hello(groups, shares))
            # Shares are random here: one that is no point of its curve is an illegal_parameter.
            assert got == expected, (groups, shares)


def test_peers_08_replayed_hello_costs_nothing(
    serve: Serve, certificate: certs.Certificate, tmp_path: Path
) -> None:
    """The figure of the report: 121 ms of CPU for each; also with certfile, and a plain context."""
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    files = {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    plain.load_cert_chain(files["certfile"], files["keyfile"])
    ways: list[dict[str, Any]] = [
        {"ssl_context": context.create_server_context(certificate)},
        {"ssl_context": None, **files},
        *([] if SETS_GROUPS else [{"ssl_context": plain}]),
    ]
    for options in ways:
        with serve(Handler, **options) as server:
            for sent in (hello([FF8192], [FF8192]), hello([FF8192, X25519], [FF8192])):
                began = time.process_time()
                for _ in range(10):
                    answer(server.server_address, sent)
                assert (time.process_time() - began) / 10 < 0.02 * UNIT, options


@pytest.mark.skipif(SETS_GROUPS, reason="there, users set the groups of their contexts")
@pytest.mark.parametrize(
    ("groups", "shares", "refused"),
    [
        ([FF8192], [FF8192], True),
        ([FF8192], [], True),
        ([FF8192, X25519], [FF8192], True),
        ([GREASE, FF8192], [GREASE, FF8192, X25519], True),
        ([P521], [P521], False),
        ([X25519, FF8192], [X25519], False),
        ([X25519, FF8192], [], False),
        ([GREASE, X25519], [GREASE, X25519], False),
        ([FF2048], None, False),
        (None, None, False),
        (None, [X25519], False),
    ],
)
def test_peers_08_context_of_the_users_own(
    groups: list[int] | None, shares: list[int] | None, refused: bool
) -> None:
    """It keeps its groups, but for finite fields, which nobody could have asked for."""
    assert parse(hello(groups, shares)[5:]).wants_finite_field is refused


@pytest.mark.skipif(OPENSSL is None, reason="the clients are those of OpenSSL's command line")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_peers_08_honest_clients_are_served(
    serve: Serve, certificate: certs.Certificate, version: str
) -> None:
    """Whatever groups of ours they have besides others, and in whatever order, they get those."""
    offers = {
        "X25519": "X25519", "P-256": "P-256", "P-384": "P-384", "P-521:P-384": "P-384",
        "X448:P-521:P-256": "P-256", "P-521:X25519": "X25519", "ffdhe2048:X25519": "X25519",
        "P-521:X448:ffdhe8192:P-384": "P-384",
    }  # fmt: skip
    rsa = certs.CertificateAuthority.generate("a").issue_server(
        *certificate.names, key_type=certs.KeyType.RSA_2048
    )
    made = context.create_server_context(certificate, rsa)
    with serve(Handler, ssl_context=made) as server:
        for offered, expected in offers.items():
            said = s_client(server, version, "-groups", offered)
            named = {"P-256": "prime256v1", "P-384": "secp384r1"}.get(expected, expected)
            assert f"{expected}," in said or f"{named}," in said, (offered, said)
        assert server.events == []
        assert server.stats().handshakes >= len(offers)


@pytest.mark.skipif(OPENSSL is None, reason="the client is that of OpenSSL's command line")
def test_peers_08_sessions_of_steered_clients_are_resumed(
    serve: Serve, certificate: certs.Certificate, tmp_path: Path
) -> None:
    """A client that prefers another group has its session resumed, too."""
    with serve(Handler) as server:
        for version in ("-tls1_2", "-tls1_3"):
            file = str(tmp_path / version)
            options = version, "-groups", "P-521:P-256"
            assert "New," in s_client(server, *options, "-sess_out", file)
            assert "Reused," in s_client(server, *options, "-sess_in", file)


def s_client(server: Recording, *options: str) -> str:
    """Return what ``openssl s_client`` says after a request."""
    address = "{}:{}".format(*server.server_address)
    ran = subprocess.run(
        [OPENSSL or "openssl", "s_client", "-ign_eof", "-connect", address, *options],
        input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, check=False, timeout=50 * UNIT,
    )  # fmt: skip
    return ran.stdout.decode(errors="replace") + ran.stderr.decode(errors="replace")


@pytest.mark.parametrize("groups", [None, [P521], [FF2048]])
def test_peers_08_who_needs_no_group_is_served(serve: Serve, groups: list[int] | None) -> None:
    """Without forward secrecy there is no group: a client of TLS 1.2 may have none, or foreign."""
    rsa = certs.CertificateAuthority.generate("a").issue_server(
        "localhost", key_type=certs.KeyType.RSA_2048
    )
    profile = profiles.INTERMEDIATE.replace(
        ciphers=(*profiles.INTERMEDIATE.ciphers, "AES128-GCM-SHA256")
    )
    made = context.create_server_context(rsa, profile=profile)
    with serve(Handler, ssl_context=made) as server:
        assert answer(server.server_address, hello(groups, None, [0xC02F, 0x009C]))[0] == "hello"


def test_peers_08_hello_without_the_extension_is_for_openssl_to_judge(
    serve: Serve, certificate: certs.Certificate
) -> None:
    """A client of TLS 1.2 need not tell its groups (RFC 8422, section 4): nothing is refused."""
    made = context.create_server_context(certificate)
    seen = parse(hello(None, None)[5:])
    assert made.refusal(None, (), seen.groups) is None
    assert made.context_for(seen.groups, seen.key_shares) is made


def test_peers_08_static_rsa_needs_no_group() -> None:
    """Where a profile has ciphers without forward secrecy, a client without groups is served."""
    rsa = certs.CertificateAuthority.generate("a").issue_server(
        "localhost", key_type=certs.KeyType.RSA_2048
    )
    made = context.create_server_context(rsa, profile=profiles.INSECURE_OLD)
    groups = Groups(profiles.INSECURE_OLD)
    assert not groups.are_foreign([P521])
    assert made.refusal(None, (), [P521]) is None
    assert groups.narrow([P521], None) == "X25519"


@pytest.mark.parametrize(
    ("offered", "shared", "alone"),
    [
        ([HYBRID, X448, P256], None, "prime256v1"),
        ([HYBRID, P521, P384, X448], None, "secp384r1"),
        ([HYBRID, X448], None, "X25519"),  # which the client lacks: the handshake fails
        ([HYBRID, P256, X448], None, None),
        ([HYBRID, P256, X448], [HYBRID], None),
    ],
)
def test_peers_08_hybrid_groups_are_nothing_to_tls_1_2(
    offered: list[int],
    shared: list[int] | None,
    alone: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client of TLS 1.2 offers them in vain: with OpenSSL 3.5, what comes next would be taken."""
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 5, 0, 0, 0))
    assert Groups(profiles.INTERMEDIATE).narrow(offered, shared) == alone


@pytest.mark.only_engine("ssl", reason="a context of pyOpenSSL is finished, and cannot be tuned")
def test_peers_08_groups_of_a_tuned_context_are_its_own(certificate: certs.Certificate) -> None:
    """Who sets a curve before the first connection has said what is negotiated."""
    made = context.create_server_context(certificate)
    assert (made.refusal(None, (), [P521]) is None) is SETS_GROUPS
    made.set_ecdh_curve("secp521r1")
    assert made.refusal(None, (), [P521]) is None
    assert made.context_for([P521], [P521]) is made


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="only where groups cannot be set")
def test_peers_08_audit_finds_the_profiles_groups_only(certificate: certs.Certificate) -> None:
    """What the audit finds negotiable is in the profile, asked in memory as over the network."""
    for profile in (profiles.MODERN, profiles.INTERMEDIATE):
        made = context.create_server_context(certificate, profile=profile)
        report = context.audit(made, profile=profile)
        assert report.groups
        assert set(report.groups) <= set(profile.groups)
        assert report.enforced["groups"]
        assert "groups beyond the profile" not in str(report)


def test_peers_08_damaged_lists_tell_nothing_wrong() -> None:
    """A hello that is cut, or has odd lengths, is read as far as it goes, and never raises."""
    whole = hello([X25519, FF8192], [X25519, FF8192])[5:]
    for size in range(len(whole)):
        with contextlib.suppress(ValueError):
            seen = parse(whole[:size])
            assert seen.groups is None or set(seen.groups) <= {X25519, FF8192}
    for position in range(40, len(whole), 3):
        parse(whole[:position] + b"\xff" + whole[position + 1 :])
