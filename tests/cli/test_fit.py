"""`dkmeans fit`: the job, what it prints, and how it is stopped."""

import json
import os
import pty
import re
import select
import signal
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.models.scaling import SCALES
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import PROGRAM, run, run_apart
from tests.conftest import wait_until, write_parquet

RESULT_KEYS = {
    "model",
    "rows",
    "n_features",
    "n_clusters",
    "inertia",
    "n_iter",
    "n_passes",
    "rows_read",
    "bytes_read",
    "converged",
    "seconds",
}


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    """The blobs with an id, a text and weights beside them."""
    X = blobs[0]
    return write_parquet(
        tmp_path / "in",
        X,
        id=np.arange(len(X)),
        name=[f"n{i}" for i in range(len(X))],
        w=np.arange(len(X)) % 3,
    )


def test_the_installed_command_is_this_one() -> None:
    (script,) = entry_points(group="console_scripts", name="dkmeans")
    assert script.value == "dkmeans.cli.main:main"


def test_every_option_of_a_fit_does_what_it_does_in_python(
    folder: Path, blobs, tmp_path: Path
) -> None:
    ran = run(
        "fit", folder, "--k", 4, "--model", tmp_path / "model", "--output", tmp_path / "out",
        "--columns", "f2,f0", "--filter", "f0 > -50", "--filter", "id < 4000", "--weight", "w",
        "--keys", "id,name", "--scale", "minmax", "--init", "random", "--n-init", 2, "--seed", 7,
        "--max-iter", 6, "--tol", 0, "--dtype", "float64", "--block-bytes", 20_000,
        "--stage", "none", "--workers", 0, "--json",
    )  # fmt: skip
    rows = dkmeans.read_parquet(
        str(folder),
        columns=["f2", "f0"],
        filters=[("f0", ">", -50), ("id", "<", 4000)],
        weight="w",
        keys=["id", "name"],
        dtype="float64",
        block_bytes=20_000,
        stage="none",
    )
    assert rows.n_blocks > 3
    estimator = dkmeans.KMeans(
        4, init="random", n_init=2, max_iter=6, tol=0, random_state=7, scale="minmax"
    ).fit(rows)
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert model.scaled_centers.tobytes() == estimator.scaled_centers_.tobytes()
    assert model.feature_names == ("f2", "f0")
    assert model.parameters == estimator.model_.parameters
    assert model.provenance["seed"] == 7
    kept = (blobs[0][:, 0] > -50) & (np.arange(5000) < 4000)
    result = ran.json
    assert result["rows"] == kept.sum()
    assert result["rows_dropped"] == 5000 - kept.sum()
    assert (result["n_features"], result["n_clusters"]) == (2, 4)
    assert result["inertia"] == estimator.inertia_
    assert result["n_iter"] == estimator.n_iter_
    assert result["n_passes"] == estimator.n_passes_
    assert result["converged"] == estimator.converged_
    manifest = read_manifest(str(tmp_path / "out"))
    assert manifest["keys"] == ["id", "name"]
    assert (manifest["rows"], manifest["rows_assigned"]) == (5000, kept.sum())


def test_the_json_of_a_fit_is_all_there_is_on_standard_output(folder: Path, tmp_path: Path) -> None:
    ran = run_apart(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--keys", "id,w", "--seed", 1,
        "--workers", 0, "--json",
    )  # fmt: skip
    result = ran.json
    assert result.keys() >= RESULT_KEYS
    assert result["model"] == str(tmp_path / "model")
    assert result["rows"] == 5000
    assert result["rows_read"] >= 5000 * result["n_passes"]
    stored = sum(path.stat().st_size for path in folder.iterdir())
    assert 0 < result["bytes_read"] < 2 * stored
    assert result["converged"] is True
    assert result["seconds"] > 0
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert model.inertia == result["inertia"]
    assert model.scaling.kind == "standard"


def test_without_a_terminal_a_fit_prints_plain_lines(folder: Path, tmp_path: Path) -> None:
    ran = run_apart(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--keys", "id", "--workers", 0
    )
    assert ran.code == 0
    assert "\x1b" not in ran.out + ran.err
    assert "\r" not in ran.err
    numbers = [int(n) for n in re.findall(r"^pass +(\d+) ", ran.err, re.MULTILINE)]
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert numbers == list(range(1, model.provenance["n_passes"] + 1))
    assert "features: f0, f1, f2, f3, w" in ran.err
    assert "id (key)" in ran.err
    assert "name (" in ran.err
    assert "scale: standard" in ran.err
    assert "5,000 rows in 3 clusters" in ran.out
    assert str(tmp_path / "model") in ran.out


def test_the_dashboard_s_address_is_printed_and_the_cluster_is_gone_afterwards(
    folder: Path, tmp_path: Path
) -> None:
    ran = run_apart(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--keys", "id,w", "--seed", 1,
        "--workers", 2, "--memory", "1GiB", "--output", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert re.search(r"2 workers of 1GiB.*http://127\.0\.0\.1:\d+/status", ran.err)
    assert "Traceback" not in ran.err
    assert read_manifest(str(tmp_path / "out"))["rows_assigned"] == 5000
    here = run(
        "fit", folder, "--k", 3, "--model", tmp_path / "here", "--keys", "id,w", "--seed", 1,
        "--workers", 0,
    )  # fmt: skip
    assert here.code == 0
    centers = [
        dkmeans.Model.load(str(tmp_path / name)).scaled_centers.tobytes()
        for name in ("model", "here")
    ]
    assert centers[0] == centers[1]


def test_on_a_terminal_each_pass_has_a_bar(tmp_path: Path, long_job: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "fit", str(long_job), "--k", "8", "--model", str(tmp_path / "model"),
         "--max-iter", "3", "--workers", "0", "--stage", "none"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 60)
        assert ready, "the command prints nothing"
        try:
            data = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not data:
            break
        seen += data
    os.close(ours)
    assert process.wait(30) == 0
    text = seen.decode()
    assert "━" in text
    assert re.search(r"\x1b\[[0-9;?]*[a-zA-Z]", text)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert re.search(r"\d+/\d+", plain)
    passes = dkmeans.Model.load(str(tmp_path / "model")).provenance["n_passes"]
    lines = re.findall(r"pass +(\d+) [^\r\n]*?[\d.]+ s ", plain)
    assert {int(n) for n in lines} == set(range(1, passes + 1))


def test_scalable_is_another_name_for_one_seeding(folder: Path, tmp_path: Path) -> None:
    for name, options in (("b", ["--init", "scalable"]), ("c", ["--init", "k-means||"])):
        ran = run(
            "fit", folder, "--k", 5, "--model", tmp_path / name, "--keys", "id", "--seed", 3,
            "--workers", 0, *options,
        )  # fmt: skip
        assert ran.code == 0
    models = [dkmeans.Model.load(str(tmp_path / name)) for name in "bc"]
    assert len({model.scaled_centers.tobytes() for model in models}) == 1
    assert {model.parameters["init"] for model in models} == {"k-means||"}


def test_a_fit_without_scaling_measures_in_the_units_of_the_data(
    folder: Path, blobs, tmp_path: Path
) -> None:
    ran = run(
        "fit", folder, "--k", 10, "--model", tmp_path / "model", "--columns", "f0,f1,f2,f3",
        "--scale", "none", "--dtype", "float64", "--workers", 0, "--json",
    )  # fmt: skip
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert model.scaling is None
    X = blobs[0]
    distances = ((X[:, None, :] - model.centers[None]) ** 2).sum(axis=2)
    assert ran.json["inertia"] == pytest.approx(distances.min(axis=1).sum(), rel=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_a_fit_scales_as_in_python(scale: str, folder: Path, tmp_path: Path) -> None:
    run(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--columns", "f0,f1",
        "--scale", scale, "--seed", 5, "--workers", 0, "--json",
    )  # fmt: skip
    rows = dkmeans.read_parquet(str(folder), columns=["f0", "f1"])
    expected = dkmeans.KMeans(3, scale=scale, random_state=5).fit(rows)
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert model.scaled_centers.tobytes() == expected.scaled_centers_.tobytes()
    assert model.scaling is not None
    assert model.scaling.kind == scale


def test_a_model_that_exists_is_refused_before_anything_is_read(
    folder: Path, tmp_path: Path
) -> None:
    job = ("fit", folder, "--k", 3, "--model", tmp_path / "model", "--keys", "id", "--workers", 0)
    assert run(*job).code == 0
    before = (tmp_path / "model" / "model.json").read_bytes()
    again = run(*job)
    assert again.code == 2
    assert "--overwrite" in again.error
    assert "pass" not in again.err.split("dkmeans: error")[0]
    assert (tmp_path / "model" / "model.json").read_bytes() == before
    assert run(*job, "--overwrite").code == 0
    assert (tmp_path / "model" / "model.json").read_bytes() != before


def test_an_output_that_exists_is_refused_before_anything_is_fitted(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    ran = run(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--output", tmp_path / "out",
        "--keys", "id", "--overwrite", "--workers", 0,
    )  # fmt: skip
    assert ran.code == 2
    assert "mine.txt" in ran.error
    assert not (tmp_path / "model").exists()


def test_warnings_are_lines_without_python_in_them(folder: Path, tmp_path: Path) -> None:
    ran = run(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--output", tmp_path / "out",
        "--workers", 0,
    )  # fmt: skip
    assert ran.code == 0
    found = [line for line in ran.err.splitlines() if "warning" in line]
    assert all(line.startswith("dkmeans: warning: ") for line in found)
    assert any("'id' looks like an identifier" in line for line in found)
    assert any("no key columns" in line for line in found)
    assert ".py" not in ran.err


@pytest.fixture(scope="session")
def long_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows without structure, on which Lloyd takes hundreds of iterations."""
    X = np.random.default_rng(0).uniform(size=(100_000, 6)).astype(np.float32)
    return write_parquet(
        tmp_path_factory.mktemp("long") / "in", X, n_files=4, row_group_rows=20_000
    )


@pytest.mark.parametrize(
    ("number", "workers", "group"),
    [
        (signal.SIGINT, 0, False),
        (signal.SIGINT, 2, True),
        (signal.SIGTERM, 0, False),
        (signal.SIGTERM, 2, False),
    ],
    ids=["ctrl-c", "ctrl-c with workers", "SIGTERM", "SIGTERM with workers"],
)
def test_a_fit_that_is_stopped_goes_quietly_and_leaves_nothing(
    long_job: Path, tmp_path: Path, number: signal.Signals, workers: int, group: bool
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "fit", str(long_job), "--k", "60", "--model", str(tmp_path / "model"),
         "--output", str(tmp_path / "out"), "--tol", "0", "--max-iter", "100000",
         "--workers", str(workers), "--memory", "1GiB"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a test run that was started in the background has Ctrl-C ignored, and would pass that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    seen = ""
    for line in process.stderr:
        seen += line
        if re.match(r"pass +3 ", line):
            break
    assert process.poll() is None, seen
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= workers
    # a terminal sends Ctrl-C to all processes in the foreground, workers included
    (os.killpg if group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert out == ""
    assert "Traceback" not in seen + err
    last = err.strip().splitlines()[-1]
    assert last.startswith("dkmeans: error: ")
    assert last.endswith("nothing half-written is left.")
    wait_until(lambda: not any(one.is_running() for one in family), seconds=10)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "out").exists()
    left = [path for path in scratch.rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"global.lock", "purge.lock"}  # Dask keeps these two


def test_the_clusters_of_a_fit_can_be_read_with_any_tool(folder: Path, tmp_path: Path) -> None:
    ran = run(
        "fit", folder, "--k", 3, "--model", tmp_path / "model", "--output", tmp_path / "out",
        "--keys", "id", "--workers", 0, "--json",
    )  # fmt: skip
    assert ran.json["output"] == str(tmp_path / "out")
    table = pq.read_table(tmp_path / "out")
    assert table["id"].to_pylist() == list(range(5000))
    sizes = np.bincount(table["cluster_id"].to_numpy(), minlength=3)
    described = json.loads(run("inspect", tmp_path / "model", "--json").out)
    assert [cluster["size"] for cluster in described["clusters"]] == sizes.tolist()


def test_help_is_there_for_every_command() -> None:
    for command in ((), ("fit",), ("predict",), ("plan",), ("inspect",), ("demo",)):
        ran = run(*command, "--help")
        assert ran.code == 0
        assert "Usage: dkmeans" in ran.out
    version = subprocess.run(
        [*PROGRAM, "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert dkmeans.__version__ in version
