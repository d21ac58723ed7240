"""What a rule of a gate is, and the rules of a job that names none."""

from dataclasses import dataclass

LIMITS = ("min", "max", "max_increase", "max_decrease")
"""The kinds of limits, as they are written in job files."""


@dataclass(frozen=True)
class Rule:
    """Limits of one metric, all of which must hold; both ends of each are allowed."""

    metric: str
    """Its name in `METRICS`."""

    min: float | None = None
    """Least value; None for no limit."""

    max: float | None = None
    """Greatest value; None for no limit."""

    max_increase: float | None = None
    """How much greater than the champion's it may be, as a share of the size of the champion's
    value; None for no limit."""

    max_decrease: float | None = None
    """How much less than the champion's it may be, in the same way."""

    @property
    def is_relative(self) -> bool:
        """Whether it takes a champion to judge some of its limits."""
        return self.max_increase is not None or self.max_decrease is not None

    def limits(self) -> dict[str, float]:
        """Return the limits that it has, by their kind."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}

    def to_dict(self) -> dict[str, float | str]:
        """Return the limits as a job file may write them."""
        return {
            # a share above 1 has to be written as a percentage
            name: f"{100 * limit:.12g} %" if name.startswith("max_") and limit > 1 else limit
            for name, limit in self.limits().items()
        }


DEFAULT_GATES: tuple[Rule, ...] = (
    Rule("inertia_per_row", max_increase=0.25),
    Rule("silhouette", max_decrease=0.2),
    Rule("churn", max=0.4),
    Rule("drift", max=1.0),
    Rule("misfit", min=0.7, max=1.3),
    Rule("new_region", max=0.05),
    Rule("mean_shift", max=0.5),
    Rule("spread_change", max=1.5),
    Rule("rows", min=0.95, max=1.5),
    Rule("bad_files", max=0.0),
    Rule("missing_share", max=0.05),
)
"""The rules of a job that names none.

They were chosen by a simulation (`tests/jobs/simulation.py`): years of weekly batches with 4 to 20
clusters in 2 to 30 dimensions, apart or overlapping, of which every one drifts, one splits and one
dies; and in some weeks, instead, 16 kinds of garbage. What was found in honest weeks, with 5
clusters or more, and in the garbage that a rule is for:

================  ==============  ===============================================================
metric            honest weeks    garbage
================  ==============  ===============================================================
misfit            0.93 to 1.30    noise with the means and variances of the data, columns
                                  shuffled: 1.7 to 8, in hardly clustered data from 1.32
new_region        to 4.5 %        the same: 11 % to 100 %, in hardly clustered data from 4 %
drift (PSI)       to 0.71         rows of one cluster only: 1.8 to 9.7
mean_shift        to 0.18         the same: mostly above 0.6; another unit: up to thousands
spread_change     to 1.19         a column in another unit: from 1.7; constant: from 1e12
rows              0.953 to 1.052  a tenth is missing: to 0.944; delivered twice: from 1.96
churn             to 31 %         noise: 26 % to 70 %
silhouette        to 9 % less     (with inertia_per_row, against bad fits: both models fit
inertia_per_row   to 8 % more     garbage alike)
================  ==============  ===============================================================

No garbage has passed in any world. With 4 clusters, one of which holds a third of the rows or more,
honest weeks come near the limits (misfit 1.41, churn 38 %, inertia per row 23 % more), and are
refused where such a cluster dies, or tears apart, within a week or so: a person should look at
that. The number of rows varied by 1 % from week to week; where it varies by more, `rows` needs
other limits, or a number that is expected.

How often they are wrong (`python -m tests.benchmarks.gates`): of 1 890 honest weeks, of 90 lines
with 2, 3, 5 and 12 clusters, none of the 900 in which clusters do nothing but drift is refused, and
129 of the 990 in which one splits, dies or is born: 58 of 180 if that takes a week, 62 of 270 if it
takes two, 9 of 540 if it takes five; of 2 clusters 12 % of all weeks, of 12 clusters 0.7 %. Of 17
kinds of plain garbage none has passed. Of 12 kinds that are hard to tell from a birth or a death,
as zeros in place of some values, 355 of 2 106 batches pass. Of 1 800 weeks of drift in 180 other
lines 5 are refused, for a churn of 41 % to 44 %: in two lines in which challengers start anew, and
two clusters lie on each other, their centers 0.4 and 0.7 of the sum of their standard deviations
apart. What other limits would change:

===================================================  =======  =======  ========================
rules                                                refused  garbage  of that, refused so far
===================================================  =======  =======  ========================
the default ones                                         129      355                         0
misfit to 1.5                                            113      435                        80
misfit of the challenger to 1.15, new_region 15 %        117      360                        58
new_region to 10 %                                       124      367                        12
spread_change but for other shares of clusters           124      356                         1
spread_change to 2                                       125      356                         1
churn to 50 %                                            126      359                         4
churn but for splits and merges                          128      356                         1
===================================================  =======  =======  ========================

Nothing that was tried refuses fewer honest weeks without letting garbage pass that is refused so
far: a split or a birth within a week or two looks as garbage does, and a person should look at it.
"""
