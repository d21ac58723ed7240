"""The default gates: no batch of garbage passes, and a year of honest drift does."""

import pytest

from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import DEFAULT_GATES
from tests.jobs.simulation import DEATH_WEEK, GARBAGE, SPLIT_WEEK, Seen, World, Year

# of the rows that are all alike
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")

OTHER_WORLDS = {
    "in a plane": {"n_features": 2, "separation": 3.0},
    "overlapping": {"separation": 1.5},
    "hardly clustered": {"n_features": 12, "n_clusters": 5, "separation": 1.0},
    "many clusters": {"n_features": 10, "n_clusters": 20},
    "many features": {"n_features": 30, "n_clusters": 10, "separation": 2.0},
    "fast": {"speed": 0.15},
    "a sudden split": {"split_weeks": 1},
}


def check(seen: Seen) -> None:
    """Check that an honest batch passes, and garbage does not."""
    verdict = judge(DEFAULT_GATES, seen.figures, seen.champion_figures)
    assert verdict.has_champion
    assert not any(one.skipped for one in verdict.judgments)
    assert verdict.passed == (seen.kind == "honest"), (seen.kind, seen.week, verdict.reasons)


def test_a_year_of_honest_drift_passes_and_no_garbage_does():
    world = World(0, n_rows=2500)
    before, after = SPLIT_WEEK - 1, DEATH_WEEK + world.death_weeks
    assert [world.n_clusters_of(week) for week in (before, SPLIT_WEEK + 5, after)] == [8, 9, 8]
    year = Year(world, garbage_weeks=(24,))
    kinds = []
    for seen in year.seen():
        check(seen)
        kinds.append(seen.kind)
    assert kinds.count("honest") == 51
    assert set(kinds) == {"honest", *GARBAGE}
    # the split and the death have happened: one id is new, and one is gone
    assert sorted(year.champion.ids) != list(range(8))
    assert len(year.champion.ids) == 8


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OTHER_WORLDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_so_it_is_in_other_worlds(name, seed):
    world = World(seed, n_rows=3000, **OTHER_WORLDS[name])
    for seen in Year(world, garbage_weeks=(1, SPLIT_WEEK + 1, 24, DEATH_WEEK + 2, 51)).seen():
        check(seen)


def test_each_garbage_is_refused_for_what_is_wrong_with_it():
    year = Year(World(0, n_rows=2500), garbage_weeks=(2,), weeks=3)
    reasons = {
        seen.kind: {
            one.metric for one in judge(DEFAULT_GATES, seen.figures, seen.champion_figures).failed
        }
        for seen in year.seen()
    }
    assert reasons["honest"] == set()
    assert reasons["a tenth of the rows is missing"] == {"rows"}
    assert reasons["delivered twice"] == {"rows"}
    # the columns by themselves are as they were
    for kind in ("normal noise", "columns shuffled"):
        assert {"misfit", "new_region"} <= reasons[kind]
        assert not {"mean_shift", "spread_change", "rows"} & reasons[kind]
    for kind in ("a column in inches", "a column is its mean", "all columns are constant"):
        assert "spread_change" in reasons[kind]
    assert {"drift", "mean_shift"} <= reasons["as many rows, of one cluster"]
    assert "rows" in reasons["rows of one cluster only"]
