"""Metrics of given labels: scikit-learn's and Spark's figures, for rows of every kind and cut."""

import json
import pickle
import warnings
from pathlib import Path

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from sklearn.datasets import load_iris, load_wine

import dkmeans
from dkmeans import metrics
from dkmeans.errors import ArgumentError
from dkmeans.rows.rows import Rows
from tests.conftest import write_parquet

SPREAD = ("calinski_harabasz_score", "davies_bouldin_score")
AGREEMENT = (
    "adjusted_rand_score",
    "adjusted_mutual_info_score",
    "normalized_mutual_info_score",
    "fowlkes_mallows_score",
)


def data(n_rows: int = 1200, k: int = 6, d: int = 4, seed: int = 0):
    """Overlapping clusters, and labels that are not quite theirs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n_rows)
    X = 2 * rng.normal(size=(k, d))[labels] + rng.normal(size=(n_rows, d))
    labels[rng.random(n_rows) < 0.1] = 0
    return X, labels


def squared_silhouettes(X, labels, weight=None):
    """By the definition: mean squared distances between all pairs of rows, in float64."""
    weight = np.ones(len(X)) if weight is None else weight
    squares = ((X[:, None] - X) ** 2).sum(axis=2)
    found = np.zeros(len(X))
    for i in range(len(X)):
        means = {}
        for value in np.unique(labels[weight > 0]):
            among = labels == value
            left = weight[among].sum() - (min(1.0, weight[i]) if value == labels[i] else 0.0)
            means[value] = squares[i, among] @ weight[among] / left if left > 1e-9 else None
        own = means.pop(labels[i])
        if own is not None:
            other = min(means.values())
            found[i] = (other - own) / max(own, other) if max(own, other) > 0 else 0.0
    return found


@pytest.mark.parametrize("name", SPREAD)
@pytest.mark.parametrize("load", [load_iris, load_wine, data])
def test_scores_of_spread_are_those_of_sklearn(name, load):
    X, labels = load(return_X_y=True) if load is not data else data()
    expected = getattr(reference, name)(X, labels)
    assert getattr(metrics, name)(X, labels) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("load", [load_iris, load_wine, data])
def test_a_silhouette_of_few_rows_is_exactly_that_of_sklearn(load):
    X, labels = load(return_X_y=True) if load is not data else data()
    score = metrics.silhouette_score(X, labels)
    assert score == pytest.approx(reference.silhouette_score(X, labels), abs=1e-9)
    assert score.exact
    assert score.low == score.high == score
    by_row = reference.silhouette_samples(X, labels)
    for label, found in score.per_cluster.items():
        assert found == pytest.approx(by_row[labels == label].mean(), abs=1e-9)


def test_a_squared_silhouette_is_that_of_all_pairs_of_rows():
    X, labels = data(300)
    score = metrics.silhouette_score(X, labels, method="squared")
    by_row = squared_silhouettes(X, labels)
    assert score == pytest.approx(by_row.mean(), abs=1e-9)
    for label, found in score.per_cluster.items():
        assert found == pytest.approx(by_row[labels == label].mean(), abs=1e-9)


def test_a_simplified_silhouette_is_that_of_distances_to_means():
    X, labels = data(300)
    means = np.array([X[labels == value].mean(axis=0) for value in range(6)])
    distances = np.sqrt(((X[:, None] - means) ** 2).sum(axis=2))
    own = distances[np.arange(300), labels]
    distances[np.arange(300), labels] = np.inf
    other = distances.min(axis=1)
    expected = ((other - own) / np.maximum(own, other)).mean()
    found = metrics.silhouette_score(X, labels, method="simplified")
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["sampled", "squared", "simplified"])
def test_far_from_zero_nothing_is_lost(method, dtype):
    X, labels = data(400)
    X = np.round(X * 8) / 8  # exact in float32, also when moved
    moved = (X + 4096).astype(dtype)
    expected = metrics.silhouette_score(X, labels, method=method)
    found = metrics.silhouette_score(moved, labels, method=method)
    assert found == pytest.approx(expected, abs=1e-9 if dtype == "float64" else 1e-5)
    if dtype == "float64":
        for name in SPREAD:
            expected = getattr(metrics, name)(X, labels)
            assert getattr(metrics, name)(moved, labels) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_any_blocks_give_the_same_scores(weighted):
    X, labels = data()
    weight = np.random.default_rng(1).uniform(0.1, 3, len(X)) if weighted else None
    whole = Rows.from_array(X, weight, labels=[labels], block_rows=10**6)
    cut = Rows.from_array(X, weight, labels=[labels], block_rows=111)
    assert whole.n_blocks == 1
    assert cut.n_blocks > 1
    (name,) = cut.label_names
    for score in SPREAD:
        found = [getattr(metrics, score)(rows, name) for rows in (whole, cut)]
        assert found[0] == pytest.approx(found[1], rel=1e-12)
    for method in ("sampled", "squared", "simplified"):
        found = [metrics.silhouette_score(rows, name, method=method) for rows in (whole, cut)]
        assert found[0] == pytest.approx(found[1], abs=1e-12)


@pytest.mark.parametrize("method", ["sampled", "squared", "simplified"])
def test_weights_are_copies(method):
    X, labels = data(300)
    weight = np.random.default_rng(2).integers(0, 4, len(X))
    copies, of_copies = np.repeat(X, weight, axis=0), np.repeat(labels, weight)
    found = metrics.silhouette_score(X, labels, method=method, sample_weight=weight)
    assert found == pytest.approx(
        metrics.silhouette_score(copies, of_copies, method=method), abs=1e-9
    )
    if method == "sampled":
        assert found == pytest.approx(reference.silhouette_score(copies, of_copies), abs=1e-9)
    for name in SPREAD:
        expected = getattr(reference, name)(copies, of_copies)
        found = getattr(metrics, name)(X, labels, sample_weight=weight)
        assert found == pytest.approx(expected, rel=1e-9)


def test_squared_silhouettes_leave_out_light_rows_whole():
    X, labels = data(60, k=3)
    weight = np.random.default_rng(2).uniform(0.05, 2.5, len(X))
    by_row = squared_silhouettes(X, labels, weight)
    found = metrics.silhouette_score(X, labels, method="squared", sample_weight=weight)
    assert found == pytest.approx(np.average(by_row, weights=weight), abs=1e-9)


def kinds(folder: Path, X, labels):
    """Rows of every kind, each with its labels."""
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = frame.assign(species=[f"kind {label}" for label in labels])
    written = write_parquet(
        folder / "rows", X, n_files=3, row_group_rows=200, species=named.species
    )
    array = da.from_array(X, chunks=(250, 4))
    yield "array", X, labels
    yield "lists", X.tolist(), labels.tolist()
    yield "frame", frame, pd.Series(labels)
    yield "a column of a frame", named, "species"
    yield "dask", array, da.from_array(labels, chunks=250)
    yield (
        "dask frame",
        dd.from_pandas(frame, npartitions=4),
        dd.from_pandas(pd.Series(labels), npartitions=4),
    )
    yield "url", str(written), "species"
    yield "rows", dkmeans.read_parquet(str(written), labels=["species"], dtype="float64"), "species"


def test_rows_of_every_kind_have_the_same_scores(tmp_path):
    X, labels = data()
    expected = reference.davies_bouldin_score(X, labels)
    seen = 0
    for kind, rows, given in kinds(tmp_path, X, labels):
        if kind == "url":
            given_as_float32 = metrics.davies_bouldin_score(rows, given)
            assert given_as_float32 == pytest.approx(expected, rel=1e-5)
        else:
            assert metrics.davies_bouldin_score(rows, given) == pytest.approx(expected, rel=1e-9), (
                kind
            )
        seen += 1
    assert seen == 8


@pytest.mark.parametrize("name", AGREEMENT)
def test_agreement_of_lazy_labels_is_that_of_sklearn(name):
    _, true = data(seed=3)
    pred = np.where(np.arange(len(true)) % 7 == 0, 1, true)
    expected = getattr(reference, name)(true, pred)
    score = getattr(metrics, name)
    assert score(true, pred) == pytest.approx(expected, abs=1e-12)
    lazy = [da.from_array(labels, chunks=500) for labels in (true, pred)]
    assert score(*lazy) == pytest.approx(expected, abs=1e-12)
    text = [f"label {label}" for label in true]
    assert score(text, pd.Series(pred)) == pytest.approx(expected, abs=1e-12)


def test_homogeneity_and_purity():
    _, true = data(seed=3)
    pred = np.where(np.arange(len(true)) % 7 == 0, 1, true)
    expected = reference.homogeneity_completeness_v_measure(true, pred, beta=2.0)
    found = metrics.homogeneity_completeness_v_measure(true, pred, beta=2.0)
    assert found == pytest.approx(expected, abs=1e-12)
    table = reference.cluster.contingency_matrix(true, pred)
    assert metrics.purity_score(true, pred) == table.max(axis=0).sum() / table.sum()


def test_weights_of_pairs_are_copies():
    _, true = data(200, seed=3)
    pred = np.where(np.arange(len(true)) % 7 == 0, 1, true)
    weight = np.random.default_rng(0).integers(0, 4, 200)
    expected = reference.adjusted_rand_score(np.repeat(true, weight), np.repeat(pred, weight))
    assert metrics.adjusted_rand_score(true, pred, sample_weight=weight) == expected


@pytest.mark.parametrize("method", ["sampled", "squared", "simplified"])
def test_one_label_is_refused_as_by_sklearn(method):
    X, _ = data(50)
    with pytest.raises(ArgumentError, match=r"Number of labels is 1\. Valid values are 2 to"):
        metrics.silhouette_score(X, np.zeros(50), method=method)
    for name in SPREAD:
        with pytest.raises(ValueError, match=r"Number of labels is 1\. Valid values are 2 to"):
            getattr(metrics, name)(X, np.zeros(50))


def test_a_label_for_each_row_is_refused_as_by_sklearn_and_zero_as_by_spark():
    X, _ = data(50)
    for score in (*(getattr(metrics, name) for name in SPREAD), metrics.silhouette_score):
        with pytest.raises(ValueError, match="Number of labels is 50"):
            score(X, np.arange(50))
    assert metrics.silhouette_score(X, np.arange(50), method="squared") == 0.0


def test_rows_alone_in_their_cluster_count_as_zero():
    X, labels = data(50)
    labels[7] = 99
    found = metrics.silhouette_score(X, labels)
    assert found == pytest.approx(reference.silhouette_score(X, labels), abs=1e-9)
    assert found.per_cluster[99] == 0.0
    squared = metrics.silhouette_score(X, labels, method="squared")
    assert squared.per_cluster[99] == 0.0
    assert squared == pytest.approx(squared_silhouettes(X, labels).mean(), abs=1e-9)


def test_labels_that_only_rows_without_weight_have_do_not_count():
    X, labels = data(200)
    weight = np.where(labels == 3, 0.0, 1.0)
    among = labels != 3
    for name in SPREAD:
        expected = getattr(reference, name)(X[among], labels[among])
        found = getattr(metrics, name)(X, labels, sample_weight=weight)
        assert found == pytest.approx(expected, rel=1e-9)
    for method in ("sampled", "squared", "simplified"):
        expected = metrics.silhouette_score(X[among], labels[among], method=method)
        found = metrics.silhouette_score(X, labels, method=method, sample_weight=weight)
        assert found == pytest.approx(expected, abs=1e-9)
        assert np.isnan(found.per_cluster[3])


def test_clusters_of_equal_rows_have_sklearns_scores():
    X = np.repeat([[0.0, 1.0], [0.0, 1.0], [5.0, 5.0]], 10, axis=0)
    labels = np.repeat([0, 1, 2], 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {name: getattr(reference, name)(X, labels) for name in SPREAD}
    for name in SPREAD:
        assert getattr(metrics, name)(X, labels) == expected[name]
    assert metrics.silhouette_score(X, labels) == pytest.approx(
        reference.silhouette_score(X, labels), abs=1e-12
    )


def test_a_sample_has_an_interval_around_the_exact_score():
    X, labels = data(6000)
    exact = metrics.silhouette_score(X, labels)
    score = metrics.silhouette_score(X, labels, sample_size=1000, random_state=5)
    assert not score.exact
    assert score.n_sampled == 1000
    assert score.low < exact < score.high
    assert score.high - score.low < 0.1
    again = metrics.silhouette_score(X, labels, sample_size=1000, random_state=5)
    assert (again, again.low, again.high) == (score, score.low, score.high)
    assert metrics.silhouette_score(X, labels, sample_size=1000, random_state=6) != score


def test_a_score_is_a_number_that_shows_what_it_knows():
    X, labels = data(300)
    score = metrics.silhouette_score(X, labels)
    assert isinstance(score, float)
    assert repr(score) == repr(float(score))
    assert f"{score:.2f}" == f"{float(score):.2f}"
    assert score.to_frame().silhouette.tolist() == list(score.per_cluster.values())
    assert json.loads(json.dumps(score.to_dict()))["silhouette"] == score
    assert str(score) == f"{score}" == repr(score)
    assert "Silhouette (sampled)" in score.to_text()
    assert "<table>" in score._repr_html_()
    with pytest.raises(AttributeError, match="frozen"):
        score.low = 1.0
    copy = pickle.loads(pickle.dumps(score))
    assert copy == score
    assert copy.per_cluster == score.per_cluster


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "exact"}, "method='exact' should be 'sampled', 'squared' or 'simplified'"),
        ({"sample_size": 0}, "sample_size=0 should be an integer from 1 on"),
        ({"sample_size": 2.5}, "sample_size=2.5 should be an integer"),
        ({"random_state": -1}, "random_state=-1 should be an integer from 0 on"),
        ({"metric": "cosine"}, "metric='cosine' should be 'euclidean'"),
    ],
)
def test_bad_options_are_refused(options, said):
    X, labels = data(50)
    with pytest.raises(ArgumentError, match=said):
        metrics.silhouette_score(X, labels, **options)


def test_two_passes_find_any_of_them():
    X, labels = data()
    for method in ("sampled", "squared", "simplified"):
        rows = Rows.from_array(X, labels=[labels], block_rows=300)
        metrics.silhouette_score(rows, rows.label_names[0], method=method)
        assert rows.n_passes == 2
