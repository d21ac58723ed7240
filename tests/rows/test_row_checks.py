"""Every pass checks that each row was seen once; one that lost or doubled rows is an error."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.errors import DkmeansError
from dkmeans.kernels.block import Block
from dkmeans.rows.requests import Reduce
from tests.conftest import write_parquet
from tests.rows.seen import see

N = 4000


@dataclass(frozen=True)
class Counts:
    """A partial that counts rows, but for those that a test has it lose."""

    n_rows: int

    @classmethod
    def right(cls, block: Block) -> "Counts":
        return cls(block.n_rows)

    @classmethod
    def losing(cls, block: Block, row: int) -> "Counts":
        return cls(block.n_rows - int((block.row_numbers == row).sum()))

    @classmethod
    def doubling(cls, block: Block, row: int) -> "Counts":
        return cls(block.n_rows + int((block.row_numbers == row).sum()))

    def merge(self, other: "Counts") -> "Counts":
        return type(self)(self.n_rows + other.n_rows)


@dataclass(frozen=True)
class Forgetful(Counts):
    """Merging it loses what comes second."""

    def merge(self, other: Counts) -> "Forgetful":
        return self


@dataclass(frozen=True)
class Short:
    """A source one block of which has other rows than planned."""

    inner: Any
    block: int
    times: float
    hides_it: bool
    """Whether the block claims to cover the rows that were planned all the same."""

    @property
    def most_block_rows(self) -> int:
        return self.inner.most_block_rows

    @property
    def first_blocks(self) -> tuple[int, ...]:
        return self.inner.first_blocks

    def describe(self, number: int) -> str:
        return self.inner.describe(number)

    def open(self, part: Any, wanted: Any) -> Any:
        reader = self.inner.open(part, wanted)
        return None if reader is None else _ShortReader(reader, self)


@dataclass(frozen=True)
class _ShortReader:
    inner: Any
    source: Short

    def read(self, number: int) -> tuple[Block, Any]:
        block, cost = self.inner.read(number)
        if number == self.source.block:
            n_rows = int(block.n_rows * self.source.times)
            ((first, stop),) = block.ranges
            if not self.source.hides_it:
                stop = first + n_rows
            block = Block(np.resize(block.X, (n_rows, block.X.shape[1])), ((first, stop),))
        return block, cost

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    X = np.random.default_rng(0).normal(size=(N, 3))
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=2, row_group_rows=500, w=np.arange(N) % 3
    )


def read(folder: Path, **options: object) -> Rows:
    rows = dkmeans.read_parquet(
        str(folder), **{"columns": ["f0", "f1", "f2"], "block_rows": 100, **options}
    )
    assert rows.n_blocks == 40
    return rows


@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize(("wrong", "counted"), [(Counts.losing, N - 1), (Counts.doubling, N + 1)])
@pytest.mark.parametrize("row", [0, 2345, N - 1])
def test_one_row_lost_or_doubled_in_one_block_is_an_error(
    folder, stage, scheduler, wrong, counted, row
):
    with dask.config.set(scheduler=scheduler), read(folder, stage=stage) as rows:
        assert rows.reduce(Counts.right).n_rows == N
        with pytest.raises(DkmeansError, match=f"Counts counts {counted} rows of the {N}") as found:
            rows.reduce(wrong, row)
        assert found.value.exit_code == 1
        assert rows.n_passes == 2


def test_the_first_pass_checks_it_too(folder):
    with pytest.raises(DkmeansError, match=f"Counts counts {N - 1} rows of the {N}"):
        read(folder).reduce(Counts.losing, 17)


def test_a_merge_that_loses_rows_is_an_error(folder):
    with pytest.raises(DkmeansError, match=f"Forgetful counts 100 rows of the {N}"):
        read(folder).reduce(Forgetful.right)


def test_each_of_several_requests_is_checked(folder):
    rows = read(folder)
    requests = [Reduce("right", Counts.right), Reduce("wrong", Counts.losing, (5,))]
    with pytest.raises(DkmeansError, match=f"Counts counts {N - 1} rows"):
        rows.run(requests)
    assert [one.n_rows for one in read(folder).run(requests[:1])] == [N]


def test_dropped_and_filtered_rows_are_allowed_for(folder, tmp_path):
    X = np.random.default_rng(1).normal(size=(N, 3))
    X[::7, 1] = np.nan
    holes = write_parquet(tmp_path / "holes", X, n_files=2, row_group_rows=500)
    rows = read(holes, missing="drop", filters=[("f0", ">", 0.0)])
    expected = int(((X[:, 0] > 0) & ~np.isnan(X[:, 1])).sum())
    assert rows.reduce(Counts.right).n_rows == expected
    kept = int(np.flatnonzero((X[:, 0] > 0) & ~np.isnan(X[:, 1]))[3])
    dropped = int(np.flatnonzero((X[:, 0] > 0) & np.isnan(X[:, 1]))[3])
    assert rows.reduce(Counts.losing, dropped).n_rows == expected
    with pytest.raises(DkmeansError, match=f"counts {expected - 1} rows of the {expected}"):
        rows.reduce(Counts.losing, kept)


def test_a_pass_over_other_rows_than_the_pass_before_is_an_error(folder):
    rows = read(folder, stage="none")
    see(rows)
    # as if the policy had dropped another number of rows this time
    rows.known.n_samples = N - 3
    with pytest.raises(DkmeansError, match=f"used {N} rows where an earlier one used {N - 3}"):
        see(rows)


@pytest.mark.parametrize("hides_it", [False, True], ids=["says so", "hides it"])
@pytest.mark.parametrize("times", [0.99, 0.0, 2.0], ids=["a row less", "none", "twice"])
@pytest.mark.parametrize("when", ["first pass", "later pass"])
def test_a_source_that_gives_other_rows_than_planned_is_an_error_in_that_very_pass(
    folder, times, when, hides_it
):
    rows = read(folder, stage="none")
    if when == "later pass":
        assert see(rows).n_rows == N
    leaves = tuple(
        replace(leaf, source=Short(leaf.source, 21, times, hides_it)) for leaf in rows.layout.leaves
    )
    rows.known.layout = replace(rows.layout, leaves=leaves)
    passes = rows.n_passes
    visited = N - 100 + int(100 * times)
    # a block whose rows are not those that it says it covers is found where it is read
    words = "rows in memory" if hides_it else f"{visited} rows .*{N}"
    with pytest.raises(DkmeansError, match=words):
        rows.reduce(Counts.right)
    assert rows.n_passes == passes + (not hides_it)


def test_arrays_are_checked_as_files_are():
    X = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    rows = Rows.from_array(X, np.arange(1000.0), block_rows=90)
    assert rows.n_blocks == 12
    assert rows.reduce(Counts.right).n_rows == 1000
    with pytest.raises(DkmeansError, match="Counts counts 1001 rows of the 1000"):
        rows.reduce(Counts.doubling, 999)


def test_a_cluster_checks_it_too(folder, client):
    with read(folder, client=client) as rows:
        assert rows.reduce(Counts.right).n_rows == N
        with pytest.raises(DkmeansError, match=f"Counts counts {N - 1} rows of the {N}"):
            rows.reduce(Counts.losing, 2345)
