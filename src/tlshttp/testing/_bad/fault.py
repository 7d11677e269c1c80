"""What a row of the catalogue is."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tlshttp.testing._bad.vocabulary import Trait

__all__ = ["Fault", "FaultKind"]


class FaultKind(enum.Enum):
    """What is bad."""

    CERTIFICATE = "certificate"
    TLS = "TLS"
    BEHAVIOUR = "behaviour"


@dataclass(frozen=True)
class Fault:
    """A bad server that has a name."""

    name: str
    """What it is called, in kebab case, and as on badssl.com where that has it."""
    kind: FaultKind
    """What is bad about it."""
    does: str
    """What the server does, to be read after its name."""
    report: str
    """What a good client reports, or does."""
    traits: tuple[Trait, ...]
    """What it is made of."""
    host: str | None = None
    """The host that its URL has to have; `None`: any, so ``localhost``."""

    def __str__(self) -> str:
        return self.name
