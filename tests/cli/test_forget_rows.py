"""`dkmeans models forget-rows`: afterwards no file has the bytes of a row that was there."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from dkmeans.errors import BudgetSpent
from dkmeans.jobs.monitored import run_monitored
from dkmeans.registry.registry import Registry
from tests.cli.command import run
from tests.conftest import write_parquet
from tests.jobs.jobs import AS_OF, job_of

JOB = """
task: retrain
name: weekly
data: {url: in, columns: [f0, f1, f2], keys: [customer], dtype: float64, filters: ["dt > 2026"]}
model: {n_clusters: 3, random_state: 7, window: {partitions: dt, coresets: kept}}
scale: none
checkpoint: points
output: {clusters: out}
cluster: {local: 0}
registry: reg
"""
N_ROWS = 800
PLANTED = np.array([0.7310585786300049, 0.11920292202211755, 0.2689414213699951])
"""The row of a person, within the range of the others."""

CUSTOMER = "customer-7f3a9"


def deliver(folder: Path, day: int, planted: bool = False) -> None:
    rng = np.random.default_rng(day)
    X = rng.normal(size=(N_ROWS, 3)) + 8.0 * rng.integers(-1, 2, (N_ROWS, 1))
    names = np.array([f"customer-{day}-{i}" for i in range(N_ROWS)])
    if planted:
        X[321], names[321] = PLANTED, CUSTOMER
    write_parquet(folder / "in" / f"dt=2026-11-{day:02d}", X, n_files=2, customer=names)


def retrain(folder: object, *sets: str) -> Any:
    return run_monitored(job_of(JOB, sets, folder=folder, as_of=AS_OF))


def files_with(url: str, options: Any = None) -> list[str]:
    """The files that hold the planted row, its values or its key, in any form that we write."""
    fs, path = fsspec.core.url_to_fs(url, **(options or {}))
    fs.invalidate_cache()
    return [
        name.removeprefix(path).lstrip("/")
        for name in fs.find(path)
        if any(needle in part for part in parts_of(fs.cat_file(name)) for needle in NEEDLES)
    ]


NEEDLES = [
    CUSTOMER.encode(),
    *(struct.pack(form, value) for value in PLANTED for form in ("<d", ">d", "<f", ">f")),
    *(text.encode() for value in PLANTED for text in (repr(value.item()), f"{value:.7g}")),
]


def parts_of(data: bytes) -> list[bytes]:
    """A file's bytes, and those of what is packed in it."""
    parts = [data]
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                parts += parts_of(archive.read(name))
    elif data[:4] == b"PAR1":
        for column in pq.read_table(io.BytesIO(data)).columns:
            for chunk in column.chunks:
                parts += [bytes(buffer) for buffer in chunk.buffers() if buffer is not None]
    return parts


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of a window of three days, and a checkpoint of a fit of the same job."""
    for day in (1, 2, 3):
        deliver(tmp_path, day, planted=day == 2)
    # a first run, of another kind, was stopped
    first = ("model={n_clusters: 3, algorithm: minibatch, init: scratch, tol: 0}",)
    with pytest.raises(BudgetSpent):
        retrain(tmp_path, *first, "limits.max_passes=2", "output={}")
    assert retrain(tmp_path).result["promoted"]
    return tmp_path


def kept_in(folder: Path) -> list[str]:
    return sorted(one.split("/")[0] for one in files_with(str(folder)) if one[:3] != "in/")


def test_a_planted_row_is_found_before_and_nowhere_after(folder: Path) -> None:
    assert kept_in(folder) == ["kept", "out", "points"]
    told = run("models", "forget-rows", f"{folder}/reg@champion", "--dry-run")
    assert kept_in(folder) == ["kept", "out", "points"]
    assert "would remove 2,400 rows of 3 partitions" in told.out
    done = run("models", "forget-rows", f"{folder}/reg@champion", "--json").json
    assert done["partitions"] == [f"dt=2026-11-0{day}" for day in (1, 2, 3)]
    assert (done["rows"], len(done["checkpoints"])) == (3 * N_ROWS, 1)
    # the clusters of rows are a result, with keys: they are named
    assert done["left"][0] == f"the cluster of each row at {folder}/out, with customer"
    assert kept_in(folder) == ["out"]
    assert Registry(f"{folder}/reg").load("champion").n_clusters == 3
    again = run("models", "forget-rows", f"{folder}/reg@champion", "--json").json
    assert (again["rows"], again["checkpoints"]) == (0, [])


def run_of(folder: Path) -> list[str]:
    (version,) = Registry(f"{folder}/reg").versions()
    return [f"{folder}/reg", "--run", version.run_id]


def attempt_of(folder: Path) -> list[str]:
    runs = run("runs", "list", f"{folder}/reg", "--json").json["runs"]
    (done,) = [one["run_id"] for one in runs if one["exit_code"] == 0]
    return [f"{folder}/reg", "--run", done]


def saved(folder: Path) -> list[str]:
    Registry(f"{folder}/reg").load("champion").save(f"{folder}/saved")
    return [f"{folder}/saved"]


@pytest.mark.parametrize("named", [run_of, attempt_of, saved])
def test_a_model_is_named_by_its_run_or_path_too(
    folder: Path, named: Callable[[Path], list[str]]
) -> None:
    deliver(folder, 4)
    assert retrain(folder, "name=weekly", "registry=other", "output={}").result["promoted"]
    assert run("models", "forget-rows", *named(folder)).code == 0
    assert kept_in(folder) == ["out"]
    # what this model was not made of stays
    assert len(list((folder / "kept").glob("coreset-*.zip"))) == 1


def test_a_key_is_looked_for_by_its_column_alone(folder: Path) -> None:
    keys = folder / "keys.txt"
    keys.write_text(f"customer={CUSTOMER}\n\ncustomer=customer-3-x\n")
    done = run("models", "forget-rows", folder / "kept", "--key-file", keys, "--dry-run", "--json")
    keys.unlink()
    assert done.json["held"] == ["dt=2026-11-02"]
    done = run("models", "forget-rows", folder / "kept", "--key", f"customer={CUSTOMER}")
    assert done.code == 0
    assert done.out.splitlines()[:2] == [
        "has the key: dt=2026-11-02",
        f"removed {N_ROWS:,} rows of 1 partitions",
    ]
    assert CUSTOMER not in done.out
    assert kept_in(folder) == ["out", "points"]
    gone = run("models", "forget-rows", folder / "kept", "--key", f"customer={CUSTOMER}")
    assert gone.code == 0
    assert "nothing to remove: no partition has the key" in gone.out
    # of a model, checkpoints go with it
    done = run(
        "models", "forget-rows", f"{folder}/reg@1", "--key", f"customer={CUSTOMER}", "--json"
    )
    assert (done.json["partitions"], len(done.json["checkpoints"])) == ([], 1)
    assert kept_in(folder) == ["out"]
    # what is read again is kept again, of what the source has by then
    deliver(folder, 2)
    assert retrain(folder).exit_code == 0
    assert kept_in(folder) == []


def test_slips_are_told_and_nothing_goes(folder: Path) -> None:
    for given, code, text in (
        ((folder / "kept", "--key", "custmer=1"), 2, "did you mean 'customer'?"),
        ((folder / "kept", "--key", "customer"), 2, "should be COLUMN=VALUE"),
        ((folder / "kept", "--key", "f0=Ann"), 2, "the column is double; write a whole number"),
        ((folder / "kept", "--key", "f0=1", "--partition", "dt=2026-11-02"), 2, "goes without"),
        ((folder / "reg",), 2, "is a registry; name one of its models"),
        ((folder / "reg", "--run", "nobody"), 3, "nobody"),
        ((f"{folder}/reg@17",), 3, "has no version 17"),
        ((folder / "kept", "--key-file", os.devnull), 2, "names no key"),
    ):
        found = run("models", "forget-rows", *given)
        assert found.code == code, given
        assert text in found.err
    assert kept_in(folder) == ["kept", "out", "points"]


def test_on_an_object_store_it_is_the_same(folder: Path, s3: dict[str, Any], bucket: str) -> None:
    store = fsspec.filesystem("s3", **s3, skip_instance_cache=True)
    for file in (folder / "in").rglob("*.parquet"):
        store.put_file(str(file), f"{bucket}/{file.relative_to(folder)}")
    sets = (
        f"data.url={bucket}/in",
        f"data.storage_options={json.dumps(s3)}",
        f"model.window.coresets={bucket}/kept",
        f"registry={bucket}/reg",
        "output={}",
    )
    assert retrain(folder, *sets).result["promoted"]
    client = s3["client_kwargs"]
    reached = [f"key={s3['key']}", f"secret={s3['secret']}"]
    reached += [f"client_kwargs.{name}={client[name]}" for name in client]
    given = [word for one in reached for word in ("--storage-option", one)]
    # written anew, without the person
    deliver(folder, 4)
    other = folder / "in" / "dt=2026-11-04" / "part-1.parquet"
    store.put_file(str(other), f"{bucket}/in/dt=2026-11-03/part-1.parquet")
    assert len(files_with(f"{bucket}/kept", s3)) == 1
    done = run(
        "models", "forget-rows", f"{bucket}/kept", "--key", f"customer={CUSTOMER}", "--json", *given
    )
    assert done.json["held"] == ["dt=2026-11-02"]
    assert [one["partition"] for one in done.json["unsure"]] == ["dt=2026-11-03"]
    assert 0 < done.json["bytes_read"] < done.json["source_bytes"] / 3
    assert files_with(f"{bucket}/kept", s3) == files_with(f"{bucket}/reg", s3) == []
    done = run("models", "forget-rows", f"{bucket}/reg@champion", "--json", *given)
    assert done.json["partitions"] == ["dt=2026-11-01"]
    assert s3["secret"] not in done.out
