"""What a fresh interpreter loads: little for dkmeans, no pandas or scikit-learn for a worker."""

import subprocess
import sys

import numpy as np

import dkmeans
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


def test_models_load_without_dask():
    names = ("dask", "distributed", "sklearn")
    assert loaded_after("from dkmeans import Model, Assignment", names) == []


def test_passes_over_parquet_load_neither_on_a_fresh_worker(tmp_path):
    from distributed import Client, LocalCluster

    from dkmeans.partials import Moments

    X = np.random.default_rng(0).normal(size=(3000, 3))
    folder = write_parquet(tmp_path / "rows", X, weight=np.ones(3000), key=np.arange(3000))
    code = f"[name for name in {HEAVY!r} if name in __import__('sys').modules]"
    loaded = {}
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
        loaded["before"] = client.submit(eval, code, pure=False).result(timeout=60)
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
            loaded[name] = client.submit(eval, code, pure=False).result(timeout=60)
    assert loaded == {"before": [], "all rows": [], "some rows": []}


def test_every_public_name_resolves_and_no_other_does():
    for name in dkmeans.__all__:
        assert getattr(dkmeans, name) is not None
    assert not hasattr(dkmeans, "no_such_name")
    assert set(dkmeans.__all__) <= set(dir(dkmeans))
