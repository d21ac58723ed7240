"""What comes before the first round or iteration: scale, first rows, and given or drawn centers."""

import numpy as np

from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.lloyd import LloydState
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.algorithms.seeding import FIRST_CENTER, Drawn, enough, plus_plus
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.watch import FitWatch
from dkmeans.kernels.block import Array
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows


def begin(rows: Rows, settings: KMeansSettings, watch: FitWatch) -> Begun:
    """Make the passes before the first round or iteration."""
    given = settings.given_centers(rows.n_features)
    wanted = [Wanted(k, seed) for k in settings.each for seed in settings.seeds]
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    watch.tell(*history)
    scaling, firsts = None, [np.empty((0, rows.n_features))] * len(wanted)
    if settings.scale is not None or settings.init_name in ("k-means||", "random"):
        scaling, firsts = _first_pass(rows, settings, wanted, history)
        watch.tell(history[-1])
    view = rows.scaled(scaling)
    starts = firsts
    if given is not None:
        starts = [given if scaling is None else scaling.transform(given)]
    elif settings.init_name == "k-means++":
        record: Record = dict.fromkeys(FINDINGS)
        starts = plus_plus(view, wanted, record)
        history.append(record)
        watch.tell(record)
    states: list[Drawn | LloydState]
    if settings.init_name == "k-means||":
        states = [Drawn((start,)) for start in starts]
    else:
        states = [
            LloydState.start(enough(start, one.n_clusters))
            for start, one in zip(starts, wanted, strict=True)
        ]
    runs = tuple(RunState(state, None, ()) for state in states)
    return Begun(scaling, tuple(history), runs, tuple(wanted))


def _first_pass(
    rows: Rows, settings: KMeansSettings, wanted: list[Wanted], history: list[Record]
) -> tuple[AnyScaling | None, list[Array]]:
    """Learn the scale, check weights and counts, and draw the first rows of each run, scaled."""
    draws: dict[tuple[int, int], Reduce] = {}
    """By number of rows and seed: runs of one seed begin with the same."""
    sizes = [_first_rows(settings, one.n_clusters) for one in wanted]
    for size, one in zip(sizes, wanted, strict=True):
        if size:
            purpose = FIRST_CENTER if settings.init_name == "k-means||" else ("random rows",)
            draws[size, one.seed] = Reduce(
                "first centers", WeightedSample.from_block, (size, one.seed, purpose)
            )
    record: Record = dict.fromkeys(FINDINGS)
    found, *samples = rows.run([scaling_request(rows, settings.scale), *draws.values()], record)
    assert isinstance(found, (Moments, Quantiles))
    history.append(record)
    reporter().ended(record)
    check_enough(found.n_rows, found.weight, settings.n_clusters)
    scaling = scaling_from(settings.scale, found, rows.feature_names)
    drawn: dict[tuple[int, int], Array] = {}
    for key, sample in zip(draws, samples, strict=True):
        assert isinstance(sample, WeightedSample)
        drawn[key] = sample.X if scaling is None else scaling.transform(sample.X)
    nothing = np.empty((0, rows.n_features))
    return scaling, [
        drawn.get((size, one.seed), nothing) for size, one in zip(sizes, wanted, strict=True)
    ]


def _first_rows(settings: KMeansSettings, n_clusters: int) -> int:
    """Return how many rows the first pass draws for a run."""
    return {"k-means||": 1, "random": n_clusters}.get(settings.init_name, 0)
