"""A sample of rows: the same rows however they are cut, spread over the data, of the right size."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.errors import ArgumentError, TooFewRows
from tests.cli.command import run
from tests.conftest import write_parquet
from tests.rows.seen import see

N = 6000
"""In 60 row groups."""


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 3)) * 20
    return centers[rng.integers(0, 5, N)] + rng.normal(size=(N, 3))


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(1).exponential(size=N)


@pytest.fixture(scope="module")
def folder(X, weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=3, row_group_rows=100, w=weights,
        id=np.arange(N),
    )  # fmt: skip


def read(folder: Path, **options: object) -> Rows:
    asked = {"columns": ["f0", "f1", "f2"], "dtype": "float64", "block_rows": 100, **options}
    return dkmeans.read_parquet(str(folder), **asked)


def numbers(rows: Rows) -> np.ndarray:
    """The source row numbers of rows."""
    return see(rows).row_numbers


def within(n: int, expected: float, share: float) -> bool:
    """Whether a number of rows is within five standard deviations of what is expected."""
    return abs(n - expected) <= 5 * np.sqrt(max(1, expected * (1 - share)))


@pytest.mark.parametrize("size", [0.03, 0.4, 500])
def test_blocks_of_any_size_give_the_same_rows(folder, X, size):
    expected = numbers(read(folder).sample(size))
    assert len(expected) > 100
    assert (np.diff(expected) > 0).all()
    for block_rows in (17, 250, N):
        for stage in ("none", "memory"):
            sample = read(folder, block_rows=block_rows, stage=stage).sample(size)
            for _ in range(2):
                seen = see(sample)
                np.testing.assert_array_equal(seen.row_numbers, expected)
                np.testing.assert_array_equal(seen.X, X[expected])
            sample.close()


def test_workers_give_the_same_rows(folder, client):
    expected = numbers(read(folder).sample(0.1))
    with read(folder, client=client, stage="disk").sample(0.1) as sample:
        for _ in range(2):
            np.testing.assert_array_equal(numbers(sample), expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_share_takes_that_share_of_the_rows(folder, share, seed):
    sample = read(folder).sample(share, seed)
    seen = see(sample)
    # the chosen row groups are all of the same length
    assert within(seen.n_rows, share * N, share)
    assert sample.shape == (seen.n_rows, 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_rows", [60, 1000, 5000])
def test_a_number_takes_about_so_many_rows(folder, n_rows, seed):
    assert within(see(read(folder).sample(n_rows, seed)).n_rows, n_rows, n_rows / N)


@pytest.mark.parametrize("size", [1.0, N, 10 * N])
def test_all_rows_can_be_a_sample(folder, X, size):
    np.testing.assert_array_equal(see(read(folder).sample(size)).X, X)


def test_a_sample_comes_from_all_over_the_data_and_reads_no_more_than_it_must(folder):
    rows = read(folder, stage="none")
    sample = rows.sample(0.05)
    groups = np.unique(numbers(sample) // 100)
    # of 60 row groups 16, evenly spaced
    assert len(groups) == 16
    assert set(np.diff(groups)) <= {3, 4}
    assert groups[0] <= 3
    assert groups[-1] >= 56
    assert rows.bytes_read == 0
    assert 0.2 < sample.bytes_read / rows.parquet.n_bytes < 0.35
    assert sample.rows_read == 1600
    assert (sample.n_passes, rows.n_passes) == (1, 0)


def test_each_row_of_a_group_is_as_likely_as_any_other(folder):
    drawn = np.concatenate([numbers(read(folder).sample(0.3, seed)) for seed in range(30)])
    counts = np.bincount(drawn % 100, minlength=100)
    expected = len(drawn) / 100
    assert ((counts - expected) ** 2 / expected).sum() < 160


def test_seeds_give_other_rows_and_the_same_seed_the_same(folder):
    first, again, other = (numbers(read(folder).sample(0.3, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    # half of the rows of 36 of 60 row groups, the same for all seeds
    shared = np.intersect1d(first, other)
    assert within(len(shared), 0.5 * len(first), 0.5)


def test_a_larger_sample_of_the_same_row_groups_holds_the_smaller(folder):
    small, large = numbers(read(folder).sample(0.6)), numbers(read(folder).sample(0.8))
    assert np.isin(small, large).all()
    assert len(small) < len(large)


def test_filters_and_weights_go_with_the_rows(folder, X, weights):
    drawn = numbers(read(folder).sample(0.3))
    rows = read(folder, filters=("f1", ">", 0), weight="w")
    for stage in ("none", "memory"):
        sample = read(folder, filters=("f1", ">", 0), weight="w", stage=stage).sample(0.3)
        for _ in range(2):
            seen = see(sample)
            np.testing.assert_array_equal(seen.row_numbers, drawn[X[drawn, 1] > 0])
            np.testing.assert_array_equal(seen.weights, weights[seen.row_numbers])
    assert 0 < seen.n_rows < len(drawn)
    assert numbers(rows).size > seen.n_rows


def test_rows_of_an_array_are_the_same_for_blocks_of_any_size(X, weights):
    expected = None
    for block_rows in (50, 700, N):
        for stage in ("none", "memory"):
            rows = Rows.from_array(X, weights, block_rows=block_rows, stage=stage)
            seen = see(rows.sample(0.1))
            expected = seen.row_numbers if expected is None else expected
            np.testing.assert_array_equal(seen.row_numbers, expected)
            np.testing.assert_array_equal(seen.X, X[expected])
            np.testing.assert_array_equal(seen.weights, weights[expected])
    assert within(len(expected), 0.1 * N, 0.1)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_rows_of_dask_are_the_same_whether_they_are_counted_or_not(X, known, stage):
    lazy = da.from_array(X, chunks=(150, 3)).map_blocks(np.copy, dtype=X.dtype)
    expected = numbers(Rows.from_dask(lazy, stage="none").sample(0.2))
    rows = Rows.from_dask(lazy if known else lazy[da.ones(N, chunks=150) > 0], stage=stage)
    assert np.isnan(rows.shape[0]) != known
    sample = rows.sample(0.2)
    for _ in range(2):
        seen = see(sample)
        np.testing.assert_array_equal(seen.row_numbers, expected)
        np.testing.assert_array_equal(seen.X, X[expected])
    assert within(len(expected), 0.2 * N, 0.2)
    sample.close()
    rows.close()


@pytest.mark.parametrize("place", ["parquet", "array"])
def test_a_sample_of_a_sample_is_refused(folder, X, place):
    rows = read(folder) if place == "parquet" else Rows.from_array(X, block_rows=100)
    with pytest.raises(ArgumentError, match="these rows are a sample already"):
        rows.sample(0.5).sample(0.5, seed=1)


@pytest.mark.parametrize(
    "size", [0, -1, -0.5, 0.0, 1.5, 10.5, float("nan"), float("inf"), True, False, "some", None]
)
def test_what_is_neither_a_share_nor_a_number_is_refused(folder, size):
    with pytest.raises(ArgumentError, match=r"sample=.* should be a share above 0\.0"):
        read(folder).sample(size)


# fits


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_a_fit_on_a_sample_is_the_fit_of_the_sample(folder, X, stage):
    estimator = KMeans(5, random_state=0, max_iter=20)
    rows = read(folder, stage=stage)
    fitted = estimator.fit(rows, sample=0.2)
    sample = read(folder).sample(0.2)
    expected = KMeans(5, random_state=0, max_iter=20).fit(sample)
    np.testing.assert_array_equal(fitted.cluster_centers_, expected.cluster_centers_)
    assert fitted.inertia_ == expected.inertia_
    n_rows = see(sample).n_rows
    assert fitted.model_.provenance["rows"] == n_rows < N
    assert fitted.model_.provenance["sample"]["share"] == pytest.approx(sample.known.sample.share)
    labels = fitted.labels_.compute()
    assert labels.shape == (N,)
    nearest = ((X[:, None] - fitted.cluster_centers_) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(labels, nearest)


def test_a_fit_of_an_array_can_be_of_a_sample_and_labels_all_rows(X):
    fitted = KMeans(5, random_state=0).fit(X, sample=1000)
    assert within(fitted.model_.provenance["rows"], 1000, 1 / 6)
    assert isinstance(fitted.labels_, np.ndarray)
    assert fitted.labels_.shape == (N,)
    plain = KMeans(5, random_state=0).fit(X)
    assert plain.model_.provenance["sample"] is None
    np.testing.assert_allclose(
        np.sort(fitted.cluster_centers_, axis=0), np.sort(plain.cluster_centers_, axis=0), atol=0.5
    )


def test_a_sample_with_fewer_rows_than_clusters_is_refused(folder):
    with pytest.raises(TooFewRows, match="n_clusters=400"):
        KMeans(400, random_state=0).fit(read(folder), sample=100)


def test_the_command_line_samples(folder, tmp_path):
    options = ("--k", 5, "--keys", "id,w", "--seed", 0, "--workers", 0, "--scale", "none")
    ran = run(
        "fit", folder, *options, "--dtype", "float64", "--sample", 0.2, "--model", tmp_path / "m",
        "--json",
    )  # fmt: skip
    expected = KMeans(5, random_state=0).fit(read(folder), sample=0.2)
    assert ran.json["rows"] == expected.model_.provenance["rows"]
    # the blocks are others than there, the rows the same
    assert ran.json["inertia"] == pytest.approx(expected.inertia_, rel=1e-9)
    model = dkmeans.Model.load(str(tmp_path / "m"))
    assert model.provenance["sample"] == expected.model_.provenance["sample"]
    by_number = run("fit", folder, *options, "--sample", 600, "--model", tmp_path / "n", "--json")
    assert within(by_number.json["rows"], 600, 0.1)


@pytest.mark.parametrize("text", ["many", "0", "-3", "1.5", "nan", "inf"])
def test_the_command_line_refuses_what_is_no_sample(folder, tmp_path, text):
    ran = run(
        "fit", folder, "--k", 5, "--keys", "id,w", "--model", tmp_path / "m", "--workers", 0,
        f"--sample={text}",
    )  # fmt: skip
    assert ran.code == 2
    assert "sample" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "m").exists()
