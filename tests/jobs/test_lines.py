"""The default gates over many kinds of lines: plain garbage never passes, weeks of drift do."""

import pytest

from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import DEFAULT_GATES
from tests.jobs.lines import PLAIN, WEEKS, Recipe, Seen, World, recipes, seen

# of rows that are all alike
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")

SHORT = [
    Recipe(0, 2, 3, haste=5),
    Recipe(1, 5, 6, haste=1, is_fresh=True),
]


def wrong(recipe: Recipe) -> list[tuple[Seen, tuple[str, ...]]]:
    """Batches of a line that the gates were wrong of, but for honest ones of an event."""
    found = []
    n_honest = 0
    for one in seen(recipe, PLAIN):
        verdict = judge(DEFAULT_GATES, one.figures, one.champion_figures)
        assert verdict.has_champion
        n_honest += one.kind == "honest"
        if verdict.passed != (one.kind == "honest") and (one.kind != "honest" or is_calm(one)):
            found.append((one, verdict.reasons))
    assert n_honest == WEEKS - 1
    return found


def is_calm(one: Seen) -> bool:
    """Whether clusters did nothing but drift, slowly, and apart from each other."""
    recipe = one.recipe
    # of two clusters that lie on each other, a start anew may make one, and two of another
    weeks = (one.week - 1, one.week) if recipe.is_fresh else ()
    return (
        one.event == "drift"
        and recipe.speed < 0.1
        and recipe.separation > 2
        and all(World(recipe).gap(week) > 1 for week in weeks)
    )


@pytest.mark.parametrize("recipe", SHORT, ids=str)
def test_plain_garbage_never_passes_and_weeks_of_drift_do(recipe: Recipe) -> None:
    assert wrong(recipe) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("n_clusters", [2, 3, 5, 12])
def test_so_it_is_in_all_lines(n_clusters: int) -> None:
    found = [one for recipe in recipes(5000) if recipe.n_clusters == n_clusters
             for one in wrong(recipe)]  # fmt: skip
    assert found == []
