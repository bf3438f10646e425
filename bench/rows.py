# SPDX-License-Identifier: GPL-2.0

"""Results: costs, their ratios, and the bounds of the ratios."""

import dataclasses
import itertools
import json
import statistics


@dataclasses.dataclass(frozen=True)
class Bound:
    """The largest or the smallest value that a ratio should have. Before the comparison, the noise of the
    measurement is subtracted from the ratio (for `most`) or added to it (for `least`), and the result is
    rounded to two places.

    If the ratio does not meet the bound yet, it must at least meet the weaker bound `meanwhile`. `why`
    says why the ratio does not meet the bound.
    """

    most: float | None = None
    least: float | None = None
    meanwhile: float | None = None
    why: str = ""

    def is_met(self, ratio, noise):
        """Whether the ratio is within the bound."""
        return ((self.most is None or round(ratio - noise, 2) <= self.most)
                and (self.least is None or round(ratio + noise, 2) >= self.least))

    def allows(self, ratio, noise):
        """Whether the ratio is within the bound, or within `meanwhile` if that is set."""
        if self.meanwhile is None:
            return self.is_met(ratio, noise)
        return Bound(self.most and self.meanwhile, self.least and self.meanwhile).is_met(ratio, noise)

    def __str__(self):
        bound = "" if self.most is None else f"≤ {self.most:.2f}"
        bound += "" if self.least is None else f"≥ {self.least:.2f}"
        return bound


@dataclasses.dataclass(frozen=True)
class Ratio:
    """One cost divided by another."""

    name: str
    value: float
    bound: Bound = Bound()
    more_is_better: bool = False
    spread: float = 0.0  # the largest ratio of all repetitions minus the smallest

    @classmethod
    def of(cls, name, one, other, base=(0,), **options):
        """The ratio of the medians of repeated costs. `base`, which is a part of each cost, is first
        subtracted from all costs."""
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
        """The row as JSON, which the reporter reads."""
        ratios = [{"name": ratio.name, "value": ratio.value, "spread": ratio.spread,
                   "more_is_better": ratio.more_is_better, "bound": str(ratio.bound),
                   "met": ratio.bound.is_met(ratio.value, ratio.spread),
                   "allowed": ratio.bound.allows(ratio.value, ratio.spread),
                   "why": ratio.bound.why}
                  for ratio in self.ratios]
        return json.dumps({"section": self.section, "work": self.work, "unit": self.unit,
                           "costs": list(self.costs.items()), "ratios": ratios})
