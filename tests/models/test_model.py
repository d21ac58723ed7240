"""A model assigns rows with NumPy alone, wherever the rows come from."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

import dkmeans
from dkmeans.errors import FeaturesMismatch, UnsupportedType
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.models.scaling import SCALES, Normalization, Scaling

NAMES = ("a", "b", "c")


def make_model(
    *,
    k: int = 6,
    names: tuple[str, ...] | None = NAMES,
    scale: str | None = "standard",
    dtype: str = "float64",
    seed: int = 0,
    **changes: object,
) -> Model:
    """A model with centers drawn at random, as a fit on three columns would leave it."""
    rng = np.random.default_rng(seed)
    scaling = Normalization() if scale == "normalize" else None
    if scale not in (None, "normalize"):
        shift = np.zeros(3) if scale == "maxabs" else np.array([1.0, -20.0, 300.0])
        scaling = Scaling(scale, shift, np.array([0.5, 4.0, 50.0]))
    model = Model(
        scaled_centers=rng.normal(size=(k, 3)),
        scaling=scaling,
        columns=None if names is None else tuple(FeatureColumn(name) for name in names),
        dtype=dtype,
        cluster_ids=np.arange(k),
        weights=rng.integers(1, 100, k).astype(float),
        inertias=rng.uniform(1, 2, k),
        scaled_means=np.random.default_rng(seed + 1).normal(size=(k, 3)),
        parameters={"n_clusters": k},
        provenance={"rows": 1000, "files": [{"url": "s3://lake/a.parquet", "bytes": 7}]},
    )
    # other ids have another next one
    return dataclasses.replace(model, **{"next_cluster_id": 0, **changes})


def rows(n: int = 2000, seed: int = 1) -> np.ndarray:
    """Rows in the units of the data of `make_model`."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) * [0.5, 4.0, 50.0] + [1.0, -20.0, 300.0]


def reference_distances(model: Model, X: np.ndarray) -> np.ndarray:
    """Every distance, one subtraction at a time, in float64."""
    if isinstance(model.scaling, Scaling):
        X = (X - model.scaling.shift) / model.scaling.factor
    elif model.scaling is not None:
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    return np.sqrt(((X[:, None, :] - model.scaled_centers[None, :, :]) ** 2).sum(axis=2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [None, *SCALES])
def test_labels_and_distances_are_those_of_plain_numpy(dtype: str, scale: str | None) -> None:
    model = make_model(dtype=dtype, scale=scale)
    X = rows() if scale else np.random.default_rng(1).normal(size=(2000, 3))
    expected = reference_distances(model, X)
    clear = np.diff(np.sort(expected, axis=1)[:, :2], axis=1)[:, 0] > 1e-4
    assert clear.mean() > 0.99
    found = model.assign(X)
    np.testing.assert_array_equal(found.labels[clear], expected.argmin(axis=1)[clear])
    np.testing.assert_array_equal(model.predict(X), found.labels)
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    both = np.sort(expected, axis=1)[:, :2]
    np.testing.assert_allclose(found.distances, both[:, 0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.second_distances, both[:, 1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(model.transform(X), expected, rtol=tolerance, atol=tolerance)
    assert model.score(X) == pytest.approx(-(both[:, 0] ** 2).sum(), rel=tolerance)


def test_weight_w_scores_as_w_copies_of_the_row() -> None:
    model, X = make_model(), rows(50)
    weight = np.arange(50) % 4
    assert model.score(X, weight) == pytest.approx(model.score(np.repeat(X, weight, axis=0)))


def test_a_tie_goes_to_the_lowest_label() -> None:
    ends = np.array([[1.0, 0, 0], [-1, 0, 0]] * 2)
    model = make_model(k=4, scale=None, scaled_centers=ends)
    found = model.assign(np.zeros((4, 3)))
    assert found.labels.tolist() == [0] * 4
    assert found.distances.tolist() == found.second_distances.tolist() == [1.0] * 4


def test_one_cluster_has_no_second_distance() -> None:
    model = make_model(k=1, scale=None, scaled_centers=np.array([[0.0, 3.0, 4.0]]))
    found = model.assign(np.zeros((2, 3)))
    assert found.labels.tolist() == [0, 0]
    assert found.distances.tolist() == [5.0, 5.0]
    assert found.second_distances is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 1), (30, 3), (9, 40), (300, 20)])
def test_what_is_found_by_row_does_not_depend_on_the_rows_beside_it(dtype, shape) -> None:
    rng = np.random.default_rng(4)
    k, d = shape
    centers = rng.normal(size=shape)
    model = Model(centers, None, None, dtype, np.arange(k), np.ones(k), np.ones(k), centers)
    X = rng.normal(size=(3000, d)).astype(dtype)
    whole, far = model.assign(X, by_row=True), model.transform(X, by_row=True)
    nearest_alone = model.assign_scaled(X, by_row=True, second=False)
    # the nearest alone is found with the same bits, and no second
    assert nearest_alone.distances.tobytes() == whole.distances.tobytes()
    assert nearest_alone.second_distances is None
    for start, stop in ((0, 1), (7, 8), (100, 117), (2048, 2999)):
        rows = slice(start, stop)
        part = model.assign(X[rows], by_row=True)
        np.testing.assert_array_equal(part.labels, whole.labels[rows])
        assert part.distances.tobytes() == whole.distances[rows].tobytes()
        assert part.second_distances.tobytes() == whole.second_distances[rows].tobytes()
        assert model.transform(X[rows], by_row=True).tobytes() == far[rows].tobytes()
        # the same but for rounding as what few rows have otherwise
        plain = model.assign(X[rows])
        np.testing.assert_array_equal(plain.labels, part.labels)
        np.testing.assert_allclose(plain.distances, part.distances, rtol=1e-5)


def test_cluster_ids_are_looked_up_by_label() -> None:
    model = make_model(cluster_ids=np.array([70, 60, 50, 40, 30, 20]))
    found = model.assign(rows())
    assert len(np.unique(found.labels)) == 6
    np.testing.assert_array_equal(found.cluster_ids, 70 - 10 * found.labels)


def test_centers_are_in_the_units_of_the_data() -> None:
    model = make_model()
    expected = model.scaled_centers * [0.5, 4.0, 50.0] + [1.0, -20.0, 300.0]
    np.testing.assert_allclose(model.centers, expected, rtol=1e-15)
    assert model.inertia == pytest.approx(sum(model.inertias))


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table], ids=["pandas", "arrow"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_are_matched_by_name_and_others_are_passed_over(kind: type, dtype: str) -> None:
    model, X = make_model(dtype=dtype), rows(300)
    table = kind({"c": X[:, 2], "other": ["x"] * 300, "a": X[:, 0], "b": X[:, 1]})
    np.testing.assert_array_equal(model.predict(table), model.predict(X))
    np.testing.assert_array_equal(model.transform(table), model.transform(X))


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table], ids=["pandas", "arrow"])
def test_a_missing_column_is_named(kind: type) -> None:
    with pytest.raises(FeaturesMismatch, match="lack column 'b'"):
        make_model().predict(kind({"a": [1.0], "c": [1.0]}))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 2), "X has 2 features, but dkmeans is expecting 3 features"),
        ((5, 4), "X has 4 features"),
        ((3,), "X has 1 dimensions; .* Reshape your data"),
        ((2, 3, 3), "X has 3 dimensions"),
    ],
)
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(FeaturesMismatch, match=words):
        make_model().predict(np.zeros(shape))


@pytest.mark.parametrize(
    "X", [scipy.sparse.csr_array(np.eye(3)), np.eye(3) + 1j, [["a", "b", "c"]], [[{}, 1, 2]]]
)
def test_rows_that_are_no_dense_real_numbers_are_refused(X: object) -> None:
    with pytest.raises(UnsupportedType, match=r"sparse|Complex|numbers"):
        make_model().predict(X)


def test_a_table_of_other_width_is_refused_by_a_model_without_names() -> None:
    model = make_model(names=None)
    with pytest.raises(FeaturesMismatch, match="3 features"):
        model.predict(pd.DataFrame({"a": [1.0], "c": [1.0]}))
    with pytest.raises(FeaturesMismatch, match="3 features"):
        model.predict(pa.table({"a": [1.0], "c": [1.0]}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "kind", [np.asarray, pd.DataFrame, pa.table], ids=["numpy", "pandas", "arrow"]
)
def test_a_value_that_is_not_finite_is_refused_with_its_count(kind: type, bad: float) -> None:
    X = rows(10)
    X[3, 1] = X[7, 2] = bad
    table = X if kind is np.asarray else kind({name: X[:, i] for i, name in enumerate(NAMES)})
    with pytest.raises(FeaturesMismatch, match="2 values"):
        make_model().predict(table)


def test_a_null_in_an_arrow_column_is_refused() -> None:
    table = pa.table({"a": pa.array([1, None], pa.int64()), "b": [1.0, 2.0], "c": [1.0, 2.0]})
    with pytest.raises(FeaturesMismatch, match="1 values"):
        make_model().predict(table)


def test_text_is_refused() -> None:
    with pytest.raises(FeaturesMismatch):
        make_model().predict(pd.DataFrame({"a": ["x"], "b": [1.0], "c": [2.0]}))
    with pytest.raises(FeaturesMismatch):
        make_model().predict(pa.table({"a": ["x"], "b": [1.0], "c": [2.0]}))


@pytest.mark.parametrize(
    "kind", [np.asarray, pd.DataFrame, pa.table], ids=["numpy", "pandas", "arrow"]
)
def test_no_rows_get_no_labels(kind: type) -> None:
    X = np.empty((0, 3))
    table = X if kind is np.asarray else kind({name: X[:, i] for i, name in enumerate(NAMES)})
    assert make_model().predict(table).shape == (0,)
    assert make_model().transform(table).shape == (0, 6)


def test_rows_are_left_as_they_were() -> None:
    X = rows(20)
    before = X.copy()
    make_model().assign(X)
    np.testing.assert_array_equal(X, before)


def test_models_that_assign_rows_alike_have_one_id() -> None:
    model = make_model()
    other_past = dataclasses.replace(
        model, provenance={"rows": 3}, parameters={}, weights=np.ones(6)
    )
    assert model_id(other_past) == model_id(model)
    moved = model.scaled_centers.copy()
    moved[5, 2] = np.nextafter(moved[5, 2], 1)
    assert model_id(dataclasses.replace(model, scaled_centers=moved)) != model_id(model)
    for change in (
        {"cluster_ids": np.arange(1, 7), "next_cluster_id": 7},
        {"scaling": None},
        {"dtype": "float32"},
        {"columns": tuple(FeatureColumn(name) for name in "abd")},
    ):
        assert model_id(dataclasses.replace(model, **change)) != model_id(model)


def test_a_fresh_interpreter_loads_and_predicts_without_dask_or_scikit_learn(tmp_path) -> None:
    model, X = make_model(), rows(50)
    model.save(str(tmp_path / "model"))
    np.save(tmp_path / "X.npy", X)
    program = """
import sys
import numpy as np
import dkmeans
folder = sys.argv[1]
labels = dkmeans.Model.load(folder + "/model").predict(np.load(folder + "/X.npy"))
heavy = {"dask", "distributed", "sklearn", "pandas"} & set(sys.modules)
assert not heavy, heavy
print(labels.tolist())
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == str(model.predict(X).tolist())


def test_the_model_of_a_fit_says_where_it_comes_from(tmp_path) -> None:
    from tests.conftest import write_parquet

    X = rows(600)
    write_parquet(tmp_path / "in", X, n_files=2, row_group_rows=100)
    data = dkmeans.read_parquet(
        str(tmp_path / "in"), block_rows=100, dtype="float64", filters=("f0", ">", 0.5)
    )
    kept = X[X[:, 0] > 0.5]
    assert data.n_blocks > 1
    model = dkmeans.KMeans(3, random_state=4, scale="standard").fit(data).model_
    assert model.feature_names == ("f0", "f1", "f2")
    assert model.dtype == "float64"
    assert model.cluster_ids.tolist() == [0, 1, 2]
    assert model.provenance["rows"] == len(kept) < 600
    assert model.provenance["rows_dropped"] == 600 - len(kept)
    assert model.provenance["seed"] == 4
    assert model.provenance["rows_read"] >= 600 * model.provenance["n_passes"]
    files = sorted((tmp_path / "in").iterdir())
    assert [file["bytes"] for file in model.provenance["files"]] == [
        f.stat().st_size for f in files
    ]
    assert [file["url"] for file in model.provenance["files"]] == [str(file) for file in files]
    assert all(file["version"] for file in model.provenance["files"])
    assert model.provenance["versions"]["dkmeans"] == dkmeans.__version__
    kinds = [record["kind"] for record in model.provenance["history"]]
    assert len([kind for kind in kinds if kind != "solve"]) == model.provenance["n_passes"]
    assert model.weights.sum() == len(kept)
    np.testing.assert_array_equal(np.bincount(model.predict(kept), minlength=3), model.weights)
    np.testing.assert_allclose(model.scaling.shift, kept.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.scaling.factor, kept.std(axis=0), rtol=1e-12)
