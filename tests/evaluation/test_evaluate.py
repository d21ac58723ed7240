"""All metrics of a model at once: scikit-learn's figures in two passes, and fewer after a fit."""

import json
from dataclasses import replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference

import dkmeans
from dkmeans import KMeans, MiniBatchKMeans, Rows, evaluate, metrics
from dkmeans.errors import ArgumentError, FeaturesMismatch, TooLarge
from dkmeans.evaluation.metrics import METRICS
from tests.conftest import write_parquet
from tests.rows import damaged

ALL = [metric.name for metric in METRICS]
K = 8


def rows_of(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters whose features differ in scale, and what each row comes from."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, K, n_rows)
    centers = 3 * np.random.default_rng(9).normal(size=(K, 5))
    return (centers[true] + rng.normal(size=(n_rows, 5))) * [1, 100, 0.01, 5, 1] + 50, true


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return rows_of(4000, 0)[0]


@pytest.fixture(scope="module")
def new() -> tuple[np.ndarray, np.ndarray]:
    return rows_of(1500, 1)


@pytest.fixture(scope="module", params=[None, "standard", "normalize"])
def fitted(request: pytest.FixtureRequest, X: np.ndarray) -> KMeans:
    return KMeans(K, scale=request.param, random_state=0).fit(X)


def expected_figures(model: dkmeans.Model, X: np.ndarray) -> dict[str, float]:
    """What scikit-learn, and the definitions, give for the same labels in scaled space."""
    scaled, labels = model.prepare(X), model.predict(X)
    own, second = np.sort(model.transform(X), axis=1)[:, :2].T
    total = ((scaled - scaled.mean(axis=0)) ** 2).sum()
    return {
        "inertia": (own**2).sum(),
        "explained_share": 1 - (own**2).sum() / total,
        "calinski_harabasz": reference.calinski_harabasz_score(scaled, labels),
        "davies_bouldin": reference.davies_bouldin_score(scaled, labels),
        "silhouette": reference.silhouette_score(scaled, labels),
        "silhouette_squared": reference.silhouette_score(scaled, labels, metric="sqeuclidean"),
        "silhouette_simplified": (1 - own / second).mean(),
    }


def test_new_rows_take_two_passes_and_have_sklearns_figures(fitted, new):
    X, true = new
    rows = Rows.from_array(X, labels=[true], block_rows=400)
    assert rows.n_blocks > 1
    found = evaluate(fitted, rows, rows.label_names[0])
    assert found.n_passes == rows.n_passes == 2
    assert not found.reused
    assert list(found.figures) == ALL
    for name, expected in expected_figures(fitted.model_, X).items():
        assert found[name] == pytest.approx(expected, rel=1e-9), name
    labels = fitted.model_.predict(X)
    assert found.agreement.adjusted_rand == reference.adjusted_rand_score(true, labels)
    assert found.agreement.v_measure == pytest.approx(reference.v_measure_score(true, labels))
    assert found.weights.tolist() == np.bincount(labels, minlength=K).tolist()
    assert found.figures["inertia"].per_cluster.sum() == pytest.approx(found["inertia"])


def test_the_rows_of_the_fit_take_one_pass_and_some_metrics_none(X):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X)
    found = evaluate(fitted.model_, X)
    assert found.reused
    assert found.n_passes == 1
    for name, expected in expected_figures(fitted.model_, X).items():
        assert found[name] == pytest.approx(expected, rel=1e-9), name
    assert found["inertia"] == fitted.inertia_
    few = ["inertia", "explained_share", "calinski_harabasz"]
    known = evaluate(fitted, X, metrics=few)
    assert known.n_passes == 0
    for name in few:
        assert known[name] == pytest.approx(found[name], rel=1e-9)


def test_other_rows_weights_filters_and_streams_are_not_taken_for_those_of_the_fit(X, tmp_path):
    fitted = KMeans(K, random_state=0).fit(X)
    assert evaluate(fitted, X, metrics=["inertia"]).reused
    changed = X.copy()
    changed[7, 3] += 1e-9
    assert not evaluate(fitted, changed, metrics=["inertia"]).reused
    assert not evaluate(fitted, X, sample_weight=np.full(len(X), 2.0), metrics=["inertia"]).reused
    lazy = da.from_array(X, chunks=(1000, 5))
    lazily = KMeans(K, random_state=0).fit(lazy)
    assert not evaluate(lazily, lazy, metrics=["inertia"]).reused
    folder = str(write_parquet(tmp_path / "in", X))
    read = KMeans(K, random_state=0).fit(folder)
    assert evaluate(read, folder, metrics=["inertia"]).reused
    filtered = dkmeans.read_parquet(folder, filters=[("f0", ">", 50)])
    assert not evaluate(read, filtered, metrics=["inertia"]).reused
    sampled = KMeans(K, random_state=0).fit(folder, sample=0.5)
    assert not evaluate(sampled, folder, metrics=["inertia"]).reused
    stream = MiniBatchKMeans(K, random_state=0).partial_fit(X)
    assert not evaluate(stream, X, metrics=["inertia"]).reused
    batches = MiniBatchKMeans(K, random_state=0).fit(X)
    assert evaluate(batches, X, metrics=["inertia"])["inertia"] == batches.inertia_


def test_a_saved_model_knows_the_rows_of_its_fit(X, tmp_path):
    folder = str(write_parquet(tmp_path / "in", X))
    KMeans(K, scale="standard", random_state=0).fit(folder).model_.save(str(tmp_path / "model"))
    model = dkmeans.Model.load(str(tmp_path / "model"))
    found = evaluate(model, folder)
    assert found.reused
    assert found.n_passes == 1
    assert found["inertia"] == model.inertia
    assert found["calinski_harabasz"] == pytest.approx(
        reference.calinski_harabasz_score(model.prepare(X), model.predict(X)), rel=1e-5
    )


@pytest.mark.parametrize("names", [[name] for name in ALL])
def test_each_metric_alone_is_the_same_as_among_all(names, X, new):
    fitted = KMeans(K, random_state=0).fit(X)
    rows = Rows.from_array(new[0], block_rows=400)
    found = evaluate(fitted, rows, metrics=names)
    assert list(found.figures) == names
    assert found[names[0]] == pytest.approx(evaluate(fitted, new[0])[names[0]], rel=1e-9)
    needs_means = names[0] in ("davies_bouldin", "silhouette", "silhouette_squared")
    assert rows.n_passes == (2 if needs_means else 1)


def test_weights_are_copies(fitted, new):
    X, true = new
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    found = evaluate(fitted, X, true, sample_weight=weight)
    copies = evaluate(fitted, np.repeat(X, weight, axis=0), np.repeat(true, weight))
    for name in ALL:
        assert found[name] == pytest.approx(copies[name], rel=1e-9), name
        of_clusters = found.figures[name].per_cluster
        if of_clusters is not None:
            np.testing.assert_allclose(of_clusters, copies.figures[name].per_cluster, rtol=1e-9)
    assert found.agreement.adjusted_rand == copies.agreement.adjusted_rand
    assert found.weights.tolist() == copies.weights.tolist()


@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
def test_where_rows_stay_changes_no_bit(stage, X, new, tmp_path):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X)
    folder = write_parquet(tmp_path / "in", new[0], n_files=3, species=[f"s{t}" for t in new[1]])
    rows = dkmeans.read_parquet(
        str(folder), dtype="float64", block_rows=130, stage=stage, labels=["species"]
    )
    found = evaluate(fitted, rows, "species", sample_size=200)
    again = evaluate(
        fitted,
        dkmeans.read_parquet(
            str(folder), dtype="float64", block_rows=130, stage="memory", labels=["species"]
        ),
        "species",
        sample_size=200,
    )
    assert found.to_dict() == again.to_dict()
    assert rows.n_passes == 2
    assert found["inertia"] == pytest.approx(evaluate(fitted, new[0])["inertia"], rel=1e-12)


def test_rows_of_every_kind_have_the_same_figures(X, new, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde"))
    fitted = KMeans(K, scale="standard", random_state=0).fit(frame)
    new_frame = pd.DataFrame(new[0], columns=list("abcde")).assign(species=new[1])[
        ["species", "e", "d", "c", "b", "a"]
    ]
    expected = evaluate(fitted, new[0], new[1])
    lazy = da.from_array(new[0], chunks=(700, 5))
    for rows, truth in (
        (new_frame, "species"),
        (lazy, da.from_array(new[1], chunks=700)),
        (new[0].tolist(), new[1].tolist()),
    ):
        found = evaluate(fitted, rows, truth)
        for name in ALL:
            assert found[name] == pytest.approx(expected[name], rel=1e-9)
        assert found.agreement.to_dict() == expected.agreement.to_dict()


def test_float32_rows_have_float64_figures_up_to_their_rounding(X, new):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X.astype(np.float32))
    found = evaluate(fitted, new[0].astype(np.float32))
    for name, expected in expected_figures(fitted.model_, new[0]).items():
        assert found[name] == pytest.approx(expected, rel=1e-4), name


def test_one_cluster_has_no_silhouette_and_says_why(X):
    fitted = KMeans(1).fit(X)
    found = evaluate(fitted, X[:500])
    assert set(found.figures) == {"inertia", "explained_share"}
    assert set(found.undefined) == set(ALL) - {"inertia", "explained_share"}
    assert "Number of labels is 1" in found.undefined["silhouette"]
    assert "Number of labels is 1" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_clusters_without_rows_count_for_nothing(X):
    fitted = KMeans(K, random_state=0).fit(X)
    labels = fitted.labels_
    some = X[(labels == 2) | (labels == 5)]
    found = evaluate(fitted, some)
    of_some = labels[(labels == 2) | (labels == 5)]
    assert found["davies_bouldin"] == pytest.approx(reference.davies_bouldin_score(some, of_some))
    assert found["silhouette"] == pytest.approx(reference.silhouette_score(some, of_some))
    squared = reference.silhouette_score(some, of_some, metric="sqeuclidean")
    assert found["silhouette_squared"] == pytest.approx(squared)
    frame = found.to_frame().set_index("cluster_id")
    assert frame.loc[[2, 5], "count"].tolist() == np.bincount(of_some)[[2, 5]].tolist()
    assert frame.silhouette.notna().tolist() == [j in (2, 5) for j in range(K)]
    assert "6 clusters have no rows here" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_rows_alone_in_their_cluster_count_as_zero(X):
    fitted = KMeans(K, random_state=0).fit(X)
    some = np.concatenate([X[fitted.labels_ == 1], X[fitted.labels_ == 4][:1]])
    labels = fitted.predict(some)
    found = evaluate(fitted, some)
    assert found["silhouette"] == pytest.approx(reference.silhouette_score(some, labels))
    for name in ("silhouette", "silhouette_squared"):
        assert found.figures[name].per_cluster[4] == 0.0


def test_missing_values_are_filled_as_in_the_fit(X, new):
    lacking = X.copy()
    lacking[::7, 2] = np.nan
    rows = Rows.from_array(lacking, missing="mean", block_rows=900)
    fitted = KMeans(K, scale="standard", random_state=0).fit(rows)
    holes = new[0].copy()
    holes[::5, 1] = np.nan
    filled = np.where(np.isnan(holes), fitted.model_.filling.values, holes)
    expected = evaluate(fitted, filled)
    rows = Rows.from_array(holes, missing="mean", block_rows=400)
    found = evaluate(fitted, rows)
    assert found.n_passes == rows.n_passes == 2
    assert found["davies_bouldin"] == pytest.approx(expected["davies_bouldin"], rel=1e-12)


def test_the_result_is_shown_as_text_html_frame_and_plain_values(X, new):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X)
    found = evaluate(fitted, new[0], new[1], sample_size=500)
    text, page = str(found), found._repr_html_()
    for word in ("8 clusters on 1,500 rows", "Davies-Bouldin", "95 % interval", "Adjusted Rand"):
        assert word in text
        assert word in page
    assert max(map(len, text.splitlines())) <= 120
    frame = found.to_frame()
    assert frame["count"].sum() == 1500
    assert frame.share.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(frame.rms_distance**2 * frame["count"], frame.inertia)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["metrics"]["davies_bouldin"] == found["davies_bouldin"]
    interval = told["intervals"]["silhouette"]
    assert interval["low"] < told["metrics"]["silhouette"] < interval["high"]
    assert interval["sampled_rows"] == 500
    assert told["clusters"][3]["count"] == found.weights[3]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"metrics": ["silhouete"]}, ArgumentError, "metrics='silhouete' is none of inertia"),
        ({"metrics": "gap"}, ArgumentError, "metrics='gap' is none of inertia"),
        ({"sample_size": 0}, ArgumentError, "sample_size=0 should be an integer from 1 on"),
        ({"sample_weight": np.ones(3)}, ValueError, r"have shape \(3,\); \(1500,\) is expected"),
        ({"y_true": np.ones(3)}, ValueError, "3"),
    ],
)
def test_what_cannot_be_is_refused(options, error, said, X, new):
    with pytest.raises(error, match=said):
        evaluate(KMeans(K, random_state=0).fit(X), new[0], **options)


def test_rows_of_other_features_are_refused(X):
    with pytest.raises(FeaturesMismatch):
        evaluate(KMeans(K, random_state=0).fit(X), X[:, :3])


def test_a_file_found_bad_in_the_middle_is_left_out_of_all_figures(X, tmp_path):
    fitted = KMeans(K, random_state=0).fit(X)
    folder = write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=200)
    damaged.flip(folder / "part-2.parquet", header=True)
    rows = dkmeans.read_parquet(str(folder), dtype="float64", on_bad_file="skip", stage="none")
    found = evaluate(fitted, rows)
    assert len(rows.parquet.skipped) == 1
    assert found.n_rows == 3000
    left = np.concatenate([X[:2000], X[3000:]])
    assert found["davies_bouldin"] == pytest.approx(evaluate(fitted, left)["davies_bouldin"])


def test_what_is_left_out_changes_nothing_of_what_missing_values_are_filled_with(X, tmp_path):
    lacking = X.copy()
    lacking[::7, 2] = np.nan
    fitted = KMeans(K, random_state=0).fit(Rows.from_array(lacking, missing="mean"))
    # means of its own, far from those of the fit
    other = lacking[:2000] + 100
    folder = write_parquet(tmp_path / "in", other, n_files=4, row_group_rows=100)
    damaged.flip(folder / "part-2.parquet", header=True)
    options = {"dtype": "float64", "on_bad_file": "skip", "stage": "none", "missing": "mean"}
    rows = dkmeans.read_parquet(str(folder), **options)
    found = evaluate(fitted, rows, metrics=["inertia", "davies_bouldin"])
    assert [url.rpartition("/")[2] for url, _ in rows.parquet.skipped] == ["part-2.parquet"]
    left = np.concatenate([other[:1000], other[1500:]])
    filled = np.where(np.isnan(left), fitted.model_.filling.values, left)
    expected = evaluate(fitted, filled, metrics=["inertia", "davies_bouldin"])
    for name in found.figures:
        assert found[name] == pytest.approx(expected[name], rel=1e-9)


def test_functions_and_evaluate_agree(X, new):
    fitted = KMeans(K, random_state=0).fit(X)
    found, labels = evaluate(fitted, new[0]), fitted.predict(new[0])
    assert metrics.silhouette_score(new[0], labels, method="squared") == pytest.approx(
        found["silhouette_squared"], rel=1e-9
    )
    assert metrics.calinski_harabasz_score(new[0], labels) == pytest.approx(
        found["calinski_harabasz"], rel=1e-9
    )


def test_a_cluster_computes_the_same_bits(X, new, client, tmp_path):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X)
    folder = str(write_parquet(tmp_path / "in", new[0], species=[f"s{t}" for t in new[1]]))
    options = {"dtype": "float64", "block_rows": 130, "labels": ["species"]}
    here = dkmeans.read_parquet(folder, **options)
    there = dkmeans.read_parquet(folder, client=client, **options)
    found = [evaluate(fitted, rows, "species", sample_size=300) for rows in (here, there)]
    there.close()
    assert found[0].to_dict() == found[1].to_dict()


def test_what_cannot_fit_is_refused_before_it_is_begun(monkeypatch, X):
    fitted = KMeans(K, random_state=0).fit(X)
    rows = Rows.from_array(X)
    slot = rows.engine.slots()[0]
    monkeypatch.setattr(type(rows.engine), "slots", lambda self: (replace(slot, free_bytes=1000),))
    with pytest.raises(TooLarge, match="a task takes"):
        evaluate(fitted, rows)
    assert rows.n_passes == 0


def test_rows_far_from_the_centers_lose_no_digits(X):
    fitted = KMeans(K, random_state=0).fit(X)
    far = np.concatenate([X[:400] + 1e6, X[400:800] - 1e6])
    labels = fitted.predict(far)
    expected = reference.calinski_harabasz_score(far, labels)
    alone = evaluate(fitted, far, metrics=["calinski_harabasz"])
    assert alone["calinski_harabasz"] == pytest.approx(expected, rel=1e-9)
    assert alone.n_passes == 2
    among = evaluate(fitted, far)
    assert among["calinski_harabasz"] == pytest.approx(expected, rel=1e-9)
    squared = reference.silhouette_score(far, labels, metric="sqeuclidean")
    assert among["silhouette_squared"] == pytest.approx(squared, abs=1e-7)
    assert among.n_passes == 3


def test_rows_without_any_weight_have_no_figures_but_reasons(X):
    found = evaluate(KMeans(K, random_state=0).fit(X), X[:50], sample_weight=np.zeros(50))
    assert found["inertia"] == 0
    assert set(found.undefined) == set(ALL) - {"inertia"}
    json.dumps(found.to_dict(), allow_nan=False)
    assert "Number of labels is 0" in str(found)


def test_files_left_out_are_not_of_the_fit(X, tmp_path):
    folder = write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=200)
    options = {"dtype": "float64", "on_bad_file": "skip", "stage": "none"}
    fitted = KMeans(K, random_state=0).fit(dkmeans.read_parquet(str(folder), **options))
    rows = dkmeans.read_parquet(str(folder), **options)
    damaged.flip(folder / "part-2.parquet", header=True)
    found = evaluate(fitted, rows)
    assert found.n_rows == 3000
    assert not found.reused


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (KMeans(3), "this KMeans is not fitted; call fit first"),
        (None, "model is a NoneType; pass a dkmeans Model or fitted estimator"),
        ("models/sales", r"model is a str; .* or Model.load\(url\)"),
    ],
)
def test_what_is_no_model_is_refused(model, said, X):
    for function in (evaluate, dkmeans.profile):
        with pytest.raises(ArgumentError, match=said):
            function(model, X)


@pytest.mark.parametrize("y_true", [3, {}, pd.Series([1])])
def test_what_is_no_truth_is_refused(y_true, X, tmp_path):
    fitted = KMeans(K, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"labels\[0\] of X"):
        evaluate(fitted, X, y_true)
    folder = str(write_parquet(tmp_path / "in", X))
    with pytest.raises(ArgumentError, match=r"y_true is a \w+; for Parquet and Rows name a column"):
        evaluate(fitted, folder, y_true)


def test_rows_of_another_dtype_are_refused(X):
    fitted = KMeans(K, random_state=0).fit(X)
    rows = Rows.from_array(X, dtype="float32")
    for function in (evaluate, dkmeans.profile):
        with pytest.raises(ArgumentError, match="the rows are float32, the model float64"):
            function(fitted, rows)


def test_all_rows_can_be_sampled(X):
    fitted = KMeans(K, random_state=0).fit(X)
    found = evaluate(fitted, X, metrics=["silhouette"], sample_size=None)
    expected = reference.silhouette_score(X, fitted.labels_)
    assert found["silhouette"] == pytest.approx(expected, abs=1e-9)


def test_labels_that_would_move_the_cursor_are_shown_as_text(X):
    fitted = KMeans(K, random_state=0).fit(X)
    true = np.where(X[:, 0] > 50, "\x1b[31mred\n", "blue")
    text = str(evaluate(fitted, X, true, metrics=["inertia"]))
    assert "\x1b[31m" not in text
    assert "red" in text


def test_rows_of_a_fit_that_are_far_from_its_centers_have_silhouettes():
    rng = np.random.default_rng(0)
    X = np.repeat([[0.0, 0.0], [50.0, 0.0]], 200, axis=0) + 1e-8 * rng.normal(size=(400, 2))
    centers = np.array([[0.0, 20.0], [50.0, 20.0]])
    rows = Rows.from_array(X, block_rows=50)
    fitted = KMeans(2, init=centers, tol=1).fit(rows)
    np.testing.assert_array_equal(fitted.cluster_centers_, centers)
    found = evaluate(fitted, rows)
    own, other = 20.0, np.hypot(20.0, 50.0)
    assert found["silhouette_simplified"] == pytest.approx(1 - own / other)


def test_named_clusters_are_called_by_their_names(X, new):
    model = KMeans(3, random_state=0).fit(X).model_
    plain = evaluate(model, new[0])
    named = evaluate(model.renamed({1: "night owls"}), new[0])
    assert "cluster_name" not in plain.to_frame()
    called = named.to_frame().cluster_name
    assert called.notna().tolist() == [False, True, False]
    assert called[1] == "night owls"
    assert named.to_dict()["clusters"][1]["cluster_name"] == "night owls"
    cells = [row[0] for row in named.sections()[1].rows]
    assert cells == ["0", "1 (night owls)", "2"]
    # and all else is as it was
    pd.testing.assert_frame_equal(named.to_frame().drop(columns="cluster_name"), plain.to_frame())
