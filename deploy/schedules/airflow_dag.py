"""An Airflow DAG that runs a job of dkmeans every night; for Airflow 3, with its standard provider.

It calls `dkmeans run` and says what each of its exit codes means to Airflow, no more. Put it into
the folder of DAGs. What to change: the constants, and the DAG's schedule.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator

# in airflow.exceptions of older releases of Airflow 3
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

DKMEANS = os.environ.get("DKMEANS_PROGRAM", "/opt/dkmeans/bin/dkmeans")
"""The program, in an environment of its own: its packages need not agree with Airflow's."""

JOB = os.environ.get("DKMEANS_JOB", "/etc/dkmeans/customers.yaml")
"""The job file, a path or any URL that dkmeans can read."""

DONE = {
    0: "done, or nothing to do",
    4: "done, but rows or files were left out by policy; see the log",
}
NOT_AGAIN = {
    2: "the job or its environment is wrong; correct it",
    3: "the input was refused; see the log",
    5: "the gate has refused the challenger, and the champion stays; somebody should look",
    6: "the rows have drifted; somebody should look",
}
"""Trying again would change nothing."""

OVERLAP = 8
"""Another run is at it, and will do what there is to do."""

AGAIN = {
    1: "unexpected",
    7: "stopped, can go on: the cluster or store was lost, or a budget spent",
    130: "interrupted",
    143: "terminated",
}
"""The next try goes on from the checkpoint, if the job has one."""


class RunJob(BaseOperator):
    """Runs a job as of a day."""

    template_fields = ("job", "as_of")

    def __init__(self, *, job: str, as_of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.as_of = as_of
        self.hook: SubprocessHook | None = None

    def execute(self, context: Any) -> None:
        """Run it; all that it prints goes to the task's log."""
        self.hook = SubprocessHook()
        ran = self.hook.run_command([DKMEANS, "run", self.job, "--as-of", self.as_of])
        code = ran.exit_code
        if code in DONE:
            self.log.info("exit code %s: %s", code, DONE[code])
            return
        if code == OVERLAP:
            raise AirflowSkipException(f"exit code {code}: another run of the job is at it")
        if code in NOT_AGAIN:
            raise AirflowFailException(f"exit code {code}: {NOT_AGAIN[code]}")
        raise AirflowException(f"exit code {code}: {AGAIN.get(code, 'killed')}")

    def on_kill(self) -> None:
        """Have dkmeans end, and leave its checkpoint: it answers SIGTERM."""
        if self.hook is not None:
            # it may have ended just now
            with suppress(ProcessLookupError):
                self.hook.send_sigterm()


with DAG(
    dag_id="dkmeans_customers",
    description="Retrains the clusters of customers every night.",
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # a job's lock would make the other one leave
    max_active_runs=1,
    tags=["dkmeans"],
) as dag:
    RunJob(
        task_id="run",
        job=JOB,
        # the day of the run, also of one that is tried again or made up for later; runs that are
        # started by hand may have no logical date
        as_of="{{ (dag_run.logical_date or dag_run.run_after).strftime('%Y-%m-%d') }}",
        retries=3,
        retry_delay=timedelta(minutes=10),
        retry_exponential_backoff=2,
        max_retry_delay=timedelta(hours=2),
        execution_timeout=timedelta(hours=8),
    )
