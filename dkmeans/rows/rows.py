"""`Rows`: samples that may not fit in memory, and the one way to compute over them."""

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, feature_names
from dkmeans.models.scaling import Scaling
from dkmeans.partials.base import Partial
from dkmeans.partials.moments import Moments
from dkmeans.rows.engine import Engine, LocalEngine, engine_for
from dkmeans.rows.gathered import Gathered
from dkmeans.rows.inputs import Parts, parts_of_array, parts_of_dask
from dkmeans.rows.leaf import LeafResult, Pass
from dkmeans.rows.leaves import Leaves, numbered, part_leaves
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.row_counts import RowCounts
from dkmeans.rows.scan import RunningScan
from dkmeans.rows.staging import StageName, keeps_blocks, row_bytes

if TYPE_CHECKING:
    import dask.array as da
    from distributed import Client


@dataclass
class Counters:
    """What passes have cost so far. Shared by all views of the same rows."""

    n_passes: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    n_samples: int | None = None
    """Rows that pass all filters; None until a pass has counted them."""


@dataclass(eq=False)
class Rows:
    """Samples in blocks, from Parquet, Dask, or memory.

    Made by `read_parquet`, `Rows.from_array` or `Rows.from_dask`. A *pass* reads every row once and
    gives one partial a request: `reduce` and `scan` make one, `run` makes one for several requests.
    """

    layout: Leaves
    engine: Engine
    columns: tuple[FeatureColumn, ...] | None
    """The feature columns; None for bare arrays."""

    n_features: int
    dtype: str
    scaling: Scaling | None = None
    parquet: ParquetPlan | None = None
    """What is read, if the rows come from Parquet."""

    counters: Counters = field(default_factory=Counters)

    @classmethod
    def from_array(
        cls,
        X: Any,
        sample_weight: Any = None,
        *,
        columns: Sequence[str] | None = None,
        dtype: str | None = None,
        block_bytes: int | None = None,
        block_rows: int | None = None,
        stage: StageName = "auto",
        client: "Client | None" = None,
    ) -> Self:
        """Take rows from the memory of this process.

        Parameters
        ----------
        X
            `(n_samples, n_features)`: NumPy array, nested lists, pandas DataFrame or Arrow table.
        sample_weight
            `(n_samples,)`; None for ones.
        columns
            The feature columns of a table; None for all that hold numbers.
        dtype
            "float32" or "float64"; None for float32 if X is no wider, else float64.
        block_bytes, block_rows
            Size of a block; None for a size that depends on the data alone.
        stage
            See `read_parquet`.
        client
            Where passes run; None for the client in scope, else Dask's threads.

        Raises
        ------
        InputRefused
            If there is nothing in X that can be clustered.
        """
        check_options(dtype, block_bytes, block_rows, stage)
        parts = parts_of_array(X, sample_weight, columns, dtype, block_bytes, block_rows)
        return cls._from_parts(parts, stage, client)

    @classmethod
    def from_dask(
        cls,
        X: Any,
        sample_weight: Any = None,
        *,
        columns: Sequence[str] | None = None,
        weight: str | None = None,
        dtype: str | None = None,
        stage: StageName = "auto",
        client: "Client | None" = None,
    ) -> Self:
        """Take rows from a Dask Array or DataFrame; each of its partitions becomes a block.

        Partitions that lie in the memory of the cluster are used where they are. Unknown chunk
        sizes are counted by the first pass.

        Parameters
        ----------
        X
            `(n_samples, n_features)`.
        sample_weight
            Array or Dask collection `(n_samples,)`, cut as X is; None for ones.
        columns
            The feature columns of a DataFrame; None for all that hold numbers.
        weight
            The weight column of a DataFrame.
        dtype, stage, client
            As for `from_array`.

        Raises
        ------
        InputRefused
            If there is nothing in X that can be clustered.
        """
        check_options(dtype, None, None, stage)
        return cls._from_parts(
            parts_of_dask(X, sample_weight, columns, weight, dtype), stage, client
        )

    @classmethod
    def _from_parts(cls, parts: Parts, stage: StageName, client: "Client | None") -> Self:
        engine = engine_for(client)
        n_features = parts.sources[0].n_features
        n_rows = None if parts.lengths is None else sum(parts.lengths)
        at_hand = "client" if isinstance(engine, LocalEngine) else "cluster"
        decoded = None if n_rows is None else n_rows * row_bytes(n_features, parts.dtype, True)
        staged = parts.place != at_hand and keeps_blocks(stage, decoded, engine)
        return cls(
            part_leaves(parts, staged),
            engine,
            parts.columns,
            n_features,
            parts.dtype,
            counters=Counters(n_samples=n_rows),
        ).released_with_us()

    @property
    def shape(self) -> tuple[int | float, int]:
        """`(n_samples, n_features)`; n_samples is NaN until a pass has counted it."""
        n_samples = self.counters.n_samples
        return (float("nan") if n_samples is None else n_samples, self.n_features)

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features; None for bare arrays."""
        return None if self.columns is None else feature_names(self.columns)

    @property
    def n_source_rows(self) -> int | None:
        """Stored rows, those that filters drop included; None until they are counted."""
        return self.layout.n_rows

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return sum(len(leaf.blocks) for leaf in self.layout.leaves)

    @property
    def most_block_rows(self) -> int:
        """Stored rows of the largest block, as far as they are known."""
        return max(leaf.source.most_block_rows for leaf in self.layout.leaves)

    @property
    def n_passes(self) -> int:
        """Passes made so far."""
        return self.counters.n_passes

    @property
    def rows_read(self) -> int:
        """Rows that passes have visited so far, wherever they lay, dropped ones included."""
        return self.counters.rows_read

    @property
    def bytes_read(self) -> int:
        """Bytes read from the source so far, as stored."""
        return self.counters.bytes_read

    @property
    def decoded_bytes(self) -> int | None:
        """Bytes of all rows in memory; None until they are counted."""
        if self.n_source_rows is None:
            return None
        weighted = self.parquet is None or self.parquet.weight is not None
        return self.n_source_rows * row_bytes(self.n_features, self.dtype, weighted)

    @property
    def staged(self) -> bool:
        """Whether decoded blocks are kept between passes."""
        return any(leaf.staged for leaf in self.layout.leaves)

    def reduce(self, from_block: Callable[..., Any], *broadcast: Any, kind: str = "reduce") -> Any:
        """Make one pass: merge `from_block(block, *broadcast)` of every block."""
        return self.run([Reduce(kind, from_block, broadcast)])[0]

    def scan(self, step: Callable[..., Any], *broadcast: Any, kind: str = "scan") -> RunningScan:
        """Begin a scan: passes that keep state beside each block.

        The first pass is made at once, by `step(block, None, *broadcast)`, which gives a partial
        and a state. `RunningScan.next(*broadcast)` makes another, with the state that the one
        before left.
        """
        return RunningScan(self, step, kind, (broadcast,))

    def run(
        self, requests: Sequence[Request], record: dict[str, Any] | None = None
    ) -> list[Partial]:
        """Make one pass that answers all `requests`, in order.

        Parameters
        ----------
        requests
            What to compute, at least one.
        record
            A dictionary that gets what the pass was and cost: kind, seconds, rows_read, bytes_read.

        Raises
        ------
        InputRefused
            If a row cannot be used.
        ClusterLost
            If the cluster goes away.
        """
        self.count()
        kind = " + ".join(dict.fromkeys(request.kind for request in requests))
        result = self._pass(tuple(requests), kind, record)
        return list(result.partials)

    def _pass(
        self, requests: tuple[Request, ...], kind: str, record: dict[str, Any] | None
    ) -> LeafResult:
        shared = Pass(requests, self.scaling)
        reporter().began(kind, len(self.layout.leaves))
        start = time.perf_counter()
        result = self.engine.run(
            self.layout.leaves, self.layout.parts, shared, reporter().leaf_done
        )
        self.counters.n_passes += 1
        self.counters.rows_read += result.n_source_rows
        self.counters.bytes_read += result.n_bytes
        self.counters.n_samples = result.n_rows
        record = {} if record is None else record
        record.update(
            kind=kind,
            seconds=time.perf_counter() - start,
            rows_read=result.n_source_rows,
            bytes_read=result.n_bytes,
        )
        return result

    def count(self) -> dict[str, Any] | None:
        """Count the rows of parts of unknown length, in one pass, which numbers them.

        Returns the record of the pass; None if the rows were counted already. Every other pass
        begins with it.
        """
        if self.layout.n_rows is not None:
            return None
        record: dict[str, Any] = {}
        result = self._pass((Reduce("count rows", RowCounts.from_block),), "count rows", record)
        reporter().ended(record)
        counts = result.partials[0]
        assert isinstance(counts, RowCounts)
        self.layout = numbered(self.layout, counts.n_rows)
        return record

    def scaled(self, scaling: Scaling | None) -> "Rows":
        """Return the same rows as seen through a scaling, which is applied as blocks are read."""
        return self if scaling is self.scaling else replace(self, scaling=scaling)

    def subset(self, share: float) -> "Rows":
        """Return about a `share` of the rows: whole leaves, spread evenly over the data."""
        if not 0 < share <= 1:
            raise ArgumentError(f"share={share} should be above 0 and at most 1.")
        self.count()
        leaves, parts = self.layout.leaves, self.layout.parts
        n = max(1, round(share * len(leaves)))
        chosen = sorted({(2 * i + 1) * len(leaves) // (2 * n) for i in range(n)})
        part = Leaves(
            tuple(leaves[i] for i in chosen), tuple(parts[i] for i in chosen), self.layout.n_rows
        )
        return replace(self, layout=part, counters=Counters())

    def pilot_mean(self) -> Array:
        """Return the mean of the first rows, `(n_features,)` float64: a point within the data.

        Reads one leaf, the next ones while it has no rows. Not a pass.
        """
        origin = np.zeros(self.n_features)
        shared = Pass((Reduce("pilot", Moments.from_block, (origin,)),), self.scaling)
        for leaf, part in zip(self.layout.leaves, self.layout.parts, strict=True):
            first = replace(leaf, blocks=leaf.blocks[:1])
            result = self.engine.run([first], [part], shared, lambda: None)
            self.counters.rows_read += result.n_source_rows
            self.counters.bytes_read += result.n_bytes
            moments = result.partials[0]
            assert isinstance(moments, Moments)
            if moments.weight > 0:
                return moments.mean
        return origin

    def gather(self, most_bytes: int, record: dict[str, Any] | None = None) -> Block:
        """Return all rows as one block, in one pass; `record` as in `run`.

        Raises
        ------
        TooLarge
            If they have more than `most_bytes`.
        """
        self.count()
        if (self.decoded_bytes or 0) > most_bytes:
            raise TooLarge(
                f"the rows have {(self.decoded_bytes or 0) / 1e9:.1f} GB, more than one process "
                f"may hold ({most_bytes / 1e9:.1f} GB)."
            )
        record = {} if record is None else record
        (gathered,) = self.run([Reduce("gather rows", Gathered.from_block)], record)
        reporter().ended(record)
        assert isinstance(gathered, Gathered)
        return gathered.block()

    def map(
        self,
        function: Callable[..., Array],
        *broadcast: Any,
        dtype: Any = None,
        width: int | None = None,
    ) -> "da.Array":
        """Return `function(block, *broadcast)` of every block, lazily, as a Dask Array.

        Parameters
        ----------
        function
            Gives `(n_rows,)`, or `(n_rows, width)`, for a block.
        broadcast
            The same for every block.
        dtype
            Of what `function` gives; None for the rows' own.
        width
            Columns of what `function` gives; None if it has one dimension.
        """
        from dkmeans.rows.lazy import map_blocks

        return map_blocks(self, function, broadcast, np.dtype(dtype or self.dtype), width)

    def to_dask_array(self) -> "da.Array":
        """Return the rows as a Dask Array, `(n_samples, n_features)`, one chunk a block."""
        return self.map(_own_rows, width=self.n_features)

    def released_with_us(self) -> Self:
        """Have block stores of this process forget the rows when these are garbage."""
        # only in this process: asking workers from within a garbage collection could deadlock, and
        # their stores make room for whoever comes next
        if isinstance(self.engine, LocalEngine):
            owner = self.layout.leaves[0].owner
            weakref.finalize(self.counters, self.engine.release, owner).atexit = False
        return self

    def close(self) -> None:
        """Forget what block stores keep of these rows. They can still be used."""
        for owner in {leaf.owner for leaf in self.layout.leaves}:
            self.engine.release(owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_options(
    dtype: str | None, block_bytes: int | None, block_rows: int | None, stage: str
) -> None:
    """Raise `ArgumentError` if an option cannot be."""
    if dtype not in (None, "float32", "float64"):
        raise ArgumentError(f"dtype={dtype!r} should be 'float32' or 'float64'.")
    for name, value in (("block_bytes", block_bytes), ("block_rows", block_rows)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name}={value} should be at least 1.")
    if stage not in ("auto", "memory", "none"):
        raise ArgumentError(f"stage={stage!r} should be 'auto', 'memory' or 'none'.")


def _own_rows(block: Block) -> Array:
    return block.X
