"""Passes over the data: exactly how many each fit makes, and that no block is computed twice."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dkmeans import KMeans, Rows, evaluate, profile, read_parquet
from tests.conftest import write_parquet

SEEDING = {"k-means||": 7, "k-means++": 1, "random": 1, "array": 0}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3000, 3)) + rng.uniform(-2, 2, size=(12, 3))[rng.integers(0, 12, 3000)]


def blocks_of(X):
    rows = Rows.from_array(X, block_rows=400)
    assert rows.n_blocks > 1
    return rows


def relocations_in(model):
    return sum(record["kind"] == "relocation" for record in model.history_)


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", "array"])
@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
def test_a_converged_fit_makes_its_seeding_and_one_pass_an_iteration(init, scale, X):
    rows = blocks_of(X)
    start = X[:12] if init == "array" else init
    model = KMeans(12, init=start, scale=scale, random_state=1).fit(rows)
    # the pass that draws first rows learns the scale, too
    own_pass = scale is not None and init in ("k-means++", "array")
    assert model.converged_
    assert relocations_in(model) == 0
    assert model.n_passes_ == SEEDING[init] + own_pass + model.n_iter_
    assert rows.n_passes == model.n_passes_


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", "array"])
def test_a_fit_ended_by_max_iter_makes_one_more(init, X):
    rows = blocks_of(X)
    start = X[:12] if init == "array" else init
    model = KMeans(12, init=start, random_state=1, max_iter=3, tol=0).fit(rows)
    assert (model.n_iter_, model.converged_) == (3, False)
    assert rows.n_passes == model.n_passes_ == SEEDING[init] + 3 + 1


@pytest.mark.parametrize("n_rounds", [0, 1, 3])
def test_each_round_of_seeding_is_one_pass(n_rounds, X):
    model = KMeans(
        3, init="k-means||", init_rounds=n_rounds, random_state=0, max_iter=2, tol=0
    ).fit(blocks_of(X))
    assert model.n_passes_ == 1 + n_rounds + 1 + model.n_iter_ + 1 + relocations_in(model)


def test_each_relocation_is_one_pass(X):
    start = np.concatenate([X[:6], np.full((4, 3), 1e3)])
    rows = blocks_of(X)
    model = KMeans(10, init=start).fit(rows)
    assert relocations_in(model) == 1
    assert rows.n_passes == model.n_passes_ == model.n_iter_ + 1


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
@pytest.mark.parametrize("n_init", [1, 3, 8])
def test_restarts_share_every_pass(init, n_init, X):
    rows = blocks_of(X)
    model = KMeans(5, init=init, n_init=n_init, random_state=1, max_iter=4, tol=0).fit(rows)
    assert rows.n_passes == model.n_passes_ == SEEDING[init] + 4 + 1


def test_restarts_pass_as_long_as_the_longest_of_them(X):
    rows = blocks_of(X)
    model = KMeans(12, init="random", n_init=4, random_state=1, tol=1e-3).fit(rows)
    alone = KMeans(12, init="random", random_state=1, tol=1e-3).fit(rows)
    assert model.n_passes_ >= max(model.n_iter_, alone.n_iter_) + 1
    assert model.n_passes_ < 2.5 * alone.n_passes_


@pytest.mark.parametrize("init", ["k-means||", "array"])
def test_unknown_chunk_sizes_are_counted_once(init, X):
    lazy = dd.from_pandas(pd.DataFrame(X), npartitions=6).to_dask_array()
    start = X[:12] if init == "array" else init
    rows = Rows.from_dask(lazy)
    assert np.isnan(rows.shape[0])
    model = KMeans(12, init=start, random_state=1).fit(rows)
    assert rows.shape == (3000, 3)
    assert model.n_passes_ == 1 + SEEDING[init] + model.n_iter_
    again = KMeans(12, init=start, random_state=1).fit(rows)
    assert again.n_passes_ == model.n_passes_ - 1
    assert rows.n_passes == model.n_passes_ + again.n_passes_
    np.testing.assert_array_equal(again.cluster_centers_, model.cluster_centers_)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_clusters", [1, 7, 40])
def test_a_fit_never_makes_more_than_eight_and_its_iterations(seed, n_clusters, X):
    for max_iter in (1, 300):
        model = KMeans(
            n_clusters, init="k-means||", scale="standard", random_state=seed, max_iter=max_iter
        ).fit(blocks_of(X))
        assert model.n_passes_ <= 8 + model.n_iter_ + relocations_in(model)


@pytest.mark.parametrize("n_clusters", [1, 7, 40])
def test_a_fit_from_a_coreset_makes_two_and_its_iterations(n_clusters, X):
    for max_iter in (1, 300):
        model = KMeans(n_clusters, scale="standard", random_state=0, max_iter=max_iter).fit(
            blocks_of(X)
        )
        assert model.n_passes_ <= 2 + model.n_iter_ + relocations_in(model)


def test_a_pass_visits_every_row_once(X):
    model = KMeans(12, init="k-means||", scale="standard", random_state=1).fit(blocks_of(X))
    assert [record["rows_read"] for record in model.history_] == [3000] * model.n_passes_


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_lazy_chunks_are_computed_once_if_staged_and_once_a_pass_if_not(stage, X):
    computed = []

    def part(block):
        computed.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(500, 3)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    rows = Rows.from_dask(lazy, stage=stage)
    model = KMeans(12, init=X[:12]).fit(rows)
    assert model.n_passes_ > 2
    assert len(computed) == (6 if stage == "memory" else 6 * model.n_passes_)


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_files_are_read_once_if_staged_and_once_a_pass_if_not(stage, X, tmp_path):
    write_parquet(tmp_path / "rows", X)
    rows = read_parquet(str(tmp_path / "rows"), stage=stage)
    one = rows.parquet.n_bytes
    assert rows.bytes_read == 0
    model = KMeans(12, init=X[:12]).fit(rows)
    assert model.n_passes_ > 2
    assert rows.bytes_read == (one if stage == "memory" else one * model.n_passes_)
    rows.close()


def test_labels_are_not_a_pass_of_the_fit(X):
    rows = blocks_of(X)
    model = KMeans(4, init=X[:4]).fit(rows)
    before = rows.n_passes
    model.predict(rows)
    model.score(rows)
    assert rows.n_passes == before == model.n_passes_


@pytest.fixture(scope="module")
def fitted(X):
    return KMeans(6, scale="standard", random_state=0, max_iter=5).fit(X)


def evaluated(fitted, rows):
    return evaluate(fitted, rows, sample_size=300).n_rows


def profiled(fitted, rows):
    return profile(fitted, rows, n_examples=2).count.sum()


@pytest.mark.parametrize("job", [evaluated, profiled])
def test_new_rows_take_two_passes(job, fitted, X):
    rows = blocks_of(X + 0.5)
    assert job(fitted, rows) == 3000
    assert rows.n_passes == 2
    assert rows.rows_read == 2 * 3000


@pytest.mark.parametrize("scale", [None, "standard", "normalize"])
def test_rows_of_the_fit_take_one_pass_to_evaluate_and_two_to_profile(scale, X):
    rows = blocks_of(X)
    model = KMeans(6, scale=scale, random_state=0, max_iter=5).fit(rows)
    before = rows.n_passes
    assert evaluated(model, rows) == 3000
    assert rows.n_passes == before + 1
    assert profiled(model, rows) == 3000
    assert rows.n_passes == before + 3


@pytest.mark.parametrize("job", [evaluated, profiled])
@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
def test_evaluations_and_profiles_read_files_once_if_staged(stage, job, fitted, X, tmp_path):
    write_parquet(tmp_path / "rows", X + 0.5)
    rows = read_parquet(str(tmp_path / "rows"), stage=stage, dtype="float64", block_rows=200)
    one = rows.parquet.n_bytes
    # examples have no keys here, for which some row groups would be read again
    assert job(fitted, rows) == 3000
    assert rows.n_passes == 2
    assert rows.bytes_read == (2 * one if stage == "none" else one)
    rows.close()


@pytest.mark.parametrize("scale", ["standard", "normalize"])
@pytest.mark.parametrize("job", [evaluated, profiled])
def test_chunks_are_computed_once_if_staged_and_once_a_pass_if_not(job, scale, X):
    model = KMeans(6, scale=scale, random_state=0, max_iter=5).fit(X)
    for stage in ("memory", "none"):
        computed = []

        def part(block, computed=computed):
            computed.append(len(block))
            return block

        lazy = da.from_array(X, chunks=(500, 3)).map_blocks(part, dtype=X.dtype, meta=X[:0])
        rows = Rows.from_dask(lazy, stage=stage)
        assert job(model, rows) == 3000
        # lengths cannot be given back: a point within the data is looked for in the first block
        looks_ahead = job is profiled and scale == "normalize"
        assert len(computed) == (6 if stage == "memory" else 12 + looks_ahead)


@pytest.mark.parametrize("job", [evaluated, profiled])
def test_a_collection_is_computed_once_unless_asked_otherwise(job, fitted, X):
    computed = []

    def part(block):
        computed.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(500, 3)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    assert job(fitted, lazy) == 3000
    assert computed == [500] * 6


@pytest.mark.parametrize("job", [evaluated, profiled])
def test_unknown_chunk_sizes_cost_one_pass_more(job, fitted, X):
    rows = Rows.from_dask(dd.from_pandas(pd.DataFrame(X + 0.5), npartitions=6).to_dask_array())
    assert job(fitted, rows) == 3000
    assert rows.n_passes == 3
