"""What a check of a certificate says: a code for programs, a sentence for people."""

from __future__ import annotations

import enum
from dataclasses import dataclass

TOLERABLE = (
    "chain-order",
    "expired",
    "key-exposed",
    "not-yet-valid",
    "weak-key",
    "weak-signature",
)
"""Codes of findings that leave a certificate usable for some clients."""


class Severity(enum.Enum):
    """How bad a finding is."""

    ERROR = "error"
    """Common clients refuse the certificate."""

    WARNING = "warning"
    """Some clients refuse it, or all of them soon will."""


class Purpose(enum.Enum):
    """What a certificate is shown for."""

    SERVER = "server"
    CLIENT = "client"
    AUTHORITY = "authority"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a certificate."""

    code: str
    """A short, stable word for this kind of finding."""

    severity: Severity
    """Whether common clients refuse the certificate, or only some."""

    sentence: str
    """What is wrong and what to do, for people."""

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.sentence} ({self.code})"
