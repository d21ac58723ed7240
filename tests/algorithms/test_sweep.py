"""Several numbers of clusters and restarts in one fit: they share passes, and find the same."""

import os
import signal

import dask.array as da
import numpy as np
import pytest

from dkmeans import KMeans, Rows, read_parquet
from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.kmeans import kmeans
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.sweep import fit_each
from dkmeans.errors import InputChanged
from dkmeans.rows import progress
from tests.conftest import write_parquet

INITS = ["k-means||", "k-means++", "random", "coreset"]


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    centers = rng.uniform(-20, 20, size=(9, 3))
    return centers[rng.integers(0, 9, 4000)] + rng.normal(size=(4000, 3))


@pytest.fixture(scope="module")
def U():
    """Rows without structure, on which Lloyd takes long."""
    return np.random.default_rng(1).uniform(size=(4000, 3))


def rows_of(X):
    rows = Rows.from_array(X, block_rows=400)
    assert rows.n_blocks == 10
    return rows


def settings(k, init, **options):
    asked = {"n_init": 1, "seed": 5, "scale": "standard", "tol": 1e-5, "max_iter": 60}
    size = 800 if init == "coreset" else None
    return KMeansSettings(
        n_clusters=k, init=init, oversampling_factor=2.0, init_rounds=3, coreset_size=size,
        **{**asked, **options},
    )  # fmt: skip


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("k", [1, 9])
def test_one_number_of_clusters_is_a_fit(X, init, k):
    rows = rows_of(X)
    (found,) = fit_each(rows, settings(k, init, n_init=2), (k,)).values()
    size = {"coreset_size": 800} if init == "coreset" else {}
    model = KMeans(k, init=init, n_init=2, random_state=5, scale="standard", tol=1e-5, max_iter=60,
                   init_rounds=3, **size).fit(rows_of(X))  # fmt: skip
    assert found.result.fit.centers.tobytes() == model.scaled_centers_.tobytes()
    assert found.result.fit.inertia == model.inertia_
    assert found.result.n_passes == model.n_passes_ == rows.n_passes
    kinds = [record["kind"] for record in model.history_]
    assert [record["kind"] for record in found.result.history] == kinds


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
@pytest.mark.parametrize("n_init", [1, 3])
def test_each_number_of_clusters_finds_what_it_finds_alone(X, init, n_init):
    ks = (2, 9, 4)
    together = fit_each(rows_of(X), settings(9, init, n_init=n_init), ks)
    assert list(together) == list(ks)
    for k in ks:
        alone = kmeans(rows_of(X), settings(k, init, n_init=n_init))
        fit = together[k].result.fit
        assert fit.inertia == pytest.approx(alone.fit.inertia, rel=1e-9)
        np.testing.assert_allclose(fit.centers, alone.fit.centers, rtol=1e-9, atol=1e-12)
        assert fit.n_iter == alone.fit.n_iter
        assert fit.converged == alone.fit.converged


def test_starts_on_the_coreset_are_good_for_every_number_of_clusters(X):
    ks = (2, 9, 4)
    together = fit_each(rows_of(X), settings(9, "coreset", n_init=4), ks)
    for k in ks:
        alone = kmeans(rows_of(X), settings(k, "coreset", n_init=4))
        assert together[k].result.fit.inertia <= 1.001 * alone.fit.inertia
        assert together[k].result.fit.centers.shape == (k, 3)
        assert together[k].result.coreset_error is not None


SEEDING = {"k-means||": 5, "k-means++": 2, "random": 1, "coreset": 1}
"""Passes before the first iteration, that of the scale included."""


@pytest.mark.parametrize("init", INITS)
def test_passes_are_those_of_the_slowest(X, init):
    rows = rows_of(X)
    swept = fit_each(rows, settings(9, init, n_init=3), (2, 3, 9))
    n_passes = {one.result.n_passes for one in swept.values()}
    assert n_passes == {rows.n_passes}
    longest = max(
        len([r for r in one.result.history if r["kind"] not in ("pilot", "solve")])
        for one in swept.values()
    )
    # restarts that did not win may have gone on for longer
    assert longest <= rows.n_passes
    alone = []
    for k in (2, 3, 9):
        of_one = rows_of(X)
        fit_each(of_one, settings(k, init, n_init=3), (k,))
        alone.append(of_one.n_passes)
    if init != "coreset":
        assert rows.n_passes == max(alone)
    assert rows.n_passes <= SEEDING[init] + 60 + 1
    assert rows.rows_read <= 4000 * (rows.n_passes + 1)


@pytest.mark.parametrize("init", INITS)
def test_a_sweep_that_ends_on_max_iter_makes_as_many_passes_as_one_fit(U, init):
    found = []
    for ks in ((9,), (3, 5, 9)):
        rows = rows_of(U)
        fit_each(rows, settings(9, init, n_init=3, max_iter=2, tol=0), ks)
        found.append(rows.n_passes)
    assert found == [SEEDING[init] + 2 + 1] * 2


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_the_source_is_read_as_often_as_by_one_fit(U, tmp_path, stage):
    folder = str(write_parquet(tmp_path / "in", U, n_files=4, row_group_rows=250))
    for init in ("coreset", "k-means||"):
        read = []
        for ks in ((9,), (2, 5, 9)):
            with read_parquet(folder, stage=stage, block_rows=250) as rows:
                fit_each(rows, settings(9, init, n_init=3, max_iter=2, tol=0), ks)
                read.append(rows.bytes_read)
                one = rows.parquet.n_bytes
        assert read[0] == read[1]
        assert read[0] == one if stage == "memory" else read[0] >= one * (SEEDING[init] + 3)


def test_lazy_chunks_are_computed_once(X):
    computed = []

    def part(block):
        computed.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(500, 3)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    fit_each(Rows.from_dask(lazy), settings(9, "coreset", n_init=3), (2, 9))
    assert computed == [500] * 8


@pytest.mark.parametrize("init", INITS)
def test_the_best_of_another_seed_comes_along_if_there_is_one(X, init):
    for n_init in (1, 3):
        swept = fit_each(rows_of(X), settings(9, init, n_init=n_init), (2, 6, 9))
        for k, one in swept.items():
            assert (one.other is None) == (n_init == 1)
            if n_init == 1:
                continue
            assert one.other.shape == (k, 3)
            assert one.result.scaling is not None
            Z = one.result.scaling.transform(X)
            other = ((Z[:, None] - one.other) ** 2).sum(axis=2).min(axis=1).sum()
            assert one.result.fit.inertia <= 1.001 * other
            # it has found clusters, too
            total = ((Z - Z.mean(axis=0)) ** 2).sum()
            assert other < 0.7 * total


def test_history_tells_passes_apart(X):
    swept = fit_each(rows_of(X), settings(9, "coreset", n_init=2), (2, 9))
    for one in swept.values():
        kinds = [record["kind"] for record in one.result.history]
        assert kinds[:4] == ["pilot", "read", "solve", "iteration 1"]
        assert all(kind.startswith(("iteration", "relocation", "final")) for kind in kinds[3:])
        for record in one.result.history:
            assert record["rows_read"] == {"solve": 0}.get(record["kind"], 4000)
            assert record["seconds"] >= 0


class Recorder:
    def __init__(self, last=None):
        self.last, self.names = last, []

    def __call__(self, event):
        self.names.append(event.name)
        return event.name == self.last


@pytest.mark.parametrize("init", INITS)
def test_callbacks_hear_of_each_pass_once(X, init):
    told = Recorder()
    rows = rows_of(X)
    fit_each(rows, settings(9, init, n_init=2), (2, 9), callbacks=Callbacks([told]))
    assert len(told.names) == rows.n_passes
    assert len(set(told.names)) == len(told.names)
    last = int(told.names[-1].split()[-1]) if told.names[-1].startswith("iteration") else None
    assert last in (None, 1) or f"iteration {last - 1}" in told.names


@pytest.mark.parametrize("init", ["coreset", "random"])
def test_a_callback_ends_all_numbers_of_clusters(U, init):
    told = Recorder("iteration 1")
    rows = rows_of(U)
    asked = settings(9, init, n_init=2, tol=0)
    swept = fit_each(rows, asked, (5, 9), callbacks=Callbacks([told]))
    assert rows.n_passes == SEEDING[init] + 2
    for one in swept.values():
        assert (one.result.fit.stopped_by, one.result.fit.n_iter) == ("callback", 1)


class Pressing(progress.Silent):
    def __init__(self, kind):
        self.kind, self.kinds = kind, []

    def began(self, kind, n_leaves, is_pass=True):
        if self.kind == kind:
            os.kill(os.getpid(), signal.SIGINT)

    def ended(self, record, is_pass=True):
        self.kinds.append(record["kind"])


@pytest.mark.parametrize("init", ["coreset", "k-means||"])
@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_an_interrupted_sweep_goes_on_from_its_checkpoint(
    U, init, on_interrupt, tmp_path, monkeypatch
):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    place, ks = str(tmp_path / "checkpoint"), (3, 9)
    asked = settings(9, init, n_init=2, tol=0, max_iter=5)
    whole = fit_each(rows_of(U), asked, ks)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(progress, "_reporter", Pressing("iteration 3"))
            # of several numbers of clusters none is returned alone
            with pytest.raises(KeyboardInterrupt):
                fit_each(rows_of(U), asked, ks, place, on_interrupt=on_interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(InputChanged, match="each"):
        fit_each(rows_of(U), asked, (4, 9), place)
    going_on = Pressing("nothing")
    monkeypatch.setattr(progress, "_reporter", going_on)
    found = fit_each(rows_of(U), asked, ks, place)
    assert going_on.kinds[0] == "iteration 3"
    for k in ks:
        assert found[k].result.fit.centers.tobytes() == whole[k].result.fit.centers.tobytes()
        assert found[k].result.n_passes == whole[k].result.n_passes
        np.testing.assert_array_equal(found[k].other, whole[k].other)
