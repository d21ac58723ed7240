"""The commands and environments of a run's pods, as processes of this machine, over TLS."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, Security

from dkmeans.cluster.connect import connected
from dkmeans.errors import ClusterUnreachable
from dkmeans.registry.registry import Registry
from tests.conftest import free_port, wait_for_port, wait_until, write_parquet
from tests.deploy.certificates import Certificates, make_certificates
from tests.deploy.conftest import RETRAIN
from tests.deploy.rendered import base_settings, dask_job, environment_of, pods_of

PROGRAMS = {"dask": ["-m", "dask"], "dkmeans": ["-m", "dkmeans.cli.main"]}


class Pod:
    """The container of a pod, as a process of this machine."""

    def __init__(self, spec: Mapping[str, Any], replaced: Mapping[str, str], log: Path) -> None:
        (container,) = spec["containers"]
        self.grace_seconds = spec["terminationGracePeriodSeconds"]
        (program,) = container["command"]

        def here(text: str) -> str:
            for old, new in replaced.items():
                text = re.sub(old, new.replace("\\", "\\\\"), text)
            return text

        environment = {name: here(value) for name, value in environment_of(container).items()}
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *PROGRAMS[program], *map(here, container["args"])],
                env={**os.environ, **environment}, stdout=out, stderr=out,
            )  # fmt: skip

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code, and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self.grace_seconds), time.monotonic() - began


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3)) + 20 * rng.integers(0, 12, 4000)[:, None]
    for day in ("2026-11-18", "2026-11-19"):
        write_parquet(tmp_path / "data" / f"dt={day}", X, customer_id=np.arange(4000))
    return tmp_path


@pytest.fixture
def pods(place: Path, certificates: Certificates, launcher: ModuleType) -> Iterator[dict[str, Any]]:
    """A scheduler, a worker, and how to start what else a run has; killed at the end."""
    settings = base_settings() | {
        "WORKER_MEMORY_LIMIT": "1GiB",
        "WORKER_THREADS": "1",
        "DATA_URL": str(place / "data"),
        "REGISTRY_URL": str(place / "models"),
        "CHECKPOINT_URL": str(place / "checkpoints"),
    }
    specs = pods_of(dask_job(launcher, settings))
    ports = {f"\\b{port}\\b": str(free_port()) for port in (8786, 8787, 8788, 8789, 8790)}
    replaced = {
        r"tls://[\w.-]+:": "tls://127.0.0.1:",
        "/run/secrets/dask-tls": str(certificates.ca.parent),
        "^--local-directory=/scratch": f"--local-directory={place / 'scratch'}",
        "^/etc/dkmeans/job/job.yaml$": str(RETRAIN / "job.yaml"),
        r"\$\(DASK_WORKER_NAME\)": "a-worker",
        r"--dashboard-address=:": "--dashboard-address=127.0.0.1:",
        **ports,
    }
    started: dict[str, Any] = {"port": int(ports[r"\b8786\b"])}

    def start(component: str) -> Pod:
        pod = Pod(specs[component], replaced, place / f"{component}.log")
        started[component] = pod
        return pod

    started["start"] = start
    try:
        wait_for_port(started["port"], start("scheduler").process)
        start("worker")
        yield started
    finally:
        for pod in started.values():
            if isinstance(pod, Pod) and pod.process.poll() is None:
                pod.process.kill()
                pod.process.wait()


@pytest.mark.parametrize("is_busy", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_over_tls_and_how_its_pods_end(
    place: Path, pods: dict[str, Any], certificates: Certificates, is_busy: bool
) -> None:
    runner = pods["start"]("runner")
    assert runner.process.wait(120) == 0, runner.log.read_text()
    assert Registry(str(place / "models")).aliases()["champion"] == 1
    address = f"tls://127.0.0.1:{pods['port']}"
    other = make_certificates(place / "other")
    foreign = {
        "tls_ca": str(certificates.ca),
        "tls_cert": str(other.certificate),
        "tls_key": str(other.key),
    }
    for wrong, files in ((address.replace("tls", "tcp"), {}), (address, {}), (address, foreign)):
        with (
            dask.config.set({"dkmeans.connect-timeout": 1}),
            pytest.raises(ClusterUnreachable, match="within 1 s"),
            connected(wrong, **files),
        ):
            pass
    security = Security(
        tls_ca_file=str(certificates.ca),
        tls_client_cert=str(certificates.certificate),
        tls_client_key=str(certificates.key),
        require_encryption=True,
    )
    with Client(address, security=security, set_as_default=False) as client:
        assert len(client.scheduler_info()["workers"]) == 1
        if is_busy:
            task = client.submit(time.sleep, 600)
            wait_until(lambda: any(client.processing().values()), seconds=10)
            assert not task.done()
        code, seconds = pods["worker"].terminate()
        assert code == 0
        assert seconds < pods["worker"].grace_seconds
    code, seconds = pods["scheduler"].terminate()
    assert code == 0
    assert seconds < pods["scheduler"].grace_seconds
