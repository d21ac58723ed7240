"""Callbacks hear of every pass, and end a fit in a state that agrees with itself."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

from dkmeans import Event, KMeans, Rows, read_parquet
from dkmeans.errors import ArgumentError, BadValues
from tests.conftest import write_parquet


@pytest.fixture(scope="module")
def X():
    """Rows without structure, on which Lloyd takes long, of unequal scales."""
    return np.random.default_rng(0).uniform(size=(3000, 3)) * [1.0, 10.0, 0.1] + [0, 50, 0]


def blocks_of(X):
    rows = Rows.from_array(X, block_rows=400)
    assert rows.n_blocks > 1
    return rows


class Recorder:
    """Remembers what it is told; asks to stop after the pass of some name or number."""

    def __init__(self, last=None):
        self.last, self.events, self.heard = last, [], []

    def began(self, parameters):
        self.heard.append(("began", dict(parameters)))

    def __call__(self, event):
        self.events.append(event)
        return self.last in (event.name, event.number)

    def ended(self, model):
        self.heard.append(("ended", model))

    def failed(self, error):
        self.heard.append(("failed", error))

    @property
    def names(self):
        return [event.name for event in self.events]


def labels_of(model):
    return model.labels_.compute(scheduler="sync")


def assert_agrees(model, X):
    """Centers, inertia and labels of an unscaled fit belong together."""
    distances = ((X[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels_of(model), distances.argmin(axis=1))
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-9)
    np.testing.assert_array_equal(model.model_.weights, np.bincount(labels_of(model), minlength=7))


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", "array"])
@pytest.mark.parametrize("max_iter", [4, 300])
def test_events_are_the_history(init, max_iter, X):
    told = Recorder()
    start = X[:7] if init == "array" else init
    rows = blocks_of(X)
    model = KMeans(7, init=start, random_state=0, max_iter=max_iter, callbacks=[told]).fit(rows)
    assert len(told.events) == model.n_passes_
    assert [event.number for event in told.events] == list(range(1, model.n_passes_ + 1))
    for event, record in zip(told.events, model.history_, strict=True):
        assert isinstance(event, Event)
        assert event.kind == "pass"
        assert (event.name, event.inertia, event.gain) == (
            record["kind"], record["inertia"], record["gain"],
        )  # fmt: skip
        assert (event.rows, event.seconds) == (3000, record["seconds"])
        assert event.seconds > 0


def test_passes_that_count_rows_and_fill_gaps_are_told_too(X, tmp_path):
    import dask.dataframe as dd
    import pandas as pd

    gaps = pd.DataFrame(X)
    gaps.iloc[::7, 0] = np.nan
    rows = Rows.from_dask(dd.from_pandas(gaps, npartitions=4).to_dask_array(), missing="mean")
    told = Recorder()
    KMeans(3, init="k-means||", random_state=0, max_iter=1, callbacks=[told]).fit(rows)
    assert told.names[:3] == ["count rows", "column means", "moments + first centers"]
    assert [event.number for event in told.events] == list(range(1, len(told.events) + 1))


@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
def test_centers_of_an_event_enter_the_next_pass_in_the_units_of_the_data(scale, X):
    told = Recorder()
    model = KMeans(
        7, init="k-means||", random_state=0, scale=scale, max_iter=6, tol=0, callbacks=[told]
    )
    model.fit(blocks_of(X))
    shift, factor = np.zeros(3), np.ones(3)
    if scale == "standard":
        shift, factor = X.mean(axis=0), X.std(axis=0)
    elif scale == "minmax":
        shift, factor = X.min(axis=0), np.ptp(X, axis=0)
    scaled = (X - shift) / factor
    seeding, iterating = told.events[:6], told.events[6:]
    assert iterating[0].name == "k-means|| weights"
    assert all((e.centers, e.inertia, e.gain) == (None, None, None) for e in seeding)
    assert len(iterating) == 1 + 6 + 1
    for before, event in pairwise(iterating):
        assert before.centers.dtype == np.float64
        centers = (before.centers - shift) / factor
        distances = ((scaled[:, None, :] - centers) ** 2).sum(axis=2)
        assert event.inertia == pytest.approx(distances.min(axis=1).sum(), rel=1e-9)
    np.testing.assert_array_equal(told.events[-1].centers, model.cluster_centers_)


def test_centers_of_an_event_cannot_be_changed(X):
    def change(event):
        if event.centers is not None:
            event.centers[:] = 0

    with pytest.raises(ValueError, match="read-only"):
        KMeans(7, init="k-means||", random_state=0, callbacks=[change]).fit(X)


def test_events_of_restarts_are_about_the_best_of_each_pass(X):
    told = Recorder()
    KMeans(7, n_init=3, init="random", random_state=21, max_iter=5, tol=0, callbacks=[told]).fit(X)
    alone = []
    for start in starts_of_three(X, 21):
        recorder = Recorder()
        KMeans(7, init=start, max_iter=5, tol=0, callbacks=[recorder]).fit(X)
        alone.append([event.inertia for event in recorder.events])
    best = np.min(alone, axis=0)
    # now one of them is the best, now another
    assert len(set(np.argmin(alone, axis=0).tolist())) > 1
    np.testing.assert_allclose([event.inertia for event in told.events[1:]], best, rtol=1e-12)


def starts_of_three(X, seed):
    """The rows that the restarts of a fit begin from."""
    from dkmeans.kernels.draws import generator
    from dkmeans.partials.weighted_sample import WeightedSample

    seeds = [seed, *generator(seed, "restarts").integers(0, 2**63, 2).tolist()]
    rows = blocks_of(X)
    return [rows.reduce(WeightedSample.from_block, 7, one, ("random rows",)).X for one in seeds]


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("last", ["iteration 1", "iteration 3"])
def test_a_stop_ends_the_fit_as_max_iter_does(last, n_init, X):
    asked = {"init": "k-means||", "n_init": n_init, "random_state": 0, "tol": 0}
    stopped = KMeans(7, **asked, callbacks=[Recorder(last)]).fit(blocks_of(X))
    n_iter = int(last.split()[1])
    ended = KMeans(7, **asked, max_iter=n_iter).fit(blocks_of(X))
    assert (stopped.n_iter_, stopped.converged_, stopped.stopped_by_) == (n_iter, False, "callback")
    assert stopped.model_.provenance["stopped_by"] == "callback"
    assert ended.stopped_by_ is None
    assert ended.model_.provenance["stopped_by"] is None
    assert stopped.n_passes_ == ended.n_passes_
    assert [r["kind"] for r in stopped.history_] == [r["kind"] for r in ended.history_]
    assert stopped.history_[-1]["kind"] == "final assignment"
    np.testing.assert_array_equal(stopped.cluster_centers_, ended.cluster_centers_)
    assert stopped.inertia_ == ended.inertia_
    assert_agrees(stopped, X)


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
def test_a_stop_in_the_first_pass_lets_seeding_end_and_makes_no_iteration(init, n_init, X):
    told = Recorder(1)
    model = KMeans(7, init=init, n_init=n_init, random_state=0, callbacks=[told])
    model.fit(blocks_of(X))
    assert not any(name.startswith("iteration") for name in told.names)
    assert told.names[-1] == "final assignment"
    assert len(told.events) == model.n_passes_ == {"k-means||": 7}.get(init, 1) + 1
    assert (model.n_iter_, model.stopped_by_) == (0, "callback")
    assert_agrees(model, X)
    np.testing.assert_array_equal(told.events[-1].centers, model.cluster_centers_)


def test_a_stop_at_an_empty_cluster_fills_it_first(X):
    start = np.concatenate([X[:5], np.full((2, 3), 1e3)])
    told = Recorder("iteration 1")
    model = KMeans(7, init=start, tol=0, callbacks=[told]).fit(blocks_of(X))
    assert told.names == ["iteration 1", "relocation", "final assignment"]
    assert (model.n_iter_, model.stopped_by_) == (1, "callback")
    assert (model.model_.weights > 0).all()
    assert_agrees(model, X)
    relocation = told.events[1]
    assert (relocation.inertia, relocation.gain) == (None, None)
    # nothing moved in the pass that met the empty clusters
    np.testing.assert_array_equal(told.events[0].centers, start)
    np.testing.assert_array_equal(relocation.centers, model.cluster_centers_)


def test_a_stop_after_the_last_iteration_changes_nothing(X):
    free = KMeans(7, init="k-means||", random_state=0, max_iter=3, tol=0).fit(blocks_of(X))
    for last in ("iteration 3", "final assignment"):
        stopped = KMeans(
            7, init="k-means||", random_state=0, max_iter=3, tol=0, callbacks=[Recorder(last)]
        )
        stopped.fit(blocks_of(X))
        assert (stopped.n_iter_, stopped.stopped_by_) == (3, None)
        np.testing.assert_array_equal(stopped.cluster_centers_, free.cluster_centers_)


@pytest.mark.parametrize("value", [np.True_, True])
def test_all_callbacks_are_called_when_the_first_stops(value, X):
    told = Recorder()
    KMeans(7, init="k-means||", random_state=0, callbacks=[lambda event: value, told]).fit(X)
    assert told.names[-1] == "final assignment"


@pytest.mark.parametrize("value", [None, False, 1, "yes", [0], np.ones(3)])
def test_only_true_stops(value, X):
    model = KMeans(7, init="k-means||", random_state=0, callbacks=[lambda event: value]).fit(X)
    assert model.stopped_by_ is None
    assert model.n_iter_ > 1


def test_a_checkpoint_leads_on_with_numbers_that_go_on(X, tmp_path):
    write_parquet(tmp_path / "in", X)
    made = {"n_init": 3, "random_state": 0, "tol": 0, "max_iter": 8, "scale": "standard"}

    def fit(place, callback, **more):
        rows = read_parquet(str(tmp_path / "in"), block_rows=400)
        return KMeans(
            7,
            init="k-means||",
            **made,
            callbacks=[callback],
            checkpoint=str(tmp_path / place),
            **more,
        ).fit(rows)

    whole, first, second = Recorder(), Recorder(), Recorder()

    def crash(event):
        first(event)
        if event.name == "iteration 3":
            raise RuntimeError("crashed")

    expected = fit("whole", whole)
    with pytest.raises(RuntimeError, match="crashed"):
        fit("cut", crash)
    # neither callbacks nor what Ctrl-C does are part of what a checkpoint belongs to
    resumed = fit("cut", second, on_interrupt="return")
    assert len(first.events) > 1
    assert len(second.events) > 1
    events = first.events + second.events
    assert [event.number for event in events] == [event.number for event in whole.events]
    for event, other in zip(events, whole.events, strict=True):
        assert (event.name, event.inertia, event.gain) == (other.name, other.inertia, other.gain)
        np.testing.assert_array_equal(event.centers, other.centers)
    np.testing.assert_array_equal(resumed.cluster_centers_, expected.cluster_centers_)


def test_a_stopped_fit_with_a_checkpoint_agrees_and_stays_as_it_is(X, tmp_path):
    place = str(tmp_path / "checkpoint")

    def fit(*callbacks):
        return KMeans(
            7,
            init="k-means||",
            n_init=3,
            random_state=0,
            tol=0,
            checkpoint=place,
            callbacks=list(callbacks),
        ).fit(blocks_of(X))

    stopped = fit(Recorder("iteration 3"))
    assert (stopped.n_iter_, stopped.stopped_by_) == (3, "callback")
    assert_agrees(stopped, X)
    told = Recorder()
    again = fit(told)
    assert told.events == []
    assert (again.n_iter_, again.stopped_by_, again.inertia_) == (3, "callback", stopped.inertia_)


def test_callbacks_hear_of_the_beginning_and_of_the_end(X):
    told = Recorder()
    model = KMeans(7, init="k-means||", random_state=0, scale="standard", callbacks=[told]).fit(X)
    (began, parameters), (ended, given) = told.heard
    assert (began, ended) == ("began", "ended")
    assert (parameters["n_clusters"], parameters["scale"]) == (7, "standard")
    assert parameters == model.model_.parameters
    assert given is model.model_


def test_callbacks_hear_of_a_failure_instead(X):
    told = Recorder()
    broken = X.copy()
    broken[1234, 1] = np.nan
    with pytest.raises(BadValues) as caught:
        KMeans(7, init="k-means||", random_state=0, callbacks=[told]).fit(broken)
    assert [name for name, _ in told.heard] == ["began", "failed"]
    assert told.heard[1][1] is caught.value


class Failing(Recorder):
    """Raises when it is told of something."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def __call__(self, event):
        super().__call__(event)
        if event.name == self.when:
            raise KeyError("broken callback")

    def began(self, parameters):
        super().began(parameters)
        if self.when == "began":
            raise KeyError("broken callback")

    def ended(self, model):
        super().ended(model)
        if self.when == "ended":
            raise KeyError("broken callback")

    def failed(self, error):
        super().failed(error)
        if self.when == "failed":
            raise KeyError("broken callback")


@pytest.mark.parametrize(
    ("when", "note", "heard"),
    [
        ("iteration 2", "told of pass 9 (iteration 2)", ["began", "failed"]),
        ("began", "told of the beginning", ["began", "failed"]),
        ("ended", "told of the end", ["began", "ended", "failed"]),
    ],
)
def test_what_a_callback_raises_comes_out_with_its_name(when, note, heard, X):
    failing = Failing(when)
    with pytest.raises(KeyError, match="broken callback") as caught:
        KMeans(7, init="k-means||", random_state=0, callbacks=[failing]).fit(X)
    assert caught.value.__notes__ == [f"Raised by the callback Failing, {note}."]
    assert [name for name, _ in failing.heard] == heard


def test_a_function_is_named_by_its_name(X):
    def broken(event):
        raise KeyError("broken callback")

    with pytest.raises(KeyError) as caught:
        KMeans(7, init="k-means||", random_state=0, callbacks=[broken]).fit(X)
    assert "broken, told of pass 1" in caught.value.__notes__[0]


def test_a_callback_that_fails_at_a_failure_does_not_hide_it(X):
    failing, other = Failing("failed"), Recorder()
    broken = np.where(np.arange(3) == 1, np.nan, X)
    with pytest.raises(BadValues) as caught:
        KMeans(7, init="k-means||", random_state=0, callbacks=[failing, other]).fit(broken)
    assert "callback Failing failed, too: KeyError" in caught.value.__notes__[0]
    assert [name for name, _ in other.heard] == ["began", "failed"]


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([3], r"callbacks\[0\]=3 should be a function"),
        ([print, Recorder], r"callbacks\[1\]=.*should be a function"),
        (print, r"should be a list of callables; pass \["),
        ("print", "should be a list of callables"),
    ],
)
def test_what_cannot_be_called_is_refused(callbacks, message, X):
    with pytest.raises(ArgumentError, match=message):
        KMeans(7, init="k-means||", callbacks=callbacks).fit(X)


def test_callbacks_are_a_parameter_as_any_other():
    callbacks = [Recorder()]
    model = KMeans(7, init="k-means||", callbacks=callbacks, on_interrupt="return")
    assert model.get_params()["callbacks"] is callbacks
    copy = clone(model)
    assert copy.on_interrupt == "return"
    assert isinstance(copy.callbacks[0], Recorder)


def test_callbacks_stay_out_of_what_workers_get(X, client):
    class NotToBeSent(Recorder):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

        def __reduce__(self):
            raise TypeError("callbacks are not sent")

    told = NotToBeSent()
    rows = Rows.from_array(X, block_rows=400, client=client)
    model = KMeans(7, init="k-means||", random_state=0, callbacks=[told]).fit(rows)
    assert len(told.events) == model.n_passes_
    # lazy labels are computed on workers, too
    assert client.compute(model.labels_).result(timeout=60).shape == (3000,)
