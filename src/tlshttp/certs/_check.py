"""What today's clients refuse about a certificate.

`tlshttp.certs._rules` says which kinds of findings there are and who refuses; here, and in the
modules beside, is how each is found. Where the rules have nothing against a certificate,
`tlshttp.certs._verifiers` has two judges look that are not ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp._members import require_member
from tlshttp.certs._chain import check_each, check_order, way_up
from tlshttp.certs._check_chain import judge_chain, judge_size
from tlshttp.certs._check_extensions import judge_authority, judge_extensions, judge_leaf
from tlshttp.certs._check_keys import judge_key, judge_signature
from tlshttp.certs._check_names import judge_names
from tlshttp.certs._check_old_forms import judge_netscape_type, judge_time_form
from tlshttp.certs._essentials import check_period, check_strength, find
from tlshttp.certs._expiry import describe_left, is_near_end
from tlshttp.certs._findings import Finding, Purpose, Severity
from tlshttp.certs._inspect import describe, find_extension, is_self_signed
from tlshttp.certs._rules import APPLE_LIMIT, PUBLIC_LIMITS, RULES, Client, Said
from tlshttp.certs._verifiers import last_word

_ONE_SECOND = timedelta(seconds=1)


def check_chain(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    at: datetime,
) -> tuple[Finding, ...]:
    """Ask every rule about a leaf and its intermediates, then the verifiers that are not ours."""
    require_member(Purpose, "purpose", purpose)
    at = at.replace(microsecond=0)  # certificates count whole seconds, ends included
    unreadable = [find(*said) for one in (leaf, *chain) for said in _judge_readable(one)]
    if unreadable:
        return tuple(unreadable)
    needed = way_up(leaf, chain, at)
    findings = [
        *_check_lifetime(leaf, purpose),
        *_check_usage(leaf, purpose),
        *check_order(leaf, chain),
        *(find(*said) for said in judge_chain(leaf, needed, purpose)),
        *(find(*said) for said in judge_size(leaf, chain)),
        *(find(*said) for said in _judge_leaf(leaf, purpose)),
        *check_each(leaf, chain, at, period=_check_time, others=_check_each),
    ]
    if purpose is not Purpose.AUTHORITY:
        findings += _ask_others(leaf, needed, purpose, at, findings)
    return tuple(dict.fromkeys(findings))


def _ask_others(
    leaf: x509.Certificate,
    needed: Sequence[x509.Certificate],
    purpose: Purpose,
    at: datetime,
    findings: Iterable[Finding],
) -> Iterator[Finding]:
    """Have verifiers that are not ours judge, each where no rule has spoken for it."""
    spoken = {client for finding in findings for client in _refusing(finding)}
    # The time of a root is judged by the copy that clients have.
    shown = [one for one in needed if not (is_self_signed(one) and any(check_period(one, at)))]
    for said in last_word(leaf, shown, purpose, at.astimezone(UTC)):
        if spoken.isdisjoint(RULES[said[0]].refused_by):
            yield find(*said)


def _refusing(finding: Finding) -> tuple[Client, ...]:
    """Tell who refuses a certificate for a finding; nobody does if it was made a warning."""
    rule = RULES[finding.code]
    return rule.refused_by if finding.severity is rule.severity else ()


def _judge_readable(certificate: x509.Certificate) -> Said:
    """Find a certificate of which nothing else can be asked."""
    try:
        certificate.public_key()
    except Exception as error:  # noqa: BLE001
        yield (
            "key-kind",
            (
                f"the key of {certificate.subject.rfc4514_string()!r} is of a kind that nobody"
                f" takes ({type(error).__name__}): use ECDSA P-256 or RSA 2048"
            ),
        )
    try:
        for extension in certificate.extensions:
            repr(extension)
    except Exception as error:  # noqa: BLE001
        # A parser in another language raises what it likes for what a stranger has written.
        yield (
            "damaged-extension",
            (
                f"an extension of {certificate.subject.rfc4514_string()!r} stands"
                f" twice or cannot be read ({type(error).__name__}): issue it again"
            ),
        )


def _judge_leaf(leaf: x509.Certificate, purpose: Purpose) -> Said:
    if purpose is Purpose.SERVER:
        yield from judge_names(leaf)
        yield from judge_key(leaf)
    if purpose is Purpose.AUTHORITY:
        yield from judge_authority(leaf)
    else:
        yield from judge_leaf(leaf)
        yield from judge_netscape_type(leaf, purpose)


def _check_each(certificate: x509.Certificate) -> Iterator[Finding]:
    yield from check_strength(certificate)
    rules = judge_signature, judge_extensions, judge_time_form
    for said in (said for judge in rules for said in judge(certificate)):
        yield find(*said)


def _check_time(certificate: x509.Certificate, at: datetime) -> Iterator[Finding]:
    yield from check_period(certificate, at)
    yield from _check_near_end(certificate, at)


def _check_lifetime(leaf: x509.Certificate, purpose: Purpose) -> Iterator[Finding]:
    if purpose is not Purpose.SERVER:
        return
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc + _ONE_SECOND
    if lifetime > APPLE_LIMIT:
        yield find(
            "lifetime-apple",
            f"the certificate lives {lifetime.days} days: Apple's systems refuse more than"
            f" {APPLE_LIMIT.days}",
        )
    limit = next((days for day, days in PUBLIC_LIMITS if leaf.not_valid_before_utc >= day), None)
    if limit is not None and lifetime > limit and not is_self_signed(leaf):
        yield find(
            "lifetime-public",
            f"the certificate lives {lifetime.days} days: under a public authority"
            f" clients refuse more than {limit.days}",
        )


def _check_usage(leaf: x509.Certificate, purpose: Purpose) -> Iterator[Finding]:
    if purpose is Purpose.AUTHORITY:
        return
    wanted, code, word = (
        (ExtendedKeyUsageOID.SERVER_AUTH, "no-server-auth", "serverAuth")
        if purpose is Purpose.SERVER
        else (ExtendedKeyUsageOID.CLIENT_AUTH, "no-client-auth", "clientAuth")
    )
    usage = find_extension(leaf, x509.ExtendedKeyUsage)
    if usage is None:
        yield Finding(code, Severity.WARNING, f"the certificate does not say that it is for {word}")
    elif wanted not in usage.value:
        # anyExtendedKeyUsage is not enough for OpenSSL, and so for every Python server and client.
        yield find(code, f"the extended key usage of the certificate lacks {word}")


def _check_near_end(certificate: x509.Certificate, at: datetime) -> Iterator[Finding]:
    end = certificate.not_valid_after_utc
    if is_near_end(certificate, at) and at <= end:
        yield find(
            "expires-soon",
            f"{describe(certificate)} expires in {describe_left(end - at)}, on"
            f" {end:%Y-%m-%d %H:%M} UTC: renew it",
        )
