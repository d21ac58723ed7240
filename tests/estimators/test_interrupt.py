"""Ctrl-C in the middle of a pass: the best model so far if asked for, and nothing left behind."""

import os
import signal
import time
import warnings

import numpy as np
import pytest

from dkmeans import KMeans, read_parquet
from dkmeans.errors import ArgumentError, FitInterrupted
from dkmeans.rows import progress
from dkmeans.rows.store import process_store
from tests.conftest import wait_until, write_parquet

SETTINGS = {"init": "k-means||", "random_state": 0, "tol": 0, "max_iter": 12}


@pytest.fixture(scope="module")
def X():
    """Rows without structure, on which Lloyd takes long."""
    return np.random.default_rng(0).uniform(size=(50_000, 4))


@pytest.fixture(autouse=True)
def ctrl_c():
    """SIGINT raises, also in a test run that was started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupt_in(monkeypatch):
    """Have Ctrl-C pressed in the middle of a pass, when its first leaf is done."""

    def arrange(name):
        pressing = _Pressing(name)
        monkeypatch.setattr(progress, "_reporter", pressing)
        return pressing

    return arrange


class _Pressing(progress.Silent):
    def __init__(self, name):
        self._name, self._now, self.passes, self.pressed = name, "", [], False

    def began(self, kind, n_leaves, *, is_pass=True):
        assert n_leaves > 1
        self._now = kind

    def leaf_done(self):
        if self._now == self._name and not self.pressed:
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)
            # the pass must not end before the signal has arrived
            time.sleep(0.2)

    def ended(self, record, *, is_pass=True):
        self.passes.append(record["kind"])


class Recorder:
    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)


def assert_agrees(model, X, labels):
    distances = ((X[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-6)
    np.testing.assert_array_equal(model.model_.weights, np.bincount(labels, minlength=10))


@pytest.mark.parametrize("n_init", [1, 3])
def test_the_best_so_far_is_returned_when_asked_for(n_init, X, interrupt_in):
    told, passes = Recorder(), interrupt_in("iteration 4")
    settings = {**SETTINGS, "init": "random", "n_init": n_init}
    with pytest.warns(FitInterrupted, match="interrupted after 4 passes"):
        model = KMeans(10, **settings, callbacks=[told], on_interrupt="return").fit(X)
    assert passes.pressed
    assert passes.passes[-1] == "iteration 3"
    assert (model.n_iter_, model.converged_, model.stopped_by_) == (3, False, "interrupt")
    assert model.model_.provenance["stopped_by"] == "interrupt"
    assert [record["kind"] for record in model.history_] == passes.passes
    assert model.n_passes_ == len(passes.passes) == len(told.events)
    # without another pass: what iteration 3 found, of the centers that entered it
    assert model.inertia_ == told.events[-1].inertia == model.history_[-1]["inertia"]
    if n_init == 1:
        np.testing.assert_array_equal(model.cluster_centers_, told.events[-2].centers)
    assert_agrees(model, X, model.labels_)


def test_a_restart_that_has_ended_counts_also_after_a_resume(X, interrupt_in, tmp_path):
    place = str(tmp_path / "checkpoint")
    settings = {"init": "random", "n_init": 3, "random_state": 8, "tol": 5e-3}
    whole = KMeans(10, **settings).fit(X)
    assert whole.n_iter_ == 7
    for _ in range(2):
        interrupt_in("iteration 9")
        with pytest.warns(FitInterrupted, match="interrupted after 9 passes"):
            model = KMeans(10, **settings, checkpoint=place, on_interrupt="return").fit(X)
        # the best restart had met its own rule
        assert (model.n_iter_, model.converged_, model.stopped_by_) == (7, True, "interrupt")
        assert model.inertia_ == whole.inertia_
        np.testing.assert_array_equal(model.cluster_centers_, whole.cluster_centers_)


def test_nothing_is_left_and_the_next_fit_works(X, interrupt_in, monkeypatch, tmp_path):
    folder = str(write_parquet(tmp_path / "in", X, row_group_rows=1000))
    kept = set(process_store().owners)
    interrupt_in("iteration 4")
    with read_parquet(folder, block_rows=1000, stage="memory") as rows:
        with pytest.warns(FitInterrupted):
            first = KMeans(10, **SETTINGS, on_interrupt="return").fit(rows)
        assert set(process_store().owners) > kept
    monkeypatch.undo()
    wait_until(lambda: set(process_store().owners) <= kept, seconds=10)
    second = KMeans(10, **SETTINGS).fit(folder)
    assert (second.n_iter_, second.stopped_by_) == (12, None)
    assert second.inertia_ < first.inertia_


@pytest.mark.parametrize("name", ["k-means|| round 2", "iteration 1"])
def test_before_an_iteration_is_over_there_is_nothing_to_return(name, X, interrupt_in):
    pressing = interrupt_in(name)
    with pytest.raises(KeyboardInterrupt):
        KMeans(10, **SETTINGS, on_interrupt="return").fit(X)
    assert pressing.pressed
    assert name not in pressing.passes


def test_by_default_it_is_raised(X, interrupt_in):
    interrupt_in("iteration 4")
    model = KMeans(10, **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert not hasattr(model, "cluster_centers_")


def test_the_second_is_always_raised(X, interrupt_in):
    interrupt_in("iteration 4")

    def again(*_, **__):
        # the fit has said that it returns, and computes labels next
        os.kill(os.getpid(), signal.SIGINT)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = again
        with pytest.raises(KeyboardInterrupt):
            KMeans(10, **SETTINGS, on_interrupt="return").fit(X)


def test_one_in_a_callback_counts_too(X):
    told = Recorder()

    def press(event):
        told(event)
        if event.name == "iteration 3":
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(FitInterrupted):
        model = KMeans(10, **SETTINGS, callbacks=[press], on_interrupt="return").fit(X)
    assert (model.n_iter_, model.inertia_) == (3, told.events[-1].inertia)
    assert_agrees(model, X, model.labels_)


def test_centers_are_in_the_units_of_the_data(X):
    def press(event):
        if event.name == "iteration 3":
            signal.raise_signal(signal.SIGINT)

    wide = X * [1.0, 100.0, 1e4, 0.01] + [0, 1e3, 0, 5]
    settings = {**SETTINGS, "scale": "standard"}
    with pytest.warns(FitInterrupted):
        model = KMeans(10, **settings, callbacks=[press], on_interrupt="return").fit(wide)
    scaled = (wide - wide.mean(axis=0)) / wide.std(axis=0)
    centers = (model.cluster_centers_ - wide.mean(axis=0)) / wide.std(axis=0)
    distances = ((scaled[:, None, :] - centers) ** 2).sum(axis=2)
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-9)
    np.testing.assert_array_equal(model.labels_, distances.argmin(axis=1))


def test_a_checkpoint_stays_and_leads_to_the_same_bits(X, interrupt_in, monkeypatch, tmp_path):
    place = str(tmp_path / "checkpoint")
    whole = KMeans(10, **SETTINGS).fit(X)
    interrupt_in("iteration 4")
    with pytest.warns(FitInterrupted):
        KMeans(10, **SETTINGS, checkpoint=place, on_interrupt="return").fit(X)
    monkeypatch.undo()
    told = Recorder()
    resumed = KMeans(10, **SETTINGS, checkpoint=place, callbacks=[told]).fit(X)
    assert told.events[0].name == "iteration 4"
    assert (resumed.n_iter_, resumed.stopped_by_) == (12, None)
    np.testing.assert_array_equal(resumed.cluster_centers_, whole.cluster_centers_)
    assert resumed.inertia_ == whole.inertia_


def test_on_a_cluster_tasks_are_dropped_and_the_next_fit_works(
    X, interrupt_in, monkeypatch, tmp_path, client
):
    folder = write_parquet(tmp_path / "in", X, row_group_rows=4000)
    rows = read_parquet(str(folder), client=client, block_rows=4000, dtype="float64")
    pressing, told = interrupt_in("iteration 4"), Recorder()
    with pytest.warns(FitInterrupted):
        model = KMeans(10, **SETTINGS, callbacks=[told], on_interrupt="return").fit(rows)
    assert pressing.pressed
    assert "iteration 4" not in pressing.passes
    assert (model.n_iter_, model.inertia_) == (3, told.events[-1].inertia)
    monkeypatch.undo()
    wait_until(lambda: not any(client.processing().values()), seconds=20)
    assert_agrees(model, X, client.compute(model.labels_).result(timeout=60))
    whole = KMeans(10, **SETTINGS).fit(rows)
    assert (whole.n_iter_, whole.stopped_by_) == (12, None)
    rows.close()


def test_requests_that_were_given_up_do_not_harm_the_next_fit(
    X, interrupt_in, monkeypatch, bucket, s3
):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    for number, part in enumerate(np.array_split(X, 4)):
        buffer = io.BytesIO()
        pq.write_table(pa.table({f"f{i}": part[:, i] for i in range(4)}), buffer)
        fs.pipe_file(f"{bucket}/in/{number}.parquet", buffer.getvalue())
    rows = read_parquet(f"{bucket}/in", storage_options=s3, stage="none", block_rows=1000)
    interrupt_in("iteration 3")
    with pytest.warns(FitInterrupted):
        first = KMeans(10, **SETTINGS, on_interrupt="return").fit(rows)
    monkeypatch.undo()
    second = KMeans(10, **SETTINGS).fit(rows)
    assert (first.n_iter_, second.n_iter_) == (2, 12)
    assert second.inertia_ < first.inertia_


def test_what_it_does_is_one_of_two_things(X):
    with pytest.raises(ArgumentError, match=r"on_interrupt='stop' is not known; use 'raise' or"):
        KMeans(10, init="k-means||", on_interrupt="stop").fit(X)
