"""Requests to a store that nobody wants any longer: of passes, of planning, of readers."""

import io
import time
from dataclasses import replace

import dask
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import dkmeans
from dkmeans.errors import StoreUnreachable
from dkmeans.rows.engine import LocalEngine
from dkmeans.rows.row_counts import RowCounts
from dkmeans.storage.requests import request
from tests.conftest import threads_that_wait, wait_until

SOON = 15.0
"""Seconds in which all requests have to end that would be tried again for ten minutes."""


def a_file(n_rows: int) -> bytes:
    X = np.random.default_rng(n_rows).normal(size=(n_rows, 3))
    buffer = io.BytesIO()
    table = pa.table({f"f{i}": X[:, i] for i in range(3)})
    pq.write_table(table, buffer, row_group_size=n_rows // 2)
    return buffer.getvalue()


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """What becomes of who asks for some of the files a, b and c on a store, by name."""
    broken, real = {}, MemoryFileSystem.cat_file

    def cat_file(self, path, start=None, end=None, **kwargs):
        broken.get(path.rpartition("/")[2], int)()
        return real(self, path, start, end, **kwargs)

    for name in "abc":
        fsspec.filesystem("memory").pipe(f"/{tmp_path.name}/{name}", a_file(400))
    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return broken


def silence():
    raise TimeoutError


def test_no_request_waits_for_a_pass_that_ended_by_an_error(broken, tmp_path):
    urls = [f"memory://{tmp_path.name}/{name}" for name in "ab"]
    rows = dkmeans.read_parquet(urls, stage="none", block_rows=200)
    assert rows.n_blocks == 4

    def refuses():
        wait_until(threads_that_wait)
        raise PermissionError

    broken.update(a=silence, b=refuses)
    with dask.config.set(scheduler="threads", num_workers=4), pytest.raises(StoreUnreachable):
        rows.reduce(RowCounts.from_block)
    wait_until(lambda: not threads_that_wait(), seconds=SOON)


def test_no_request_waits_for_a_map_that_ended_by_an_error():
    def asks(item, shared):
        if item == 0:
            request("memory://bucket/a", "", lambda fs, path: silence())
        wait_until(threads_that_wait)
        raise KeyboardInterrupt

    engine = LocalEngine()
    with dask.config.set(scheduler="threads", num_workers=2), pytest.raises(KeyboardInterrupt):
        engine.map(asks, range(2), None, lambda: None)
    wait_until(lambda: not threads_that_wait(), seconds=SOON)


def test_no_request_waits_for_a_footer_that_nobody_wants(broken, tmp_path):
    def refuses():
        wait_until(threads_that_wait)
        raise PermissionError

    broken.update(a=silence, b=refuses)
    # the schema is that of the first
    urls = [f"memory://{tmp_path.name}/{name}" for name in "cab"]
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match="/b"):
        dkmeans.read_parquet(urls, stage="none")
    assert time.monotonic() - began < SOON
    assert not threads_that_wait()


def test_a_reader_that_is_closed_waits_for_nothing_on_its_way(broken, tmp_path):
    rows = dkmeans.read_parquet(f"memory://{tmp_path.name}/a", stage="none", block_rows=200)
    sources = [leaf.source for leaf in rows.layout.leaves]
    source = replace(sources[0], blocks=tuple(block for one in sources for block in one.blocks))
    answers = iter([int])
    broken.update(a=lambda: next(answers, silence)())
    reader = source.open(None, (0, 1))
    assert reader.read(0)[0].n_rows == 200
    wait_until(threads_that_wait)
    reader.close()
    wait_until(lambda: not threads_that_wait(), seconds=SOON)
