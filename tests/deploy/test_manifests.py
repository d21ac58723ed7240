"""The manifests for Kubernetes: their schemas, and whether they fit together and our commands."""

import itertools
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import jsonschema
import kubernetes_validate
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from dkmeans.cli.main import commands
from dkmeans.jobs.load import load_job
from tests.deploy.conftest import DEPLOY
from tests.deploy.kustomize import render, without_hashes
from tests.deploy.manifests import MADE_BY_HAND, problems
from tests.deploy.rendered import NAME, environment_of
from tests.deploy.stages import KUBERNETES, STAGES, Stage, broken

VERSIONS = ("1.32", "1.34")


@pytest.fixture(scope="session")
def crds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schemas of the Dask operator, by kind, made strict; from its wheel, that alone."""
    folder = tmp_path_factory.mktemp("operator")
    lock = DEPLOY / "locks" / "operator.txt"
    got = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary=:all:", "--dest", str(folder), "-r", str(lock),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if got.returncode:
        pytest.skip(f"the package index is out of reach: {got.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("*.whl")
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/crds/" in name and name.endswith(".yaml"):
                spec = yaml.load(archive.read(name), Loader=yaml.CSafeLoader)["spec"]
                (version,) = spec["versions"]
                schema = strict(version["schema"]["openAPIV3Schema"], True)
                found[spec["names"]["kind"]] = jsonschema.Draft202012Validator(schema)
    return found


def strict(schema: Any, is_root: bool = False) -> Any:
    """Return a schema of a CRD as a JSON Schema that refuses fields it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict):
        if is_root:
            made["properties"] |= {"apiVersion": True, "kind": True, "metadata": True}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if made.get("x-kubernetes-int-or-string") is True:
        made.pop("type", None)
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def schema_problems(
    docs: Mapping[tuple[str, str], Any], versions: Sequence[str] = VERSIONS
) -> list[str]:
    """Return what the schemas of Kubernetes say, of some versions."""
    found = []
    for version, ((kind, name), doc) in itertools.product(versions, docs.items()):
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{kind} {name}: {error.message}")
    return found


read = partial(yaml.load, Loader=yaml.CSafeLoader)


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, launcher: ModuleType) -> Stage:
    return Stage.of(KUBERNETES, request.param, launcher)


def test_there_are_two_stages() -> None:
    assert STAGES == ["production", "staging"]


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_the_same(name: str) -> None:
    folder = KUBERNETES / "overlays" / name
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = without_hashes(list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)))
    assert len(theirs) > 15
    assert theirs == without_hashes(render(folder))


def test_hashes_follow_what_config_maps_hold(tmp_path: Path) -> None:
    def used(folder: Path) -> set[str]:
        docs = render(folder / "overlays" / "staging")
        names = {one["metadata"]["name"] for one in docs if one["kind"] == "ConfigMap"}
        (deployment,) = [one for one in docs if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        reference = container["env"][0]["valueFrom"]["configMapKeyRef"]["name"]
        assert reference in names
        return names

    before = used(KUBERNETES)
    copied = Path(shutil.copytree(KUBERNETES, tmp_path / "kubernetes"))
    assert used(copied) == before
    (copied / "overlays" / "staging" / "settings.env").write_text("WORKERS=3\n")
    after = used(copied)
    assert len(before - after) == len(after - before) == 1
    assert "dkmeans-job" in after


def test_the_schemas_of_kubernetes(stage: Stage) -> None:
    assert schema_problems(stage.docs) == []


def test_the_schema_of_the_operator(stage: Stage, crds: Mapping[str, Any]) -> None:
    crds["DaskJob"].validate(stage.job)


def test_everything_fits_together(stage: Stage) -> None:
    assert problems(stage) == []


WRONG = [
    ("base/retrain/cronjob.yaml", "concurrencyPolicy", "concurencyPolicy"),
    ("base/serve/deployment.yaml", "maxSurge: 1", "maxSurge: {}"),
    ("base/serve/hpa.yaml", "minReplicas: 2", "minReplicas: 2\n  most: 3"),
    ("base/network/serve.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: Ingress"),
    ("base/serve/pdb.yaml", "maxUnavailable", "maxUnavailables"),
]


@pytest.mark.parametrize(("file", "old", "new"), WRONG)
def test_the_schemas_of_kubernetes_see(file: str, old: str, new: str, tmp_path: Path) -> None:
    copied = broken(tmp_path, file, old, new)
    docs = without_hashes(render(copied / "overlays" / "production"))
    before = without_hashes(render(KUBERNETES / "overlays" / "production"))
    changed = {key: doc for key, doc in docs.items() if doc != before[key]}
    assert schema_problems(changed, VERSIONS[-1:])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("restartPolicy: Never", "restartPolice: Never"),
        ("replicas: ${WORKERS}", 'replicas: "${WORKERS}"'),
        ("        service:\n", "        services:\n"),
        ("sizeLimit: 2Gi", "sizeLimits: 2Gi"),
        ("  job:\n", "  ttlSecondsAfterFinished: 3\n  job:\n"),
        ("containerPort: 8786", "containerPort: tcp-comm"),
    ],
)
def test_the_schema_of_the_operator_sees(
    old: str, new: str, crds: Mapping[str, Any], launcher: ModuleType
) -> None:
    text = (KUBERNETES / "base" / "retrain" / "daskjob.yaml").read_text()
    assert old in text
    settings = without_hashes(render(KUBERNETES / "base"))["ConfigMap", "dkmeans-settings"]["data"]
    values = {**settings, "NAME": NAME, "NAMESPACE": "n", "IMAGE": "i", "AS_OF": "2026-11-20"}
    # past the launcher's own checks
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", value)
    crds["DaskJob"].validate(read(text))
    for key, value in values.items():
        old, new = old.replace(f"${{{key}}}", value), new.replace(f"${{{key}}}", value)
    with pytest.raises(jsonschema.ValidationError):
        crds["DaskJob"].validate(read(text.replace(old, new)))


def parsed(command: click.Command, arguments: list[str]) -> dict[str, Any]:
    """Return the parameters that a command understands; it is not run."""
    return command.make_context(command.name, list(arguments)).params


def test_our_commands_understand_their_arguments(stage: Stage, launcher: ModuleType) -> None:
    root = click.Context(commands)
    for pod in ("serve", "runner"):
        container = stage.container(pod)
        assert container["command"] == ["dkmeans"]
        name, *rest = container["args"]
        command = commands.get_command(root, name)
        assert command is not None
        given = parsed(command, rest)
        if pod == "serve":
            assert given["model_url"] == "$(MODEL_URL)"
            assert given["host"] == "0.0.0.0"
            assert given["token_file"] == "/run/secrets/dkmeans/token"
    launch = stage.container("launcher")
    assert launch["command"] == ["python"]
    told = launcher.arguments().parse_args(launch["args"][1:])
    assert told.name == "$(JOB_NAME)"
    assert told.image == "$(IMAGE)"


def test_dask_understands_its_arguments(stage: Stage) -> None:
    for pod, command in (("scheduler", dask_scheduler.main), ("worker", dask_worker.main)):
        container = stage.container(pod)
        assert container["command"] == ["dask"]
        name, *rest = container["args"]
        assert name == pod
        given = parsed(command, rest)
        assert not given.get("preload_argv")
        if pod == "worker":
            assert given["scheduler"] is None
            assert given["lifetime"] == "20h"
            assert given["local_directory"] == "/scratch"


def test_the_end_of_a_launcher_is_final_where_it_says_so(
    stage: Stage, launcher: ModuleType
) -> None:
    spec = stage.docs["CronJob", "dkmeans-retrain"]["spec"]["jobTemplate"]["spec"]
    (rule,) = [one for one in spec["podFailurePolicy"]["rules"] if one["action"] == "FailJob"]
    final = {launcher.FAILED, launcher.REFUSED, launcher.STOPPED}
    assert set(rule["onExitCodes"]["values"]) == final
    assert spec["backoffLimit"] > 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_job_can_be_run_as_it_is_asked_for(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(stage.docs["ConfigMap", "dkmeans-job"]["data"]["job.yaml"])
    command = commands.get_command(click.Context(commands), "run")
    assert command is not None
    runner = stage.container("runner")
    given = parsed(command, runner["args"][1:])
    resolved = load_job(str(path), as_of=given["as_of"], sets=given["sets"])
    settings = stage.docs["ConfigMap", "dkmeans-settings"]["data"]
    job = resolved.job
    assert job.registry is not None
    assert job.registry.place == settings["REGISTRY_URL"]
    assert settings["MODEL_URL"] == f"{job.registry.place}@{job.registry.name}"
    assert job.data.url == (settings["DATA_URL"],)
    assert job.checkpoint == settings["CHECKPOINT_URL"]
    assert job.cluster.address == environment_of(runner)["DASK_SCHEDULER_ADDRESS"]
    launch = stage.container("launcher")
    limit = next(one for one in launch["args"] if one.startswith("--run-seconds="))
    assert job.limits.max_seconds < int(limit.partition("=")[2])
    (conditions,) = job.data.filters
    assert ("dt", "<", given["as_of"]) in [tuple(one) for one in conditions]


def test_the_page_says_how_to_make_each_secret() -> None:
    page = (KUBERNETES / "README.md").read_text()
    for name, keys in MADE_BY_HAND.items():
        command = page.partition(f"create secret generic {name} ")[2].partition("\n\n")[0]
        assert command, name
        for key in keys:
            assert f"--from-file={key}=" in command or f"{key}=" in command, (name, key)


def test_the_page_names_every_file() -> None:
    page = (KUBERNETES / "README.md").read_text()
    for path in KUBERNETES.rglob("*"):
        if path.is_file() and path.name != "README.md" and "__pycache__" not in path.parts:
            assert path.name in page, path
