"""`dkmeans predict`: a model's clusters for new rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet


@pytest.fixture
def model_url(tmp_path: Path, blobs) -> str:
    """A scaled model of ten clusters, in float64."""
    folder = write_parquet(tmp_path / "train", blobs[0])
    rows = dkmeans.read_parquet(str(folder), dtype="float64", block_rows=900)
    assert rows.n_blocks > 1
    model = dkmeans.KMeans(10, scale="standard", random_state=0).fit(rows).model_
    model.save(str(tmp_path / "model"))
    return str(tmp_path / "model")


@pytest.fixture
def new(tmp_path: Path, blobs) -> tuple[Path, np.ndarray]:
    """New rows whose columns come in another order, with others among them."""
    X = blobs[0][::-3] + 0.5
    table = pa.table(
        {
            "f3": X[:, 3],
            "day": ["monday"] * len(X),
            "f1": X[:, 1],
            "f0": X[:, 0],
            "id": np.arange(len(X)),
            "f2": X[:, 2],
        }
    )
    (tmp_path / "new").mkdir()
    pq.write_table(table.slice(0, 700), tmp_path / "new" / "a.parquet", row_group_size=200)
    pq.write_table(table.slice(700), tmp_path / "new" / "b.parquet", row_group_size=200)
    return tmp_path / "new", X


def test_new_rows_get_the_clusters_that_the_model_gives_them(
    model_url: str, new: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    folder, X = new
    ran = run_apart(
        "predict", model_url, folder, tmp_path / "out", "--keys", "id,day", "--workers", 0, "--json"
    )
    result = ran.json
    assert (result["rows"], result["rows_assigned"], result["files"]) == (len(X), len(X), 2)
    assert result["output"] == str(tmp_path / "out")
    assert result["bytes_read"] > 0
    table = pq.read_table(tmp_path / "out")
    assert table["id"].to_pylist() == list(range(len(X)))
    expected = dkmeans.Model.load(model_url).assign(X)
    np.testing.assert_array_equal(table["cluster_id"], expected.cluster_ids)
    np.testing.assert_allclose(table["distance"], expected.distances, rtol=1e-9)
    np.testing.assert_allclose(table["second_distance"], expected.second_distances, rtol=1e-9)


def test_rows_that_a_filter_drops_keep_their_place(
    model_url: str, new: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    folder, X = new
    ran = run(
        "predict", model_url, folder, tmp_path / "out", "--keys", "id", "--workers", 0,
        "--filter", "f0 > 0", "--filter", "id >= 100",
    )  # fmt: skip
    assert ran.code == 0
    kept = (X[:, 0] > 0) & (np.arange(len(X)) >= 100)
    table = pq.read_table(tmp_path / "out")
    np.testing.assert_array_equal(table["cluster_id"].is_valid(), kept)
    assert f"{kept.sum():,} of {len(X):,} rows" in ran.out


def test_the_clusters_of_a_fit_and_of_a_prediction_are_the_same(blobs, tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "in", blobs[0], id=np.arange(5000))
    fitted = run(
        "fit", folder, "--k", 5, "--model", tmp_path / "model", "--output", tmp_path / "fit",
        "--keys", "id", "--workers", 0,
    )  # fmt: skip
    predicted = run(
        "predict", tmp_path / "model", folder, tmp_path / "predict", "--keys", "id", "--workers", 0
    )
    assert fitted.code == predicted.code == 0
    assert pq.read_table(tmp_path / "fit").equals(pq.read_table(tmp_path / "predict"))
    assert (
        read_manifest(str(tmp_path / "fit"))["model"]
        == read_manifest(str(tmp_path / "predict"))["model"]
    )


def test_an_output_that_exists_is_refused_unless_told_otherwise(
    model_url: str, new: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    job = ("predict", model_url, new[0], tmp_path / "out", "--keys", "id", "--workers", 0)
    assert run(*job).code == 0
    again = run(*job)
    assert again.code == 2
    assert "--overwrite" in again.error
    assert run(*job, "--overwrite").code == 0


def test_other_columns_than_the_model_s_are_refused(
    model_url: str, new: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    table = pq.read_table(new[0]).rename_columns(["f3", "day", "g1", "f0", "id", "f2"])
    pq.write_table(table, tmp_path / "other.parquet")
    ran = run("predict", model_url, tmp_path / "other.parquet", tmp_path / "out", "--workers", 0)
    assert ran.code == 3
    assert "'f1'" in ran.error
    assert "other.parquet" in ran.error
    assert not (tmp_path / "out").exists()


def test_a_feature_of_text_is_refused(model_url: str, new, tmp_path: Path) -> None:
    table = pq.read_table(new[0])
    table = table.set_column(2, "f1", pa.array(["x"] * len(table)))
    pq.write_table(table, tmp_path / "other.parquet")
    ran = run("predict", model_url, tmp_path / "other.parquet", tmp_path / "out", "--workers", 0)
    assert ran.code == 3
    assert "'f1'" in ran.error


def test_a_value_that_is_missing_is_named_and_nothing_is_written(
    model_url: str, new: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    X = new[1].copy()
    X[1500, 2] = np.nan
    folder = write_parquet(tmp_path / "bad", X, n_files=2, row_group_rows=200)
    ran = run("predict", model_url, folder, tmp_path / "out", "--workers", 0)
    assert ran.code == 3
    for word in ("'f2'", "part-1.parquet", "row group 3", "1 NaN"):
        assert word in ran.error
    assert not (tmp_path / "out" / "_dkmeans.json").exists()


def test_a_model_without_names_takes_columns_by_place(blobs, tmp_path: Path) -> None:
    model = dkmeans.KMeans(4, random_state=0).fit(blobs[0]).model_
    assert model.feature_names is None
    model.save(str(tmp_path / "model"))
    folder = write_parquet(tmp_path / "in", blobs[0], id=np.arange(5000))
    ran = run(
        "predict", tmp_path / "model", folder, tmp_path / "out", "--keys", "id", "--workers", 0
    )
    assert ran.code == 0, ran.err
    table = pq.read_table(tmp_path / "out")
    np.testing.assert_array_equal(table["cluster_id"], model.predict(blobs[0]))


def test_an_embedding_column_is_matched_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) + np.repeat([[0], [20]], 200, axis=0)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3)
    (tmp_path / "in").mkdir()
    pq.write_table(
        pa.table({"id": np.arange(400), "v": vectors}),
        tmp_path / "in" / "a.parquet",
        row_group_size=90,
    )
    job = (tmp_path / "in", "--keys", "id", "--workers", 0)
    assert run("fit", *job, "--k", 2, "--model", tmp_path / "model").code == 0
    ran = run("predict", tmp_path / "model", job[0], tmp_path / "out", *job[1:])
    assert ran.code == 0, ran.err
    found = pq.read_table(tmp_path / "out")["cluster_id"].to_numpy()
    assert len(set(found[:200])) == len(set(found[200:])) == 1
    assert found[0] != found[-1]
