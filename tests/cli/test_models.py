"""`dkmeans models`, and `URL@alias` where commands read a model."""

import json
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans.registry.registry import Registry
from tests.cli.command import run, run_apart
from tests.conftest import write_parquet
from tests.test_s3 import as_arguments


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    """600 rows of three features."""
    X = np.random.default_rng(0).normal(size=(600, 3)) + np.repeat([0, 20, 40], 200)[:, None]
    return str(write_parquet(tmp_path_factory.mktemp("rows"), X, id=np.arange(600)))


@pytest.fixture(scope="module")
def fitted(rows: str) -> list[dkmeans.Model]:
    """Models of 3 and 4 clusters."""
    columns = ["f0", "f1", "f2"]
    return [
        dkmeans.KMeans(k, random_state=0)
        .fit(dkmeans.read_parquet(rows, columns=columns, block_rows=100))
        .model_
        for k in (3, 4)
    ]


@pytest.fixture
def url(tmp_path: Path, fitted: list[dkmeans.Model]) -> str:
    """A registry of two versions, the first of which is champion."""
    registry = Registry(str(tmp_path / "registry"))
    for number, model in enumerate(fitted, 1):
        files = {"job.yaml": b"task: train\n"}
        registry.publish(model, run_id=f"run {number}", attachments=files, tags=["a"])
    registry.promote(1, reason="first", who="ann")
    return str(tmp_path / "registry")


def test_versions_are_listed_with_their_aliases(url: str) -> None:
    found = run("models", "list", url, "--json").json
    assert found["aliases"] == {"champion": 1}
    assert [(one["version"], one["aliases"]) for one in found["versions"]] == [
        (1, ["champion"]), (2, []),
    ]  # fmt: skip
    assert [one["summary"]["n_clusters"] for one in found["versions"]] == [3, 4]
    shown = run("models", "list", url)
    assert shown.code == 0
    for text in ("2 versions", "champion", "run 1", "run 2"):
        assert text in shown.out
    assert run("models", "list", f"{url}-nowhere").out.startswith("no versions at")


def test_promote_and_rollback_move_the_champion_and_history_tells_of_it(url: str) -> None:
    moved = run("models", "promote", url, 2, "--reason", "better", "--json").json
    assert (moved["version"], moved["previous"], moved["reason"]) == (2, 1, "better")
    assert run("models", "promote", url, "champion", "--alias", "prod").out == "prod: version 2\n"
    back = run("models", "rollback", url, "--reason", "worse")
    assert back.out == "champion: version 1, before 2\n"
    moves = run("models", "history", url, "--json").json["moves"]
    assert [(one["version"], one["reason"], one["rollback"]) for one in moves] == [
        (1, "first", False), (2, "better", False), (1, "worse", True),
    ]  # fmt: skip
    shown = run("models", "history", url).out
    for text in ("3 moves of champion", "ann", "1 (rollback)", "worse"):
        assert text in shown
    refused = run("models", "rollback", url)
    assert refused.code == 2
    assert "pointed to nothing before version 1" in refused.error


def test_an_expected_version_is_insisted_on(url: str) -> None:
    refused = run("models", "promote", url, 2, "--expected", 2)
    assert refused.code == 7
    assert "points to version 1" in refused.error
    assert run("models", "promote", url, 2, "--expected", 0).code == 7
    assert run("models", "promote", url, 2, "--expected", 1).code == 0
    assert run("models", "promote", url, 2, "--alias", "new", "--expected", 0).code == 0


def test_show_tells_all_of_a_version(url: str) -> None:
    for arguments in ((url, 1), (url, "champion"), (f"{url}@champion",), (f"{url}@1",)):
        found = run("models", "show", *arguments, "--json").json
        assert (found["version"], found["run_id"], found["aliases"]) == (1, "run 1", ["champion"])
        assert found["attachments"] == ["job.yaml"]
        assert [one["reason"] for one in found["moves"]] == ["first"]
    shown = run("models", "show", url, 1).out
    for text in ("version 1", "run 1", "job.yaml", "champion", "first"):
        assert text in shown
    job = run_apart("models", "show", url, 1, "--attachment", "job.yaml")
    assert job.out == "task: train\n"
    assert run("models", "show", url).code == 2
    assert run("models", "show", url, 9).code == 3


def test_tags_are_given_and_taken(url: str) -> None:
    assert run("models", "tag", url, "champion", "audited=by Ann", "v1").code == 0
    assert run("models", "tag", url, 1, "a", "--remove").code == 0
    assert run("models", "show", url, 1, "--json").json["tags"] == {"audited": "by Ann", "v1": ""}
    assert run("models", "tag", url, 1, "../x").code == 2
    assert run("models", "tag", url, 1, "v1=x", "--remove").code == 2


def test_versions_are_compared(url: str) -> None:
    found = run("models", "compare", f"{url}@champion", f"{url}@2", "--json").json
    assert found["differing"]["n_clusters"] == [3, 4]
    assert [one["cluster_id"] for one in found["clusters"]] == [0, 1, 2, 3]
    shown = run("models", "compare", f"{url}@1", f"{url}@2")
    assert shown.code == 0
    for text in ("n_clusters", "center shift", "inertia per row"):
        assert text in shown.out


def test_check_and_gc_say_what_they_found(url: str) -> None:
    assert run("models", "check", url, "--json").json["passed"] is True
    assert "passed: 8 races of 8 writers" in run("models", "check", url).out
    run("models", "tag", url, 2, "a", "--remove")
    found = run("models", "gc", url, "--older-than-days", 0, "--dry-run", "--json").json
    assert (found["versions"], found["dry_run"]) == ([2], True)
    assert run("models", "gc", url).out.startswith("removed 0 versions (none)")
    assert run("models", "gc", url, "--older-than-days", 0).out.startswith("removed 1 versions (2)")
    assert "(removed)" in run("models", "list", url).out
    assert run("models", "gc", url, "--keep", -1).code == 2


def test_a_store_that_fails_the_check_ends_with_a_code(tmp_path, monkeypatch) -> None:
    from dkmeans.registry import probe

    monkeypatch.setattr(probe, "_races", lambda folder, options: [1, 3])
    url = str(tmp_path / "registry")
    failed = run("models", "check", url)
    assert failed.code == 2
    assert "up to 3 were told that they had won" in failed.out
    assert json.loads(run("models", "check", url, "--json").out)["passed"] is False
    declared = run("models", "check", url, "--single-writer")
    assert declared.code == 0
    assert "declared" in declared.out
    assert run("models", "check", url).code == 0
    assert run("models", "check", url, "--many-writers").code == 2


def test_commands_read_the_model_of_a_reference(url: str, rows: str, tmp_path: Path) -> None:
    run("models", "promote", url, 2)
    place = f"{url}@champion"
    assert run("inspect", place, "--json").json["n_clusters"] == 4
    assert run("inspect", f"{url}@1", "--json").json["n_clusters"] == 3
    found = run("predict", place, rows, tmp_path / "out", "--keys", "id", "--workers", 0, "--json")
    assert (found.json["rows_assigned"], found.json["model_version"]) == (600, 2)
    arguments = (place, rows, "--workers", 0, "--json")
    assert run("evaluate", *arguments, "--metrics", "inertia").json["n_clusters"] == 4
    assert len(run("profile", *arguments).json["clusters"]) == 4
    missing = run("inspect", f"{url}@prod")
    assert missing.code == 3
    assert "no alias 'prod'; it has champion" in missing.error


def test_terminals_are_not_commanded_by_what_others_wrote(url: str) -> None:
    Registry(url).promote(2, reason="\x1b[2Jgone", who="\x1b]0;eve")
    for arguments in (("list", url), ("history", url), ("show", url, 2)):
        assert "\x1b" not in run("models", *arguments).out


def test_the_whole_way_runs_over_s3(bucket: str, s3: dict, fitted: list[dkmeans.Model]) -> None:
    options, place = as_arguments(s3), f"{bucket}/models"
    registry = Registry(place, s3)
    for number, model in enumerate(fitted, 1):
        registry.publish(model, run_id=f"run {number}")
    for arguments in (("promote", place, 1), ("promote", place, 2), ("rollback", place),
                      ("tag", place, 2, "v1"), ("list", place), ("show", place, 2),
                      ("gc", place)):  # fmt: skip
        ran = run("models", *arguments, *options)
        assert ran.code == 0, ran.err
        assert s3["secret"] not in ran.out + ran.err
    assert run("inspect", f"{place}@champion", "--json", *options).json["n_clusters"] == 3


def test_help_names_every_command_without_importing_them() -> None:
    ran = run_apart("models", "--help")
    for name in ("list", "show", "history", "compare", "promote", "rollback", "tag", "check", "gc"):
        assert f"\n  {name} " in ran.out
    assert run("models", "nothing").code == 2
