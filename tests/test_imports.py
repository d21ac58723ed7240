"""What a fresh interpreter loads: little for dkmeans, no pandas or scikit-learn for a worker."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.partials import Moments
from tests.conftest import write_parquet

HEAVY = ("pandas", "sklearn")


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of some modules a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_importing_dkmeans_loads_no_dask_and_nothing_heavy():
    names = ("dask", "distributed", "pyarrow", "fsspec", "s3fs", "scipy", *HEAVY)
    assert loaded_after("import dkmeans", names) == []


def test_the_modules_of_a_worker_task_load_neither_pandas_nor_scikit_learn():
    code = "import dkmeans.rows.leaf, dkmeans.rows.parquet_source"
    assert loaded_after(code, HEAVY) == []
    # the check sees what is loaded
    assert loaded_after(code, ("dkmeans.rows.leaf", "numpy")) == ["dkmeans.rows.leaf", "numpy"]


def test_kernels_and_partials_load_no_dask_and_do_no_io():
    names = ("dask", "distributed", "pyarrow", "fsspec", *HEAVY)
    assert loaded_after("import dkmeans.kernels.nearest, dkmeans.partials", names) == []


def test_callbacks_load_what_they_show_to_only_when_they_are_used():
    code = "from dkmeans import MLflowCallback, ProgressCallback; MLflowCallback()"
    assert loaded_after(f"{code}; ProgressCallback()", ("mlflow", "IPython", *HEAVY)) == []


def test_sweeps_load_what_finds_elbows_and_draws_only_when_it_is_used():
    names = ("kneed", "matplotlib", "pandas")
    code = "from dkmeans.evaluation.sweeps import choice, files, result, scores"
    code += "; from dkmeans.plots import drawing, elbows, sweeps"
    assert loaded_after(code, names) == []
    assert loaded_after("from dkmeans import Sweep, sweep", names[:2]) == []
    used = "from dkmeans.evaluation.sweeps.choice import elbow_of; elbow_of([1, 2, 3], [9, 2, 1])"
    assert "kneed" in loaded_after(used, names)


def test_plots_load_matplotlib_and_pandas_only_when_they_are_drawn():
    code = "import dkmeans; [getattr(dkmeans.plots, name) for name in dkmeans.plots.__all__]"
    assert loaded_after(code, ("matplotlib", "PIL", "scipy", *HEAVY)) == []


def test_the_pass_of_charts_loads_neither_nor_scipy():
    code = "import dkmeans.evaluation.charts.sampled"
    assert loaded_after(code, ("matplotlib", "scipy", *HEAVY)) == []


def test_reports_load_neither_nor_what_draws_plots():
    names = ("matplotlib", "PIL", "scipy", *HEAVY)
    assert loaded_after("import dkmeans.evaluation.sight", names) == []
    assert loaded_after("import dkmeans.reports.page, dkmeans.reports.findings", names) == []


def test_models_load_without_dask():
    names = ("dask", "distributed", "sklearn")
    assert loaded_after("from dkmeans import Model, Assignment", names) == []


def test_exports_load_what_they_write_with_only_when_they_are_used():
    names = ("dask", "distributed", "sklearn", "onnx", "onnxruntime", "skops", "mlflow")
    code = "from dkmeans.models.exports import export, mlflow_folder, mlflow_loader, onnx_graph"
    assert loaded_after(code, names) == []


def test_registries_load_without_dask_and_scikit_learn():
    names = ("dask", "distributed", *HEAVY)
    assert loaded_after("from dkmeans import Registry", names) == []
    assert loaded_after("import dkmeans.registry.reference, dkmeans.registry.compare", names) == []


def test_jobs_are_read_and_clusters_named_without_dask_and_scikit_learn():
    # of a schedule, which reads a job more often than it runs it
    code = "from dkmeans import Outcome, load_job, name_clusters"
    assert loaded_after(code, ("dask", "distributed", *HEAVY)) == []


def test_a_service_that_has_answered_has_loaded_none_of_what_fits_models(tmp_path):
    names = ("dask", "distributed", "rich", "bokeh", *HEAVY)
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[7, 2] = np.nan
    folder = write_parquet(tmp_path / "rows", X)
    rows = dkmeans.read_parquet(str(folder), columns=["f0", "f1", "f2"], missing="mean")
    model = dkmeans.with_baseline(dkmeans.KMeans(3, scale="standard").fit(rows).model_, rows)
    dkmeans.Registry(str(tmp_path / "models")).publish(model, run_id="r")
    batch = pa.RecordBatch.from_pylist([{"f0": 1.0, "f1": 2.0, "f2": None}, {"f2": 0.5}] * 3000)
    with pa.ipc.new_stream(tmp_path / "body", batch.schema) as writer:
        writer.write_batch(batch)
    code = f"""
import os, signal, sys, threading, urllib.request
def ask(url, body=None, kind="application/json"):
    request = urllib.request.Request(url, body, {{"Content-Type": kind}})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()
def asked(url):
    try:
        answer = ask(url + "/predict", b'{{"rows": [[1, 2, null], {{"f0": 1}}]}}')
        assert b'"version":1' in answer, answer
        body = open({str(tmp_path / "body")!r}, "rb").read()
        for path in ("/predict", "/distances"):
            assert ask(url + path, body, "application/vnd.apache.arrow.stream")
        for path in ("/model", "/metrics", "/openapi.json", "/readyz"):
            assert ask(url + path)
        done.append(True)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
done = []
from dkmeans.cli import main
import dkmeans.cli.serve as command
command._ready = lambda url: threading.Thread(target=asked, args=[url]).start()
try:
    main.main(["serve", {str(tmp_path / "models")!r} + "@1", "--port", "0", "--log", "off"])
except SystemExit as ended:
    assert (ended.code, done) == (0, [True])
# Numba itself looks for BLAS there
parts = {{name.split(".")[1] for name in sys.modules if name.startswith("scipy.")}}
beyond = [name for name in parts if name[0] != "_" and name not in ("linalg", "version")]
assert parts and not beyond, beyond
"""
    # the check sees what is loaded
    expected = ["dkmeans.service.app", "uvicorn"]
    assert loaded_after(code, (*names, *expected)) == expected


@contextmanager
def fresh_worker() -> Iterator[Client]:
    """A client of one worker that has run nothing yet."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            memory_limit="1GiB",
            dashboard_address=":0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def loaded_by_worker(client: Client, names: tuple[str, ...]) -> list[str]:
    """Which of some modules the worker of `client` has loaded."""
    code = f"[name for name in {names!r} if name in __import__('sys').modules]"
    return client.submit(eval, code, pure=False).result(timeout=60)


def test_passes_over_parquet_load_neither_on_a_fresh_worker(tmp_path):
    X = np.random.default_rng(0).normal(size=(3000, 3))
    folder = write_parquet(tmp_path / "rows", X, weight=np.ones(3000), key=np.arange(3000))
    loaded = {}
    with fresh_worker() as client:
        loaded["before"] = loaded_by_worker(client, HEAVY)
        for name, filters in (("all rows", None), ("some rows", [("f0", ">", -1.0)])):
            rows = dkmeans.read_parquet(
                str(folder),
                weight="weight",
                keys=["key"],
                filters=filters,
                block_bytes=8000,
                client=client,
            )
            found = rows.reduce(Moments.from_block, np.zeros(3))
            assert found.n_rows == (3000 if filters is None else (X[:, 0] > -1).sum())
            loaded[name] = loaded_by_worker(client, HEAVY)
    assert loaded == {"before": [], "all rows": [], "some rows": []}


def test_evaluations_and_profiles_load_neither_nor_scipy_on_a_fresh_worker(tmp_path):
    X = np.random.default_rng(0).normal(size=(3000, 3))
    kind = [f"kind {i % 3}" for i in range(3000)]
    folder = write_parquet(tmp_path / "rows", X, kind=kind, key=np.arange(3000))
    model = dkmeans.KMeans(4, scale="standard", random_state=0).fit(X).model_
    names, loaded = (*HEAVY, "scipy"), {}
    options = {"columns": ["f0", "f1", "f2"], "dtype": "float64", "block_bytes": 8000}
    with fresh_worker() as client:
        loaded["before"] = loaded_by_worker(client, names)
        rows = dkmeans.read_parquet(str(folder), labels=["kind"], client=client, **options)
        found = dkmeans.evaluate(model, rows, "kind", sample_size=500)
        assert found.n_rows == rows.rows_read / 2 == 3000
        assert 0.3 < found.agreement.purity < 1
        loaded["evaluate"] = loaded_by_worker(client, names)
        rows = dkmeans.read_parquet(str(folder), keys=["key"], client=client, **options)
        described = dkmeans.profile(model, rows, n_examples=2)
        keys = described.boundary.keys["key"]
        based = dkmeans.with_baseline(
            model, dkmeans.read_parquet(str(folder), client=client, **options)
        )
        later = dkmeans.read_parquet(str(folder), client=client, missing="mean", **options)
        assert dkmeans.drift(based, later).verdict == "no drift"
        loaded["drift"] = loaded_by_worker(client, names)
        assert keys == described.boundary.row_numbers.tolist()
        loaded["profile"] = loaded_by_worker(client, names)
        assert dkmeans.lineage(model, model, rows).churn == 0
        loaded["lineage"] = loaded_by_worker(client, names)
        # the worker does the work, and the check sees what it loads
        assert "dkmeans.evaluation.profiles.survey" in loaded_by_worker(
            client, ("dkmeans.evaluation.profiles.survey",)
        )
    expected = ("before", "evaluate", "profile", "drift", "lineage")
    assert loaded == {name: [] for name in expected}


def test_every_public_name_resolves_and_no_other_does():
    for name in dkmeans.__all__:
        assert getattr(dkmeans, name) is not None
    assert not hasattr(dkmeans, "no_such_name")
    assert set(dkmeans.__all__) <= set(dir(dkmeans))


def test_commands_whose_packages_are_missing_are_named_and_refuse():
    def dkmeans(*arguments):
        code = "import sys; sys.modules['rich'] = None; from dkmeans.cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    shown = dkmeans("--help")
    assert shown.returncode == 0, shown.stderr
    assert "Needs rich, which is not installed here." in shown.stdout
    refused = dkmeans("fit", "in", "--k", "3")
    assert refused.returncode == 2
    assert refused.stderr == (
        "dkmeans: error: dkmeans fit needs rich, which is not installed: install all of dkmeans.\n"
    )
    served = dkmeans("serve", "--help")
    assert (served.returncode, served.stderr) == (0, "")
    assert "--follow-seconds" in served.stdout
