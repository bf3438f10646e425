# SPDX-License-Identifier: GPL-2.0

"""What was found: costs, and ratios of them that have bounds."""

import dataclasses
import itertools
import statistics


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a ratio should be at most, or at least; and what it must be, where it is not yet so."""

    most: float | None = None
    least: float | None = None
    meanwhile: float | None = None

    def allows(self, ratio):
        most, least = self.most, self.least
        if self.meanwhile is not None:
            most, least = (None if bound is None else self.meanwhile for bound in (most, least))
        return (most is None or ratio <= most) and (least is None or ratio >= least)


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How one cost compares to another."""

    name: str
    value: float
    bound: Bound = Bound()
    more_is_better: bool = False
    spread: float = 0.0  # between repetitions, the largest less the smallest

    @classmethod
    def of(cls, name, one, other, base=(0,), **options):
        """Of the medians of repeated costs, less those of what is part of both."""
        median = statistics.median
        values = [(a - c) / (b - c) for a, b, c in zip(one, other, itertools.cycle(base))]
        return cls(name, (median(one) - median(base)) / (median(other) - median(base)),
                   spread=max(values) - min(values), **options)


@dataclasses.dataclass(frozen=True)
class Row:
    """The costs of one work."""

    section: str
    work: str
    unit: str
    costs: dict[str, float]
    ratios: list[Ratio] = dataclasses.field(default_factory=list)

    def wrong(self):
        """The ratios that are not what they must be, in words."""
        return [f"{self.work}: {ratio.name} is {ratio.value:.3f}, allowed is {ratio.bound}"
                for ratio in self.ratios if not ratio.bound.allows(ratio.value)]

    def json(self):
        return dataclasses.asdict(self)
