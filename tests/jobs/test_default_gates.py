"""The default gates: no batch of garbage passes, and a year of honest drift does."""

from collections import Counter

from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import DEFAULT_GATES
from tests.jobs.simulation import DEATH_WEEK, GARBAGE, SPLIT_WEEK, World, Year


def judged(year: Year) -> tuple[dict[str, Counter], int]:
    """How often what was refused, for which metrics; and how many batches there were."""
    n_honest = 0
    refused: dict[str, Counter] = {}
    for seen in year.seen():
        verdict = judge(DEFAULT_GATES, seen.figures, seen.champion_figures)
        if seen.kind == "honest":
            assert verdict.passed, (seen.week, verdict.reasons)
            n_honest += 1
            continue
        assert not verdict.passed, (seen.kind, seen.week, seen.figures)
        refused.setdefault(seen.kind, Counter()).update(one.metric for one in verdict.failed)
    return refused, n_honest


WEEKS = (1, SPLIT_WEEK + 1, 24, DEATH_WEEK + 2, 51)


def test_a_year_of_honest_drift_passes_and_no_garbage_does():
    refused, n_honest = judged(Year(World(0), WEEKS))
    assert n_honest == 51
    assert refused.keys() == GARBAGE.keys()
