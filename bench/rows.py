# SPDX-License-Identifier: GPL-2.0

"""What was found: costs, and ratios of them that have bounds."""

import dataclasses
import itertools
import json
import statistics


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a ratio is to be at most, or at least, to two places and but for noise; and where that is
    not reached yet, what it must be meanwhile, and what stands in the way."""

    most: float | None = None
    least: float | None = None
    meanwhile: float | None = None
    why: str = ""

    def is_met(self, ratio, noise):
        """Whether it is what it is to be."""
        return ((self.most is None or round(ratio - noise, 2) <= self.most)
                and (self.least is None or round(ratio + noise, 2) >= self.least))

    def allows(self, ratio, noise):
        """Whether it is no worse than it must be."""
        if self.meanwhile is None:
            return self.is_met(ratio, noise)
        return Bound(self.most and self.meanwhile, self.least and self.meanwhile).is_met(ratio, noise)

    def __str__(self):
        bound = "" if self.most is None else f"≤ {self.most:.2f}"
        bound += "" if self.least is None else f"≥ {self.least:.2f}"
        return bound


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

    def json(self):
        """What the report is made from."""
        ratios = [{"name": ratio.name, "value": ratio.value, "spread": ratio.spread,
                   "more_is_better": ratio.more_is_better, "bound": str(ratio.bound),
                   "met": ratio.bound.is_met(ratio.value, ratio.spread),
                   "allowed": ratio.bound.allows(ratio.value, ratio.spread),
                   "why": ratio.bound.why}
                  for ratio in self.ratios]
        return json.dumps({"section": self.section, "work": self.work, "unit": self.unit,
                           "costs": list(self.costs.items()), "ratios": ratios})
