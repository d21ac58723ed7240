"""The plan of a fit from a coreset: what it says is what the fit does, and what cannot fit."""

import dask
import numpy as np
import pytest

from dkmeans import KMeans, read_parquet
from dkmeans.errors import TooLarge
from dkmeans.rows.engine import LocalEngine, Slot
from tests.conftest import write_parquet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    X = np.random.default_rng(0).uniform(size=(200_000, 3))
    place = tmp_path_factory.mktemp("data") / "in"
    return str(write_parquet(place, X, n_files=4, row_group_rows=2000))


def estimator(**options):
    asked = {"init": "coreset", "coreset_size": 20_000, "random_state": 0, "max_iter": 3, "tol": 0}
    return KMeans(5, **{**asked, **options})


@pytest.mark.parametrize("scale", [None, "standard", "robust"])
@pytest.mark.parametrize("stage", ["none", "memory"])
def test_passes_and_bytes_are_those_of_the_fit(folder, scale, stage):
    with read_parquet(folder, stage=stage, block_rows=5000) as rows:
        plan = rows.plan(estimator(scale=scale))
        assert rows.bytes_read == rows.n_passes == 0
        model = estimator(scale=scale).fit(rows)
        assert model.n_passes_ == rows.n_passes == 5
        # and one more, if the pilot misleads
        assert plan.most_passes == 6
        # beside a look at one row group in a hundred
        of_passes = rows.bytes_read - (model.history_[0]["bytes_read"] if stage == "none" else 0)
        assert plan.source_bytes == rows.parquet.n_bytes
        assert of_passes == plan.source_bytes * (5 if stage == "none" else 1)


def test_a_larger_coreset_takes_more_memory(folder):
    rows = read_parquet(folder, block_rows=5000)
    takes = [
        rows.plan(estimator(coreset_size=size)).task_bytes for size in (20_000, 150_000, 10**6)
    ]
    # at least the rows themselves; but no more than there are
    assert takes[1] - takes[0] >= 150_000 * 3 * 4
    assert takes[1] < takes[2] < takes[1] + 20 * 200_000 * (3 * 8 + 24)


def test_what_no_process_can_hold_names_the_size(folder, monkeypatch):
    rows = read_parquet(folder, block_rows=5000)
    with dask.config.set(num_workers=1):
        need = rows.plan(estimator(coreset_size=150_000)).task_bytes
    process = rows.plan(estimator()).process_bytes
    monkeypatch.setattr(LocalEngine, "slots", lambda _: (Slot("one", 1, need + process - 1),))
    with pytest.raises(TooLarge, match="a smaller coreset_size"):
        rows.plan(estimator(coreset_size=150_000))
    assert rows.plan(estimator(coreset_size=20_000)).task_bytes < need
    with pytest.raises(TooLarge, match="a smaller coreset_size"):
        estimator(coreset_size=150_000).fit(rows)
    assert rows.n_passes == 0
