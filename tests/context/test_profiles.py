from __future__ import annotations

import dataclasses
import ssl
import warnings
from collections.abc import Iterator

import pytest

from tests.context.support import client_context, shake_hands
from tlshttp import certs, context
from tlshttp.context._engine import unenforced
from tlshttp.context._peers import MemoryPeer
from tlshttp.context._probe import TLS12, TLS13, Offer
from tlshttp.context._registry import GROUPS, SIGNATURES, VERSIONS, known_ciphers, openssl_ciphers
from tlshttp.profiles import INSECURE_OLD, INTERMEDIATE, MODERN, TLSProfile

PROFILES = [MODERN, INTERMEDIATE, INSECURE_OLD]

by_name = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def shown(authority: certs.CertificateAuthority) -> dict[str, list[certs.Certificate]]:
    """Return the certificates that each profile allows."""
    ecdsa = authority.issue_server("localhost")
    rsa = authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048)
    return {"modern": [ecdsa], "intermediate": [ecdsa, rsa], "old": [rsa]}


def wanted(profile: TLSProfile, version: int) -> set[str]:
    """Return which ciphers a profile has in a version, of those that OpenSSL knows."""
    if not profile.minimum_version <= version <= profile.maximum_version:
        return set()
    if version == TLS13:
        return set(profile.ciphersuites)
    names = set(profile.ciphers) & set(openssl_ciphers().values())
    if version < TLS12:
        new = ("GCM", "POLY1305", "SHA256", "SHA384")
        names = {name for name in names if not name.endswith(new) and "GCM" not in name}
    return names


def kind_of(name: str) -> str:
    """Return the kind of key that signs for a cipher."""
    return "ecdsa" if "ECDSA" in name else "rsa"


@by_name
def test_each_cipher_alone(shown: dict[str, list[certs.Certificate]], profile: TLSProfile) -> None:
    """Offered alone, each cipher of the profile is taken and each other there is is refused."""
    peer = MemoryPeer(context.create_server_context(*shown[profile.name], profile=profile), None)
    for version, title in VERSIONS.items():
        expected = {
            name
            for name in wanted(profile, version)
            if version == TLS13 or kind_of(name) == "rsa" or profile is INTERMEDIATE
        }
        taken = set()
        for number, name in known_ciphers(version).items():
            reply = peer.ask(
                Offer(
                    version=version,
                    ciphers=[number],
                    groups=tuple(GROUPS),
                    signatures=tuple(SIGNATURES),
                )
            )
            if reply.alert is None:
                assert (reply.version, reply.cipher) == (version, number)
                taken.add(name)
        assert taken == expected, title


def clients(
    authority: certs.CertificateAuthority, profile: TLSProfile
) -> Iterator[tuple[ssl.SSLContext, str]]:
    """Yield real clients that can do one version and cipher, and what they should agree on."""
    for version, title in VERSIONS.items():
        for name in sorted(wanted(profile, version)):
            if version != TLS13 and kind_of(name) == "ecdsa" and profile is not INTERMEDIATE:
                continue
            client = client_context(authority)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                client.minimum_version = client.maximum_version = ssl.TLSVersion(version)
            if version == TLS13:
                if not hasattr(client, "set_ciphersuites"):
                    continue
                client.set_ciphersuites(name)
            else:
                client.set_ciphers(f"{name}:@SECLEVEL=0")
            yield client, f"{title} {name}"


@by_name
def test_real_clients_connect(
    authority: certs.CertificateAuthority,
    shown: dict[str, list[certs.Certificate]],
    profile: TLSProfile,
) -> None:
    """A whole handshake comes to its end with every version and cipher of the profile."""
    server_context = context.create_server_context(*shown[profile.name], profile=profile)
    agreed = {
        f"{pair.client.version()} {pair.client.cipher()[0]}"  # type: ignore[index]
        for client, _ in clients(authority, profile)
        for pair in [shake_hands(server_context, client)]
    }
    assert agreed == {title for _, title in clients(authority, profile)}
    shake_hands(server_context, client_context(authority))


@by_name
@pytest.mark.parametrize("group", sorted(GROUPS), ids=GROUPS.get)
def test_each_group_alone(
    shown: dict[str, list[certs.Certificate]], profile: TLSProfile, group: int
) -> None:
    """Groups of the profile are taken; others are refused where Python can set them."""
    peer = MemoryPeer(context.create_server_context(*shown[profile.name], profile=profile), None)
    reply = peer.ask(
        Offer(
            version=TLS13,
            ciphers=tuple(known_ciphers(TLS13)),
            groups=[group],
            signatures=tuple(SIGNATURES),
        )
    )
    name = GROUPS[group]
    if name in profile.groups and "MLKEM" not in name:
        assert reply.group == group
    if name not in profile.groups and "groups" not in unenforced(profile):
        assert reply.alert is not None
    if name in ("prime192v1", "secp224r1", "secp256k1"):
        assert reply.alert is not None


def test_what_cannot_be_set_is_named() -> None:
    """Before Python 3.15 three fields cannot be enforced, afterwards all are."""
    can = hasattr(ssl.SSLContext, "set_groups")
    expected = () if can else ("ciphersuites", "groups", "signature_algorithms")
    assert unenforced(MODERN) == expected


@by_name
def test_rows_have_a_source(profile: TLSProfile) -> None:
    """Each row says where it comes from, and replace() makes another one without changing it."""
    assert profile.source == "Mozilla Server Side TLS"
    assert profile.date == "2026-04-06"
    changed = profile.replace(name="mine", hsts_max_age=1)
    assert (changed.name, changed.hsts_max_age) == ("mine", 1)
    assert profile.hsts_max_age == 63_072_000
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile.name = "other"  # type: ignore[misc]
