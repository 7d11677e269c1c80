"""Key-exchange groups of the profile, where the `ssl` module cannot set them.

Before Python 3.15 it can set all that OpenSSL has, or a single one (``set_ecdh_curve``). All are
too many: a client that offers nothing but finite fields of 8192 bits has the server compute for
121 ms, by the same 1.2 kB again and again (CVE-2002-20001, CVE-2022-40735). A single one would lock
clients out. But a ClientHello says what its client has. So each connection that would not get a
group of the profile by itself begins with a context that has just one: the first that the client
sent a share for, or offers. OpenSSL asks for it by a HelloRetryRequest if need be (RFC 8446,
section 4.1.4).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from types import MappingProxyType

from tlshttp.profiles import TLSProfile

__all__ = ["GROUPS", "Groups"]

GROUPS = MappingProxyType(
    {
        0x11EC: "X25519MLKEM768",
        0x11EB: "SecP256r1MLKEM768",
        0x11ED: "SecP384r1MLKEM1024",
        0x0200: "MLKEM512",
        0x0201: "MLKEM768",
        0x0202: "MLKEM1024",
        0x001D: "X25519",
        0x001E: "X448",
        0x0017: "prime256v1",
        0x0018: "secp384r1",
        0x0019: "secp521r1",
        0x0016: "secp256k1",
        0x0015: "secp224r1",
        0x0013: "prime192v1",
        0x001A: "brainpoolP256r1",
        0x001B: "brainpoolP384r1",
        0x001C: "brainpoolP512r1",
        0x001F: "brainpoolP256r1tls13",
        0x0020: "brainpoolP384r1tls13",
        0x0021: "brainpoolP512r1tls13",
        0x0029: "curveSM2",
        0x0100: "ffdhe2048",
        0x0101: "ffdhe3072",
        0x0102: "ffdhe4096",
        0x0103: "ffdhe6144",
        0x0104: "ffdhe8192",
    }
)
"""Numbers on the wire, by OpenSSL's names (IANA's registry "TLS Supported Groups")."""

_HYBRID = "MLKEM"  # OpenSSL has these from 3.5 on, and set_ecdh_curve() has none of them

_HYBRIDS = frozenset(number for number, name in GROUPS.items() if _HYBRID in name)
"""For TLS 1.3 only: a client that has come down to TLS 1.2 offers them in vain."""


class Groups:
    """What a profile says about groups.

    Args:
        profile: The profile.
    """

    def __init__(self, profile: TLSProfile) -> None:
        self._engine = frozenset(number for number, name in GROUPS.items() if _is_here(name))
        self._before_1_3 = self._engine - _HYBRIDS
        by_name = {name: number for number, name in GROUPS.items()}
        wanted = [name for name in profile.groups if name in by_name and _is_here(name)]
        self._wanted = frozenset(by_name[name] for name in wanted)
        self._single = {by_name[name]: name for name in wanted if _HYBRID not in name}
        self._needed = all(name.startswith("ECDHE-") for name in profile.ciphers)
        self._server_chooses = profile.server_preference

    @property
    def single(self) -> tuple[str, ...]:
        """The groups that `narrow` may return."""
        return tuple(self._single.values())

    def are_foreign(self, offered: Sequence[int] | None) -> bool:
        """Tell whether a client has nothing to exchange keys by.

        Args:
            offered: Its groups; `None` where it does not tell, as some of TLS 1.2 do not.
        """
        return self._needed and bool(offered) and self._wanted.isdisjoint(offered or ())

    def narrow(self, offered: Sequence[int] | None, shared: Sequence[int] | None) -> str | None:
        """Return the group to have a connection begin with; `None` where OpenSSL's choice is good.

        Args:
            offered: As for `are_foreign`.
            shared: The groups that the client sent a share for; `None`: TLS 1.2 and before.
        """
        if not offered or not self._single:
            return None
        if (
            shared
            and not self._server_chooses
            and offered[0] in self._wanted
            and self._wanted.issuperset(shared)
        ):
            return None  # as nearly always: `_is_safe` comes to the same
        usable_here = self._engine if shared is not None else self._before_1_3
        known = [group for group in offered if group in usable_here]
        shares = [group for group in shared or () if group in self._engine]
        if self._is_safe(known, None if shared is None else shares):
            return None
        usable = (group for group in (*shares, *known) if group in self._wanted)
        first = next(usable, None)
        if first is not None and first not in self._single:
            first = next((group for group in (*shares, *known) if group in self._single), None)
            if first is None:
                return None  # the hybrid one alone, which OpenSSL prefers to others
        return next(iter(self._single.values())) if first is None else self._single[first]

    def _is_safe(self, known: Sequence[int], shares: Sequence[int] | None) -> bool:
        """Tell whether OpenSSL takes a group of the profile by itself.

        It takes the first share that it can (3.5: one of its own order). Without any, and up to TLS
        1.2, either side's order of the groups decides.
        """
        if self._wanted.issuperset(known):
            return True
        if self._server_chooses or not self._wanted.issuperset(known[:1]):
            return False
        return shares is None or (bool(shares) and self._wanted.issuperset(shares))


def _is_here(name: str) -> bool:
    return _HYBRID not in name or ssl.OPENSSL_VERSION_INFO >= (3, 5)
