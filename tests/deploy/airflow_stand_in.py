"""As much of Airflow 3 as the DAG uses, with its signatures: what it does not take is an error.

The parameters are those of Airflow 3.3 (apache-airflow-task-sdk 1.3), among which are all that the
DAG may use. The same checks run under Airflow itself: see `test_airflow`.
"""

import logging
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

DAGS: list["DAG"] = []


class DAG:
    def __init__(
        self,
        dag_id: str,
        *,
        description: str | None = None,
        schedule: str | timedelta | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        default_args: dict[str, Any] | None = None,
        max_active_tasks: int = 16,
        max_active_runs: int = 16,
        dagrun_timeout: timedelta | None = None,
        catchup: bool = False,
        doc_md: str | None = None,
        tags: Any = (),
    ) -> None:
        self.dag_id, self.schedule, self.start_date = dag_id, schedule, start_date
        self.max_active_runs, self.catchup = max_active_runs, catchup
        self.tasks: list[BaseOperator] = []

    def __enter__(self) -> "DAG":
        DAGS.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""


class BaseOperator:
    template_fields: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        task_id: str,
        retries: int = 0,
        retry_delay: timedelta = timedelta(seconds=300),
        retry_exponential_backoff: float = 0,
        max_retry_delay: timedelta | float | None = None,
        execution_timeout: timedelta | None = None,
        on_failure_callback: Any = None,
        doc_md: str | None = None,
        pool: str = "default_pool",
        queue: str = "default",
    ) -> None:
        self.task_id, self.retries, self.retry_delay = task_id, retries, retry_delay
        self.retry_exponential_backoff = retry_exponential_backoff
        self.max_retry_delay, self.execution_timeout = max_retry_delay, execution_timeout
        self.log = logging.getLogger("airflow.task")
        DAGS[-1].tasks.append(self)


class SubprocessHook:
    Result = namedtuple("SubprocessResult", ["exit_code", "output"])

    def __init__(self) -> None:
        self.sub_process: subprocess.Popen[bytes] | None = None

    def run_command(
        self,
        command: list[str],
        env: dict[str, str] | None = None,
        output_encoding: str = "utf-8",
        cwd: str | None = None,
    ) -> Any:
        self.sub_process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
        out, _ = self.sub_process.communicate()
        return self.Result(self.sub_process.returncode, out.decode(output_encoding))

    def send_sigterm(self) -> None:
        if self.sub_process is not None:
            os.killpg(os.getpgid(self.sub_process.pid), 15)


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


class AirflowSkipException(AirflowException):
    pass


@contextmanager
def stood_in() -> Iterator[list[DAG]]:
    """Have `airflow` be this module meanwhile; gives the DAGs that are made."""
    given = {
        "airflow": {},
        "airflow.sdk": {"DAG": DAG, "BaseOperator": BaseOperator},
        "airflow.sdk.exceptions": {
            "AirflowException": AirflowException,
            "AirflowFailException": AirflowFailException,
            "AirflowSkipException": AirflowSkipException,
        },
        "airflow.providers": {},
        "airflow.providers.standard": {},
        "airflow.providers.standard.hooks": {},
        "airflow.providers.standard.hooks.subprocess": {"SubprocessHook": SubprocessHook},
    }
    before = {name: sys.modules.get(name) for name in given}
    DAGS.clear()
    for name, values in given.items():
        module = ModuleType(name)
        vars(module).update(values)
        sys.modules[name] = module
    try:
        yield DAGS
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
