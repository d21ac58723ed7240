"""What a sweep reads from a store: exactly what the fit of its most clusters reads."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import s3fs

import dkmeans
from dkmeans.rows.rows import Rows
from dkmeans.storage import parquet_file
from tests.conftest import write_parquet
from tests.fault_proxy import FaultProxy

COUNTS = (2, 3, 4, 5, 6, 8, 9, 10)
N_FILES = 4
CORESET_ROWS = 1500


class Reads(NamedTuple):
    """What was asked of the store, as the reader counts it and as the store does."""

    n_bytes: int
    n_requests: int
    passes: int
    sent: int
    asked: Counter
    """Requests by method, path and range."""


@pytest.fixture
def lake(bucket: str, s3: dict, blobs, tmp_path: Path) -> str:
    folder = write_parquet(tmp_path / "lake", blobs[0], n_files=N_FILES, row_group_rows=400)
    s3fs.S3FileSystem(**s3).put(str(folder), f"{bucket}/lake", recursive=True)
    return f"{bucket}/lake"


def fit(rows: Rows, **options: object) -> None:
    dkmeans.KMeans(max(COUNTS), n_init=3, random_state=0, **options).fit(rows)


def sweep(rows: Rows, **options: object) -> None:
    found = dkmeans.sweep(rows, COUNTS, n_init=3, random_state=0, **options)
    assert list(found.models) == list(COUNTS)


def reads_of(what, url: str, s3: dict, stage: str, **options: object) -> Reads:
    # a process keeps the footers that it has read
    parquet_file._footers.clear()
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        store = proxy.options(s3)
        with dkmeans.read_parquet(url, stage=stage, storage_options=store, block_rows=400) as rows:
            what(rows, **options)
            known = rows.known
            asked = Counter((one.method, one.path, one.range) for one in proxy.requests)
            return Reads(rows.bytes_read, known.n_requests, rows.n_passes, proxy.bytes_sent, asked)


@pytest.mark.parametrize(
    ("options", "stage"),
    [
        ({"init": "coreset", "coreset_size": CORESET_ROWS}, "memory"),
        ({"init": "coreset", "coreset_size": CORESET_ROWS}, "disk"),
        ({"init": "k-means||"}, "memory"),
    ],
)
def test_a_sweep_reads_what_its_largest_fit_reads(
    lake: str, s3: dict, options: dict, stage: str
) -> None:
    one = reads_of(fit, lake, s3, stage, **options, scale="standard")
    several = reads_of(sweep, lake, s3, stage, **options, scale="standard")
    assert several.n_bytes == one.n_bytes
    assert several.n_requests == one.n_requests
    assert several.asked == one.asked
    assert several.sent == one.sent
    # and all that it needs: each row group is fetched
    stored = sum(info["size"] for info in s3fs.S3FileSystem(**s3).find(lake, detail=True).values())
    assert several.sent > 0.8 * stored
    assert len({path for method, path, _ in several.asked if "parquet" in path}) == N_FILES
    assert several.passes > 3


def test_a_sweep_that_keeps_nothing_reads_the_source_once_a_pass(lake: str, s3: dict) -> None:
    options = {"init": "coreset", "coreset_size": CORESET_ROWS}
    kept = reads_of(sweep, lake, s3, "memory", **options)
    again = reads_of(sweep, lake, s3, "none", **options)
    assert again.passes == kept.passes
    assert again.n_bytes > (kept.passes - 0.5) * kept.n_bytes
