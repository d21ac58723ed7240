"""The task predict: the clusters of a model, written once."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.errors import BudgetSpent, FeaturesMismatch, MissingInput, OutputExists
from dkmeans.jobs.outcome import Outcome
from dkmeans.jobs.run import do_task
from dkmeans.registry.registry import Registry
from dkmeans.rows.clusters_out import read_manifest
from tests.conftest import write_parquet
from tests.jobs.jobs import AS_OF, job_of

TEXT = """
task: predict
name: scores
data: {url: "in/{{ as_of | %Y%m }}", keys: [id]}
model: model
cluster: {local: 0}
output: out
"""


@pytest.fixture
def folder(tmp_path: Path, blobs: Any) -> Path:
    X = blobs[0]
    write_parquet(tmp_path / "in" / "202611", X, id=np.arange(len(X)))
    save_model(tmp_path, 4)
    return tmp_path


def save_model(folder: Path, n_clusters: int) -> None:
    rows = dkmeans.read_parquet(str(folder / "in" / "202611"), keys=["id"])
    model = dkmeans.KMeans(n_clusters, random_state=0, scale="standard").fit(rows).model_
    model.save(str(folder / "model"), overwrite=True)


def predict(folder: Path, *sets: str) -> Outcome:
    return do_task(job_of(TEXT, sets, folder=folder))


def test_rows_get_the_clusters_of_the_model(folder: Path, blobs: Any) -> None:
    result = predict(folder).result
    assert (result["rows"], result["rows_assigned"], result["unchanged"]) == (5000, 5000, False)
    expected = dkmeans.Model.load(str(folder / "model")).assign(blobs[0].astype("float32"))
    table = pq.read_table(folder / "out")
    np.testing.assert_array_equal(table["cluster_id"], expected.cluster_ids)
    assert table["id"].to_pylist() == list(range(5000))
    run = job_of(TEXT, folder=folder)
    manifest = read_manifest(str(folder / "out"))
    assert manifest["job"] == {
        **run.record(),
        "run_id": result["run_id"],
        "model": str(folder / "model"),
        "model_version": None,
    }


def test_the_same_job_on_the_same_data_writes_nothing_again(folder: Path) -> None:
    first = predict(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    again = predict(folder)
    assert again.result["unchanged"]
    assert again.result["run_id"] == first.result["run_id"]
    assert again.result["bytes_read"] == 0 < first.result["bytes_read"]
    assert again.lines[0].startswith("nothing to do: 5,000 of 5,000 rows")
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")} == before


@pytest.mark.parametrize("change", ["model", "data", "job", "a file is gone"])
def test_what_has_changed_is_written_again(folder: Path, blobs: Any, change: str) -> None:
    first = predict(folder)
    sets: tuple[str, ...] = ()
    if change == "model":
        save_model(folder, 6)
    elif change == "data":
        write_parquet(folder / "in" / "202611", blobs[0][:3000], id=np.arange(3000))
    elif change == "job":
        sets = ("data.filters=f0 > 0",)
    else:
        next((folder / "out").rglob("*.parquet")).unlink()
    again = predict(folder, *sets)
    assert not again.result["unchanged"]
    assert again.result["run_id"] != first.result["run_id"]
    assert pq.read_table(folder / "out").num_rows == again.result["rows"]
    assert predict(folder, *sets).result["unchanged"]


def test_clusters_of_somebody_else_stay(folder: Path) -> None:
    predict(folder, "name=other")
    with pytest.raises(OutputExists, match="clusters lie at"):
        predict(folder)
    assert not predict(folder, "output.overwrite=true").result["unchanged"]


def test_each_month_has_its_data(folder: Path, blobs: Any) -> None:
    write_parquet(folder / "in" / "202512", blobs[0][:100], id=np.arange(100))
    run = job_of(TEXT, ["output=later"], folder=folder, as_of=AS_OF.replace(year=2025, month=12))
    assert do_task(run).result["rows"] == 100


def test_rows_without_the_features_are_refused(folder: Path, blobs: Any) -> None:
    write_parquet(folder / "narrow", blobs[0][:100, :2], id=np.arange(100))
    with pytest.raises(FeaturesMismatch, match="'f2'"):
        predict(folder, "data.url=narrow")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("model=models@champion", 2),
        ("model=models@1", 1),
        ("registry=models", 2),
        ("registry=models@1", 1),
        ("registry={url: models, alias: before}", 1),
    ],
)
def test_the_model_may_be_one_of_a_registry(folder: Path, reference: str, version: int) -> None:
    registry = Registry(str(folder / "models"))
    first = dkmeans.Model.load(str(folder / "model"))
    save_model(folder, 6)
    for number, model in enumerate((first, dkmeans.Model.load(str(folder / "model")))):
        registry.publish(model, run_id=f"run-{number}")
    registry.promote(2, reason="better")
    registry.move("before", 1, reason="kept")
    sets = (reference,) if reference.startswith("model") else ("model=", reference)
    result = predict(folder, *sets).result
    assert result["version"] == version
    job = read_manifest(str(folder / "out"))["job"]
    assert job["model_version"] == version
    assert job["model"].startswith(f"{folder / 'models'}@")
    ids = pq.read_table(folder / "out")["cluster_id"].to_numpy()
    assert ids.max() == (3 if version == 1 else 5)


def test_a_champion_that_has_moved_gives_other_clusters(folder: Path) -> None:
    registry = Registry(str(folder / "models"))
    sets = ("model=models@champion",)
    for version in (1, 2):
        save_model(folder, 3 + version)
        registry.publish(dkmeans.Model.load(str(folder / "model")), run_id=f"run-{version}")
        registry.promote(version, reason="newest")
        assert not predict(folder, *sets).result["unchanged"]
        assert predict(folder, *sets).result["unchanged"]


def test_a_model_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(MissingInput, match="no model at"):
        predict(folder, "model=gone")


def test_a_pass_that_costs_too_much_is_not_begun(folder: Path) -> None:
    with pytest.raises(BudgetSpent):
        predict(folder, "limits.max_bytes=100")
    assert not (folder / "out").exists()


def test_rows_that_lack_values_may_be_left_out(folder: Path, blobs: Any) -> None:
    X = blobs[0].copy()
    X[7, 1] = np.nan
    write_parquet(folder / "in" / "202611", X, id=np.arange(len(X)))
    outcome = predict(folder, "data.missing=drop")
    assert outcome.has_left_out
    assert outcome.result["rows_missing"] == 1
