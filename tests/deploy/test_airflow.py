"""The DAG for Airflow, and what it makes of each exit code."""

import os
import runpy
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from dkmeans.cli import main
from dkmeans.jobs.outcome import LEFT_OUT
from tests.conftest import wait_until
from tests.deploy.airflow_stand_in import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    stood_in,
)
from tests.deploy.schedules import CODES, FOLDER, KILLED, OVERLAP, fake_program


def dag_of(monkeypatch: pytest.MonkeyPatch, program: Path) -> Any:
    monkeypatch.setenv("DKMEANS_PROGRAM", str(program))
    monkeypatch.setenv("DKMEANS_JOB", "/etc/dkmeans/customers.yaml")
    with stood_in() as dags:
        module = runpy.run_path(str(FOLDER / "airflow_dag.py"))
    (dag,) = dags
    return module, dag


def test_airflow_makes_of_each_exit_code_what_it_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, dag = dag_of(monkeypatch, fake_program(tmp_path))
    parts = [set(module[name]) for name in ("DONE", "NOT_AGAIN", "AGAIN")]
    assert parts == [{0, LEFT_OUT}, {2, 3, 5, 6}, {1, 7, main._INTERRUPTED, main._TERMINATED}]
    assert module["OVERLAP"] == OVERLAP
    assert set.union({OVERLAP}, *parts) == CODES
    (task,) = dag.tasks
    task.as_of = "2026-11-20"
    for code in sorted({*CODES, KILLED}):
        (tmp_path / "code").write_text(str(code))
        raised = None
        try:
            task.execute({})
        except AirflowException as error:
            raised = error
        if code in module["DONE"]:
            assert raised is None
            continue
        assert str(code) in str(raised)
        assert isinstance(raised, AirflowFailException) == (code in module["NOT_AGAIN"])
        assert isinstance(raised, AirflowSkipException) == (code == OVERLAP)
    called = set((tmp_path / "calls").read_text().splitlines())
    assert called == {"run /etc/dkmeans/customers.yaml --as-of 2026-11-20"}


def test_the_dag_runs_once_at_a_time_and_knows_its_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dag = dag_of(monkeypatch, fake_program(tmp_path))
    (task,) = dag.tasks
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.start_date.tzinfo is not None
    assert "as_of" in task.template_fields
    assert task.retries > 0
    assert task.retry_exponential_backoff >= 2
    assert task.retry_delay < task.max_retry_delay < task.execution_timeout
    # nothing runs yet, or it has just ended
    task.on_kill()
    (tmp_path / "code").write_text("0")
    task.execute({})
    task.on_kill()


def test_airflow_stops_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dkmeans"
    program.write_text(f"#!/bin/sh\ntrap 'exit 143' TERM\ntouch '{tmp_path}/on'\nsleep 60 & wait\n")
    program.chmod(0o755)
    _, dag = dag_of(monkeypatch, program)
    (task,) = dag.tasks

    def stop() -> None:
        wait_until((tmp_path / "on").exists)
        task.on_kill()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(AirflowException, match="143: terminated"):
        task.execute({})
    thread.join()


UNDER_AIRFLOW = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["dkmeans_customers"]
task = dag.get_task("run")
task.retries, task.retry_delay, task.retry_exponential_backoff = 1, timedelta(seconds=0.1), 0
folder = Path(sys.argv[2])
for code in map(int, sys.argv[3:]):
    (folder / "code").write_text(str(code))
    (folder / "calls").write_text("")
    run = dag.test(logical_date=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=code))
    (instance,) = run.get_task_instances()
    calls = (folder / "calls").read_text().splitlines()
    print("RESULT", code, instance.state, len(calls), calls[0].split()[-1])
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_airflow_itself_does_so(tmp_path: Path) -> None:
    """With the Python of an environment that has Airflow; it takes minutes."""
    python = os.environ.get("DKMEANS_AIRFLOW")
    if python is None:
        pytest.skip("DKMEANS_AIRFLOW names no Python that has Airflow")
    (tmp_path / "dags").mkdir()
    shutil.copy(FOLDER / "airflow_dag.py", tmp_path / "dags")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DKMEANS_PROGRAM": str(fake_program(tmp_path)),
    }
    environment.pop("PYTHONPATH", None)
    for arguments in (("db", "migrate"), ("dags", "reserialize")):
        subprocess.run([python, "-m", "airflow", *arguments], env=environment, check=True)
    ran = subprocess.run(
        [python, "-c", UNDER_AIRFLOW, str(tmp_path / "dags" / "airflow_dag.py"), str(tmp_path),
         *map(str, sorted({*CODES, KILLED}))],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {}
    for line in ran.stdout.splitlines():
        if line.startswith("RESULT "):
            _, code, state, calls, day = line.split()
            found[int(code)] = (state, int(calls), day)
    assert set(found) == {*CODES, KILLED}
    for code, (state, calls, _) in found.items():
        expected = (
            "success" if code in (0, LEFT_OUT) else "skipped" if code == OVERLAP else "failed"
        )
        assert state == expected, code
        assert calls == (2 if code in (1, 7, 130, 143, KILLED) else 1), code
    assert found[5][2] == "2026-01-06"
