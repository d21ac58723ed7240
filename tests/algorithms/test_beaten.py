"""Restarts that cannot win any more leave the passes to the others; the winner is the same."""

import numpy as np
import pytest

from dkmeans import Rows
from dkmeans.algorithms import sweep as sweep
from dkmeans.algorithms.beaten import beaten
from dkmeans.algorithms.drive import Answered, Ask, RunState
from dkmeans.algorithms.kmeans import kmeans
from dkmeans.algorithms.lloyd import Fit, LloydState
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.partials.cluster_sums import ClusterSums
from tests.strategies import blocks_of

X = np.array([[0.0], [1.0], [10.0], [11.0]])


def settings(k, **options):
    asked = {"init": "random", "n_init": 4, "seed": 1, "scale": None, "tol": 1e-5, "max_iter": 300}
    return KMeansSettings(
        n_clusters=k, oversampling_factor=2.0, init_rounds=5, **{**asked, **options}
    )


def answered(*centers):
    """What a pass over four rows gives to runs with these centers."""
    runs, found = [], {}
    for i, one in enumerate(centers):
        at = LloydState.start(np.array(one, float)[:, None])
        (block,) = blocks_of(X, 1)
        partial = ClusterSums.from_block(block, at.centers, at.origin)
        found[i] = Answered(Ask(None, at), partial)
        runs.append(RunState(at, None, ()))
    return runs, found


def test_runs_that_are_far_behind_and_gain_little_end():
    # inertias 1, 101 and 361; gains 0, 0 and 180.5 or so
    runs, found = answered([0.5, 10.5], [5.5, 400.0], [0.5, 30.0])
    gains = [one.partial.gain(one.ask.state.centers) for one in found.values()]
    inertias = [one.partial.inertia for one in found.values()]
    assert gains[0] == gains[1] == 0
    assert inertias[0] == 1 < inertias[1] < inertias[2]
    ended = beaten([2, 2, 2], runs, found)
    assert list(ended) == [1]
    fit = ended[1]
    assert (fit.inertia, fit.converged, fit.n_iter) == (inertias[1], False, 1)
    np.testing.assert_array_equal(fit.centers, [[5.5], [400.0]])


def test_runs_of_other_numbers_of_clusters_beat_nobody():
    runs, found = answered([0.5, 10.5], [5.5])
    assert beaten([2, 1], runs, found) == {}


def test_a_run_that_has_ended_beats_others_and_is_not_beaten():
    runs, found = answered([0.5, 10.5], [5.5, 400.0])
    first = found.pop(0)
    fit = Fit(first.ask.state.centers, first.partial, 3, True, 0.0)
    runs[0] = RunState(None, fit, ())
    assert list(beaten([2, 2], runs, found)) == [1]
    # the other way round
    runs, found = answered([5.5, 400.0], [0.5, 10.5])
    first = found.pop(0)
    runs[0] = RunState(None, Fit(first.ask.state.centers, first.partial, 3, True, 0.0), ())
    assert beaten([2, 2], runs, found) == {}


def test_equals_beat_nobody():
    runs, found = answered([0.5, 10.5], [0.5, 10.5])
    assert beaten([2, 2], runs, found) == {}


def mixture(seed, n_clusters, n_features, spread):
    rng = np.random.default_rng(seed)
    centers = rng.uniform(-spread, spread, size=(n_clusters, n_features))
    return centers[rng.integers(0, n_clusters, 3000)] + rng.normal(size=(3000, n_features))


@pytest.mark.parametrize("init", ["random", "k-means++", "k-means||"])
@pytest.mark.parametrize(("n_clusters", "n_features", "spread"),
                         [(6, 2, 12), (20, 3, 4), (12, 5, 0)])  # fmt: skip
def test_the_winner_is_the_same_as_if_all_went_on(
    monkeypatch, n_clusters, n_features, spread, init
):
    dropped = 0
    for seed in range(3):
        rows = Rows.from_array(mixture(seed, n_clusters, n_features, spread), block_rows=500)
        asked = settings(n_clusters, seed=seed, init=init)
        found = kmeans(rows, asked)
        with monkeypatch.context() as patch:
            patch.setattr(sweep, "beaten", lambda *_: {})
            whole = kmeans(rows, asked)
        assert found.fit.inertia == pytest.approx(whole.fit.inertia, rel=1e-9)
        np.testing.assert_array_equal(found.fit.centers, whole.fit.centers)
        assert found.fit.converged
        assert [r["inertia"] for r in found.history] == [r["inertia"] for r in whole.history]
        assert found.n_passes <= whole.n_passes
        dropped += whole.n_passes - found.n_passes
    if (init, spread) == ("random", 12):
        assert dropped > 0


class Stopped(Exception):
    """A fit is to end here."""


def test_runs_that_were_beaten_take_part_in_no_pass_after_a_restart(monkeypatch, tmp_path):
    rows = Rows.from_array(mixture(0, 6, 2, 12), block_rows=500)
    asked, place = settings(6, n_init=6), str(tmp_path / "checkpoint")
    taking_part: list[int] = []
    left_after: list[int] = []
    run, stop_at = Rows.run, None

    def counted(self, requests, record=None):
        if len(taking_part) == stop_at:
            raise Stopped
        taking_part.append(len(requests))
        return run(self, requests, record)

    def beaten_at(n_clusters, runs, answered):
        left = beaten(n_clusters, runs, answered)
        left_after.extend([len(taking_part)] * len(left))
        return left

    monkeypatch.setattr(Rows, "run", counted)
    monkeypatch.setattr(sweep, "beaten", beaten_at)
    whole = kmeans(rows, asked)
    quiet, stop_at = list(taking_part), left_after[0]
    assert 1 < stop_at < len(quiet)
    taking_part.clear()
    with pytest.raises(Stopped):
        kmeans(rows, asked, place)
    stop_at = None
    found = kmeans(rows, asked, place)
    assert taking_part == quiet
    np.testing.assert_array_equal(found.fit.centers, whole.fit.centers)
