"""What is really negotiable: the server is asked, since its settings promise too much."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cryptography import x509

from tlshttp import profiles
from tlshttp._engines.rules import certificate_findings
from tlshttp.certs import CertificateChain, Severity
from tlshttp.certs._keys import describe_public_key
from tlshttp.certs._names import is_address
from tlshttp.certs._serials import read_der
from tlshttp.context._engine import enforcement
from tlshttp.context._peers import MemoryPeer, NetworkPeer, Peer
from tlshttp.context._probe import TLS12, TLS13, Offer, Reply
from tlshttp.context._registry import (
    GROUPS,
    SIGNATURES,
    VERSIONS,
    cipher_name,
    known_ciphers,
    openssl_ciphers,
)
from tlshttp.context._report import Deviation, Report
from tlshttp.errors import CertificateError, ConfigurationError

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext
    from tlshttp.server import TLSHTTPServer

__all__ = ["audit", "audit_host"]

_FOREIGN_PROTOCOL = "tlshttp-audit"  # nobody speaks it

_STRONG = frozenset(
    {"SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X448", "secp521r1", "ffdhe2048", "ffdhe3072"}
    | {"ffdhe4096", "ffdhe6144", "ffdhe8192", "MLKEM768", "MLKEM1024", "brainpoolP256r1"}
    | {"brainpoolP384r1", "brainpoolP512r1", "brainpoolP256r1tls13", "brainpoolP384r1tls13"}
    | {"brainpoolP512r1tls13", "ed448", "ed25519", "ecdsa_secp521r1_sha512"}
    | {"rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512"}
    | {"ecdsa_sha224", "rsa_pkcs1_sha224"}
)
"""Groups and signatures of 112 bits or more (RFC 9325, section 4.2) that no profile has."""


def audit(
    subject: TLSContext | TLSHTTPServer,
    *,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    server_name: str | None = None,
) -> Report:
    """Find out what a context, or a server's context, negotiates.

    Handshakes are made in memory; nothing is sent over the network, and no hook or counter of the
    server hears of it.

    Args:
        subject: The context or the server. It counts as having served afterwards.
        profile: What to compare it with.
        server_name: The host name to ask for; `None`: none, which is answered by the default.

    Raises:
        ConfigurationError: The context is one for clients.
    """
    ssl_context: Any = getattr(subject, "ssl_context", subject)
    if not isinstance(ssl_context, ssl.SSLContext) and not hasattr(ssl_context, "enforced"):
        raise TypeError(
            "audit() wants an ssl.SSLContext or one of tlshttp.pyopenssl, not"
            f" {type(ssl_context).__name__}"
        )
    if getattr(ssl_context, "protocol", None) == ssl.PROTOCOL_TLS_CLIENT:
        raise ConfigurationError(
            "this is a client's context (PROTOCOL_TLS_CLIENT): it serves nobody"
        )
    enforced = _enforced(ssl_context, profile)
    lenient = [field for field, can in enforced.items() if not can]
    examination = _Examination(MemoryPeer(ssl_context, server_name), profile, lenient)
    examination.check_options(ssl_context.options)
    return examination.report(type(subject).__name__, enforced)


def audit_host(
    host: str,
    port: int = 443,
    *,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    server_name: str | None = None,
    timeout: float = 10.0,
) -> Report:
    """Find out what a server on the network negotiates, by some forty connections.

    Args:
        host: Where to connect to, a name or an IP address.
        port: The port to connect to.
        profile: What to compare it with.
        server_name: The host name to ask for; `None`: that of ``host``, unless it is an
            address.
        timeout: Seconds that each answer may take.

    Raises:
        OSError: The server cannot be reached, does not answer in time, speaks no TLS, or answers
            all there is with alerts.
        ConfigurationError: It shows a certificate that cannot be read.
    """
    name = server_name or (None if is_address(host) else host)
    peer = NetworkPeer(host, port, name, timeout)
    # It is not known which Python and OpenSSL the other side has, so what is strong is only noted.
    fields = ("groups", "signature_algorithms", "ciphersuites")
    report = _Examination(peer, profile, fields).report(f"{host}:{port}", {})
    if not peer.answers:
        raise OSError("it closes each connection without an answer: perhaps it speaks no TLS")
    if not peer.speaks_tls:
        raise OSError(
            "it answers no hello but with alerts: perhaps it has no certificate, wants another host"
            " name, or speaks no TLS"
        )
    return report


def _read(der: bytes) -> x509.Certificate:
    """Read a certificate that is shown.

    Raises:
        CertificateError: It cannot be read.
    """
    try:
        return read_der(der)
    except ValueError as error:
        raise CertificateError(f"a certificate is shown that cannot be read: {error}") from None


def _enforced(ssl_context: Any, profile: profiles.TLSProfile) -> dict[str, bool]:
    """Tell whether a context keeps to those fields that not every `ssl` module can set."""
    enforced = enforcement(profile)
    if "groups" in enforced and getattr(ssl_context, "holds_groups", False):
        enforced["groups"] = True
    own: Mapping[str, bool] = getattr(ssl_context, "enforced", {})  # of the other engine
    return {field: own.get(field, can) for field, can in enforced.items()}


class _Examination:
    """One server's examination.

    Args:
        peer: The server.
        profile: What it should be like.
        lenient: Fields of the profile beyond which anything strong is only noted.
    """

    def __init__(self, peer: Peer, profile: profiles.TLSProfile, lenient: Sequence[str]) -> None:
        self._peer = peer
        self._profile = profile
        self._lenient = lenient
        self._deviations: dict[str, Deviation] = {}
        self._notes: list[str] = []
        self._chains: list[tuple[bytes, ...]] = []

    def note(self, sentence: str) -> None:
        """Have the report say something that is no deviation."""
        self._notes.append(sentence)

    def check_options(self, options: ssl.Options) -> None:
        """Look at what no handshake of ours would show."""
        for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION):
            if option & self._profile.options and not option & options:
                self._deviate("option-missing", f"{option.name} is not set")

    def report(self, subject: str, enforced: Mapping[str, bool]) -> Report:
        """Ask everything, and say what came out."""
        ciphers = {
            version: found
            for version in VERSIONS
            if (found := self._negotiable(self._offer(version), "ciphers", "cipher"))
        }
        groups = self._all(ciphers, "groups", "group")
        signatures = self._all(ciphers, "signatures", "signature")
        certificate = self._check_certificate()
        if not self._chains:
            sentence = "there is no certificate, or none that could be shown"
            self._deviations = {sentence: Deviation("certificate-missing", sentence)}
        self._check_versions(ciphers)
        self._check_ciphers(ciphers)
        self._check_beyond("groups", groups, GROUPS)
        self._check_beyond("signature_algorithms", signatures, SIGNATURES)
        self._check_missing_groups([GROUPS[number] for number in groups])
        self._check_alpn()
        return Report(
            subject=subject,
            profile=self._profile,
            ciphers={
                VERSIONS[version]: tuple(map(cipher_name, found))
                for version, found in ciphers.items()
            },
            groups=tuple(GROUPS[number] for number in groups),
            signature_algorithms=tuple(SIGNATURES[number] for number in signatures),
            server_preference=self._check_preference(ciphers),
            certificate=certificate,
            enforced=enforced,
            deviations=tuple(self._deviations.values()),
            notes=tuple(self._notes),
        )

    def _deviate(self, code: str, sentence: str) -> None:
        self._deviations.setdefault(sentence, Deviation(code, sentence))

    # Asking -----------------------------------------------------------------------------------

    def _offer(self, version: int, ciphers: Collection[int] = ()) -> Offer:
        """Return an offer of everything there is in a version, or of some ciphers."""
        name = self._peer.server_name
        return Offer(
            version=version,
            ciphers=tuple(ciphers or known_ciphers(version)),
            groups=tuple(GROUPS) if version > 0x0300 else (),
            signatures=tuple(SIGNATURES),
            server_name=None if name is None else name.encode("idna"),
        )

    def _ask(self, offer: Offer) -> Reply | None:
        """Ask; return `None` for a refusal."""
        reply = self._peer.ask(offer)
        if reply.alert is not None or reply.version != offer.version:
            return None
        if reply.chain and reply.chain not in self._chains:
            self._chains.append(reply.chain)
        if reply.compression:
            self._deviate("compression", "TLS compression is negotiated")
        if not reply.secure_renegotiation:
            self._deviate("renegotiation", "secure renegotiation (RFC 5746) is not supported")
        return reply

    def _negotiable(self, offer: Offer, field: str, chosen: str) -> tuple[int, ...]:
        """Offer all of something, take away what is chosen, and offer the rest, to the end."""
        found: list[int] = []
        while getattr(offer, field) and (reply := self._ask(offer)) is not None:
            choice = getattr(reply, chosen)
            if choice is None or choice not in getattr(offer, field):
                break
            found.append(choice)
            offer = offer.without(field, choice)
        return tuple(found)

    def _all(
        self, ciphers: Mapping[int, Collection[int]], field: str, chosen: str
    ) -> tuple[int, ...]:
        """Find everything negotiable of something, in any of the versions negotiated."""
        found: dict[int, None] = {}
        for version in sorted(ciphers, reverse=True):
            offer = self._offer(version, ciphers[version])
            found.update(dict.fromkeys(self._negotiable(offer, field, chosen)))
        return tuple(found)

    # Comparing --------------------------------------------------------------------------------

    def _check_versions(self, ciphers: Mapping[int, Collection[int]]) -> None:
        wanted = range(self._profile.minimum_version, self._profile.maximum_version + 1)
        for version, name in VERSIONS.items():
            if version in ciphers and version not in wanted:
                self._deviate("version-unexpected", f"{name} is negotiated")
            elif version in wanted and version not in ciphers:
                self._deviate("version-missing", f"{name} is not negotiated")

    def _check_ciphers(self, ciphers: Mapping[int, Collection[int]]) -> None:
        for version, numbers in ciphers.items():
            names = [cipher_name(number) for number in numbers]
            wanted = self._profile.ciphersuites if version == TLS13 else self._profile.ciphers
            for name in names:
                if name not in wanted:
                    self._deviate("cipher-unexpected", f"cipher {name} is negotiated")
            if version >= TLS12:
                for name in set(wanted).difference(names):
                    self._check_missing_cipher(name, version)

    def _check_missing_cipher(self, name: str, version: int) -> None:
        if version == TLS12 and ("ECDSA" in name) not in self._kinds_of_keys():
            return  # nothing in the certificate could sign for it
        if name in openssl_ciphers().values():
            self._deviate("cipher-missing", f"cipher {name} is not negotiated")
        else:
            self.note(f"cipher {name} is not in this OpenSSL")

    def _kinds_of_keys(self) -> set[bool]:
        """Return whether the certificates shown have ECDSA keys; both where there are both."""
        leaves = [_read(chain[0]) for chain in self._chains]
        return {"RSA" not in describe_public_key(leaf.public_key()) for leaf in leaves}

    def _check_beyond(self, field: str, found: Collection[int], names: Mapping[int, str]) -> None:
        beyond = [names[one] for one in found if names[one] not in getattr(self._profile, field)]
        strong = [name for name in beyond if field in self._lenient and name in _STRONG]
        what = field.replace("_", " ")
        if strong:
            self.note(f"{what} beyond the profile, but no weaker: {', '.join(strong)}")
        for name in beyond:
            if name not in strong:
                code = f"{field.replace('_', '-')}-unexpected"
                self._deviate(code, f"{name} is negotiated, beyond the {what} of the profile")

    def _check_missing_groups(self, found: Collection[str]) -> None:
        for name in self._profile.groups:
            if name in found:
                continue
            if "MLKEM" in name:
                self.note(f"group {name} is not negotiated: OpenSSL has it from 3.5 on")
            else:
                self._deviate("group-missing", f"group {name} is not negotiated")

    def _check_preference(self, ciphers: Mapping[int, Sequence[int]]) -> bool | None:
        """Find out who picks the cipher, by offering the same ones in either order."""
        for version, found in sorted(ciphers.items()):
            if len(found) < 2 or version < min(TLS12, max(ciphers)):
                continue
            orders = found, tuple(reversed(found))
            replies = [self._ask(self._offer(version, order)) for order in orders]
            picks = {reply.cipher for reply in replies if reply is not None}
            servers = len(picks) == 1
            if servers != self._profile.server_preference:
                who = "server" if servers else "client"
                self._deviate("cipher-order", f"the {who} picks the cipher")
            return servers
        return None

    def _check_alpn(self) -> None:
        """Find out whether ALPN without anything in common is refused (RFC 7301, section 3.2)."""
        try:
            if self._peer.shake_hands(("http/1.1",))[1] is None:
                return  # it has no ALPN at all
            self._peer.shake_hands((_FOREIGN_PROTOCOL,))
        except OSError:
            return
        self._deviate("alpn-not-strict", "a client without any application protocol is let in")

    def _check_certificate(self) -> str:
        """Look at every certificate that was shown; return what to call them."""
        whole = bool(self._chains)
        if not whole:  # TLS 1.3 alone encrypts it
            leaf = self._shown()
            self._chains += [(leaf,)] if leaf else []
        described = []
        for chain in self._chains:
            leaf_, *rest = (_read(der) for der in chain)
            certificate = CertificateChain(leaf_, tuple(rest))
            described.append(
                f"{', '.join(certificate.names[:3]) or '(no names)'};"
                f" {describe_public_key(leaf_.public_key())};"
                f" until {certificate.not_valid_after:%Y-%m-%d}"
            )
            for sentence in certificate_findings(certificate, self._profile):
                self._deviate("certificate-key", sentence)
            self._check_chain(certificate, whole=whole)
        return " and ".join(described) or "(none seen)"

    def _check_chain(self, certificate: CertificateChain, *, whole: bool) -> None:
        for finding in certificate.check():
            if finding.severity is Severity.ERROR:
                self._deviate(f"certificate-{finding.code}", finding.sentence)
            elif whole or not finding.code.startswith("chain-"):
                self.note(finding.sentence)

    def _shown(self) -> bytes | None:
        try:
            return self._peer.shake_hands()[0]
        except OSError:
            return None
