"""Clusters beside the user's keys: every row there, in its place, or nothing at all."""

import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.errors import (
    ArgumentError,
    BadValues,
    DkmeansWarning,
    OutputExists,
    RowOrderIsKey,
    SchemaMismatch,
)
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.rows.clusters_out import MANIFEST, read_manifest, write_clusters
from tests.conftest import wait_until, write_parquet

CLUSTER_COLUMNS = ["cluster_id", "distance", "second_distance"]


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3000, 2)) * [3.0, 0.1]


@pytest.fixture
def folder(tmp_path: Path, X: np.ndarray) -> Path:
    """Three files of two row groups each, with an id and a text beside the features."""
    ids = np.arange(len(X)) * 7
    texts = [f"row {i}" for i in range(len(X))]
    return write_parquet(tmp_path / "in", X, n_files=3, row_group_rows=500, id=ids, text=texts)


def make_model(k: int = 4, dtype: str = "float64") -> Model:
    rng = np.random.default_rng(5)
    return Model(
        scaled_centers=rng.normal(size=(k, 2)),
        scaling=Scaling("standard", np.array([0.1, 0.0]), np.array([3.0, 0.1])),
        columns=(FeatureColumn("f0"), FeatureColumn("f1")),
        dtype=dtype,
        cluster_ids=np.arange(k) * 10 + 3,
        weights=np.ones(k),
        inertias=np.ones(k),
        scaled_means=rng.normal(size=(k, 2)),
        provenance={"run_id": "a-fit"},
    )


def rows_of(folder: Path | str, **options: object) -> dkmeans.Rows:
    return dkmeans.read_parquet(
        str(folder),
        **{
            "columns": ["f0", "f1"],
            "keys": ["id"],
            "dtype": "float64",
            "block_rows": 250,
            **options,
        },
    )


def tables(url: str, storage_options: dict | None = None) -> list[pa.Table]:
    """The output files, one table each, by the manifest."""
    options = storage_options or {}
    manifest = read_manifest(url, options)
    found = []
    for file in manifest["files"]:
        with fsspec.open(f"{url}/{file['path']}", **options) as opened:
            found.append(pq.read_table(opened))
    return found


def parts(out: Path) -> list[Path]:
    return sorted(out.glob("run-*/*.parquet"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_input_file_gets_an_output_file_with_its_rows_in_order(
    folder: Path, X: np.ndarray, tmp_path: Path, dtype: str
) -> None:
    model, rows = make_model(dtype=dtype), rows_of(folder, keys=["text", "id"], dtype=dtype)
    assert rows.n_blocks > 3
    manifest = write_clusters(model, rows, str(tmp_path / "out"))
    assert manifest == read_manifest(str(tmp_path / "out"))
    found = tables(str(tmp_path / "out"))
    sources = sorted(folder.iterdir())
    assert [file["source"] for file in manifest["files"]] == [str(path) for path in sources]
    for table, source in zip(found, sources, strict=True):
        assert table.column_names == ["text", "id", *CLUSTER_COLUMNS]
        assert table.select(["text", "id"]).equals(pq.read_table(source).select(["text", "id"]))
    whole = pa.concat_tables(found)
    expected = model.assign(X)
    np.testing.assert_array_equal(whole["cluster_id"], expected.cluster_ids)
    assert len(np.unique(expected.cluster_ids)) == 4
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(whole["distance"], expected.distances, rtol=tolerance)
    np.testing.assert_allclose(whole["second_distance"], expected.second_distances, rtol=tolerance)
    assert whole.schema.field("cluster_id").type == pa.int32()
    assert whole.schema.field("distance").type == (
        pa.float32() if dtype == "float32" else pa.float64()
    )


def test_the_manifest_says_which_model_and_how_many_rows(folder: Path, tmp_path: Path) -> None:
    model = make_model().renamed({13: "night owls"})
    manifest = write_clusters(model, rows_of(folder), str(tmp_path / "out"))
    assert manifest["model"] == model_id(model)
    assert manifest["model_run_id"] == "a-fit"
    assert manifest["cluster_names"] == {"13": "night owls"}
    assert manifest["cluster_colors"] == {}
    assert manifest["keys"] == ["id"]
    assert manifest["rows"] == manifest["rows_assigned"] == 3000
    assert [file["rows"] for file in manifest["files"]] == [1000] * 3
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == [MANIFEST]


def test_it_takes_one_pass_over_the_rows(folder: Path, tmp_path: Path) -> None:
    rows = rows_of(folder)
    write_clusters(make_model(), rows, str(tmp_path / "out"))
    assert rows.n_passes == 1
    assert rows.rows_read == 3000
    assert rows.bytes_read > 0


def test_rows_that_a_filter_drops_are_there_with_nulls(
    folder: Path, X: np.ndarray, tmp_path: Path
) -> None:
    rows = rows_of(folder, filters=[("f0", ">", 1.0)])
    manifest = write_clusters(make_model(), rows, str(tmp_path / "out"))
    whole = pa.concat_tables(tables(str(tmp_path / "out")))
    kept = X[:, 0] > 1.0
    assert 0 < kept.sum() < 3000
    np.testing.assert_array_equal(whole["id"], np.arange(3000) * 7)
    for name in CLUSTER_COLUMNS:
        np.testing.assert_array_equal(whole[name].is_valid(), kept)
    expected = make_model().assign(X[kept]).cluster_ids
    np.testing.assert_array_equal(whole["cluster_id"].drop_null(), expected)
    assert manifest["rows"] == 3000
    assert manifest["rows_assigned"] == kept.sum()
    thirds = kept.reshape(3, 1000).sum(axis=1)
    assert [file["assigned"] for file in manifest["files"]] == thirds.tolist()


def test_rows_of_a_row_group_that_is_never_read_are_there_with_nulls(
    folder: Path, X: np.ndarray, tmp_path: Path
) -> None:
    rows = rows_of(folder, filters=[("id", ">=", 7 * 1500), ("id", "<", 7 * 2200)])
    assert len(rows.parquet.row_groups) == 2 < 6
    manifest = write_clusters(make_model(), rows, str(tmp_path / "out"))
    whole = pa.concat_tables(tables(str(tmp_path / "out")))
    expected = np.zeros(3000, bool)
    expected[1500:2200] = True
    np.testing.assert_array_equal(whole["cluster_id"].is_valid(), expected)
    np.testing.assert_array_equal(whole["id"], np.arange(3000) * 7)
    assert [file["assigned"] for file in manifest["files"]] == [0, 500, 200]
    assert manifest["rows"] == 3000


def test_nulls_in_dropped_rows_do_no_harm(tmp_path: Path) -> None:
    table = pa.table({"f0": [1.0, None, 3.0], "f1": [0.0, 1.0, 2.0], "id": [1, 2, 3]})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    rows = rows_of(tmp_path / "in", filters=[("id", "!=", 2)])
    write_clusters(make_model(), rows, str(tmp_path / "out"))
    (found,) = tables(str(tmp_path / "out"))
    assert found["cluster_id"].is_valid().to_pylist() == [True, False, True]


def test_hive_columns_can_be_keys(X: np.ndarray, tmp_path: Path) -> None:
    for day, part in ((1, X[:1000]), (2, X[1000:1700])):
        for region in ("north", "south"):
            folder = tmp_path / "in" / f"day={day}" / f"region={region}"
            write_parquet(folder, part, n_files=1, id=np.arange(len(part)))
    rows = rows_of(tmp_path / "in", keys=["region", "id", "day"])
    assert rows.feature_names == ("f0", "f1")
    write_clusters(make_model(), rows, str(tmp_path / "out"))
    found = tables(str(tmp_path / "out"))
    assert [len(table) for table in found] == [1000, 1000, 700, 700]
    for table, day, region in zip(found, (1, 1, 2, 2), ("north", "south") * 2, strict=True):
        assert table.column_names == ["region", "id", "day", *CLUSTER_COLUMNS]
        assert table["day"].unique().to_pylist() == [day]
        assert table["region"].unique().to_pylist() == [region]
        assert table["id"].to_pylist() == list(range(len(table)))


def test_a_file_whose_folder_passes_no_filter_has_its_rows_with_nulls(
    X: np.ndarray, tmp_path: Path
) -> None:
    for day in (1, 2):
        write_parquet(tmp_path / "in" / f"day={day}", X[:100], n_files=1, id=np.arange(100))
    rows = rows_of(tmp_path / "in", keys=["day", "id"], filters=[("day", "==", 2)])
    manifest = write_clusters(make_model(), rows, str(tmp_path / "out"))
    first, second = tables(str(tmp_path / "out"))
    assert first["day"].to_pylist() == [1] * 100
    assert first["cluster_id"].null_count == 100
    assert second["cluster_id"].null_count == 0
    assert (manifest["rows"], manifest["rows_assigned"]) == (200, 100)


def test_without_keys_a_warning_says_that_the_order_is_the_key(
    folder: Path, X: np.ndarray, tmp_path: Path
) -> None:
    rows = rows_of(folder, keys=None)
    with pytest.warns(RowOrderIsKey, match="row order"):
        write_clusters(make_model(), rows, str(tmp_path / "out"))
    whole = pa.concat_tables(tables(str(tmp_path / "out")))
    assert whole.column_names == CLUSTER_COLUMNS
    np.testing.assert_array_equal(whole["cluster_id"], make_model().assign(X).cluster_ids)
    assert issubclass(RowOrderIsKey, DkmeansWarning)


def test_a_single_cluster_has_null_second_distances(folder: Path, X, tmp_path: Path) -> None:
    manifest = write_clusters(make_model(k=1), rows_of(folder), str(tmp_path / "out"))
    whole = pa.concat_tables(tables(str(tmp_path / "out")))
    assert whole["second_distance"].null_count == 3000
    np.testing.assert_allclose(whole["distance"], make_model(k=1).assign(X).distances, rtol=1e-12)
    assert manifest["rows_assigned"] == 3000


def test_files_and_row_groups_without_rows_are_fine(X: np.ndarray, tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "in", X[:100], n_files=1, id=np.arange(100))
    whole = pq.read_table(folder / "part-0.parquet")
    pq.write_table(whole.slice(0, 0), folder / "empty.parquet")
    with pq.ParquetWriter(folder / "holes.parquet", whole.schema) as writer:
        for n in (0, 30, 0, 70, 0):
            writer.write_table(whole.slice(100 - n, n) if n else whole.slice(0, 0))
    assert pq.read_metadata(folder / "holes.parquet").num_row_groups == 5
    with pq.ParquetWriter(folder / "nothing.parquet", whole.schema):
        pass
    manifest = write_clusters(make_model(), rows_of(folder), str(tmp_path / "out"))
    counts = {Path(file["source"]).name: file["rows"] for file in manifest["files"]}
    assert counts == {
        "empty.parquet": 0,
        "holes.parquet": 100,
        "nothing.parquet": 0,
        "part-0.parquet": 100,
    }
    found = dict(zip(counts, tables(str(tmp_path / "out")), strict=True))
    assert {name: len(table) for name, table in found.items()} == counts
    assert found["holes.parquet"]["id"].to_pylist() == [*range(70, 100), *range(30, 100)]
    assert found["holes.parquet"]["cluster_id"].null_count == 0


def test_an_existing_output_is_refused_and_kept(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_clusters(make_model(), rows_of(folder), str(out))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(OutputExists, match="overwrite"):
        write_clusters(make_model(k=2), rows_of(folder), str(out))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_overwriting_replaces_the_clusters_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_clusters(make_model(), rows_of(folder), str(out))
    write_clusters(make_model(k=2), rows_of(folder), str(out), overwrite=True)
    assert read_manifest(str(out))["model"] == model_id(make_model(k=2))
    assert len(parts(out)) == 3
    whole = pa.concat_tables(tables(str(out)))
    assert set(whole["cluster_id"].to_pylist()) == {3, 13}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["thesis.txt", "part-0.parquet", "run-to-the-hills.mp3", "run-2024/a"]
)
def test_other_people_s_files_are_never_touched(
    folder: Path, tmp_path: Path, overwrite: bool, name: str
) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with pytest.raises(OutputExists, match="other files"):
        write_clusters(make_model(), rows_of(folder), str(out), overwrite=overwrite)
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == "mine"


def test_a_file_in_the_place_of_the_output_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputExists):
        write_clusters(make_model(), rows_of(folder), str(tmp_path / "out"), overwrite=True)
    assert (tmp_path / "out").read_text() == "mine"


def test_the_input_is_never_written_over(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputExists):
        write_clusters(make_model(), rows_of(folder), str(folder), overwrite=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_empty_folder_is_a_fine_place(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_clusters(make_model(), rows_of(folder), str(tmp_path / "out"))["rows"] == 3000


def cut_off(out: Path) -> Path:
    """Make the output look as if the run had died before its second file; return that file."""
    (out / MANIFEST).unlink()
    missing = parts(out)[1]
    missing.unlink()
    return missing


def test_a_run_that_was_cut_off_is_taken_up_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    out, first = tmp_path / "out", rows_of(folder)
    write_clusters(make_model(), first, str(out))
    expected = tables(str(out))
    missing = cut_off(out)
    times = {path: path.stat().st_mtime_ns for path in parts(out)}
    again = rows_of(folder)
    manifest = write_clusters(make_model(), again, str(out))
    assert missing in parts(out)
    assert {path: path.stat().st_mtime_ns for path in parts(out) if path != missing} == times
    assert 0 < again.bytes_read < first.bytes_read / 2
    assert tables(str(out)) == expected
    assert manifest["rows"] == manifest["rows_assigned"] == 3000


def test_dropped_rows_are_counted_after_a_resume_too(folder: Path, X, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", int((X[:, 0] > 1.0).sum())
    for _ in range(2):
        rows = rows_of(folder, filters=[("f0", ">", 1.0)])
        manifest = write_clusters(make_model(), rows, str(out))
        assert (manifest["rows"], manifest["rows_assigned"]) == (3000, kept)
        cut_off(out)


@pytest.mark.parametrize("n_kept", [0, 100, -1])
def test_a_truncated_part_is_written_again(folder: Path, tmp_path: Path, n_kept: int) -> None:
    out = tmp_path / "out"
    write_clusters(make_model(), rows_of(folder), str(out))
    expected = tables(str(out))
    (out / MANIFEST).unlink()
    part = parts(out)[2]
    part.write_bytes(part.read_bytes()[:n_kept])
    write_clusters(make_model(), rows_of(folder), str(out))
    assert tables(str(out)) == expected


@pytest.mark.parametrize("change", ["model", "filter", "keys", "input"])
def test_parts_of_another_job_are_not_taken_for_this_one(
    folder: Path, X: np.ndarray, tmp_path: Path, change: str
) -> None:
    out, model, options = tmp_path / "out", make_model(), {}
    write_clusters(model, rows_of(folder), str(out))
    (out / MANIFEST).unlink()
    if change == "model":
        model = make_model(k=3)
    elif change == "filter":
        options = {"filters": [("f0", ">", 0.0)]}
    elif change == "keys":
        options = {"keys": ["text"]}
    else:
        write_parquet(folder, X[::-1], row_group_rows=600, id=np.arange(3000), text=["x"] * 3000)
    rows = rows_of(folder, **options)
    write_clusters(model, rows, str(out))
    write_clusters(model, rows, str(tmp_path / "fresh"))
    assert tables(str(out)) == tables(str(tmp_path / "fresh"))
    assert len(parts(out)) == 3


def test_a_run_that_fails_leaves_no_clusters(folder: Path, X: np.ndarray, tmp_path: Path) -> None:
    X[2999, 0] = np.nan
    write_parquet(folder, X, id=np.arange(3000), text=["x"] * 3000)
    out = tmp_path / "out"
    with pytest.raises(BadValues, match=r"'f0'.*part-2\.parquet.*1 NaN"):
        write_clusters(make_model(), rows_of(folder), str(out))
    assert not (out / MANIFEST).exists()
    # other files were being written at the time; they are finished, or go away
    wait_until(lambda: not list(out.rglob("*.part")))
    assert not [path for path in out.rglob("*") if path.is_file() and path.suffix != ".parquet"]


def test_a_run_that_fails_keeps_the_clusters_that_were_there(
    folder: Path, X: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_clusters(make_model(), rows_of(folder), str(out))
    expected = tables(str(out))
    X[2999, 0] = np.inf
    write_parquet(folder, X, id=np.arange(3000), text=["x"] * 3000)
    with pytest.raises(BadValues):
        write_clusters(make_model(), rows_of(folder), str(out), overwrite=True)
    assert tables(str(out)) == expected


def test_rows_without_the_model_s_features_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"f1, f0.*f0, f1"):
        write_clusters(make_model(), rows_of(folder, columns=["f1", "f0"]), str(tmp_path / "out"))
    with pytest.raises(SchemaMismatch, match="f0, f1"):
        write_clusters(make_model(), rows_of(folder, columns=["f0"]), str(tmp_path / "out"))
    with pytest.raises(ArgumentError, match="float32"):
        write_clusters(make_model(), rows_of(folder, dtype="float32"), str(tmp_path / "out"))
    rows = dkmeans.Rows.from_array(np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match="predict"):
        write_clusters(make_model(), rows, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_key_that_is_also_a_feature_is_written(folder: Path, X, tmp_path: Path) -> None:
    write_clusters(make_model(), rows_of(folder, keys=["f0", "id"]), str(tmp_path / "out"))
    whole = pa.concat_tables(tables(str(tmp_path / "out")))
    np.testing.assert_array_equal(whole["f0"], X[:, 0])
    np.testing.assert_array_equal(whole["cluster_id"], make_model().assign(X).cluster_ids)


@pytest.mark.parametrize("name", ["cluster_id", "distance", "second_distance"])
def test_a_key_named_as_a_column_of_ours_is_refused(
    X: np.ndarray, tmp_path: Path, name: str
) -> None:
    folder = write_parquet(tmp_path / "in", X[:50], **{name: np.arange(50)})
    with pytest.raises(ArgumentError, match=name):
        write_clusters(make_model(), rows_of(folder, keys=[name]), str(tmp_path / "out"))


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_clusters_go_to_other_stores_as_well(
    folder: Path, X: np.ndarray, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    if store == "memory":
        url, options = f"memory://{tmp_path.name}/out", {}
    else:
        url, options = f"{request.getfixturevalue('bucket')}/out", request.getfixturevalue("s3")
    model = make_model()
    manifest = write_clusters(model, rows_of(folder), url, storage_options=options)
    whole = pa.concat_tables(tables(url, options))
    np.testing.assert_array_equal(whole["id"], np.arange(3000) * 7)
    np.testing.assert_array_equal(whole["cluster_id"], model.assign(X).cluster_ids)
    with pytest.raises(OutputExists):
        write_clusters(model, rows_of(folder), url, storage_options=options)

    fs, path = fsspec.core.url_to_fs(url, **options)
    fs.rm(f"{path}/{MANIFEST}")
    fs.rm(f"{path}/{manifest['files'][0]['path']}")
    again = rows_of(folder)
    resumed = write_clusters(model, again, url, storage_options=options)
    assert resumed["files"] == manifest["files"]
    assert again.bytes_read == sum(group.n_bytes for group in again.parquet.row_groups[:2])
    assert pa.concat_tables(tables(url, options)).equals(whole)

    write_clusters(make_model(k=2), rows_of(folder), url, overwrite=True, storage_options=options)
    assert len([name for name in fs.find(path) if name.endswith(".parquet")]) == 3
    assert set(pa.concat_tables(tables(url, options))["cluster_id"].to_pylist()) == {3, 13}


def test_the_rest_of_the_world_reads_the_output_as_a_dataset(
    folder: Path, X, tmp_path: Path
) -> None:
    import pandas as pd

    write_clusters(make_model(), rows_of(folder), str(tmp_path / "out"))
    frame = pd.read_parquet(tmp_path / "out")
    assert frame["id"].tolist() == (np.arange(3000) * 7).tolist()
    assert frame["cluster_id"].tolist() == make_model().assign(X).cluster_ids.tolist()
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["format"] == 1


def test_it_runs_on_a_cluster_and_gives_the_same_files(
    client, folder: Path, tmp_path: Path
) -> None:
    write_clusters(make_model(), rows_of(folder), str(tmp_path / "threads"))
    rows = rows_of(folder, client=client)
    write_clusters(make_model(), rows, str(tmp_path / "cluster"))
    assert [path.read_bytes() for path in parts(tmp_path / "cluster")] == [
        path.read_bytes() for path in parts(tmp_path / "threads")
    ]
