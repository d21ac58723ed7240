"""The flow of rows between two models, against labels that each model gives by itself."""

import pickle
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import dkmeans
from dkmeans.errors import ArgumentError, BadValues, FeaturesMismatch
from dkmeans.evaluation.demand import flow_demand
from dkmeans.evaluation.lineage.flow import flow_request, unfilled
from dkmeans.evaluation.lineage.lineage import flow_between
from dkmeans.kernels.block import Block
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.moments import Moments
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows
from tests.conftest import write_parquet
from tests.evaluation.lineage.models import model_of
from tests.models.test_model import make_model, rows


def direct(old: Model, new: Model, X: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """The table from labels of all rows at once."""
    table = np.zeros((old.n_clusters, new.n_clusters))
    np.add.at(table, (old.predict(X), new.predict(X)), 1.0 if weight is None else weight)
    return table


def dense(flow: object, old: Model, new: Model) -> np.ndarray:
    table = np.zeros((old.n_clusters, new.n_clusters))
    for (i, j), weight in zip(flow.pairs, flow.weight, strict=True):
        table[flow.values_true[i], flow.values_pred[j]] = weight
    return table


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("new_scale", [None, "standard", "robust", "normalize"])
def test_each_model_labels_rows_in_its_own_units(new_scale: str | None, weighted: bool) -> None:
    old, new, X = make_model(), make_model(k=4, seed=3, scale=new_scale), rows(3000)
    if new_scale in (None, "normalize"):
        # where rows are once they are scaled
        new = replace(new, scaled_centers=new.prepare(X[:4]))
    weight = np.arange(3000) % 4.0 if weighted else None
    split = Rows.from_array(X, weight, block_rows=500)
    assert split.n_blocks > 1
    flow = split.reduce(flow_request(old, new).from_block, *flow_request(old, new).broadcast)
    expected = direct(old, new, X, weight)
    assert (expected > 0).sum() > 6
    np.testing.assert_array_equal(dense(flow, old, new), expected)
    np.testing.assert_array_equal(dense(flow_between(old, new, X, weight), old, new), expected)
    assert flow.n_rows == 3000


def test_dtypes_may_differ() -> None:
    old, new = make_model(dtype="float32"), make_model(k=4, seed=3, dtype="float64")
    X = rows(3000)
    for one, other in ((old, new), (new, old)):
        np.testing.assert_array_equal(
            dense(flow_between(one, other, X), one, other), direct(one, other, X)
        )


def test_it_shares_a_pass_with_what_takes_rows_as_they_are(tmp_path) -> None:
    X = rows(3000).astype(np.float32)
    folder = write_parquet(tmp_path / "in", X)
    columns = tuple(FeatureColumn(f"f{i}") for i in range(3))
    old = make_model(columns=columns, dtype="float32")
    new = make_model(k=4, seed=3, columns=columns, dtype="float32")
    split = dkmeans.read_parquet(str(folder), block_rows=400, columns=["f0", "f1", "f2"])
    assert split.n_blocks > 1
    moments = Reduce("moments", Moments.from_block, (np.zeros(3),))
    flow, found = split.run([flow_request(old, new), moments])
    assert split.n_passes == 1
    np.testing.assert_array_equal(dense(flow, old, new), direct(old, new, X))
    np.testing.assert_allclose(found.mean, X.mean(axis=0), rtol=1e-6)
    # and alone it takes one, too
    dkmeans.lineage(old, new, split)
    assert split.n_passes == 2


def test_models_that_scale_alike_can_share_a_pass_over_scaled_rows() -> None:
    X = rows(3000)
    X[::5, 1] = np.nan
    filling = Filling(np.array([0.5, -28.0, 200.0]))
    old, new = make_model(filling=filling), make_model(k=4, seed=3, filling=filling)
    split = Rows.from_array(X, missing="mean", block_rows=500).filled(filling)
    flow, sums = split.scaled(old.scaling).run(
        [
            flow_request(old, new, scaled=True),
            Reduce("sums", ClusterSums.from_block, (new.scaled_centers, np.zeros(3))),
        ]
    )
    assert split.n_passes == 1
    np.testing.assert_array_equal(dense(flow, old, new), direct(old, new, X))
    np.testing.assert_array_equal(sums.weight, direct(old, new, X).sum(axis=0))
    for other in (
        make_model(scale="normalize", filling=filling),
        make_model(dtype="float32", filling=filling),
        make_model(),
        make_model(scaling=replace(old.scaling, shift=old.scaling.shift + 1), filling=filling),
    ):
        with pytest.raises(ArgumentError, match="models that scale and fill rows alike"):
            flow_request(old, other, scaled=True)


def test_each_model_fills_in_what_rows_lack() -> None:
    X = rows(2000)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    one, other = Filling(np.array([0.5, -28.0, 200.0])), Filling(np.array([2.0, -10.0, 420.0]))
    old, new = make_model(filling=one), make_model(k=4, seed=3, filling=other)
    expected = direct(old, new, X)
    wrong = direct(old, make_model(k=4, seed=3, filling=one), X)
    assert not np.array_equal(expected, wrong)
    np.testing.assert_array_equal(dense(flow_between(old, new, X), old, new), expected)
    mine = Rows.from_array(X, missing="mean", block_rows=300)
    request = flow_request(old, new)
    (flow,) = unfilled(mine).run([request])
    np.testing.assert_array_equal(dense(flow, old, new), expected)
    assert mine.known.filling is None
    # a request among others that all take rows as one model fills them
    (flow,) = mine.filled(one).run([request])
    np.testing.assert_array_equal(dense(flow, old, new), wrong)


def test_a_model_that_fills_nothing_refuses_rows_that_lack_values() -> None:
    X = rows(100)
    X[7, 1] = np.nan
    old, new = make_model(filling=Filling(np.zeros(3))), make_model(seed=3)
    with pytest.raises(BadValues, match=r"the challenger does not fill in; .*missing='drop'"):
        flow_between(old, new, X)
    with pytest.raises(BadValues, match="the champion does not fill in"):
        flow_between(new, old, X)


def test_models_of_other_features_have_no_rows_in_common() -> None:
    old = make_model()
    with pytest.raises(FeaturesMismatch, match=r"challenger has the features 'a', 'c', 'b', the"):
        flow_request(old, make_model(names=("a", "c", "b")))
    wide = make_model(columns=(FeatureColumn("a"), FeatureColumn("e", 3)))
    wide = dkmeans.Model(**{**vars(wide), "scaled_centers": np.zeros((6, 4)), "scaling": None})
    with pytest.raises(FeaturesMismatch, match="has 4 features, the champion 3 features"):
        flow_request(old, wide)
    flow_request(old, make_model(names=None))


def test_frames_and_weights_of_zero() -> None:
    old, new = make_model(), make_model(k=4, seed=3)
    X = rows(500)
    weight = (np.arange(500) % 2).astype(float)
    frame = pd.DataFrame(X[:, ::-1], columns=["c", "b", "a"])
    flow = flow_between(old, new, frame, weight)
    np.testing.assert_array_equal(dense(flow, old, new), direct(old, new, X[1::2]))
    assert flow.n_rows == 500
    assert flow_between(old, new, frame, np.zeros(500)).total_weight == 0


def test_tasks_of_the_pass_import_neither_pandas_nor_scipy() -> None:
    code = (
        "import sys, dkmeans.evaluation.lineage.flow; "
        "bad = {'pandas', 'sklearn', 'scipy.optimize'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("n_rows", "k", "d"), [(200_000, 10, 4), (150_000, 300, 16)])
def test_a_task_takes_no_more_memory_than_is_said(n_rows: int, k: int, d: int) -> None:
    rng = np.random.default_rng(0)
    scaling, filling = Scaling("standard", np.zeros(d), np.ones(d)), Filling(np.zeros(d))
    old, new = (
        model_of(rng.normal(size=(k + i, d)), scaling=scaling, filling=filling) for i in (0, 1)
    )
    X = np.asfortranarray(rng.normal(size=(n_rows, d)))
    X[::7, 0] = np.nan
    block = Block(X, ((0, n_rows),), rng.uniform(0, 2, n_rows))
    demand, request = flow_demand(old, new), flow_request(old, new)
    request.from_block(block, *request.broadcast)
    tracemalloc.start()
    try:
        request.from_block(block, *request.broadcast)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stated = demand.tile_bytes + demand.scratch_bytes + 3 * demand.partial_bytes
    assert 0.2 * stated < peak <= stated
    assert len(pickle.dumps(request.broadcast)) <= demand.broadcast_bytes + 4000
