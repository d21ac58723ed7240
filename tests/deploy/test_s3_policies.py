"""The policies of S3: each role can do its work, no more, and needs every statement for it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from tests.cli.command import run
from tests.conftest import free_port, wait_for_port, write_parquet
from tests.deploy.policies import ROOT, Asked, allowing, asked_by, check_policy, listed
from tests.deploy.roles import DATA, FLOWS, MODELS, refused
from tests.jobs.test_retrain import batch
from tests.test_s3 import as_arguments

FOLDER = Path(__file__).parents[2] / "deploy" / "s3-policies"
POLICIES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


class Store:
    """The S3 server, seen by who has one of its access keys."""

    def __init__(self, port: int, folder: Path) -> None:
        self.folder, self._port = folder, port
        self._n = 0

    def options(self, access_key: str) -> dict[str, Any]:
        endpoint = f"http://127.0.0.1:{self._port}"
        client = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        return {"key": access_key, "secret": "of no use", "client_kwargs": client}

    def user(self, role: str, without: str = "", action: str = "") -> dict[str, Any]:
        """Options of a new user who has a role, but for a statement, or an action of it."""
        policy = json.loads(json.dumps(POLICIES[role]))
        for one in policy["Statement"]:
            if one["Sid"] == without and action:
                one["Action"] = [name for name in listed(one["Action"]) if name != action]
        if without and not action:
            policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != without]
        self._n += 1
        access_key = f"{role}{self._n}"
        (self.folder / f"{access_key}.json").write_text(json.dumps(policy))
        return self.options(access_key)

    def asked_of(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """What a user has asked for."""
        lines = (self.folder / "asked.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["key"] == options["key"]]

    def clear(self) -> None:
        """Empty both buckets, and bring three days of rows."""
        fs = s3fs.S3FileSystem(**self.options(ROOT))
        for bucket in ("my-lake", "my-models"):
            if not fs.exists(bucket):
                fs.call_s3("create_bucket", Bucket=bucket)
            if found := fs.find(bucket):
                fs.rm(found)
        for day in (17, 18, 19):
            local = self.folder / f"{day}"
            write_parquet(local, batch(day, 0.01 * day, n_rows=1000), n_files=1)
            fs.put(f"{local}/part-0.parquet", f"my-lake/events/dt=2026-11-{day}/part-0.parquet")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    port, folder = free_port(), tmp_path_factory.mktemp("policies")
    with (folder / "server.log").open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.policies", str(folder), "-H", "127.0.0.1", "-p",
             str(port)],
            cwd=Path(__file__).parents[2], stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_for_port(port, server)
        made = Store(port, folder)
        made.clear()
        yield made
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A trainer who has done all of its work."""
    options = store.user("trainer")
    failed = refused("trainer", tmp_path_factory.mktemp("training"), options)
    assert failed is None, failed
    return options


def test_the_policies_are_written_as_they_are_understood() -> None:
    assert set(POLICIES) == set(FLOWS)
    for policy in POLICIES.values():
        check_policy(policy)


@pytest.mark.parametrize(
    "change",
    [
        {"Action": "s3:*"},
        {"Action": "s3:GetObjects"},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::my-lake"},
        {"Effect": "allow"},
        {"Condition": {"StringEquals": {"s3:prefix": "x"}}},
        {"NotAction": "s3:GetObject"},
    ],
)
def test_what_is_written_otherwise_is_noticed(change: dict[str, Any]) -> None:
    policy = json.loads(json.dumps(POLICIES["reader"]))
    policy["Statement"][1] |= change
    with pytest.raises(ValueError, match="ReadRows"):
        check_policy(policy)


@pytest.mark.parametrize("role", FLOWS)
def test_each_role_can_do_its_work_and_needs_all_that_it_is_permitted(
    role: str, store: Store, trained: dict[str, Any], tmp_path: Path
) -> None:
    options = trained
    if role != "trainer":
        options = store.user(role)
        failed = refused(role, tmp_path, options)
        assert failed is None, failed
    notes = store.asked_of(options)
    assert [note["line"] for note in notes if not note["permitted"]] == []
    alone = set()
    for note in notes:
        for one in note["asked"]:
            found = allowing(POLICIES[role], Asked(**one))
            assert found
            if len(found) == 1:
                alone.add((found[0], one["action"]))
    allowed = {
        (one["Sid"], action)
        for one in POLICIES[role]["Statement"]
        if one["Effect"] == "Allow"
        for action in listed(one["Action"])
    }
    assert allowed - alone == set()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("role", "sid", "action"),
    [
        pytest.param(role, one["Sid"], action, id=f"{role} {one['Sid']} {action}")
        for role, policy in POLICIES.items()
        for one in policy["Statement"]
        if one["Effect"] == "Allow"
        for action in (listed(one["Action"]) if len(listed(one["Action"])) > 1 else [""])
    ],
)
def test_without_any_of_it_something_is_refused(
    role: str, sid: str, action: str, store: Store, tmp_path: Path
) -> None:
    store.clear()
    if role != "trainer":
        assert refused("trainer", tmp_path, store.options(ROOT)) is None
    ran = refused(role, tmp_path, store.user(role, sid, action))
    assert ran is not None
    assert "denied" in ran.err, ran


def test_without_a_statement_something_is_refused(
    store: Store, trained: dict[str, Any], tmp_path: Path
) -> None:
    """A short form of the test before: the last thing that a reader does, and all of a server."""
    given = as_arguments(store.user("reader", "ReadRows"))
    ran = run("drift", f"{MODELS}@champion", DATA, "--workers", 0, *given)
    assert ran.code == 7
    assert "access to s3://my-lake/events is denied" in ran.error
    for one in POLICIES["server"]["Statement"]:
        failed = refused("server", tmp_path, store.user("server", one["Sid"]))
        assert (failed is None) == (one["Effect"] == "Deny"), one["Sid"]


def test_who_may_not_write_does_not(store: Store, trained: dict[str, Any]) -> None:
    inside = s3fs.S3FileSystem(**store.options(ROOT))
    kept = inside.find("my-models")
    (attached, *_) = [path for path in kept if path.endswith("attachments/job.yaml")]
    (version, *_) = [path for path in kept if "/versions/" in path]
    for role in ("server", "reader"):
        fs = s3fs.S3FileSystem(**store.user(role))
        fs.retries = 1
        for act in (
            lambda fs=fs: fs.pipe_file("my-models/customers/models/x", b"x"),
            lambda fs=fs: fs.pipe_file("my-models/customers/versions/000009.json", b"x"),
            lambda fs=fs: fs.pipe_file("my-lake/events/x", b"x"),
            lambda fs=fs: fs.rm_file(version),
            lambda fs=fs: fs.rm(version),
        ):
            with pytest.raises(PermissionError):
                act()
        assert fs.cat_file(version)
    server = s3fs.S3FileSystem(**store.user("server"))
    for path in (attached, "my-lake/events/dt=2026-11-17/part-0.parquet"):
        with pytest.raises(PermissionError):
            server.cat_file(path)
    open_server = s3fs.S3FileSystem(**store.user("server", "NoAttachments"))
    assert open_server.cat_file(attached)
    # a trainer adds to what was published, and changes nothing of it
    trainer = s3fs.S3FileSystem(**store.user("trainer"))
    for act in (
        lambda: trainer.pipe_file(version, b"x"),
        lambda: trainer.rm_file(version),
        lambda: trainer.pipe_file("my-lake/events/x", b"x"),
        lambda: trainer.rm_file("my-lake/events/dt=2026-11-17/part-0.parquet"),
    ):
        with pytest.raises(PermissionError):
            act()
    assert inside.find("my-models") == kept


def test_what_kind_of_request_asks_for_what() -> None:
    objects = "arn:aws:s3:::b/k/x=1"
    assert asked_by("GET", "/b/k/x=1", "", {}, b"") == [Asked("s3:GetObject", objects, {})]
    (put,) = asked_by("PUT", "/b/k/x=1", "", {"if-none-match": "*"}, b"")
    assert put == Asked("s3:PutObject", objects, {"s3:if-none-match": "*"})
    body = b"<Delete xmlns='x'><Object><Key>k/x=1</Key></Object></Delete>"
    assert asked_by("POST", "/b", "delete", {}, body) == [Asked("s3:DeleteObject", objects, {})]
    unknown = [
        ("GET", "/", "", {}),
        ("PUT", "/b", "", {}),
        ("PUT", "/b", "policy", {}),
        ("PUT", "/b/k", "acl", {}),
        ("GET", "/b", "versions", {}),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "/other/k"}),
    ]
    assert [asked_by(*one, b"") for one in unknown] == [[]] * len(unknown)
