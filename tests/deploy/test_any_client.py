"""The page "Any client works": its code compiles, runs, and fits the packages that it names."""

import ast
import importlib.machinery
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dkmeans.cluster.preflight import SAME_VERSIONS
from dkmeans.registry.registry import Registry
from tests.cli.command import run
from tests.conftest import write_parquet
from tests.jobs.test_retrain import TEXT, batch, deliver

PAGE = (Path(__file__).parents[2] / "deploy" / "any-client.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HERE, FACTORY, *SERVICES = BLOCKS
PACKAGES = {"dask_gateway", "coiled", "dask_jobqueue", "dask_cloudprovider", "dask_kubernetes"}


def package_of(block: str) -> str:
    """The first package that a block imports."""
    found = re.search(r"^(?:from|import) (\w+)", block, re.MULTILINE)
    assert found
    return found[1]


def test_every_service_has_a_factory_that_jobs_can_name() -> None:
    assert {package_of(block) for block in SERVICES} == PACKAGES
    for block in (FACTORY, *SERVICES):
        tree = ast.parse(block)
        (made,) = [one for one in tree.body if isinstance(one, ast.FunctionDef)]
        assert made.name == "make_client"
        assert ast.unparse(made.args) == ""
        assert made.returns is not None
        assert ast.unparse(made.returns) == "Client"
        # all that it uses is imported
        nodes = list(ast.walk(tree))
        imports = [one for one in nodes if isinstance(one, (ast.Import, ast.ImportFrom))]
        bound = {name.asname or name.name for one in imports for name in one.names}
        names = [one for one in nodes if isinstance(one, ast.Name)]
        stored = {one.id for one in names if isinstance(one.ctx, ast.Store)}
        used = {one.id for one in names}
        assert used - stored - bound <= {"int"}, block


def test_the_page_names_what_has_to_agree() -> None:
    (versions,) = re.findall(r"\*\*Versions\.\*\*.*?\n- ", PAGE, re.DOTALL)
    assert all(re.search(rf"\b{name}\b", versions, re.IGNORECASE) for name in SAME_VERSIONS)


def test_the_block_for_a_client_runs(client: Any, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(600, 3))
    write_parquet(tmp_path / "events", X)
    block = (
        HERE.replace("tcp://scheduler:8786", client.scheduler.address)
        .replace("s3://my-lake/events/", str(tmp_path / "events"))
        .replace("s3://my-models/by-hand", str(tmp_path / "model"))
        .replace("50", "3")
    )
    assert "://my-" not in block
    names: dict[str, Any] = {}
    exec(compile(block, "any-client.md", "exec"), names)
    assert (tmp_path / "model" / "model.json").exists()


@pytest.mark.slow
def test_a_job_runs_on_the_client_of_a_factory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "code" / "mypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "clusters.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("N_WORKERS", "1")
    deliver(tmp_path, batch(1))
    job = tmp_path / "job.yaml"
    (factory,) = re.findall(r"cluster: \{factory: .*?\}", PAGE)
    job.write_text(TEXT.replace("cluster: {local: 0}", factory))
    try:
        ran = run("run", job)
    finally:
        for name in ("mypackage", "mypackage.clusters"):
            sys.modules.pop(name, None)
    assert ran.code == 0, ran.err
    assert "cluster: of mypackage.clusters:make_client" in ran.err
    assert Registry(str(tmp_path / "reg")).aliases()["champion"] == 1


def called_with(block: str) -> list[tuple[str, set[str]]]:
    """Names that are called, and by which keywords."""
    calls = [one for one in ast.walk(ast.parse(block)) if isinstance(one, ast.Call)]
    return [(ast.unparse(one.func), {word.arg or "" for word in one.keywords}) for one in calls]


class Package:
    """The classes of an installed package, from its source: it is not imported, nor what it
    needs."""

    def __init__(self, folder: Path) -> None:
        self._classes: dict[str, ast.ClassDef] = {}
        for file in sorted(folder.rglob("*.py")):
            if "tests" not in file.parts:
                found = ast.walk(ast.parse(file.read_text()))
                self._classes |= {one.name: one for one in found if isinstance(one, ast.ClassDef)}

    def taken(self, name: str) -> set[str]:
        """Parameters of a class, with those of its bases, and of the jobs that it starts."""
        if name not in self._classes:
            return set()
        found = self._classes[name]
        others = [ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in found.bases]
        taken = set()
        for one in found.body:
            if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                taken |= {given.arg for given in (*one.args.args, *one.args.kwonlyargs)}
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "job_cls":
                others.append(ast.unparse(one.value))
        return taken.union(*map(self.taken, others)) - {"self"}

    def has_method(self, name: str, method: str) -> bool:
        """Whether a class has a method of its own."""
        body = self._classes[name].body
        return any(isinstance(one, ast.FunctionDef) and one.name == method for one in body)


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_packages_take_these_arguments(package: str) -> None:
    """Where they are installed: here, or in the folder that DKMEANS_CLIENTS names."""
    places = [*os.environ.get("DKMEANS_CLIENTS", "").split(os.pathsep), *sys.path]
    found = importlib.machinery.PathFinder.find_spec(package, [one for one in places if one])
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    classes = Package(Path(found.origin).parent)
    (block,) = [one for one in SERVICES if package_of(one) == package]
    n_checked = 0
    for name, keywords in called_with(block):
        if taken := classes.taken(name.rpartition(".")[2]):
            assert keywords <= taken, keywords - taken
            n_checked += 1
    assert n_checked
    if package == "dask_gateway":
        for method in ("cluster_options", "new_cluster"):
            assert classes.has_method("Gateway", method)
        for method in ("scale", "get_client"):
            assert classes.has_method("GatewayCluster", method)
