"""Forgetting a person: the coresets of which partitions go, and why."""

import json
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.algorithms.windows.forgetting import forget_keys
from dkmeans.algorithms.windows.store import CoresetStore, _digest
from dkmeans.errors import ArgumentError
from dkmeans.storage import parquet_file
from tests.conftest import write_parquet

N_ROWS = 900
DAYS = ("dt=2026-11-01", "dt=2026-11-02", "dt=2026-11-03", "dt=2026-11-04")
KNOWN = {"customer": ["1234"]}
"""A customer of the second day."""


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def deliver(folder: Path, day: int, **others: object) -> None:
    rng = np.random.default_rng(day)
    first = N_ROWS * day
    columns = {"customer": np.arange(first, first + N_ROWS), **others}
    X = rng.normal(size=(N_ROWS, 2)) + 5 * rng.integers(0, 2, (N_ROWS, 1))
    write_parquet(folder / "in" / DAYS[day], X, n_files=2, row_group_rows=150, **columns)


def keep(folder: Path) -> CoresetStore:
    """Coresets of four days, as another process opens them."""
    source, kept = str(folder / "in"), str(folder / "kept")
    dkmeans.window_fit(
        source, kept, n_clusters=2, columns=["f0", "f1"], coreset_size=400, random_state=0
    )
    return CoresetStore(kept)


@pytest.fixture
def store(tmp_path: Path) -> CoresetStore:
    for day in range(4):
        deliver(tmp_path, day)
    return keep(tmp_path)


def left(folder: Path) -> list[str]:
    names = [entry.name for entry in CoresetStore(str(folder / "kept")).entries]
    assert len(list((folder / "kept").glob("coreset-*.zip"))) == len(names)
    return names


def test_only_the_partition_that_holds_the_key_goes(store: CoresetStore, tmp_path: Path) -> None:
    kept = {entry.name: entry.coreset_rows for entry in store.entries}
    # what a writer that was killed has left
    (tmp_path / "kept" / "coreset-0123456789abcdef-0123456789ab.zip").write_bytes(b"rows")
    found = forget_keys(store, KNOWN, dry_run=True)
    assert len(store.entries) == 4
    assert found == forget_keys(store, KNOWN, dry_run=True)
    done = forget_keys(store, KNOWN)
    assert (done.held, done.unsure, done.n_rows) == ((DAYS[1],), (), kept[DAYS[1]])
    assert done.to_dict() == {**found.to_dict(), "dry_run": False}
    assert left(tmp_path) == [DAYS[0], *DAYS[2:]]
    # one row group of one file of one day
    files = sorted((tmp_path / "in").rglob("*.parquet"))
    footer = pq.read_metadata(tmp_path / "in" / DAYS[1] / "part-0.parquet")
    assert done.bytes_read == footer.row_group(2).column(2).total_compressed_size
    assert done.source_bytes == sum(file.stat().st_size for file in files)
    # there is nothing more of it
    assert forget_keys(CoresetStore(store.url), KNOWN).partitions == ()


def test_a_key_of_no_partition_removes_nothing(store: CoresetStore, tmp_path: Path) -> None:
    done = forget_keys(store, {"customer": ["-1", str(4 * N_ROWS)]})
    assert (done.partitions, done.n_rows, done.bytes_read) == ((), 0, 0)
    assert (done.n_partitions, len(left(tmp_path))) == (4, 4)


def test_several_keys_and_folders_are_looked_for_together(
    store: CoresetStore, tmp_path: Path
) -> None:
    done = forget_keys(store, {"customer": ["0", "1234"], "dt": ["2026-11-04"]})
    assert done.held == (DAYS[0], DAYS[1], DAYS[3])
    assert left(tmp_path) == [DAYS[2]]


def test_what_cannot_be_shown_to_be_free_of_it_goes(
    store: CoresetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # deleted with the person in it, written anew without the person, damaged in place
    (tmp_path / "in" / DAYS[0] / "part-1.parquet").unlink()
    deliver(tmp_path, 2)
    damaged = tmp_path / "in" / DAYS[3] / "part-0.parquet"
    stat = damaged.stat()
    damaged.write_bytes(b"\0" * stat.st_size)
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # as in another process
    monkeypatch.setattr(parquet_file, "_footers", OrderedDict())
    done = forget_keys(store, {"customer": ["-1"]})
    assert done.held == ()
    why = dict(done.unsure)
    assert why[DAYS[0]].endswith("part-1.parquet is gone")
    assert why[DAYS[2]].endswith("part-0.parquet was written anew since it was read")
    assert "part-0.parquet is not a Parquet file" in why[DAYS[3]]
    assert left(tmp_path) == [DAYS[1]]


def test_a_partition_without_the_column_goes(tmp_path: Path) -> None:
    deliver(tmp_path, 0)
    rows = np.random.default_rng(1).normal(size=(N_ROWS, 2))
    write_parquet(tmp_path / "in" / DAYS[1], rows)
    done = forget_keys(keep(tmp_path), {"customer": ["-1"]})
    ((name, why),) = done.unsure
    assert name == DAYS[1]
    assert why.endswith("part-0.parquet has no column 'customer'")


def test_a_store_that_does_not_know_its_files_is_emptied(
    store: CoresetStore, tmp_path: Path
) -> None:
    manifest = tmp_path / "kept" / "coresets.json"
    body = json.loads(manifest.read_text())
    for entry in body["entries"]:
        del entry["files"]
    manifest.write_text(json.dumps({**body, "sha256": _digest(body)}))
    done = forget_keys(CoresetStore(store.url), KNOWN)
    assert {why for _, why in done.unsure} == {"its files were not noted when its rows were kept"}
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"custmer": ["1"]}, r"'custmer' is in none of the files .* did you mean 'customer'\?"),
        ({"zzz": ["1"]}, r"they have customer, dt, f0, f1\."),
        ({"customer": ["Ann"]}, "customer=Ann: the column is int64"),
        ({"customer": ["1234"], "f1": ["x"]}, "f1=x: the column is double"),
    ],
)
def test_a_slip_removes_nothing(
    store: CoresetStore, tmp_path: Path, keys: dict, message: str
) -> None:
    (tmp_path / "in" / DAYS[0] / "part-1.parquet").unlink()
    with pytest.raises(ArgumentError, match=message):
        forget_keys(store, keys)
    assert len(left(tmp_path)) == 4


def test_rows_that_filters_have_dropped_count(tmp_path: Path) -> None:
    deliver(tmp_path, 1)
    partitions = dkmeans.list_partitions(str(tmp_path / "in"), filters=[("customer", ">", 1500)])
    store = CoresetStore(str(tmp_path / "kept"))
    dkmeans.window_fit(partitions, store, n_clusters=2, columns=["f0", "f1"], random_state=0)
    assert forget_keys(store, KNOWN).held == (DAYS[1],)
