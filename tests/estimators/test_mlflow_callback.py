"""`MLflowCallback` against a real store of MLflow in a folder."""

import sys

import numpy as np
import pytest

from dkmeans import KMeans, MLflowCallback, Model, read_parquet
from dkmeans.errors import ArgumentError, BadValues
from tests.conftest import write_parquet

X = np.random.default_rng(0).uniform(size=(2000, 3))


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow with a store of its own."""
    # the light client has no database, and without this refuses the store that it has
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed (extra mlflow)")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    yield mlflow
    assert mlflow.active_run() is None
    mlflow.set_tracking_uri(before)


def runs_of(mlflow):
    client = mlflow.MlflowClient()
    return client.search_runs([one.experiment_id for one in client.search_experiments()])


def history(mlflow, run, name):
    found = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in found)


def test_a_fit_is_a_run_with_its_parameters_and_a_step_for_each_pass(mlflow):
    callback = MLflowCallback("first try")
    model = KMeans(
        5, init="k-means||", scale="standard", random_state=3, tol=1e-3, callbacks=[callback]
    ).fit(X)
    (run,) = runs_of(mlflow)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first try")
    expected = {**model.model_.parameters, "seed": 3}
    assert run.data.params == {name: str(value) for name, value in expected.items()}
    for name in ("inertia", "gain", "seconds"):
        assert history(mlflow, run, name) == [
            (number, record[name])
            for number, record in enumerate(model.history_, 1)
            if record[name] is not None
        ]
    passes = list(range(1, model.n_passes_ + 1))
    assert history(mlflow, run, "rows") == [(number, 2000) for number in passes]
    assert len(history(mlflow, run, "inertia")) == model.n_iter_
    metrics, tags = run.data.metrics, run.data.tags
    assert (metrics["n_iter"], metrics["n_passes"]) == (model.n_iter_, model.n_passes_)
    assert metrics["rows_read"] == model.model_.provenance["rows_read"]
    assert tags["dkmeans.converged"] == "True"
    assert tags["dkmeans.stopped_by"] == "None"
    assert tags["dkmeans.run_id"] == model.model_.provenance["run_id"]
    assert mlflow.MlflowClient().list_artifacts(run.info.run_id) == []


def test_the_model_can_be_an_artifact_that_loads(mlflow, tmp_path):
    model = KMeans(
        5, init="k-means||", random_state=0, callbacks=[MLflowCallback(log_model=True)]
    ).fit(X)
    (run,) = runs_of(mlflow)
    folder = mlflow.MlflowClient().download_artifacts(run.info.run_id, "model", str(tmp_path))
    np.testing.assert_array_equal(Model.load(folder).centers, model.cluster_centers_)


def test_an_active_run_is_used_and_left_open(mlflow):
    with mlflow.start_run() as active:
        KMeans(5, init="k-means||", random_state=0, callbacks=[MLflowCallback()]).fit(X)
        assert mlflow.active_run().info.run_id == active.info.run_id
        mlflow.log_metric("mine", 1.0)
    (run,) = runs_of(mlflow)
    assert run.info.run_id == active.info.run_id
    assert run.data.params["n_clusters"] == "5"
    assert run.data.metrics.keys() >= {"inertia", "mine"}


def test_each_fit_is_a_run_of_its_own(mlflow):
    model = KMeans(5, init="k-means||", random_state=0, callbacks=[MLflowCallback()])
    model.fit(X)
    model.set_params(n_clusters=4).fit(X)
    runs = runs_of(mlflow)
    assert sorted(run.data.params["n_clusters"] for run in runs) == ["4", "5"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def fail(event):
    if event.name == "iteration 1":
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("data", "others", "kind"),
    [
        (np.where(X < 0.1, np.nan, X), [], BadValues),
        (X, [fail], KeyboardInterrupt),
    ],
)
def test_a_fit_that_fails_is_a_failed_run(data, others, kind, mlflow):
    with pytest.raises(kind):
        KMeans(5, init="k-means||", random_state=0, callbacks=[MLflowCallback(), *others]).fit(data)
    (run,) = runs_of(mlflow)
    assert (run.info.status, run.data.tags["dkmeans.error"]) == ("FAILED", kind.__name__)
    assert "n_iter" not in run.data.metrics


def test_a_fit_that_fails_leaves_an_active_run_to_its_owner(mlflow):
    with mlflow.start_run() as active:
        with pytest.raises(BadValues):
            KMeans(5, init="k-means||", callbacks=[MLflowCallback()]).fit(
                np.where(X < 0.1, np.nan, X)
            )
        assert mlflow.active_run().info.run_id == active.info.run_id
    (run,) = runs_of(mlflow)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dkmeans.error"] == "BadValues"


def test_a_model_that_cannot_be_logged_fails_the_run(mlflow, monkeypatch):
    def refuse(*_):
        raise OSError("no room")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifacts", refuse)
    with pytest.raises(OSError, match="no room") as caught:
        KMeans(5, init="k-means||", random_state=0, callbacks=[MLflowCallback(log_model=True)]).fit(
            X
        )
    assert "MLflowCallback, told of the end" in caught.value.__notes__[0]
    (run,) = runs_of(mlflow)
    assert run.info.status == "FAILED"


def test_a_stopped_fit_says_by_whom(mlflow):
    stop = [MLflowCallback(), lambda event: event.name == "iteration 2"]
    KMeans(5, init="k-means||", random_state=0, tol=0, callbacks=stop).fit(X)
    (run,) = runs_of(mlflow)
    assert (run.info.status, run.data.tags["dkmeans.stopped_by"]) == ("FINISHED", "callback")
    assert run.data.tags["dkmeans.converged"] == "False"


def test_no_secret_is_logged(mlflow, bucket, s3, tmp_path):
    import s3fs

    write_parquet(tmp_path / "in", X)
    s3fs.S3FileSystem(**s3).put(str(tmp_path / "in"), f"{bucket}/in", recursive=True)
    rows = read_parquet(f"{bucket}/in", storage_options=s3)
    KMeans(5, init="k-means||", random_state=0, callbacks=[MLflowCallback(log_model=True)]).fit(
        rows
    )
    (run,) = runs_of(mlflow)
    assert run.data.tags["dkmeans.input"] == f"{bucket}/in/part-0.parquet and 2 more"
    stored = [path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()]
    assert len(stored) > 20
    for path in stored:
        content = path.read_bytes()
        assert s3["secret"].encode() not in content, path
        assert s3["key"].encode() not in content, path


def test_without_mlflow_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ArgumentError, match=r"run `pip install dkmeans\[mlflow\]`"):
        KMeans(5, init="k-means||", callbacks=[MLflowCallback()]).fit(X)
