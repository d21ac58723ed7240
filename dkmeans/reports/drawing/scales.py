"""From values to pixels: linear and logarithmic scales, and where their ticks are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkmeans.plots.drawing import tick as written

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Where values from `low` to `high` lie between the pixels `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, one = self.low, self.high, float(value)
        if self.is_log:
            low, high, one = math.log(low), math.log(high), math.log(one)
        if high <= low:
            return (self.start + self.stop) / 2
        return self.start + (one - low) / (high - low) * (self.stop - self.start)

    def clipped(self, value: float) -> float:
        """Return the pixel of a value, at an end where it lies beyond."""
        return self(min(max(float(value), self.low), self.high))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values from `low` to `high`, `most` at most.

    Examples
    --------
    >>> ticks(0, 1, 6)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / most))
    step = next(
        (one * unit for one in _STEPS if span / (one * unit) <= most - 1), _STEPS[-1] * unit
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def label(value: float) -> str:
    """Write a number beside an axis."""
    return written(value)


def thinned(values: Sequence[float], scale: Scale, room: float) -> list[float]:
    """Leave out values whose texts would be nearer to each other than `room` pixels."""
    kept: list[float] = []
    for one in values:
        if not kept or abs(scale(one) - scale(kept[-1])) >= room:
            kept.append(one)
    return kept


def rounded_out(low: float, high: float, most: int = 6) -> tuple[float, float]:
    """Return round ends around two values."""
    if not high > low:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    found = ticks(low, high, most)
    step = found[1] - found[0] if len(found) > 1 else high - low
    return float(np.floor(low / step + 1e-9) * step), float(np.ceil(high / step - 1e-9) * step)
