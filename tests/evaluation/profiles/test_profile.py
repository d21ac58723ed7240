"""Profiles of a model: pandas' and SciPy's figures on the rows, whatever kind these are."""

import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import dkmeans
from dkmeans import KMeans, Profile, Rows, profile
from dkmeans.errors import ArgumentError, FeaturesMismatch, InputRefused
from dkmeans.kernels.block import Array
from tests.conftest import write_parquet
from tests.rows import damaged

K = 6
NAMES = ["age", "income", "visits", "score"]
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
SCALES = [None, "standard", "minmax", "robust", "normalize"]


def rows_of(n_rows: int, seed: int) -> Array:
    """Overlapping clusters of unequal size whose features differ in scale; visits are counts."""
    rng = np.random.default_rng(seed)
    centers = 3 * np.random.default_rng(9).normal(size=(K, 4))
    drawn = rng.choice(K, n_rows, p=[0.4, 0.2, 0.2, 0.1, 0.07, 0.03])
    X = (centers[drawn] + rng.normal(size=(n_rows, 4))) * [5, 4000, 2, 0.01] + [40, 5e4, 20, 1]
    X[:, 2] = np.maximum(np.round(X[:, 2]), 0)
    return X


@pytest.fixture(scope="module")
def X() -> Array:
    return rows_of(3000, 0)


@pytest.fixture(scope="module")
def new() -> Array:
    return rows_of(2000, 1)


def fit(X: Array, scale: str | None = "standard", k: int = K, **options: Any) -> KMeans:
    """Fit on a table, so that the model knows its columns."""
    return KMeans(k, scale=scale, random_state=0, **options).fit(pd.DataFrame(X, columns=NAMES))


@pytest.fixture(scope="module")
def fitted(X: Array) -> KMeans:
    return fit(X)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value of a dictionary with the path to it."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from leaves(one, f"{path}[{number}]")
    else:
        yield path, value


def assert_alike(one: Any, other: Any, rel: float = 1e-9) -> None:
    """Assert that profiles, or parts of them, are equal up to rounding."""
    ours, theirs = (
        list(leaves(part.to_dict() if hasattr(part, "to_dict") else part)) for part in (one, other)
    )
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (path, mine), (_, yours) in zip(ours, theirs, strict=True):
        if isinstance(mine, float) and isinstance(yours, float):
            assert mine == pytest.approx(yours, rel=rel, abs=1e-12), path
        else:
            assert mine == yours, path


@pytest.mark.parametrize("n_examples", [0, 2])
@pytest.mark.parametrize("scale", SCALES)
def test_a_profile_takes_two_passes_and_has_pandas_figures(scale, n_examples, X, new):
    fitted = fit(X, scale)
    rows = Rows.from_array(pd.DataFrame(new, columns=NAMES), block_rows=300)
    assert rows.n_blocks > 1
    found = profile(fitted, rows, n_examples=n_examples)
    assert rows.n_passes == 2
    table = pd.DataFrame(new, columns=NAMES)
    labels = fitted.predict(table)
    groups = table.groupby(labels)
    frame = found.to_frame().set_index(["feature", "cluster_id"])
    assert len(frame) == K * len(NAMES)
    assert len(groups) == K
    for name in NAMES:
        ours, theirs = frame.loc[name], groups[name]
        assert ours["count"].tolist() == theirs.size().tolist()
        np.testing.assert_allclose(ours["share"], theirs.size() / len(new), rtol=1e-14)
        np.testing.assert_allclose(ours["mean"], theirs.mean(), rtol=1e-10)
        np.testing.assert_allclose(ours["std"], theirs.std(ddof=0), rtol=1e-9)
        assert ours["min"].tolist() == theirs.min().tolist()
        assert ours["max"].tolist() == theirs.max().tolist()
        np.testing.assert_allclose(ours["overall_mean"], table[name].mean(), rtol=1e-10)
        np.testing.assert_allclose(ours["overall_std"], table[name].std(ddof=0), rtol=1e-9)
        z = (theirs.mean() - table[name].mean()) / table[name].std(ddof=0)
        np.testing.assert_allclose(ours["difference"], z, rtol=1e-7, atol=1e-9)
    by_size = frame["difference"].abs().groupby("cluster_id").rank(ascending=False)
    assert frame["rank"].tolist() == by_size.tolist()


@pytest.mark.parametrize("scale", SCALES)
def test_quantiles_lie_between_their_bounds(scale, X, new):
    fitted, table = fit(X, scale), pd.DataFrame(new, columns=NAMES)
    found = profile(fitted, table, quantiles=[1.0, 0.1, 0.5, 0.0]).quantiles
    assert found.names == ("p00", "p10", "p50", "p100")
    labels = fitted.predict(table)
    for c in range(K):
        own = new[labels == c]
        truth = np.quantile(own, found.probabilities, axis=0, method="inverted_cdf").T
        assert (found.low[c] <= truth).all()
        assert (truth <= found.high[c]).all()
        # of a count every value is an edge
        np.testing.assert_array_equal(found.value[c, 2], truth[2])
        np.testing.assert_array_equal(found.value[c][:, [0, 3]], truth[:, [0, 3]])
        assert (found.high[c] - found.low[c] <= 0.3 * np.ptp(own, axis=0)[:, None]).all()


@pytest.mark.parametrize("scale", [None, "standard", "normalize"])
def test_tests_are_those_of_scipy_on_the_rows(scale, X, new):
    fitted, table = fit(X, scale), pd.DataFrame(new, columns=NAMES)
    found = profile(fitted, Rows.from_array(table, block_rows=300))
    labels = fitted.predict(table)
    groups = [new[labels == c] for c in range(K)]
    truth = stats.f_oneway(*groups)
    np.testing.assert_allclose(found.anova.f, truth.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.anova.p_value, truth.pvalue, rtol=1e-9, atol=1e-300)
    total = ((new - new.mean(axis=0)) ** 2).sum(axis=0)
    between = sum(len(one) * (one.mean(axis=0) - new.mean(axis=0)) ** 2 for one in groups)
    np.testing.assert_allclose(found.anova.eta_squared, between / total, rtol=1e-9)
    ids = fitted.model_.cluster_ids
    for a, b in ((0, 1), (4, 2)):
        pair = found.compare(ids[a], ids[b])
        truth = stats.ttest_ind(groups[a], groups[b], equal_var=False)
        np.testing.assert_allclose(pair.t[0], truth.statistic, rtol=1e-9)
        np.testing.assert_allclose(pair.df[0], truth.df, rtol=1e-9)
        np.testing.assert_allclose(pair.p_value[0], truth.pvalue, rtol=1e-9, atol=1e-300)
    assert len(found.compare().to_frame()) == K * (K - 1) // 2 * len(NAMES)


@pytest.fixture
def kinds(new: Array, tmp_path: Path) -> dict[str, Any]:
    """The same rows in all kinds; tables have other columns, and theirs in another order."""
    table = pd.DataFrame(new, columns=NAMES).assign(
        person=[f"person {i:05d}" for i in range(len(new))], number=np.arange(len(new)) + 7
    )[["score", "person", "visits", "number", "age", "income"]]
    folder = tmp_path / "kinds"
    folder.mkdir()
    for number in range(3):
        part = table.iloc[number * 700 : number * 700 + 700]
        arrow = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(arrow, folder / f"part-{number}.parquet", row_group_size=250)
    return {
        "array": new,
        "DataFrame": table,
        "Dask Array": da.from_array(new, chunks=(450, 4)),
        "Dask DataFrame": dd.from_pandas(table, npartitions=4),
        "Arrow": pa.Table.from_pandas(table, preserve_index=False),
        "URL": str(folder),
        "Rows": dkmeans.read_parquet(
            str(folder), columns=NAMES, dtype="float64", keys=["person", "number"], block_rows=130
        ),
    }


def test_rows_of_every_kind_have_the_same_profile(kinds, fitted):
    expected = profile(fitted, kinds.pop("array"), n_examples=2)
    for kind, rows in kinds.items():
        found = profile(fitted, rows, n_examples=2)
        if kind == "Rows":
            assert rows.n_blocks > 3
            for examples in (found.representatives, found.boundary):
                numbers = examples.row_numbers
                assert examples.keys["person"] == [f"person {i:05d}" for i in numbers]
                assert examples.keys["number"] == (numbers + 7).tolist()
                examples.keys.clear()
        assert_alike(found, expected)
        for name in ("minimum", "maximum"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert found.representatives.row_numbers.tolist() == (
            expected.representatives.row_numbers.tolist()
        )


def test_a_saved_model_has_the_same_profile(fitted, new, tmp_path):
    fitted.model_.save(str(tmp_path / "model"))
    saved = dkmeans.Model.load(str(tmp_path / "model"))
    assert profile(saved, new).to_dict() == profile(fitted, new).to_dict()


def parts_without_sizes(found: Profile) -> dict[str, Any]:
    """All but what says whether rows or weights are counted."""
    told = found.to_dict()
    assert told.pop("weighted") in (True, False)
    for cluster in told["clusters"]:
        cluster["description"] = cluster["description"].rpartition(" of ")[0]
    return told


@pytest.mark.parametrize("scale", [None, "standard", "normalize"])
def test_weights_are_copies(scale, X, new):
    fitted = fit(X, scale)
    weight = np.random.default_rng(0).integers(0, 4, len(new))
    found = profile(fitted, new, sample_weight=weight)
    copies = profile(fitted, np.repeat(new, weight, axis=0))
    assert found.count.sum() == weight.sum() != len(new)
    assert (found.unit, copies.unit) == ("the weight", "rows")
    assert_alike(parts_without_sizes(found), parts_without_sizes(copies))
    a, b = found.cluster_ids[:2]
    assert_alike(found.compare(a, b), copies.compare(a, b))
    labels = np.repeat(fitted.predict(new), weight)
    groups = [np.repeat(new, weight, axis=0)[labels == c] for c in range(K)]
    np.testing.assert_allclose(found.anova.f, stats.f_oneway(*groups).statistic, rtol=1e-9)


def test_float32_rows_have_the_figures_of_their_float64_values(X, new):
    small = new.astype(np.float32)
    fitted = fit(X.astype(np.float32))
    assert fitted.model_.dtype == "float32"
    found = profile(fitted, Rows.from_array(small, block_rows=300))
    labels = fitted.predict(pd.DataFrame(small, columns=NAMES))
    groups = pd.DataFrame(small.astype(np.float64)).groupby(labels)
    np.testing.assert_allclose(found.mean, groups.mean(), rtol=1e-10)
    np.testing.assert_allclose(found.std, groups.std(ddof=0), rtol=1e-8)
    np.testing.assert_array_equal(found.minimum, groups.min())
    rows = [small[labels == c].astype(np.float64) for c in range(K)]
    np.testing.assert_allclose(found.anova.f, stats.f_oneway(*rows).statistic, rtol=1e-8)


def test_missing_values_count_as_what_they_are_filled_with(X, new):
    lacking = pd.DataFrame(X, columns=NAMES)
    lacking.loc[::7, "visits"] = np.nan
    rows = Rows.from_array(lacking, missing="mean", block_rows=700)
    fitted = KMeans(K, scale="standard", random_state=0).fit(rows)
    holes = new.copy()
    holes[::5, 1] = np.nan
    filled = np.where(np.isnan(holes), fitted.model_.filling.values, holes)
    assert not np.isnan(filled).any()
    opened = Rows.from_array(pd.DataFrame(holes, columns=NAMES), missing="mean", block_rows=300)
    found = profile(fitted, opened, n_examples=1)
    assert opened.n_passes == 2
    assert_alike(found, profile(fitted, filled, n_examples=1))
    assert_alike(profile(fitted, holes, n_examples=1), found)


def test_one_cluster_is_profiled_and_says_what_has_no_test(X, new):
    found = profile(fit(X, k=1), new, n_examples=2)
    assert found.count.tolist() == [len(new)]
    np.testing.assert_allclose(found.mean[0], new.mean(axis=0), rtol=1e-12)
    assert np.isnan(found.anova.f).all()
    assert "1 cluster with rows" in str(found)
    assert found.boundary is None
    assert len(found.representatives.labels) == 2
    assert len(found.compare().to_frame()) == 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_clusters_without_rows_are_nan_and_disturb_no_test(X, fitted):
    labels = fitted.labels_
    some = X[(labels == 2) | (labels == 5)]
    of_some = labels[(labels == 2) | (labels == 5)]
    found = profile(fitted, some, n_examples=3)
    assert found.count.tolist() == np.bincount(of_some, minlength=K).tolist()
    filled = np.isin(np.arange(K), [2, 5])
    for part in (found.mean, found.std, found.minimum, found.maximum, found.quantiles.value):
        assert np.isnan(part[~filled]).all()
        assert np.isfinite(part[filled]).all()
    truth = stats.f_oneway(some[of_some == 2], some[of_some == 5])
    np.testing.assert_allclose(found.anova.f, truth.statistic, rtol=1e-9)
    assert len(found.compare().cluster_ids) == 1
    assert [one == "empty: no rows" for one in found.descriptions] == (~filled).tolist()
    assert set(found.representatives.labels.tolist()) == {2, 5}
    json.dumps(found.to_dict(), allow_nan=False)


def nearest_rows(fitted: KMeans, X: Array, n: int, boundary: bool) -> list[int]:
    """Row numbers of examples, by a full sort of the distances to all centers."""
    scaled = fitted.model_.prepare(X)
    far = np.sqrt(((scaled[:, None] - fitted.model_.scaled_centers) ** 2).sum(axis=2))
    ordered = np.sort(far, axis=1)
    by = 1 - ordered[:, 0] / ordered[:, 1] if boundary else ordered[:, 0]
    found: list[int] = []
    for c in range(K):
        own = np.flatnonzero(far.argmin(axis=1) == c)
        found += own[np.argsort(by[own], kind="stable")][:n].tolist()
    return found


@pytest.mark.parametrize("scale", [None, "standard", "normalize"])
def test_examples_are_the_rows_nearest_to_centers_and_to_boundaries(scale, X, new):
    fitted = fit(X, scale)
    table = pd.DataFrame(new, columns=NAMES)
    found = profile(fitted, Rows.from_array(table, block_rows=300), n_examples=4)
    for examples, boundary in ((found.representatives, False), (found.boundary, True)):
        expected = nearest_rows(fitted, new, 4, boundary)
        assert examples.row_numbers.tolist() == expected
        np.testing.assert_array_equal(examples.X, new[expected])
        assert examples.labels.tolist() == fitted.predict(table)[expected].tolist()
        two = np.argsort(fitted.transform(new[expected]), axis=1)[:, 1]
        assert examples.second_labels.tolist() == two.tolist()
    assert (np.diff(found.boundary.margins.reshape(K, 4), axis=1) >= 0).all()


def test_examples_have_keys_of_files_and_of_folders(X, new, fitted, tmp_path):
    for number, region in enumerate(("north", "south")):
        own = np.arange(number * 1000, number * 1000 + 1000)
        part = pd.DataFrame(new[own], columns=NAMES).assign(
            person=[f"person {i:05d}" for i in own], number=own * 3
        )
        folder = tmp_path / "in" / f"region={region}"
        folder.mkdir(parents=True)
        arrow = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(arrow, folder / "part-0.parquet", row_group_size=150)
    rows = dkmeans.read_parquet(
        str(tmp_path / "in"),
        columns=NAMES,
        dtype="float64",
        keys=["person", "region", "number"],
        block_rows=170,
    )
    found = profile(fitted, rows, n_examples=3)
    assert rows.n_passes == 2
    regions = set()
    for examples, title in ((found.representatives, "nearest"), (found.boundary, "between")):
        numbers = examples.row_numbers
        assert numbers.tolist() == nearest_rows(fitted, new, 3, title == "between")
        assert examples.keys["person"] == [f"person {i:05d}" for i in numbers]
        assert examples.keys["number"] == (numbers * 3).tolist()
        assert examples.keys["region"] == ["north" if i < 1000 else "south" for i in numbers]
        regions |= set(examples.keys["region"])
        for person in examples.keys["person"]:
            assert person in str(found)
            assert person in found._repr_html_()
    assert regions == {"north", "south"}
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["boundary"]["person"] == found.boundary.keys["person"]


def test_no_row_is_shown_unless_asked_for(kinds, fitted):
    found = profile(fitted, kinds["Rows"])
    assert found.representatives is found.boundary is None
    told = found.to_dict()
    assert told["representatives"] is told["boundary"] is None
    asked = profile(fitted, kinds["Rows"], n_examples=1)
    for shown in (str, lambda one: one._repr_html_(), lambda one: json.dumps(one.to_dict())):
        assert "person 0" not in shown(found)
        assert "person 0" in shown(asked)
    assert "Rows nearest" not in str(found)
    assert "Rows between" not in str(found)


@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
def test_where_rows_stay_and_what_runs_change_no_bit(stage, new, fitted, client, tmp_path):
    table = pd.DataFrame(new, columns=NAMES)
    folder = tmp_path / "in"
    write_parquet(folder, new, n_files=3, person=[f"p{i}" for i in range(len(table))])
    model = KMeans(K, scale="standard", random_state=0).fit(new)
    options = {"columns": ["f0", "f1", "f2", "f3"], "dtype": "float64", "keys": ["person"]}

    def found(stage: str, **more: Any) -> dict[str, Any]:
        rows = dkmeans.read_parquet(str(folder), block_rows=130, stage=stage, **options, **more)
        assert rows.n_blocks > 10
        told = profile(model, rows, n_examples=2).to_dict()
        assert rows.n_passes == 2
        rows.close()
        return told

    expected = found("memory")
    assert found(stage) == expected
    assert found(stage, client=client) == expected
    with dask.config.set(scheduler="synchronous"):
        assert found(stage) == expected


def test_a_file_found_bad_in_the_middle_is_left_out_of_all_figures(X, tmp_path):
    fitted = KMeans(K, scale="standard", random_state=0).fit(X)
    folder = write_parquet(tmp_path / "in", X, n_files=3, row_group_rows=200)
    damaged.flip(folder / "part-1.parquet", header=True)
    rows = dkmeans.read_parquet(str(folder), dtype="float64", on_bad_file="skip", stage="none")
    found = profile(fitted, rows, n_examples=1)
    assert len(rows.parquet.skipped) == 1
    left = np.concatenate([X[:1000], X[2000:]])
    expected = profile(fitted, left, n_examples=1)
    assert found.count.sum() == 2000
    assert found.representatives.X.tolist() == expected.representatives.X.tolist()
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_array_equal(found.maximum, expected.maximum)
    refusing = dkmeans.read_parquet(str(folder), dtype="float64", stage="none")
    with pytest.raises(InputRefused, match=r"part-1\.parquet"):
        profile(fitted, refusing)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"quantiles": []}, ArgumentError, "quantiles=[] should be numbers from 0 to 1, at least"),
        ({"quantiles": [0.5, 1.5]}, ArgumentError, "quantiles=[0.5, 1.5] should be numbers from 0"),
        ({"quantiles": [-0.1]}, ArgumentError, "quantiles=[-0.1] should be numbers from 0 to 1"),
        (
            {"quantiles": [0.5, np.nan]},
            ArgumentError,
            "should be numbers from 0 to 1, at least one",
        ),
        ({"quantiles": "median"}, ArgumentError, "quantiles='median' should be numbers from 0"),
        ({"quantiles": [[0.1], [0.2, 0.3]]}, ArgumentError, "should be numbers from 0 to 1"),
        ({"n_examples": -1}, ArgumentError, "n_examples=-1 should be an integer from 0 on."),
        ({"n_examples": 2.5}, ArgumentError, "n_examples=2.5 should be an integer from 0 on."),
        ({"n_examples": True}, ArgumentError, "n_examples=True should be an integer from 0 on."),
        ({"n_examples": "3"}, ArgumentError, "n_examples='3' should be an integer from 0 on."),
        ({"random_state": -1}, ArgumentError, "random_state=-1 should be an integer from 0 on."),
        ({"random_state": None}, ArgumentError, "random_state=None should be an integer from 0"),
        ({"sample_weight": np.ones(3)}, ValueError, "have shape (3,); (2000,) is expected"),
    ],
)
def test_what_cannot_be_is_refused_in_so_many_words(options, error, said, fitted, new):
    with pytest.raises(error) as refused:
        profile(fitted, new, **options)
    assert said in str(refused.value)


def test_rows_of_other_features_are_refused(fitted, new):
    with pytest.raises(FeaturesMismatch, match="3"):
        profile(fitted, new[:, :3])
    table = pd.DataFrame(new, columns=["age", "income", "visits", "rank"])
    with pytest.raises(FeaturesMismatch, match="'score'"):
        profile(fitted, table)


def test_the_result_is_shown_as_text_html_frame_and_plain_values(fitted, new):
    found = profile(fitted, new, n_examples=1)
    text, page = str(found), found._repr_html_()
    for word in (
        "Profile of 6 clusters: 2,000 rows, 4 features",
        "Rows nearest to the centers",
        "Rows between two clusters",
        "circular",
        "Does the data suit k-means?",
    ):
        assert word in text
        assert word in page
    assert max(map(len, text.splitlines())) <= 120
    frame = found.to_frame()
    assert [name for name in frame if name.startswith("p")] == ["p05", "p25", "p50", "p75", "p95"]
    assert frame["feature"].tolist() == NAMES * K
    assert found.clusters["share"].sum() == pytest.approx(1)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["statistics"][5]["mean"] == found.mean[1, 1]
    assert told["quantiles"]["probabilities"] == LEVELS
    low, high = (np.array(told["quantiles"][side]) for side in ("low", "high"))
    assert (low <= high).all()
    assert [np.sum(one["counts"]) + np.sum(one["other"]) for one in told["histogram"]] == [2000] * 4
    for description in found.descriptions:
        assert description.endswith("of rows")
        assert any(f"{side} {name}" in description for side in ("high", "low") for name in NAMES)


def test_histograms_count_every_row_of_each_cluster(fitted, new):
    found = profile(fitted, new).histogram
    labels = fitted.predict(pd.DataFrame(new, columns=NAMES))
    assert found.bins.discrete.any() or not found.other.any()
    for feature in range(4):
        edges, counts = found.of(feature)
        for c in range(K):
            own = new[labels == c, feature]
            if found.bins.discrete[feature]:
                truth = [(own == value).sum() for value in edges]
            else:
                # the first and the last bin hold what lies beyond
                inner = np.searchsorted(edges[1:-1], own, side="right")
                truth = np.bincount(inner, minlength=len(edges) - 1)
            np.testing.assert_array_equal(counts[c], truth)


def test_weights_on_another_scale_than_the_fit_s_give_the_same_profile():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400_000, 2))
    fitted = dkmeans.KMeans(2, random_state=0, max_iter=3).fit(X)
    ones = dkmeans.profile(fitted, X)
    shares = dkmeans.profile(fitted, X, sample_weight=np.full(len(X), 1 / len(X)))
    assert ones.quantiles is not None
    assert shares.quantiles is not None
    spread = ones.overall_std[None, :, None]
    np.testing.assert_allclose(
        shares.quantiles.value / spread, ones.quantiles.value / spread, atol=0.05
    )
    assert shares.quantiles.uncertainty(shares.overall_std)[0] < 0.5


def test_keys_of_any_type_are_plain_values(tmp_path):
    n = 40
    times = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=i) for i in range(n)]
    prices = [decimal.Decimal(i) / 4 for i in range(n)]
    X = np.random.default_rng(0).normal(size=(n, 2))
    folder = write_parquet(tmp_path / "in", X, when=times, price=prices, raw=[b"\xff"] * n)
    rows = dkmeans.read_parquet(
        str(folder), columns=["f0", "f1"], keys=["when", "price", "raw"], dtype="float64"
    )
    fitted = dkmeans.KMeans(3, random_state=0).fit(rows)
    profile = dkmeans.profile(fitted, rows, n_examples=1)
    told = json.loads(json.dumps(profile.to_dict(), allow_nan=False))["representatives"]
    number = told["row"][0]
    assert told["when"][0] == times[number].isoformat()
    assert told["price"][0] == str(prices[number]) or float(told["price"][0]) == prices[number]
    assert told["raw"][0] == str(b"\xff")
