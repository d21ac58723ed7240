"""compose.yaml: its form, whether it fits together, and its files."""

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import fsspec
import jsonschema
import pyarrow.dataset
import pytest
import yaml
from dask.utils import parse_bytes
from distributed.cli import dask_scheduler, dask_worker

from dkmeans.cli.main import commands
from dkmeans.jobs.load import load_job
from tests.deploy.conftest import DEPLOY
from tests.deploy.dockerfile import read_dockerfile
from tests.deploy.rendered import read_settings

FOLDER = DEPLOY / "compose"
TEXT = (DEPLOY / "compose.yaml").read_text()
OURS = ("rows", "scheduler", "worker", "train", "service")

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "uniqueItems": True}
_WORDS = {"type": "array", "items": _TEXT}
_DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}


def _record(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip


def _named(value: Any) -> dict[str, Any]:
    return {
        "type": "object", "patternProperties": {"^[a-zA-Z0-9._-]+$": value},
        "additionalProperties": False,
    }  # fmt: skip


_SERVICE = _record(
    ("image", "networks", "restart", "mem_limit", "pids_limit"),
    image=_TEXT,
    build=_record(
        ("context", "dockerfile", "target"), context=_TEXT, dockerfile=_TEXT, target=_TEXT
    ),
    init={"type": "boolean"},
    read_only={"type": "boolean"},
    user={"type": "string", "pattern": r"^\d+:\d+$"},
    cap_drop=_TEXTS,
    cap_add=_TEXTS,
    security_opt=_TEXTS,
    environment=_named(_TEXT),
    tmpfs=_TEXTS,
    entrypoint=_WORDS,
    command=_WORDS,
    volumes={"type": "array", "items": {"anyOf": [
        {"type": "string", "pattern": r"^[^:]+:/[^:]+(:ro)?$"},
        _record(("type", "target"), type={"const": "volume"}, target=_TEXT),
    ]}},
    networks=_TEXTS,
    ports={"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
    depends_on=_named(_record(("condition",), condition={"enum": [
        "service_started", "service_healthy", "service_completed_successfully",
    ]})),
    healthcheck=_record(
        ("test", "interval", "timeout", "retries", "start_period"),
        test={"type": "array", "items": _TEXT, "minItems": 2}, interval=_DURATION,
        timeout=_DURATION, retries={"type": "integer"}, start_period=_DURATION,
    ),
    restart={"enum": ["no", "unless-stopped"]},
    stop_grace_period=_DURATION,
    scale={"type": "integer", "minimum": 1},
    cpus={"type": "number"},
    mem_limit={"type": "string", "pattern": r"^\d+[mg]$"},
    pids_limit={"type": "integer", "minimum": 1},
)  # fmt: skip
SCHEMA = _record(
    ("name", "services"),
    name=_TEXT,
    services=_named(_SERVICE),
    networks=_named({"anyOf": [{"type": "null"}, _record(internal={"type": "boolean"})]}),
    volumes=_named({"type": "null"}),
)
"""The parts of the Compose Specification that the file uses, and no others."""


def load(text: str) -> dict[str, Any]:
    """Read a file; what begins with x- is for aliases alone."""
    found = yaml.safe_load(text)
    return {key: value for key, value in found.items() if not key.startswith("x-")}


def problems(text: str) -> list[str]:
    """Return what is wrong, a line for each."""
    found = load(text)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    wrong = [f"{one.json_path}: {one.message}" for one in validator.iter_errors(found)]
    if wrong:
        return wrong
    return [said for check in (_form, _secrets, _safe, _fits) for said in check(found, text)]


def _form(found: dict[str, Any], _: str) -> Iterator[str]:
    services = found["services"]
    stages = read_dockerfile((DEPLOY / "Dockerfile").read_text())
    for name, service in services.items():
        for network in service["networks"]:
            if network not in found["networks"]:
                yield f"{name} has no network {network}"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0] if isinstance(volume, str) else None
            if source and source.startswith("."):
                if not (DEPLOY / source).is_dir():
                    yield f"{name} mounts no {source}"
            elif source and source not in found["volumes"]:
                yield f"{name} has no volume {source}"
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} waits for no {other}"
            elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
                yield f"{name} waits for the health of {other}, which has none"
            elif "completed" in how["condition"] and services[other]["restart"] != "no":
                yield f"{name} waits for the end of {other}, which has none"
        build = service.get("build")
        if build and build["target"] not in stages:
            yield f"{name} is built of no {build['target']}"
        if build and not (DEPLOY / build["context"] / build["dockerfile"]).is_file():
            yield f"{name} is built by no {build['dockerfile']}"


def _secrets(found: dict[str, Any], text: str) -> Iterator[str]:
    example = read_settings((FOLDER / "env.example").read_text())
    for name, service in found["services"].items():
        for key, value in service.get("environment", {}).items():
            if re.search("KEY|TOKEN|SECRET|PASSWORD", key) and not re.match(r"\$\{\w+:\?", value):
                yield f"{name} has a secret in {key}"
    for key, value in example.items():
        if re.search("KEY|TOKEN", key) and value:
            yield f"env.example has a secret in {key}"
    used = set(re.findall(r"\$\{(\w+)", text))
    if used != set(example):
        yield f"env.example lacks, or has more than, {sorted(used ^ set(example))}"


def _safe(found: dict[str, Any], _: str) -> Iterator[str]:
    for name, service in found["services"].items():
        if service.get("cap_drop") != ["ALL"] or not service.get("security_opt"):
            yield f"{name} may do too much"
        if name in OURS and not (service.get("read_only") and service.get("user") == "10001:10001"):
            yield f"{name} may write to its root, or is root"
        if name not in ("scheduler", "service") and service["networks"] != ["inside"]:
            yield f"{name} reaches the world"
    if not found["networks"]["inside"]["internal"]:
        yield "the inside is open"


def _fits(found: dict[str, Any], _: str) -> Iterator[str]:
    services = found["services"]
    worker = services["worker"]
    limit = next(one for one in worker["command"] if one.startswith("--memory-limit="))
    most = parse_bytes(worker["mem_limit"].replace("g", "GiB"))
    if parse_bytes(limit.partition("=")[2]) > 0.95 * most:
        yield "a worker may have more than its container"
    port = next(one for one in services["scheduler"]["command"] if one.startswith("--port="))
    address = f"tcp://scheduler:{port.partition('=')[2]}"
    if worker["command"][1] != address:
        yield f"workers do not ask {address}"
    if f"--set=cluster.address={address}" not in services["train"]["command"]:
        yield f"the run does not ask {address}"
    endpoint = services["train"]["environment"]["AWS_ENDPOINT_URL_S3"]
    s3 = next(one for one in services["s3"]["command"] if one.startswith("-s3.port="))
    if endpoint != f"http://s3:{s3.partition('=')[2]}":
        yield f"nobody listens at {endpoint}"
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    mine = services["s3"]["environment"]
    for name in OURS:
        theirs = services[name]["environment"]
        if any(theirs[key] != mine[key] for key in keys):
            yield f"{name} has other keys than the store"
    for name in OURS:
        for published in services[name].get("ports", []):
            inner = published.rpartition(":")[2]
            if not any(
                one.endswith((f"={inner}", f":{inner}")) for one in services[name]["command"]
            ):
                yield f"{name} does not listen on {inner}"


def test_it_fits_together() -> None:
    assert problems(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    mem_limit: 2g\n", "    memlimit: 2g\n", "memlimit"),
        ("condition: service_healthy", "condition: healthy", "is not one of"),
        ('"127.0.0.1:8000:8000"', '"8000:8000"', "does not match"),
        ("networks: [inside]", "networks: [within]", "no network within"),
        ("- s3-data:/data", "- data:/data", "no volume data"),
        ("- ./compose:/etc", "- ./composed:/etc", "mounts no ./composed"),
        ("      rows:\n        condition", "      row:\n        condition", "waits for no row"),
        ("target: service", "target: serve", "built of no serve"),
        ("dockerfile: deploy/Dockerfile", "dockerfile: Dockerfile", "built by no Dockerfile"),
        ('    restart: "no"\n', "    restart: unless-stopped\n", "the end of rows, which has none"),
        ("${DKMEANS_TOKEN:?write it into deploy/compose/.env}", "abc", "secret in DKMEANS_TOKEN"),
        ("DKMEANS_VERSION", "DKMEANS_TAG", "DKMEANS_TAG"),
        ("cap_drop: [ALL]", "cap_drop: [NET_RAW]", "s3 may do too much"),
        ("read_only: true", "read_only: false", "worker may write"),
        ("internal: true", "internal: false", "the inside is open"),
        ("--memory-limit=1800MiB", "--memory-limit=2GiB", "more than its container"),
        ("scheduler, --port=8786", "scheduler, --port=8785", "workers do not ask"),
        ("http://s3:8333", "http://s3:9000", "nobody listens"),
        ("--port=8000", "--port=8080", "service does not listen on 8000"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_seen(old: str, new: str, says: str) -> None:
    assert old in TEXT
    found = problems(TEXT.replace(old, new))
    assert any(says in one for one in found), found


def test_commands_understand_their_arguments() -> None:
    services = load(TEXT)["services"]
    root = click.Context(commands)
    for name in ("train", "service"):
        program, *arguments = services[name]["command"]
        command = commands.get_command(root, program)
        assert command is not None
        given = command.make_context(program, arguments).params
        if name == "service":
            assert given["model_url"] == "s3://dkmeans/models/example@champion"
            assert given["host"] == "0.0.0.0"
    for name, command in (("scheduler", dask_scheduler.main), ("worker", dask_worker.main)):
        program, *arguments = services[name]["command"]
        assert (services[name]["entrypoint"], program) == (["dask"], name)
        command.make_context(program, arguments)


def test_the_job_is_one() -> None:
    services = load(TEXT)["services"]
    sets = [one.removeprefix("--set=") for one in services["train"]["command"][2:]]
    job = load_job(str(FOLDER / "job.yaml"), sets=sets).job
    assert job.cluster.address == "tcp://scheduler:8786"
    assert job.registry is not None
    assert services["service"]["command"][1] == f"{job.registry.place}@{job.registry.name}"
    assert job.data.url == tuple(services["rows"]["command"])


def test_rows_are_made_once(
    s3: dict, monkeypatch: pytest.MonkeyPatch, make_rows: Callable[[str], None]
) -> None:
    options = {"key": s3["key"], "secret": s3["secret"], "client_kwargs": s3["client_kwargs"]}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    make_rows("s3://made-by-compose/rows")
    files = fsspec.filesystem("s3")
    paths = files.glob("made-by-compose/rows/*.parquet")
    assert len(paths) == 8
    table = pyarrow.dataset.dataset(paths, filesystem=files).to_table()
    assert set(table.column_names) == {"row", "a", "b", "c", "d"}
    assert sorted(table["row"].to_pylist()) == list(range(200_000))
    files.rm(paths[0])
    make_rows("s3://made-by-compose/rows")
    files.invalidate_cache()
    assert len(files.glob("made-by-compose/rows/*.parquet")) == 7


@pytest.fixture
def make_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.syspath_prepend(str(FOLDER))
    found: Callable[[str], None] = importlib.import_module("make_rows").main
    return found


def test_the_file_of_secrets_is_no_part_of_the_repository() -> None:
    assert "deploy/compose/.env" in (DEPLOY.parent / ".gitignore").read_text().splitlines()
