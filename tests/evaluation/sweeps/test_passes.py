"""What is found of several models in shared passes, also when files drop out in the middle."""

import numpy as np
import pytest

import dkmeans
from dkmeans import Rows, evaluate, sweep
from dkmeans.evaluation.passes import of_model, side_by_side, wants_of_model
from dkmeans.evaluation.statistics import Need, Sampling
from dkmeans.evaluation.sweeps.passes import of_fits
from tests.conftest import write_parquet
from tests.rows import damaged

NEEDS: frozenset[Need] = frozenset(("inertias", "margins", "within", "spread", "squared"))


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4000, 3)) + 6 * rng.integers(0, 3, (4000, 3))


def test_files_that_drop_out_after_the_fits_are_left_out_of_all_figures(X, tmp_path):
    models = list(sweep(X, [3, 5], random_state=0, sample_size=None).models.values())
    folder = write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=200)
    damaged.flip(folder / "part-2.parquet", header=True)
    rows = dkmeans.read_parquet(str(folder), dtype="float64", on_bad_file="skip", stage="none")
    found, sample = of_fits(rows, models, Sampling(100, 0))
    left = np.concatenate([X[:2000], X[3000:]])
    for model, one in zip(models, found, strict=True):
        expected = evaluate(model, left)
        assert one.clusters.n_rows == sample.n_rows == 3000
        assert one.inertias.sum() == pytest.approx(expected["inertia"])
        assert one.margins.sum() / 3000 == pytest.approx(expected["silhouette_simplified"])
    # rows that are left, by their numbers
    assert not ((sample.row_numbers >= 2000) & (sample.row_numbers < 3000)).any()


def test_evaluations_that_know_less_share_passes_with_those_that_know_more(X):
    models = sweep(X, [2, 4], random_state=0, sample_size=None).models
    rows = Rows.from_array(X, block_rows=900)
    apart = [of_model(rows, model, NEEDS) for model in models.values()]
    assert rows.n_passes == 4
    wanting = [wants_of_model(model, NEEDS) for model in models.values()]
    wanting.append(wants_of_model(models[2], frozenset(("margins",))))
    together = side_by_side(rows, wanting)
    assert rows.n_passes == 6
    for one, other in zip(apart, together, strict=False):
        assert one.squared.tolist() == other.squared.tolist()
        assert one.spread.tolist() == other.spread.tolist()
    assert together[2].margins.tolist() == apart[0].margins.tolist()
    assert together[2].squared is None


def test_nothing_wanted_is_no_pass(X):
    rows = Rows.from_array(X)
    assert side_by_side(rows, []) == []
    assert rows.n_passes == 0
