"""The images: what is locked, what the Dockerfile says, and its steps in a clean environment."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from tests.conftest import free_port, wait_for_port
from tests.deploy.conftest import DEPLOY
from tests.deploy.dockerfile import Target, read_dockerfile
from tests.deploy.locks import project, read_lock, unmet

ROOT = DEPLOY.parent
LOCKS = DEPLOY / "locks"
WITHOUT = ("dask", "distributed", "scikit-learn", "pandas", "bokeh", "scipy")


@pytest.fixture
def targets() -> dict[str, Target]:
    return read_dockerfile((DEPLOY / "Dockerfile").read_text())


@pytest.mark.parametrize("name", ["build", "dkmeans", "service", "operator"])
def test_locks_have_hashes_and_no_place_to_get_packages_from(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", re.sub(r"\\\n\s*--hash", "", text), re.MULTILINE)
    assert len(read_lock(text)) >= 1


def test_the_lock_has_what_the_package_asks_for() -> None:
    lock = read_lock((LOCKS / "dkmeans.txt").read_text())
    assert unmet([*project()[""], *project()["serve"]], lock) == []
    # the check sees what is out of range, and what is missing
    assert unmet(["numpy>=99", "no-such-package"], lock) == ["numpy>=99", "no-such-package"]


def test_the_lock_of_the_service_has_its_extra_and_no_dask() -> None:
    asked = [line for line in (LOCKS / "service.in").read_text().split("\n")
             if line and not line.startswith("#")]  # fmt: skip
    known = [*project()[""], *project()["serve"]]
    assert set(asked) <= set(known), "not word for word as in pyproject.toml"
    assert set(project()["serve"]) <= set(asked)
    lock = read_lock((LOCKS / "service.txt").read_text())
    assert unmet(asked, lock) == []
    assert not set(WITHOUT) & set(lock)


def test_both_images_have_the_same_versions() -> None:
    whole, part = (
        read_lock((LOCKS / f"{name}.txt").read_text()) for name in ("dkmeans", "service")
    )
    assert set(part) <= set(whole)
    for name, pins in part.items():
        versions = {pin.version for pin in pins}
        assert versions <= {pin.version for pin in whole[name]}, name


def test_the_lock_of_what_builds() -> None:
    lock = read_lock((LOCKS / "build.txt").read_text())
    assert unmet(["pip", "setuptools>=77"], lock) == []


def test_images_run_as_nobody_in_a_root_that_is_read_only(targets: dict[str, Target]) -> None:
    for name in ("dkmeans", "service"):
        target = targets[name]
        assert target.last("USER") == "10001:10001"
        assert target.last("ENTRYPOINT") == ["dkmeans"]
        assert target.last("STOPSIGNAL") == "SIGTERM"
        written = {key: value for key, value in target.environment.items()
                   if re.search("HOME|TMP|CACHE|TEMPORARY", key)}  # fmt: skip
        assert set(written) == {
            "HOME", "TMPDIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "DASK_TEMPORARY_DIRECTORY",
        }  # fmt: skip
        assert all(re.fullmatch("/tmp(/.*)?", value) for value in written.values())
        labels = " ".join(target.all("LABEL"))
        for label in ("title", "description", "licenses", "version", "revision"):
            assert f"org.opencontainers.image.{label}=" in labels
        # nothing of what builds, and nothing that changes what was locked
        assert target.all("RUN") == targets["runtime"].all("RUN")
        assert [one.split()[0] for one in target.all("COPY")] == [f"--from={name}-packages"]
    assert targets["dkmeans"].last("HEALTHCHECK") == "NONE"


def test_the_image_is_of_this_version(targets: dict[str, Target]) -> None:
    assert f"VERSION={dkmeans.__version__}" in targets["runtime"].all("ARG")


def test_packages_come_by_hash_or_not_at_all(targets: dict[str, Target]) -> None:
    n_locked = 0
    for target in targets.values():
        for step in target.all("RUN"):
            if " install " in step and "/pip " in step:
                is_locked = "--require-hashes --only-binary :all: -r deploy/locks/" in step
                assert is_locked or "--no-deps --no-index" in step, step
                n_locked += is_locked
            elif "/pip " in step:
                assert "--no-deps --no-index --no-build-isolation" in step, step
    assert n_locked >= 3


def test_a_build_gets_what_its_steps_copy_and_no_more(targets: dict[str, Target]) -> None:
    rules = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
             if line and not line.startswith("#")]  # fmt: skip
    assert rules[0] == "*"
    copied = [word for name in ("build", "dkmeans-packages", "service-packages")
              for step in targets[name].all("COPY") for word in step.split()[:-1]]  # fmt: skip
    for path in copied:
        assert any(fnmatch.fnmatch(path, rule[1:]) for rule in rules if rule[0] == "!"), path
        assert (ROOT / path).exists()
    let_in = [rule[1:] for rule in rules if rule[0] == "!"]
    for rule in let_in:
        assert any(fnmatch.fnmatch(path, rule) for path in copied), f"{rule} is not needed"


def test_the_health_of_the_service_is_asked_as_it_answers(targets: dict[str, Target]) -> None:
    command = targets["service"].last("HEALTHCHECK")["command"]
    assert command[0] == "python"
    assert "/healthz" in command[2]
    assert targets["service"].all("EXPOSE")[-1] == "8000"


class Machine:
    """Stages of a Dockerfile, run in a folder of this machine."""

    def __init__(self, folder: Path, targets: dict[str, Target]) -> None:
        self.folder, self.targets = folder, targets
        self.work = folder / "build"

    def here(self, text: str) -> str:
        text = re.sub(r"(?<![\w.])/(opt|wheels)\b", f"{self.folder}/\\1", text)
        return re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", text)

    def build(self, stage: str, n_before: int = 0) -> int:
        """Run the steps of a stage, but for the first, which have been run; return how many."""
        environment = {**os.environ}
        environment.pop("PYTHONPATH", None)
        steps = self.targets[stage].steps
        for name, value in steps[n_before:]:
            if name == "ENV":
                environment |= dict(word.split("=", 1) for word in value.split())
            elif name == "WORKDIR":
                self.work.mkdir(parents=True, exist_ok=True)
            elif name == "COPY":
                *sources, into = value.split()
                for source in sources:
                    self.copy(source, into)
            else:
                assert name == "RUN", name
                subprocess.run(
                    ["/bin/sh", "-c", self.here(value)],
                    cwd=self.work, env=environment, check=True, timeout=900,
                )  # fmt: skip
        return len(steps)

    def copy(self, source: str, into: str) -> None:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / source, self.work / into, ignore=ignored)
            return
        place = self.work / into
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, place)

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment of a container of an image."""
        found = dict(self.targets[image].environment)
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        found = {key: value.replace("/tmp", str(scratch)) for key, value in found.items()}
        found["PATH"] = f"{self.folder}/opt/dkmeans/bin:{os.environ['PATH']}"
        return found


def call(machine: Machine, image: str, *command: str) -> subprocess.CompletedProcess:
    environment = machine.environment(image)
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None
    assert program.startswith(str(machine.folder)), program
    return subprocess.run(
        [program, *command[1:]], env=environment, cwd=machine.folder,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, targets: dict[str, Target]) -> Iterator[Machine]:
    yield Machine(tmp_path, targets)
    # hundreds of megabytes
    shutil.rmtree(tmp_path)


HAS = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name)]))
"""
MODULES = ("dask", "distributed", "sklearn", "pandas", "scipy", "pip", "dkmeans", "fastapi")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_steps_of_the_service(machine: Machine) -> None:
    machine.build("service-packages", machine.build("build"))
    has = json.loads(call(machine, "service", "python", "-c", HAS, *MODULES).stdout)
    assert has == ["dkmeans", "fastapi"]
    shown = call(machine, "service", "dkmeans", "--help")
    assert shown.returncode == 0, shown.stderr
    assert call(machine, "service", "dkmeans", "serve", "--help").returncode == 0
    refused = call(machine, "service", "dkmeans", "fit", "rows", "--k", "3")
    assert refused.returncode == 2
    assert "is not installed" in refused.stderr
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    fitted = dkmeans.KMeans(3, random_state=0).fit(X)
    fitted.model_.save(str(machine.folder / "model"))
    port = free_port()
    server = subprocess.Popen(
        [
            machine.folder / "opt/dkmeans/bin/dkmeans", "serve", machine.folder / "model",
            f"--port={port}",
        ],
        env=machine.environment("service"), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # it compiles its loops first
        wait_for_port(port, server, seconds=300)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict",
            data=json.dumps({"rows": X[:5].tolist()}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            labels = json.load(answer)["cluster_ids"]
        assert labels == fitted.model_.predict(X[:5]).tolist()
        check = machine.targets["service"].last("HEALTHCHECK")["command"]
        healthy = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in check]
        assert call(machine, "service", *healthy).returncode == 0
    finally:
        server.terminate()
        assert server.wait(30) == 0
    assert call(machine, "service", *healthy).returncode != 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_steps_of_the_whole_image(machine: Machine) -> None:
    machine.build("dkmeans-packages", machine.build("build"))
    has = json.loads(call(machine, "dkmeans", "python", "-c", HAS, *MODULES).stdout)
    assert set(MODULES) - set(has) == {"pip"}
    for command in ("dkmeans --help", "dkmeans serve --help", "dask scheduler --help"):
        assert call(machine, "dkmeans", *command.split()).returncode == 0
    done = call(machine, "dkmeans", "dkmeans", "demo")
    assert done.returncode == 0, done.stderr
