"""`sweep`: figures of each k are those of its model alone, found in one pass for all of them."""

import sys
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import sklearn.metrics as reference
from sklearn.datasets import load_digits, load_iris

import dkmeans
from dkmeans import Rows, evaluate, sweep
from dkmeans.algorithms.callbacks import Event
from dkmeans.algorithms.kmeans import kmeans
from dkmeans.algorithms.sweep import Swept, fit_each
from dkmeans.errors import ArgumentError, ConvergenceWarning, TooFewRows
from dkmeans.estimators import sweep as home
from tests.conftest import write_parquet

COUNTS = (2, 3, 5, 10)
SHARED = (
    ("inertia", "inertia"),
    ("explained_share", "explained_share"),
    ("calinski_harabasz", "calinski_harabasz"),
    ("davies_bouldin", "davies_bouldin"),
    ("silhouette", "silhouette"),
    ("silhouette_squared", "silhouette_squared"),
    ("silhouette_simplified", "silhouette_simplified"),
)


@pytest.fixture(params=["iris", "digits"])
def X(request: pytest.FixtureRequest) -> np.ndarray:
    X = (load_iris if request.param == "iris" else load_digits)().data
    return X[:, X.std(axis=0) > 0]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> dict[int, np.ndarray]:
    """The centers of the best fit from another seed, by number of clusters, once they are there."""
    found: dict[int, np.ndarray] = {}

    def listened(*arguments, **more):
        fits = fit_each(*arguments, **more)
        found.update({k: fit.other for k, fit in fits.items()})
        return fits

    monkeypatch.setattr(home, "fit_each", listened)
    return found


@pytest.fixture
def after_fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Passes made and bytes read when the fits were done."""
    found: list[tuple[int, int]] = []

    def counted(rows, *arguments, **more):
        fits = fit_each(rows, *arguments, **more)
        found.append((rows.n_passes, rows.bytes_read))
        return fits

    monkeypatch.setattr(home, "fit_each", counted)
    return found


@pytest.mark.parametrize("scale", [None, "standard"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_figures_are_those_of_each_model_and_of_sklearn(X, scale, dtype, others):
    rows = Rows.from_array(X.astype(dtype), block_rows=40 if len(X) < 200 else 300)
    assert rows.n_blocks > 3
    found = sweep(rows, COUNTS, random_state=0, scale=scale)
    assert [one.n_clusters for one in found.scores] == list(found.models) == list(COUNTS)
    for k, model in found.models.items():
        alone = evaluate(model, X.astype(dtype))
        for ours, name in SHARED:
            assert getattr(found[k], ours) == pytest.approx(alone[name], rel=1e-6), (k, name)
        scaled, labels = model.prepare(X).astype(np.float64), model.predict(X)
        assert found[k].inertia == model.inertia
        assert found[k].gain == model.provenance["gain"]
        assert found[k].smallest_cluster == np.bincount(labels, minlength=k).min()
        assert found[k].smallest_share == found[k].smallest_cluster / len(X)
        assert found[k].silhouette == pytest.approx(
            reference.silhouette_score(scaled, labels), rel=1e-4
        )
        assert found[k].davies_bouldin == pytest.approx(
            reference.davies_bouldin_score(scaled, labels), rel=1e-4
        )
        assert found[k].calinski_harabasz == pytest.approx(
            reference.calinski_harabasz_score(scaled, labels), rel=1e-4
        )
        squares = ((model.prepare(X)[:, None] - others[k]) ** 2).sum(axis=2)
        assert found[k].adjusted_rand == pytest.approx(
            reference.adjusted_rand_score(squares.argmin(axis=1), labels), abs=1e-12
        )


def test_weights_are_copies(X):
    X = X[:120]
    weight = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)
    copies = np.repeat(X, weight.astype(int), axis=0)
    found = sweep(
        Rows.from_array(X, sample_weight=weight, block_rows=50), COUNTS[:3], random_state=0
    )
    for k, model in found.models.items():
        labels = model.predict(copies)
        sizes = np.bincount(labels, minlength=k)
        assert found[k].smallest_cluster == sizes.min()
        alone = evaluate(model, copies)
        for ours, name in SHARED:
            assert getattr(found[k], ours) == pytest.approx(alone[name], rel=1e-6), (k, name)
        # each row that counts has its copies in one cluster of both fits
        assert found[k].adjusted_rand is not None
    assert found.n_rows == len(X)


def test_agreement_counts_weights(monkeypatch):
    # two fits that differ in one row, which weighs as much as all others
    X = np.array([[0.0], [1.0], [4.0], [9.0], [10.0]])
    weight = np.array([1.0, 1, 4, 1, 1])

    def with_other(*arguments, **more):
        fits = fit_each(*arguments, **more)
        for fit in fits.values():
            object.__setattr__(fit, "other", np.array([[0.5], [7.0]]))
        return fits

    monkeypatch.setattr(home, "fit_each", with_other)
    found = sweep(X, [2], n_init=2, sample_weight=weight, random_state=0)
    labels = found.models[2].predict(X)
    copies = weight.astype(int)
    others = np.array([0, 0, 1, 1, 1])
    expected = reference.adjusted_rand_score(np.repeat(others, copies), np.repeat(labels, copies))
    assert 0 < expected < 1 or expected < 0
    assert found[2].adjusted_rand == pytest.approx(expected)


def test_one_pass_after_the_fits_finds_all_figures(after_fits, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3)) + rng.integers(0, 4, (3000, 1)) * 8
    folder = str(write_parquet(tmp_path / "in", X))
    rows = dkmeans.read_parquet(folder, stage="memory", block_bytes=2**12)
    found = sweep(rows, range(1, 9), random_state=0, sample_size=500)
    assert rows.n_blocks > 1
    ((n_passes, bytes_read),) = after_fits
    assert rows.n_passes == n_passes + 1 == found.n_passes
    # the rows were staged
    assert rows.bytes_read == bytes_read == found.bytes_read > 0


def test_centers_far_from_their_rows_cost_one_pass_more(monkeypatch):
    # a heavy row pulls the mean away from the center, to where the others hardly spread
    X = np.array([[0.0, 0], [1, 0], [1, 1e-3], [90, 9], [99, 9]])
    weight = np.array([1.0, 1e6, 1e6, 1, 1])
    passes = []

    def from_rows(rows, settings, counts, *_):
        fits = {}
        for k in counts:
            one = replace(settings, n_clusters=k, init=X[[0, 4, 3]][:k], n_init=1, tol=1.0)
            fits[k] = Swept(kmeans(rows, one), None)
        passes.append(rows.n_passes)
        return fits

    monkeypatch.setattr(home, "fit_each", from_rows)
    rows = Rows.from_array(X, sample_weight=weight, block_rows=2)
    found = sweep(rows, [2, 3], n_init=1, random_state=0)
    assert rows.n_passes == passes[0] + 2
    for k, model in found.models.items():
        assert model.scaled_centers[0].tolist() == [0, 0]
        alone = evaluate(model, rows)
        exact = replace(model, scaled_centers=model.scaled_means, provenance={})
        for ours, name in SHARED:
            assert getattr(found[k], ours) == pytest.approx(alone[name], rel=1e-9), (k, name)
        # about the means nothing is lost
        for name in ("calinski_harabasz", "davies_bouldin", "silhouette_squared"):
            assert alone[name] == pytest.approx(evaluate(exact, rows)[name], rel=1e-6), name


def test_rows_that_lie_on_their_centers_cost_no_pass_more(after_fits):
    rng = np.random.default_rng(0)
    outliers = 1e4 * rng.normal(size=(4, 3))
    X = np.concatenate([rng.normal(size=(500, 3)), outliers, np.repeat(outliers[:1] / 7, 9, 0)])
    found = sweep(Rows.from_array(X, block_rows=100), [5, 6, 7], random_state=0)
    assert (found.models[6].weights <= 9).sum() >= 4
    assert found.n_passes == after_fits[0][0] + 1


def test_workers_find_the_same(client, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3)) + rng.integers(0, 4, (4000, 1)) * 8
    folder = str(write_parquet(tmp_path / "in", X))
    found = sweep(folder, [3, 4, 5], random_state=0, scale="standard", sample_size=500)
    with client.as_current():
        theirs = sweep(folder, [3, 4, 5], random_state=0, scale="standard", sample_size=500)
    assert theirs.to_dict()["scores"] == found.to_dict()["scores"]
    assert theirs.reason == found.reason
    heavy = client.run(lambda: [name for name in ("kneed", "pandas") if name in sys.modules])
    assert [name for names in heavy.values() for name in names if name == "kneed"] == []


def test_sampled_silhouettes_are_near_those_of_all_rows_and_of_the_same_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 3)) + rng.integers(0, 3, (6000, 1)) * 4
    found = sweep(X, [2, 3, 4], random_state=0, sample_size=1500)
    again = sweep(da.from_array(X, chunks=(700, 3)), [2, 3, 4], random_state=0, sample_size=1500)
    for k, model in found.models.items():
        exact = reference.silhouette_score(X, model.predict(X))
        assert found[k].silhouette == pytest.approx(exact, abs=0.02)
        assert found[k].silhouette != exact
        assert again[k].silhouette == pytest.approx(found[k].silhouette, rel=1e-9)
    assert sweep(X, [2], random_state=0, sample_size=None)[2].silhouette is None


def test_a_few_heavy_rows_are_sampled_again(after_fits):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90_000, 2)) + rng.integers(0, 3, (90_000, 1)) * 9
    weight = np.full(90_000, 1e-6)
    weight[:30] = 1e4
    found = sweep(X, [2, 3], sample_weight=weight, random_state=0, sample_size=2500, n_init=1)
    assert found.n_passes == after_fits[0][0] + 2
    assert found[3].silhouette == pytest.approx(
        reference.silhouette_score(X[:30], found.models[3].predict(X[:30])), abs=0.05
    )


def test_one_cluster_has_no_silhouette_and_one_seed_no_agreement():
    X = np.random.default_rng(0).normal(size=(50, 2))
    found = sweep(X, [1, 2], n_init=1, random_state=0)
    assert found[1].silhouette is found[1].silhouette_reference is found[1].davies_bouldin is None
    assert found[1].explained_share == pytest.approx(0)
    assert found[2].silhouette is not None
    assert found[2].adjusted_rand is found[1].adjusted_rand is None


def test_models_are_complete_and_know_the_rows_of_their_fit(tmp_path):
    X = np.random.default_rng(0).normal(size=(600, 2))
    folder = str(write_parquet(tmp_path / "in", X))
    found = sweep(folder, [4, 2, 4], random_state=7, scale="standard", stage="none")
    assert list(found.models) == [2, 4]
    for k, model in found.models.items():
        assert model.parameters["n_clusters"] == model.n_clusters == k
        assert model.provenance["seed"] == 7
        assert model.feature_names == ("f0", "f1")
        assert evaluate(model, folder, metrics=["inertia"]).reused


def test_a_sample_of_rows_is_swept():
    X = np.random.default_rng(0).normal(size=(20_000, 2))
    found = sweep(X, [2, 3], random_state=0, sample=0.25, sample_size=None)
    assert 0 < found.n_rows < 8000
    assert found.models[2].provenance["sample"]["share"] == 0.25


def test_callbacks_hear_of_passes_and_of_the_model_that_stands_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) + np.repeat([[0, 0], [20, 0], [0, 20]], 100, axis=0)

    class Listener:
        def __init__(self) -> None:
            self.heard: list[object] = []

        def began(self, parameters: dict) -> None:
            self.heard.append(parameters["n_clusters"])

        def __call__(self, event: Event) -> None:
            self.heard.append(event.kind)

        def ended(self, model: dkmeans.Model) -> None:
            self.heard.append(model)

    listener = Listener()
    found = sweep(X, [2, 3, 4], random_state=0, callbacks=[listener])
    assert listener.heard[0] == [2, 3, 4]
    assert "pass" in listener.heard
    assert listener.heard[-1] is found.model is found.models[3]


def test_fewer_distinct_rows_than_clusters_are_told_once():
    X = np.repeat([[0.0, 0], [5, 5], [9, 0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="from n_clusters=4 on .* only 3 have") as told:
        found = sweep(X, range(2, 6), random_state=0)
    assert len(told) == 1
    assert found[5].smallest_cluster == 0
    assert found.recommended == 3


def test_equal_rows_have_no_elbow_and_nothing_stands_out():
    with pytest.warns(ConvergenceWarning):
        found = sweep(np.ones((30, 2)), [1, 2, 3, 4], random_state=0)
    assert found.elbow is found.recommended is None
    assert found[2].inertia == 0
    assert found[2].explained_share is None


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"n_clusters": []}, ArgumentError, "has no numbers"),
        ({"n_clusters": 3}, ArgumentError, "n_clusters=3 should be several integers"),
        ({"n_clusters": [0, 2]}, ArgumentError, "n_clusters=0 should be an integer from 1 on"),
        ({"n_clusters": [2.0]}, ArgumentError, "n_clusters=2.0 should be an integer from 1 on"),
        ({"n_clusters": ["a"]}, ArgumentError, "n_clusters='a' should be an integer"),
        ({"n_init": 0}, ArgumentError, "n_init=0 should be"),
        ({"init": np.zeros((2, 2))}, ArgumentError, "init should be a name"),
        ({"init": "best"}, ArgumentError, "init='best' is not known"),
        ({"sample_size": 0}, ArgumentError, "sample_size=0 should be an integer from 1 on"),
        ({"n_clusters": [2, 41]}, TooFewRows, "n_clusters=41 needs at least 41 rows"),
    ],
)
def test_what_cannot_be_is_refused_before_any_pass(asked, error, said):
    rows = Rows.from_array(np.random.default_rng(0).normal(size=(40, 2)))
    with pytest.raises(error, match=said):
        sweep(rows, **{"n_clusters": [2, 3], **asked})
    assert rows.n_passes == 0
