"""What an audit has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tlshttp.profiles import TLSProfile

__all__ = ["Deviation", "Report"]


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way in which a server is not what its profile says."""

    code: str
    """A short, stable word for this kind of deviation."""
    sentence: str
    """What is wrong, for people."""

    def __str__(self) -> str:
        return f"{self.sentence} ({self.code})"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a server really negotiates, against a profile."""

    subject: str
    """What was looked at."""
    profile: TLSProfile
    """What it was compared with."""
    ciphers: Mapping[str, tuple[str, ...]]
    """What each version negotiates, in the order in which the server took them when all were
    offered."""
    groups: tuple[str, ...]
    """Key-exchange groups."""
    signature_algorithms: tuple[str, ...]
    """How it signs with TLS 1.2 (TLS 1.3 encrypts that)."""
    server_preference: bool | None
    """Whether its order of ciphers counts; `None` where there is no choice."""
    certificate: str
    """The certificate it shows, in a few words."""
    enforced: Mapping[str, bool]
    """For each field of the profile that not every `ssl` module can set, whether it is kept to: the
    module can set it, or the servers of this package see to it. Empty where the server runs
    elsewhere."""
    deviations: tuple[Deviation, ...]
    """What is not as the profile says, and matters."""
    notes: tuple[str, ...]
    """What is not as the profile says, but is no weaker."""

    @property
    def ok(self) -> bool:
        """Whether there are no deviations."""
        return not self.deviations

    @property
    def versions(self) -> tuple[str, ...]:
        """The protocol versions it negotiates."""
        return tuple(self.ciphers)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        profile = self.profile
        source = f"{profile.source} {profile.version}, {profile.date}"
        yield f"{self.subject} against profile {profile.name} ({source})"
        yield f"  certificate          {self.certificate}"
        for version, names in self.ciphers.items():
            yield from _table_rows(version, names)
        yield from _table_rows("groups", self.groups)
        yield from _table_rows("signatures (1.2)", self.signature_algorithms)
        picks = {None: "no choice", True: "server", False: "client"}[self.server_preference]
        yield f"  cipher is picked by  {picks}"
        for field, can in self.enforced.items():
            how = "enforced" if can else "not enforced: the ssl module cannot before Python 3.15"
            yield f"  {field.replace('_', ' '):<20} {how}"
        for deviation in self.deviations:
            yield f"  DEVIATION: {deviation}"
        for note in self.notes:
            yield f"  note: {note}"
        count = len(self.deviations)
        yield "  ok" if self.ok else f"  {count} deviation{'s' if count > 1 else ''}"


def _table_rows(title: str, values: tuple[str, ...]) -> Iterator[str]:
    for number, value in enumerate(values or ("(none)",)):
        yield f"  {title if number == 0 else '':<21}{value}"
