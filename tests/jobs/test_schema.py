"""The JSON Schema that is shipped: up to date, and of one mind with the reader."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dkmeans.errors import JobRefused
from dkmeans.jobs.definition import Job
from dkmeans.jobs.reading import read
from dkmeans.jobs.record_kind import descriptions, paths_of
from dkmeans.jobs.schema import PATH, job_schema, text
from tests.jobs.jobs import SMALL
from tests.jobs.test_load import LARGE
from tests.jobs.test_wrong_files import FILES

OF_SYNTAX = {
    *("empty", "not-yaml", "tab", "two-documents", "not-utf8", "control-character"),
    *("template-without-quotes-in-a-path", "alias-bomb", "alias-of-itself", "deep"),
}
"""Files that no validator gets to see as values."""

OF_COMBINATIONS = {
    *("alias-twice", "bad-files-without-skip", "choose-without-sweep", "clusters-in-two-ways"),
    *("coreset-of-another-init", "coreset-too-small", "half-life-of-a-retrain"),
    *("init-of-a-champion", "k-and-sweep", "keys-of-retrain", "lock-wait-without-wait"),
    *("memory-of-threads", "neither-k-nor-sweep", "notify-nobody", "options-of-lloyd"),
    *("options-of-other-algorithms", "predict-with-both", "predict-with-keys-of-train"),
    *("predict-with-settings", "predict-without-model", "results-among-the-data"),
    "retrain-with-what-it-has-not",
    *("silhouette-of-one-cluster", "sweep-of-a-retrain", "sweep-of-minibatch", "sweeps"),
    *("templates", "tls-without-address", "train-into-a-version"),
    *("train-with-a-reference", "weight-is-a-feature", "written-twice"),
}
"""Files whose values are right one by one: only the reader tells what is wrong."""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def plain(data: bytes) -> Any:
    return read(data, "job.yaml", []).plain()


def test_the_stored_schema_is_up_to_date() -> None:
    assert PATH.read_text() == text(), "run python -m dkmeans.jobs.schema"


def test_every_key_is_described() -> None:
    def check(schema: dict[str, Any], path: str) -> None:
        for name, one in schema.get("properties", {}).items():
            assert one.get("description", "").endswith("."), f"{path}.{name}"
        for inner in schema.get("anyOf", ()):
            check(inner, path)
        for name, one in schema.get("properties", {}).items():
            if "gates" not in path + name and name not in ("webhook", "token"):
                check(one, f"{path}.{name}")

    check(job_schema(), "")
    assert descriptions(Job)["name"].startswith("Names the job")
    assert "data.filters" in paths_of(Job)


@pytest.mark.parametrize(
    "job",
    [
        SMALL,
        LARGE,
        "task: predict\nname: n\ndata: {url: in}\nmodel: s3://m/customers@17\n",
        SMALL + "gates: off\nstage:\noutput: here\nregistry: s3://models\n",
    ],
)
def test_jobs_that_are_right_are_valid(job: str, validator: Any) -> None:
    assert [one.message for one in validator.iter_errors(plain(job.encode()))] == []


@pytest.mark.parametrize(
    "path", [one for one in FILES if one.stem not in OF_SYNTAX], ids=lambda path: path.stem
)
def test_the_schema_refuses_what_is_wrong_by_itself(path: Path, validator: Any) -> None:
    is_valid = validator.is_valid(plain(path.read_bytes()))
    assert is_valid == (path.stem in OF_COMBINATIONS)


def test_most_wrong_files_are_seen_in_an_editor() -> None:
    assert {*OF_SYNTAX, *OF_COMBINATIONS} < {path.stem for path in FILES}
    for path in FILES:
        if path.stem in OF_SYNTAX:
            with pytest.raises(JobRefused):
                plain(path.read_bytes())
