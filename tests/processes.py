"""Dask schedulers and workers as processes of the command line, until a context ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def dask_process(
    folder: Path, *arguments: str, pythonpath: Path | None = None
) -> Iterator[subprocess.Popen]:
    """Run `dask ...` from the command line until the context ends."""
    log = folder / f"{arguments[0]}-{len(list(folder.glob('*.log')))}.log"
    environment = dict(os.environ)
    if pythonpath is not None:
        rest = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{pythonpath}{os.pathsep}{rest}" if rest else str(pythonpath)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments], stdout=out, stderr=out, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def scheduler_process(folder: Path, port: int) -> contextmanager:
    return dask_process(
        folder, "scheduler", "--host", "127.0.0.1", "--port", str(port),
        "--dashboard-address", "127.0.0.1:0",
    )  # fmt: skip


def worker_process(folder: Path, address: str, pythonpath: Path | None = None) -> contextmanager:
    return dask_process(
        folder, "worker", address, "--nthreads", "1", "--no-nanny", "--memory-limit", "1GiB",
        "--host", "127.0.0.1", "--no-dashboard", "--local-directory", str(folder),
        pythonpath=pythonpath,
    )  # fmt: skip
