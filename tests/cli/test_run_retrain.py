"""`dkmeans run` of retrains, and the records, logs and metrics of every job."""

import json
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from tests.cli.command import run
from tests.conftest import write_parquet
from tests.jobs.test_retrain import TEXT, batch, deliver


@pytest.fixture
def job(tmp_path: Path) -> Path:
    deliver(tmp_path, batch(1))
    path = tmp_path / "job.yaml"
    path.write_text(TEXT)
    return path


def test_a_retrain_from_its_file(job: Path) -> None:
    result = run("run", job, "--as-of", "2026-11-20", "--json").json
    assert (result["version"], result["champion"], result["promoted"]) == (1, 1, True)
    ran = run("run", job, "--as-of", "2026-11-21")
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert ran.out.startswith("nothing to do: ")
    deliver(job.parent, batch(2, n_rows=300))
    ran = run("run", job, "--as-of", "2026-11-21")
    assert ran.code == 5
    assert "champion stays at version 1" in ran.out
    assert "dkmeans: error: the gate refuses the challenger: rows " in ran.err
    assert "Traceback" not in ran.err
    found = run("runs", "list", job.parent / "reg", "--json").json["runs"]
    assert [one["outcome"] for one in found] == ["done", "nothing to do", "refused"]
    assert [one["exit_code"] for one in found] == [0, 0, 5]
    assert found[2]["extra"]["refusal"] in ran.err
    shown = run("models", "list", job.parent / "reg", "--json").json
    assert [one["summary"]["retrain"]["gate"] for one in shown["versions"]] == [
        "passed",
        "refused",
    ]


def test_a_shadow_run(job: Path) -> None:
    ran = run("run", job, "--shadow")
    assert ran.code == 0
    assert "in shadow nothing is promoted" in ran.out
    assert run("models", "list", job.parent / "reg").code == 0
    assert run("predict", f"{job.parent / 'reg'}@champion", job.parent / "in", "x").code == 3


def test_a_dry_run_tells_whom_it_challenges(job: Path) -> None:
    plan = run("run", job, "--dry-run", "--json").json["plan"]
    assert (plan["champion"], plan["unchanged"], plan["rows"]) == (None, False, 3000)
    assert not (job.parent / "reg").exists()
    run("run", job)
    plan = run("run", job, "--dry-run", "--json").json["plan"]
    assert (plan["champion"], plan["unchanged"]) == (1, True)
    assert "nothing new: version 1" in run("run", job, "--dry-run").out


def test_every_task_leaves_a_record(job: Path, tmp_path: Path) -> None:
    out = tmp_path / "there" / "model"
    sets = "--set", "task=train", "--set", "registry=null", "--set", f"output.model={out}"
    ran = run("run", job, *sets, "--metrics-file", tmp_path, "--log-json", tmp_path / "log")
    assert ran.code == 0, ran.err
    (record,) = run("runs", "list", tmp_path / "there", "--json").json["runs"]
    assert (record["task"], record["outcome"]) == ("train", "done")
    assert record["passes"] == dkmeans.Model.load(str(out)).provenance["n_passes"]
    assert 'task="train"' in (tmp_path / "dkmeans_nightly.prom").read_text()
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events[0] == "run began"
    assert events[-1] == "run ended"
    run("run", job)
    (tmp_path / "predict.yaml").write_text(
        f"task: predict\nname: daily\ndata: {{url: in, keys: [id]}}\n"
        f"model: {tmp_path / 'reg'}@champion\ncluster: {{local: 0}}\n"
    )
    assert run("run", tmp_path / "predict.yaml").code == 0
    found = run("runs", "list", tmp_path / "reg", "--json").json["runs"]
    assert [one["task"] for one in found] == ["retrain", "predict"]
    # what fails has a record, too
    for file in (tmp_path / "in").glob("*.parquet"):
        file.unlink()
    assert run("run", job).code == 3
    found = run("runs", "list", tmp_path / "reg", "--json").json["runs"]
    assert (found[-1]["outcome"], found[-1]["exit_code"]) == ("failed", 3)


def test_metrics_that_cannot_be_written_do_not_end_a_job(job: Path) -> None:
    ran = run("run", job, "--metrics-file", job.parent / "nowhere" / "x.prom")
    assert ran.code == 0
    assert "metrics were not written" in ran.err


def test_a_train_can_be_challenged(job: Path) -> None:
    """The model of a train has what a retrain compares rows with."""
    assert run("run", job, "--set", "task=train").code == 0
    rng = np.random.default_rng(0)
    write_parquet(job.parent / "in", batch(2), n_files=2, id=rng.permutation(3000))
    result = run("run", job, "--json").json
    assert (result["version"], result["challenged"], result["promoted"]) == (2, 1, True)
