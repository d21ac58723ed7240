"""`window_fit`: windows that move over partitions, of which only the new ones are read."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans import Allowance, CoresetStore, KMeans, Model, list_partitions, window_fit
from dkmeans.algorithms.windows.store import CoresetStore as Store
from dkmeans.errors import (
    ArgumentError,
    BudgetSpent,
    ConvergenceWarning,
    FeaturesMismatch,
    SchemaMismatch,
    TooFewRows,
)
from dkmeans.models.files import model_id
from tests.algorithms.windows.test_store import notes

__all__ = ["notes"]

K, N, DAYS = 5, 1500, 9
ASKED = {"coreset_size": 1200, "random_state": 0}


def rows_of(day: int, n: int = N) -> np.ndarray:
    """Rows around centers that move from day to day; one comes on day 4."""
    rng = np.random.default_rng(day)
    centers = np.random.default_rng(99).uniform(-10, 10, size=(K, 3))
    centers[:2] += 0.4 * day
    share = np.array([3, 2, 2, 1, 1.0 * (day >= 4)])
    label = rng.choice(K, n, p=share / share.sum())
    return ((centers[label] + rng.normal(size=(n, 3))) * [1, 50, 1]).astype(np.float32)


def write(lake: Path, day: int, X: np.ndarray, **columns: object) -> Path:
    folder = lake / f"dt=2026-11-{day + 10}"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({**{f"f{i}": X[:, i] for i in range(X.shape[1])}, **columns})
    pq.write_table(table, folder / "part.parquet", row_group_size=300)
    return folder / "part.parquet"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lake")
    for day in range(DAYS):
        write(place, day, rows_of(day), w=np.random.default_rng(day).choice([0, 1, 3], N))
    return place


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "coresets")


COLUMNS = ["f0", "f1", "f2"]


def window(lake: Path, first: int, last: int):
    """The partitions of days, both ends included."""
    name = "2026-11-{}".format
    asked = [("dt", ">=", name(first + 10)), ("dt", "<=", name(last + 10))]
    return list_partitions(str(lake), filters=asked)


def fit(lake: Path, first: int, last: int, store: object = None, **options: object) -> Model:
    asked = {"n_clusters": K, "scale": "standard", "columns": COLUMNS, **ASKED, **options}
    return window_fit(window(lake, first, last), store, **asked)


def read_in(model: Model) -> list[str]:
    """Days that were read for a model."""
    return [one["name"][-2:] for one in model.provenance["window"]["partitions"] if one["read"]]


def stored_bytes(lake: Path, day: int) -> int:
    file = pq.ParquetFile(lake / f"dt=2026-11-{day + 10}" / "part.parquet").metadata
    groups = [file.row_group(i) for i in range(file.num_row_groups)]
    return sum(group.column(i).total_compressed_size for group in groups for i in range(3))


def inertia_of_refit(lake: Path, first: int, last: int) -> float:
    urls = [url for one in window(lake, first, last) for url in one.urls]
    rows = dkmeans.read_parquet(urls, COLUMNS)
    return KMeans(K, scale="standard", random_state=0).fit(rows).inertia_


def test_a_window_that_moves_reads_what_is_new_and_is_as_good_as_a_refit(lake, store):
    champion = None
    for first in range(DAYS - 3):
        asked = {} if champion is None else {"keep_scaling": False}
        model = fit(lake, first, first + 3, store, champion=champion, exact=False, **asked)
        new = range(first, first + 4) if first == 0 else [first + 3]
        assert read_in(model) == [str(day + 10) for day in new]
        # a pilot that staging does not answer aside, each byte once
        assert model.provenance["bytes_read"] == sum(stored_bytes(lake, day) for day in new)
        X = np.concatenate([rows_of(day) for day in range(first, first + 4)])
        assert -model.score(X) <= 1.005 * inertia_of_refit(lake, first, first + 3)
        assert model.provenance["rows"] == len(X)
        np.testing.assert_allclose(model.scaling.factor, X.std(axis=0, dtype=float), rtol=1e-5)
        champion = model


def test_kept_partitions_are_not_even_opened(lake, tmp_path, store):
    copy = tmp_path / "lake"
    for day in range(3):
        write(copy, day, rows_of(day))
    fit(copy, 0, 2, store)
    for day in (0, 1):
        path = copy / f"dt=2026-11-{day + 10}" / "part.parquet"
        found = path.stat()
        path.write_bytes(b"x" * found.st_size)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    write(copy, 3, rows_of(3))
    model = fit(copy, 0, 3, store)
    assert read_in(model) == ["13"]
    again = fit(copy, 0, 3, store)
    assert read_in(again) == []
    assert (again.provenance["bytes_read"], again.provenance["n_passes"]) == (0, 0)
    assert model_id(again) == model_id(model)


def test_the_inertia_is_an_estimate_with_an_error_unless_all_rows_are_asked_for(lake, store):
    X = np.concatenate([rows_of(day) for day in range(6)])
    model = fit(lake, 0, 5, store)
    told = model.provenance["window"]
    assert 0 < told["inertia_standard_error"] < 0.05 * model.inertia
    assert abs(model.inertia + model.score(X)) < 4 * told["inertia_standard_error"]
    assert model.weights.sum() == pytest.approx(len(X), rel=1e-12)
    kept = sum(one["coreset_rows"] for one in told["partitions"])
    # what all partitions keep, and what is drawn from it
    assert 6 * N / 3 < kept <= 6 * N / 2
    assert 1200 < told["coreset_rows"] <= 2 * 1200 + 200
    exact = fit(lake, 0, 5, store, exact=True)
    np.testing.assert_array_equal(exact.scaled_centers, model.scaled_centers)
    assert exact.inertia == pytest.approx(-model.score(X), rel=1e-5)
    np.testing.assert_array_equal(exact.weights, np.bincount(model.predict(X), minlength=K))
    assert exact.provenance["window"]["inertia_standard_error"] == 0
    assert exact.provenance["rows_read"] == len(X)


def test_the_champion_is_followed_in_its_scale(lake, store):
    champion = fit(lake, 0, 3, store)
    model = window_fit(window(lake, 1, 4), store, champion=champion, **ASKED)
    assert model.scaling is champion.scaling
    assert model.columns == champion.columns
    assert read_in(model) == ["14"]
    told = model.provenance
    run_id = champion.provenance["run_id"]
    assert told["parent"] == {"run_id": run_id, "model_id": model_id(champion)}
    assert model.parameters["scale"] == "standard"
    # nothing speaks against the champion's clusters of the days that it has seen
    same = window_fit(window(lake, 0, 3), store, champion=champion, **ASKED)
    assert same.provenance["window"]["start"] == "champion"
    np.testing.assert_allclose(same.scaled_centers, champion.scaled_centers, atol=0.05)


def test_weights_count(lake):
    model = fit(lake, 0, 1, weight="w")
    weight = [np.random.default_rng(day).choice([0, 1, 3], N) for day in (0, 1)]
    assert model.weights.sum() == pytest.approx(np.sum(weight), rel=1e-12)
    X = np.concatenate([rows_of(0), rows_of(1)])
    mean = np.average(X, axis=0, weights=np.concatenate(weight))
    np.testing.assert_allclose(model.scaling.shift, mean, rtol=1e-5)


def test_how_rows_are_read_is_part_of_what_is_kept(lake, store):
    fit(lake, 0, 1, store)
    assert read_in(fit(lake, 0, 1, store, weight="w")) == ["10", "11"]
    assert read_in(fit(lake, 0, 1, store, columns=["f0", "f1"])) == ["10", "11"]
    # but not for what it is clustered
    assert read_in(fit(lake, 0, 1, store, n_clusters=3, scale="robust", n_init=2)) == []


def test_columns_that_nobody_has_named_are_those_of_the_champion_too(tmp_path, store):
    for day in range(3):
        write(tmp_path / "lake", day, rows_of(day))
    champion = fit(tmp_path / "lake", 0, 1, store, columns=None)
    asked = {"champion": champion, "columns": None, "scale": None}
    assert read_in(fit(tmp_path / "lake", 0, 2, store, **asked)) == ["12"]
    # of a partition that has one more, others were kept
    write(tmp_path / "lake", 1, rows_of(1), more=np.arange(N, dtype=float))
    with pytest.raises(SchemaMismatch, match="more"):
        fit(tmp_path / "lake", 0, 1, store, columns=None)
    assert read_in(fit(tmp_path / "lake", 0, 2, store, **asked)) == ["11"]


def test_a_fit_within_a_checkpoint_leaves_no_row_behind_and_goes_on(lake, tmp_path, monkeypatch):
    quiet, place = fit(lake, 0, 3), tmp_path / "state"
    put, done = Store.put, []

    def killed(self, partition, reading, kept):
        put(self, partition, reading, kept)
        done.append(partition.name)
        if len(done) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(lake, 0, 3, checkpoint=str(place))
    assert len(list(place.glob("coreset-*.zip"))) == 2
    model = fit(lake, 0, 3, checkpoint=str(place))
    assert read_in(model) == ["12", "13"]
    np.testing.assert_array_equal(model.scaled_centers, quiet.scaled_centers)
    np.testing.assert_array_equal(model.weights, quiet.weights)
    assert list(place.iterdir()) == []


def test_limits_hold_for_all_partitions_together(lake, tmp_path, store):
    sizes = [stored_bytes(lake, day) for day in range(4)]
    with pytest.raises(BudgetSpent, match=r"max_bytes=.* of 4 new partitions, of which none"):
        fit(lake, 0, 3, store, allowance=Allowance(max_bytes=sum(sizes) - 1))
    assert not Path(store).exists()
    shared = Allowance(max_bytes=sum(sizes) + sizes[0])
    fit(lake, 0, 3, store, allowance=shared)
    # a new partition costs more than what is left, and one that is kept nothing
    with pytest.raises(BudgetSpent, match="max_bytes"):
        fit(lake, 3, 5, store, allowance=shared)
    assert read_in(fit(lake, 0, 3, store, allowance=shared)) == []
    with pytest.raises(BudgetSpent, match=r"max_bytes.* all rows of 2 partitions"):
        fit(lake, 2, 3, store, exact=True, allowance=Allowance(max_bytes=sizes[2]))
    with pytest.raises(BudgetSpent, match="max_passes=1 are made"):
        fit(lake, 0, 0, exact=True, allowance=Allowance(max_passes=1))
    with pytest.raises(BudgetSpent, match="max_seconds"):
        fit(lake, 4, 4, store, allowance=Allowance(max_seconds=1e-9))
    with pytest.raises(ArgumentError, match="max_bytes=0 should be above 0"):
        Allowance(max_bytes=0)


def test_a_rewritten_partition_is_read_again_and_its_old_rows_go(lake, tmp_path, store):
    copy = tmp_path / "lake"
    for day in range(3):
        write(copy, day, rows_of(day))
    fit(copy, 0, 2, store)
    before = set(os.listdir(store))
    write(copy, 1, rows_of(1, N + 50))
    model = fit(copy, 0, 2, store)
    assert read_in(model) == ["11"]
    assert model.provenance["rows"] == 3 * N + 50
    assert len(before & set(os.listdir(store))) == 3
    assert len(os.listdir(store)) == 4


def test_partitions_leave_the_store_by_the_list_of_those_that_stay(lake, store):
    fit(lake, 0, 3, store)
    fit(lake, 1, 4, store, retain=["dt=2026-11-10"])
    assert len(CoresetStore(store).entries) == 5
    fit(lake, 2, 4, store, retain=[])
    assert [one.name[-2:] for one in CoresetStore(store).entries] == ["12", "13", "14"]
    assert CoresetStore(store).forget() > 0
    assert os.listdir(store) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fit_that_is_killed_between_partitions_goes_on(lake, store, monkeypatch, when):
    quiet = fit(lake, 0, 3)
    put, done = Store.put, []

    def killed(self, partition, reading, kept):
        if when == "after" or len(done) < 2:
            put(self, partition, reading, kept)
        done.append(partition.name)
        if len(done) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(lake, 0, 3, store)
    model = fit(lake, 0, 3, store)
    assert read_in(model) == (["12", "13"] if when == "before" else ["13"])
    np.testing.assert_array_equal(model.scaled_centers, quiet.scaled_centers)
    np.testing.assert_array_equal(model.weights, quiet.weights)


def test_a_damaged_coreset_is_made_anew_with_a_word(lake, store, notes):
    model = fit(lake, 0, 2, store)
    entry = CoresetStore(store).entries[1]
    path = Path(store, entry.file)
    path.write_bytes(path.read_bytes()[:-7])
    again = fit(lake, 0, 2, store)
    assert read_in(again) == ["11"]
    assert any("the coreset of dt=2026-11-11 is damaged" in note for note in notes)
    assert again.inertia == pytest.approx(model.inertia, rel=0.05)
    assert read_in(fit(lake, 0, 2, store)) == []


def test_coresets_of_a_large_window_do_for_a_small_one_unless_they_have_far_too_few_rows(
    lake, store, notes
):
    few = {"coreset_size": 200}
    fit(lake, 0, 8, store, **few)
    assert read_in(fit(lake, 7, 8, store, **few)) == []
    model = fit(lake, 7, 8, store)
    assert read_in(model) == ["17", "18"]
    assert any("was drawn for a larger window" in note for note in notes)
    # and are more than enough for others
    assert read_in(fit(lake, 6, 8, store, **few)) == []


def test_empty_partitions_are_left_out_and_there_must_be_some(lake, tmp_path, notes):
    copy = tmp_path / "lake"
    for day in range(2):
        write(copy, day, rows_of(day))
    write(copy, 2, rows_of(2)[:0])
    model = fit(copy, 0, 2)
    assert model.provenance["rows"] == 2 * N
    assert any("dt=2026-11-12 is left out" in note for note in notes)
    with pytest.raises(TooFewRows, match="none of the 1 partitions"):
        fit(copy, 2, 2)
    none_left = list_partitions(str(copy), filters=("f0", ">", 1e6))
    with pytest.raises(TooFewRows, match="none of the 3 partitions"):
        window_fit(none_left, n_clusters=2)
    few = [("dt", "==", "2026-11-10"), ("f0", ">", float(np.sort(rows_of(0)[:, 0])[-5]))]
    with pytest.raises(TooFewRows, match=r"n_clusters=5 needs at least 5 rows .* has 4"):
        window_fit(list_partitions(str(copy), filters=few), n_clusters=5)


def test_missing_values_are_dropped_or_filled_as_the_champion_does(tmp_path):
    X = rows_of(0).astype(float)
    X[::9, 1] = np.nan
    write(tmp_path / "lake", 0, X)
    asked = {"columns": COLUMNS, "n_clusters": 3, **ASKED}
    lake = str(tmp_path / "lake")
    dropped = window_fit(lake, missing="drop", **asked)
    assert dropped.provenance["rows"] == N - len(X[::9])
    assert dropped.provenance["rows_dropped"] == dropped.provenance["rows_missing"] == len(X[::9])
    with pytest.raises(ArgumentError, match="needs a champion that tells the means"):
        window_fit(lake, missing="mean", **asked)
    rows = dkmeans.read_parquet(lake, COLUMNS, missing="mean")
    champion = KMeans(3, random_state=0).fit(rows).model_
    model = window_fit(lake, champion=champion, **ASKED)
    assert model.provenance["rows"] == N
    np.testing.assert_array_equal(model.filling.values, champion.filling.values)


def test_what_cannot_be_is_refused_before_anything_is_read(lake, tmp_path, store):
    champion = fit(lake, 0, 0)
    some = window(lake, 0, 1)
    with pytest.raises(ArgumentError, match="n_clusters=None needs a champion"):
        window_fit(some)
    with pytest.raises(ArgumentError, match="keep_scaling=False"):
        window_fit(some, champion=champion, scale="minmax")
    with pytest.raises(ArgumentError, match="n_init='many'"):
        window_fit(some, n_clusters=2, n_init="many")
    with pytest.raises(ArgumentError, match="coreset_size=3"):
        window_fit(some, n_clusters=2, coreset_size=3)
    with pytest.raises(ArgumentError, match="is given twice"):
        window_fit([some[0], some[0]], n_clusters=2)
    with pytest.raises(ArgumentError, match="has no partition"):
        window_fit([], n_clusters=2)
    with pytest.raises(FeaturesMismatch, match="are not those of the champion"):
        window_fit(some, champion=champion, columns=["f0"])
    with pytest.raises(ArgumentError, match="something else than coresets"):
        window_fit(some, str(lake), n_clusters=2)
    write(tmp_path / "lake", 0, rows_of(0))
    write(tmp_path / "lake", 1, rows_of(1)[:, :2])
    with pytest.raises(SchemaMismatch, match="pass columns="):
        window_fit(str(tmp_path / "lake"), n_clusters=2)


def test_fewer_distinct_rows_than_clusters_are_told(tmp_path):
    write(tmp_path / "lake", 0, np.repeat(rows_of(0, 3), 200, axis=0))
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\)"):
        model = window_fit(str(tmp_path / "lake"), n_clusters=4, columns=COLUMNS, **ASKED)
    assert model.inertia == pytest.approx(0, abs=1e-6)


def test_models_of_windows_are_saved_and_shown(lake, tmp_path):
    model = fit(lake, 0, 1)
    model.save(str(tmp_path / "m"))
    loaded = Model.load(str(tmp_path / "m"))
    assert loaded.provenance["window"] == model.provenance["window"]
    np.testing.assert_array_equal(loaded.scaled_centers, model.scaled_centers)
    found = dkmeans.evaluate(loaded, str(lake / "dt=2026-11-10"))
    assert found.n_clusters == K


def test_windows_are_fitted_on_a_cluster_and_over_a_store(lake, bucket, s3, client):
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    fs.put(f"{lake}/", f"{bucket}/lake", recursive=True)
    asked = {"n_clusters": K, "columns": COLUMNS, "storage_options": s3, **ASKED}
    days = list_partitions(f"{bucket}/lake", storage_options=s3)[:3]
    here = window_fit(days, f"{bucket}/kept", **asked)
    with client.as_current():
        there = window_fit(days, **asked)
        again = window_fit(days, f"{bucket}/kept", **asked)
    np.testing.assert_array_equal(here.scaled_centers, there.scaled_centers)
    np.testing.assert_array_equal(here.scaled_centers, again.scaled_centers)
    assert again.provenance["bytes_read"] == 0
    assert "secret" not in repr(there.provenance)
