"""What compose.yaml runs, as processes of this machine, with another object store."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port, wait_for_port
from tests.deploy.conftest import DEPLOY
from tests.deploy.test_compose import TEXT, load

PROGRAMS = {"dask": ["-m", "dask"], "dkmeans": ["-m", "dkmeans.cli.main"], "python": []}
SECRETS = {
    "S3_ACCESS_KEY": "a-key",
    "S3_SECRET_KEY": "a-secret",
    "DKMEANS_TOKEN": "a-token-of-clients",
}
_LOCAL = ("8000", "8786", "8787", "8788", "8789", "8790")

Start = Callable[[str], subprocess.Popen]


@pytest.fixture
def ports() -> dict[str, str]:
    return {port: str(free_port()) for port in _LOCAL}


@pytest.fixture
def start(s3: dict, ports: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a service of the file by its name; what still runs at the end is killed."""
    services, started = load(TEXT)["services"], []
    replaced = {
        r"\$\{(\w+):\?[^}]*\}": lambda found: SECRETS[found[1]],
        "http://s3:8333": s3["client_kwargs"]["endpoint_url"],
        "/etc/dkmeans/": f"{DEPLOY / 'compose'}/",
        "=/scratch": f"={tmp_path}",
        "scheduler:8786": "127.0.0.1:8786",
        "=:": "=127.0.0.1:",
        rf"(?<=[:=])({'|'.join(_LOCAL)})\b": lambda found: ports[found[1]],
    }

    def here(text: str) -> str:
        for old, new in replaced.items():
            text = re.sub(old, new, text)
        return text

    def start_one(name: str) -> subprocess.Popen:
        service = services[name]
        program, *words = [*service.get("entrypoint", ["dkmeans"]), *service["command"]]
        environment = {key: here(value) for key, value in service["environment"].items()}
        with (tmp_path / f"{name}.log").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *PROGRAMS[program], *map(here, words)],
                env={**os.environ, **environment}, stdout=out, stderr=out,
            )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rows_are_made_a_model_is_trained_and_served(
    start: Start, ports: dict[str, str], tmp_path: Path
) -> None:
    assert start("rows").wait(120) == 0, (tmp_path / "rows.log").read_text()
    wait_for_port(int(ports["8786"]), start("scheduler"))
    start("worker")
    for _ in range(2):
        assert start("train").wait(300) == 0, (tmp_path / "train.log").read_text()
    # the same rows and parameters again
    assert "nothing to do" in (tmp_path / "train.log").read_text()
    service = start("service")
    wait_for_port(int(ports["8000"]), service, seconds=300)
    address = f"http://127.0.0.1:{ports['8000']}/predict"
    asked = urllib.request.Request(
        address,
        data=json.dumps({"rows": [{"a": 1, "b": 2, "c": 3, "d": 4}]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(asked, timeout=60)
    asked.add_header("Authorization", f"Bearer {SECRETS['DKMEANS_TOKEN']}")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found = json.load(answer)
    assert found["version"] == 1
    assert len(found["cluster_ids"]) == 1
    service.terminate()
    assert service.wait(30) == 0
