"""What was measured: samples, medians, ratios, and their JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self


class Figure(NamedTuple):
    """What a number is about: of which work, in which metric, of which server."""

    work: str
    metric: str
    peer: str


class Sample(NamedTuple):
    """One measured number."""

    round: int
    work: str
    metric: str
    peer: str
    value: float


@dataclass
class Results:
    """Everything a session has measured."""

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Works and servers left out, and what is missing for them."""
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    """Why a server has no figure, by work and server."""
    samples: list[Sample] = field(default_factory=list)
    told: dict[str, float] = field(default_factory=dict)
    """What is known of a machine of which no samples are kept: how many times better than a server
    ours is, by ``work/metric/server``."""

    def add(self, turn: int, work: str, peer: str, values: dict[str, float]) -> None:
        """Take in what one measurement gave."""
        self.samples += [Sample(turn, work, name, peer, value) for name, value in values.items()]

    def fail(self, work: str, peer: str, reason: str) -> None:
        """Take note that a server did not do a work."""
        self.failures.setdefault(work, {})[peer] = reason

    def values(self, figure: Figure) -> dict[int, float]:
        """Return what was measured of a figure, by round."""
        return {
            sample.round: sample.value
            for sample in self.samples
            if (sample.work, sample.metric, sample.peer) == figure
        }

    def median(self, figure: Figure) -> float | None:
        """Return the median over the rounds; `None` where there is no sample."""
        return median(self.values(figure).values())

    def ratio(self, figure: Figure, reference: Figure) -> float | None:
        """Return how large a figure is beside another: the median of the rounds' ratios.

        The two were measured shortly after each other in a round, so what changes from round to
        round, such as what else the machine does, changes both.
        """
        values, references = self.values(figure), self.values(reference)
        return median(
            values[turn] / references[turn] for turn in values if references.get(turn, 0) > 0
        )

    def to_json(self) -> str:
        """Return everything as JSON."""
        rows = ",\n    ".join(json.dumps(sample) for sample in self.samples)
        rest = json.dumps({**asdict(self), "samples": []}, indent=2)
        return rest.replace('"samples": []', f'"samples": [\n    {rows}\n  ]') + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` has written."""
        content: dict[str, Any] = json.loads(text)
        content["samples"] = [Sample(*row) for row in content["samples"]]
        return cls(**content)


def median(values: Iterable[float]) -> float | None:
    """Return the median; `None` of nothing."""
    numbers = list(values)
    return statistics.median(numbers) if numbers else None


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that `percent` of all values do not exceed (nearest rank)."""
    numbers = sorted(values)
    rank = -(-len(numbers) * percent // 100)
    return numbers[max(0, int(rank) - 1)]
