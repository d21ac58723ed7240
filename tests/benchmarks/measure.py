"""How times are taken: in turns, the first run left out; medians, with the least and the most."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

N_RUNS = 5
"""Runs that count; one more comes before them."""

FAR_BEHIND = 3.0
"""What is so many times slower than the fastest is run once more only: its place is known."""


@dataclass(frozen=True)
class Timing:
    """What several runs of the same took."""

    values: tuple[float, ...]
    """Seconds, or whatever was measured, of each run that counts."""

    @property
    def median(self) -> float:
        """The middle."""
        return statistics.median(self.values)

    @property
    def is_clear(self) -> bool:
        """Whether no difference of times came out negative, or nothing: else it is all noise."""
        return min(self.values) > 0

    def scaled(self, factor: float) -> "Timing":
        """Return the same in other units."""
        return Timing(tuple(value * factor for value in self.values))

    def per(self, amount: float) -> "Timing":
        """Return rates: an `amount` a second."""
        return Timing(tuple(amount / value for value in self.values))

    def shown(self, digits: int = 3) -> str:
        """Return median and spread as text."""
        if len(self.values) == 1:
            return f"{self.median:.{digits}g} (1 run)"
        least, most = min(self.values), max(self.values)
        return f"{self.median:.{digits}g} ({least:.{digits}g}..{most:.{digits}g})"

    def stored(self) -> dict[str, Any]:
        """Return plain values."""
        return {"median": self.median, "values": list(self.values)}


def seconds_of(function: Callable[..., Any], *args: Any, **options: Any) -> float:
    """Call a function, and tell what it took."""
    start = time.perf_counter()
    function(*args, **options)
    return time.perf_counter() - start


def interleaved(
    runs: Mapping[str, Callable[[], float]],
    n_runs: int = N_RUNS,
    far_behind: float = FAR_BEHIND,
    always: str = "",
    on_failure: Callable[[str, Exception], None] | None = None,
) -> dict[str, Timing]:
    """Run each in turn, A/B/A/B, and leave out the first round.

    Parameters
    ----------
    runs
        What to run, by name; each returns its own seconds.
    n_runs
        Rounds that count.
    far_behind
        What took so many times longer than the fastest in the first round counts with one run.
    always
        The one that counts with all rounds whatever it took.
    on_failure
        Is told of what raised, which is left out from then on; None lets it raise.
    """
    first: dict[str, float] = {}
    values: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(1 + n_runs):
        for name, run in runs.items():
            if name not in values:
                continue
            behind = is_far_behind(first[name], first.values(), far_behind) if number > 1 else False
            if behind and name != always:
                continue
            try:
                taken = run()
            except Exception as error:
                if on_failure is None:
                    raise
                on_failure(name, error)
                del values[name]
                first.pop(name, None)
                continue
            if number == 0:
                first[name] = taken
            else:
                values[name].append(taken)
    return {name: Timing(tuple(found)) for name, found in values.items()}


def is_far_behind(seconds: float, all_seconds: Iterable[float], factor: float) -> bool:
    """Whether something takes more than `factor` times what the fastest takes.

    Differences of times may drown in noise, and come out negative: those say nothing.
    """
    known = [one for one in all_seconds if one > 0]
    return bool(known) and seconds > factor * min(known)


def ratio(theirs: float, ours: float) -> float:
    """How many times as long others take; what took no time is infinitely often surpassed."""
    return theirs / ours if ours > 0 else math.inf


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent of growth: least squares of log seconds over log sizes."""
    x, y = [math.log(one) for one in sizes], [math.log(one) for one in seconds]
    return statistics.linear_regression(x, y).slope
