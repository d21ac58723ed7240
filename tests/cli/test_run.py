"""`dkmeans run`: a job file, what it prints, and how it is stopped."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import dkmeans
from dkmeans.cluster import connect
from tests.cli.command import PROGRAM, run, run_apart
from tests.cli.test_plan import wipe_pages
from tests.conftest import write_parquet

TEXT = """
task: train
name: nightly
data: {url: in, keys: [id], filters: ['day <= {{ as_of | %d }}']}
model: {n_clusters: 4}
cluster: {local: 0}
output: {model: model}
"""


@pytest.fixture
def job(tmp_path: Path, blobs: Any) -> Path:
    X = blobs[0]
    write_parquet(tmp_path / "in", X, id=np.arange(len(X)), day=np.arange(len(X)) % 30)
    path = tmp_path / "job.yaml"
    path.write_text(TEXT)
    return path


def test_a_job_runs_and_says_what_it_did(job: Path) -> None:
    ran = run_apart("run", job, "--as-of", "2026-11-20")
    assert ran.code == 0, ran.err
    assert re.search(r"3,\d\d\d rows in 4 clusters", ran.out)
    assert f"model: {job.parent / 'model'}" in ran.out
    assert "pass   1" in ran.err
    model = dkmeans.Model.load(str(job.parent / "model"))
    assert model.provenance["job"]["as_of"] == "2026-11-20"


def test_what_is_set_and_the_date_count(job: Path) -> None:
    result = run(
        "run", job, "--as-of", "2026-11-09", "--set", "model.n_clusters=3", "--set",
        "data.columns=[f0, f1]", "--json",
    ).json  # fmt: skip
    assert result["n_clusters"] == 3
    assert result["n_features"] == 2
    assert result["rows"] == int((np.arange(5000) % 30 <= 9).sum())
    assert (result["job"], result["task"], result["as_of"]) == ("nightly", "train", "2026-11-09")


def test_a_dry_run_shows_the_job_and_reads_no_rows(job: Path) -> None:
    # threads of this process would have as much memory as happens to be free
    workers = "--set", "cluster={local: 2, memory: 1GiB}"
    args = ("run", job, "--dry-run", "--as-of", "2026-11-20", *workers)
    expected = run(*args, "--json").json
    wipe_pages(job.parent / "in")
    assert run(*args, "--json").json == expected
    assert expected["job"]["model"]["n_clusters"] == 4
    assert expected["job"]["data"]["filters"] == [["day", "<=", 20]]
    assert expected["plan"]["rows"] == 5000
    assert expected["plan"]["files"] == 3
    assert not (job.parent / "model").exists()
    ran = run(*args)
    text, _, plan = ran.out.partition("\nas of ")
    assert yaml.safe_load(text)["name"] == "nightly"
    assert re.search(r"^rows +5,000$", plan, re.MULTILINE)
    assert "passes    at most" in plan
    # and the pages are needed by what is not dry
    assert run(*[one for one in args if one != "--dry-run"]).code == 3


def test_a_dry_run_of_a_predict_and_of_a_sweep(job: Path) -> None:
    assert run("run", job).code == 0
    wipe_pages(job.parent / "in")
    swept = run("run", job, "--dry-run", "--set", "model={sweep: 2:5}", "--json").json
    assert swept["plan"]["most_passes"] > 1
    assert "cluster_ids" not in swept["job"]
    (job.parent / "predict.yaml").write_text(
        "task: predict\nname: scores\ndata: {url: in, keys: [id]}\nmodel: model\n"
    )
    ran = run("run", job.parent / "predict.yaml", "--dry-run", "--json", "--as-of", "2026-11-20")
    plan = ran.json["plan"]
    assert (plan["rows"], plan["files"], plan["most_passes"]) == (5000, 3, 1)
    assert ran.json["job"]["output"]["clusters"] == str(
        job.parent / "clusters" / "scores" / "2026-11-20"
    )
    assert not (job.parent / "clusters").exists()


def test_secrets_are_in_nothing_that_is_printed_or_written(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DK_TEST_KEY", "hunter3")
    secret = "--set", "data.storage_options={secret: hunter2, key: {env: DK_TEST_KEY}}"
    for more in ((), ("--dry-run",), ("--dry-run", "--json")):
        ran = run("run", job, *secret, *more)
        assert ran.code == 0, ran.err
        assert "hunter" not in ran.out + ran.err
    for path in (job.parent / "model").iterdir():
        assert b"hunter" not in path.read_bytes()


def test_a_variable_that_is_not_set_is_named(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DK_TEST_KEY", raising=False)
    ran = run("run", job, "--set", "data.storage_options.key={env: DK_TEST_KEY}")
    assert ran.code == 2
    assert "DK_TEST_KEY, which is not set" in ran.error


def test_all_that_is_wrong_is_printed_a_line_each(job: Path) -> None:
    job.write_text(TEXT + "stage: ram\nmodle: 3\n")
    ran = run("run", job, "--set", "scale=big")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.splitlines() == [
        "dkmeans: error: job.yaml:8: stage: 'ram' should be auto, memory, disk or none.",
        "dkmeans: error: job.yaml:9: modle: is no key of a job; did you mean model?",
        "dkmeans: error: --set: scale: 'big' should be standard, minmax, maxabs, robust, normalize "
        "or none.",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--as-of", "yesterday"), 2, "is no date"),
        (("--set", "data.url=gone"), 3, "gone"),
        (("--set", "data.columns=[nope]"), 3, "'nope'"),
        (("--set", "data.filters=nope > 3"), 2, "nope"),
        (("--set", "model.n_clusters=6000"), 3, "n_clusters=6000"),
        (("--set", "limits.max_passes=1"), 7, "max_passes"),
        (("--set", "cluster={address: tcp://127.0.0.1:9}"), 7, "127.0.0.1:9"),
        (("--shadow",), 2, "--shadow goes with task: retrain"),
    ],
)
def test_what_cannot_be_run_has_the_exit_code_of_its_kind(
    job: Path, arguments: tuple[str, ...], code: int, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1)
    ran = run("run", job, *arguments)
    assert ran.code == code
    assert word in ran.error
    assert not (job.parent / "model").exists()


def test_rows_that_are_left_out_by_policy_have_their_exit_code(job: Path, blobs: Any) -> None:
    X = blobs[0].copy()
    X[3, 1] = np.nan
    write_parquet(job.parent / "in", X, id=np.arange(5000), day=np.zeros(5000))
    assert run("run", job).code == 3
    ran = run("run", job, "--set", "data.missing=drop")
    assert ran.code == 4
    assert "left out: 1 rows" in ran.out


def test_a_job_file_that_is_not_there(tmp_path: Path) -> None:
    ran = run("run", tmp_path / "gone.yaml")
    assert ran.code == 3
    assert "gone.yaml does not exist" in ran.error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_that_is_stopped_goes_on_by_itself(tmp_path: Path, number: signal.Signals) -> None:
    X = np.random.default_rng(0).uniform(size=(20_000, 6)).astype(np.float32)
    write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=5_000)
    job = tmp_path / "job.yaml"
    text = """
task: train
name: long
data: {url: in}
model: {n_clusters: 60, init: random, tol: 0, max_iter: 40}
cluster: {local: 0}
stage: none
checkpoint: state
output: {model: model}
"""
    job.write_text(text)
    process = subprocess.Popen(
        [*PROGRAM, "run", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env=dict(os.environ),
    )
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if re.match(r"pass +5 ", line):
            break
    assert process.poll() is None, seen
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), err
    assert not (tmp_path / "model").exists()
    assert list((tmp_path / "state").rglob("checkpoint.zip"))
    done = run("run", job, "--json").json
    assert not list((tmp_path / "state").rglob("checkpoint.zip"))
    straight = run(
        "run", job, "--set", "output.model=straight", "--set", "checkpoint=", "--json"
    ).json
    assert done["n_passes"] == straight["n_passes"]
    models = [dkmeans.Model.load(str(tmp_path / name)) for name in ("model", "straight")]
    assert len({model.scaled_centers.tobytes() for model in models}) == 1
