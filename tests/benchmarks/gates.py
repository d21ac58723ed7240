"""How often gates are wrong: honest weeks that they refuse, and garbage that they let pass.

    python -m tests.benchmarks.gates [--seeds 1]

For the default gates, and for others that were thought of: over 90 lines of 21 weekly retrains a
seed (`tests.jobs.lines`), honest batches refused, in weeks of nothing but drift and in those of an
event; garbage that passes; and garbage that passes which the default gates refuse. Takes some
minutes.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterable

from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import parse_gates
from tests.jobs.lines import PLAIN, SUBTLE, Seen, recipes, seen

Refuses = Callable[[Seen], bool]


def refuses(**changes: object) -> Refuses:
    """The default gates with other rules in their places."""
    rules = parse_gates(changes)
    return lambda one: not judge(rules, one.figures, one.champion_figures).passed


DEFAULT = refuses()
_LOOSE = refuses(misfit={"min": 0.7}, new_region={"max": "15 %"})
_NO_SPREAD = refuses(spread_change="off")
_NO_CHURN = refuses(churn="off")
CANDIDATES: dict[str, Refuses] = {
    "the default gates": DEFAULT,
    "misfit to 1.5": refuses(misfit={"min": 0.7, "max": 1.5}),
    "misfit to 2": refuses(misfit={"min": 0.7, "max": 2}),
    "new_region to 10 %": refuses(new_region={"max": "10 %"}),
    "spread_change to 2": refuses(spread_change={"max": 2}),
    "churn to 50 %": refuses(churn={"max": "50 %"}),
    "drift to 2": refuses(drift={"max": 2}),
    "inertia_per_row to 15 %": refuses(inertia_per_row={"max_increase": "15 %"}),
    "churn but for splits and merges": lambda one: _NO_CHURN(one) or one.unexplained > 0.4,
    "spread but for other shares": lambda one: _NO_SPREAD(one) or one.spread > 1.5,
    "misfit of the challenger, to 1.15": lambda one: _LOOSE(one) or one.refit > 1.15,
    "and spread within clusters to 1.4": lambda one: DEFAULT(one) or one.within > 1.4,
}


def collected(seeds: int) -> list[Seen]:
    """What all lines have shown."""
    garbage = {**PLAIN, **SUBTLE}
    return [
        one for seed in range(seeds) for recipe in recipes(1000 * seed)
        for one in seen(recipe, garbage)
    ]  # fmt: skip


def compared(found: list[Seen]) -> Iterable[str]:
    """A line for each gate."""
    honest = [one for one in found if one.kind == "honest"]
    calm = [one for one in honest if one.event == "drift"]
    garbage = [one for one in found if one.kind != "honest"]
    caught = [one for one in garbage if DEFAULT(one)]
    yield (
        f"{len(honest)} honest weeks, {len(honest) - len(calm)} of them of events; "
        f"{len(garbage)} batches of garbage"
    )
    yield f"{'':36} drift  events  garbage  newly"
    for name, refused in CANDIDATES.items():
        bad = sum(map(refused, calm))
        yield (
            f"{name:36} {bad:5} {sum(map(refused, honest)) - bad:7} "
            f"{sum(not refused(one) for one in garbage):8} "
            f"{sum(not refused(one) for one in caught):6}"
        )


def by_recipe(found: list[Seen]) -> Iterable[str]:
    """Where the default gates are wrong."""
    honest = [one for one in found if one.kind == "honest"]
    for title, key in (
        ("clusters", lambda one: one.recipe.n_clusters),
        ("event", lambda one: one.event),
        ("weeks of an event", lambda one: one.recipe.haste),
        ("fresh", lambda one: one.recipe.is_fresh),
    ):
        all_of, refused = (
            Counter(map(key, honest)),
            Counter(key(one) for one in honest if DEFAULT(one)),
        )
        told = ", ".join(f"{name}: {refused[name]} of {n}" for name, n in all_of.items())
        yield f"refused by {title}: {told}"
    tried = Counter(one.kind for one in found if one.kind != "honest")
    passed = Counter(one.kind for one in found if one.kind != "honest" and not DEFAULT(one))
    for kind, n in tried.items():
        yield f"{kind:42} {passed[kind]:4} of {n} pass"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    warnings.simplefilter("ignore")
    found = collected(parser.parse_args().seeds)
    print(*compared(found), "", *by_recipe(found), sep="\n")


if __name__ == "__main__":
    main()
