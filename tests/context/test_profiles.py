from __future__ import annotations

import dataclasses
import re
import ssl
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.context.support import VERSIONS as SIGNING_VERSIONS
from tests.context.support import client_context, known_groups, shake_hands
from tlshttp import certs, context
from tlshttp.context._engine import enforcement
from tlshttp.context._peers import MemoryPeer
from tlshttp.context._probe import TLS12, TLS13, Offer
from tlshttp.context._registry import GROUPS, SIGNATURES, VERSIONS, known_ciphers, openssl_ciphers
from tlshttp.profiles import INSECURE_OLD, INTERMEDIATE, MODERN, TLSProfile

PROFILES = [MODERN, INTERMEDIATE, INSECURE_OLD]

ALIASES = {"prime256v1": "secp256r1", "X25519": "x25519", "X448": "x448"}
"""What OpenSSL says for what it is told."""

KEYS = {
    "ecdsa_secp256r1": certs.KeyType.ECDSA_P256,
    "ecdsa_secp384r1": certs.KeyType.ECDSA_P384,
    "ecdsa_sha": certs.KeyType.ECDSA_P256,
    "ed25519": certs.KeyType.ED25519,
    "rsa_pss_rsae": certs.KeyType.RSA_2048,
    "rsa_pkcs1": certs.KeyType.RSA_2048,
}
"""The kinds of keys there are, by the beginning of what they make."""


def kind_of_key(signature: str) -> certs.KeyType | None:
    """Return what kind of key makes a signature, `None` for those that we do not generate."""
    return next((kind for start, kind in KEYS.items() if signature.startswith(start)), None)


SIGNED = [
    (profile, version, signature)
    for profile in PROFILES
    for version in SIGNING_VERSIONS
    for signature in sorted(SIGNATURES.values())
    if profile.minimum_version <= version
    and kind_of_key(signature)
    and "md5" not in signature
    # RFC 8446, section 4.2.3
    and (version == ssl.TLSVersion.TLSv1_2 or not re.search("pkcs1|sha1|sha224", signature))
]

needs_setters = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="the ssl module sets groups and signatures from 3.15 on"
)

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
    shown: dict[str, list[certs.Certificate]], profile: TLSProfile, group: int, engine: str
) -> None:
    """Groups of the profile are taken; others are refused where the engine can set them."""
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
    if name in known_groups(profile, engine):
        assert reply.group == group
    elif engine != "ssl" or name in profile.groups or enforcement(profile)["groups"]:
        assert reply.alert is not None
    if name in ("prime192v1", "secp224r1", "secp256k1"):
        assert reply.alert is not None


@needs_setters
@by_name
@pytest.mark.parametrize("group", sorted(GROUPS.values()))
def test_real_clients_of_each_group(
    authority: certs.CertificateAuthority,
    shown: dict[str, list[certs.Certificate]],
    profile: TLSProfile,
    group: str,
) -> None:
    """A client that can do one group connects with those of the profile, with no other."""
    server_context = context.create_server_context(*shown[profile.name], profile=profile)
    client: Any = client_context(authority, version=ssl.TLSVersion.TLSv1_3)
    try:
        client.set_groups(group)
    except ssl.SSLError:
        pytest.skip(f"this OpenSSL does not know {group}")
    if group in profile.groups:
        server: Any = shake_hands(server_context, client).server
        assert server.group() in {group, ALIASES.get(group)}
    else:
        with pytest.raises(ssl.SSLError):
            shake_hands(server_context, client)


@needs_setters
@pytest.mark.parametrize(("profile", "version", "signature"), SIGNED, ids=str)
def test_real_clients_of_each_signature(
    authority: certs.CertificateAuthority,
    profile: TLSProfile,
    version: ssl.TLSVersion,
    signature: str,
) -> None:
    """The server signs as the profile says, and in no other way, even if it has the key for it."""
    kind = kind_of_key(signature)
    assert kind is not None
    server = authority.issue_server("localhost", key_type=kind)
    client: Any = client_context(authority, version=version)
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    client.set_server_sigalgs(signature)
    there = signature in profile.signature_algorithms
    others = tuple(one for one in profile.signature_algorithms if one != signature)
    for algorithms in (others, (*others, signature)) if there else (others,):
        changed = profile.replace(certificate_keys=(), signature_algorithms=algorithms)
        server_context = context.create_server_context(server, profile=changed)
        if signature in algorithms:
            agreed: Any = shake_hands(server_context, client).server
            assert agreed.server_sigalg() == signature
        else:
            with pytest.raises(ssl.SSLError):
                shake_hands(server_context, client)


@needs_setters
@pytest.mark.parametrize("version", SIGNING_VERSIONS)
def test_client_certificates_sign_as_the_profile_says(
    authority: certs.CertificateAuthority,
    clients: certs.CertificateAuthority,
    version: ssl.TLSVersion,
) -> None:
    """A client whose key makes none of the signatures of the profile is not let in with it."""
    own = clients.issue_client("alice@example.org", key_type=certs.KeyType.RSA_2048)
    client = client_context(authority, own, version)

    def agree(*algorithms: str) -> Any:
        server_context = context.create_server_context(
            authority.issue_server("localhost"),
            profile=INTERMEDIATE.replace(signature_algorithms=algorithms),
            client_auth=context.ClientAuth.REQUIRED,
            client_cas=[clients.certificate.leaf],
        )
        return shake_hands(server_context, client).server

    agreed = agree("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha384")
    assert agreed.client_sigalg() == "rsa_pss_rsae_sha384"
    with pytest.raises(ssl.SSLError):
        agree("ecdsa_secp256r1_sha256")


def test_what_cannot_be_set_is_named() -> None:
    """Before Python 3.15 three fields cannot be enforced, afterwards all are."""
    can = sys.version_info >= (3, 15)
    expected = {"ciphersuites": can, "groups": can, "signature_algorithms": can}
    assert enforcement(MODERN) == expected


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
