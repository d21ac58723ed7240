"""`Rows`: samples that may not fit in memory, and the one way to compute over them."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, feature_names
from dkmeans.models.filling import Filling
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import Partial
from dkmeans.rows.batches import Batching, Epoch
from dkmeans.rows.demand import HasDemand
from dkmeans.rows.engine import Engine, LocalEngine, engine_for
from dkmeans.rows.gathered import Gathered
from dkmeans.rows.inputs import Parts, parts_of_array, parts_of_dask, parts_of_labels
from dkmeans.rows.known import Budget, Known, RowsChanged
from dkmeans.rows.layout import spread
from dkmeans.rows.leaf import Step
from dkmeans.rows.leaves import Leaves, parquet_leaves, part_leaves
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.passes import make_pass, pilot_mean, prepare
from dkmeans.rows.pilot import PilotRows, pilot_rows
from dkmeans.rows.plan import Plan, measured, plan_of
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.sampling import sampled
from dkmeans.rows.scan import RunningScan
from dkmeans.rows.staging import (
    STAGE_NAMES,
    StageName,
    Staging,
    decide,
    row_bytes,
    where_they_lie,
)
from dkmeans.rows.task_memory import check_fits
from dkmeans.rows.values import MISSING_NAMES, MissingName
from dkmeans.storage.filesystem import redact

if TYPE_CHECKING:
    import dask.array as da
    from distributed import Client


@dataclass(eq=False)
class Rows:
    """Samples in blocks, from Parquet, Dask, or memory.

    Made by `read_parquet`, `Rows.from_array` or `Rows.from_dask`. A *pass* reads every row once and
    gives one partial a request: `reduce` and `scan` make one, `run` makes one for several requests.
    """

    known: Known
    """What is known of the rows, and what passes have cost; shared by all views of them."""

    engine: Engine
    columns: tuple[FeatureColumn, ...] | None
    """The feature columns; None for bare arrays."""

    n_features: int
    dtype: str
    staging: Staging
    """Where decoded blocks are kept between passes, and why."""

    missing: MissingName = "raise"
    """What becomes of rows with missing values."""

    scaling: AnyScaling | None = None
    label_names: tuple[str, ...] = ()
    """Names of the labels that come along with the rows; empty names for bare arrays."""

    weighted: bool = False
    """Whether the rows have sample weights."""

    @classmethod
    def from_array(
        cls,
        X: Any,
        sample_weight: Any = None,
        *,
        labels: Sequence[Any] = (),
        columns: Sequence[str] | None = None,
        dtype: str | None = None,
        block_bytes: int | None = None,
        block_rows: int | None = None,
        stage: StageName = "auto",
        missing: MissingName = "raise",
        client: "Client | None" = None,
    ) -> Self:
        """Take rows from the memory of this process.

        Parameters
        ----------
        X
            `(n_samples, n_features)`: NumPy array, nested lists, pandas DataFrame or Arrow table.
        sample_weight
            `(n_samples,)`; None for ones.
        labels
            What comes along with the rows: for each, text, integers, floats or booleans
            `(n_samples,)`, or the name of a column of a table, which is then no feature unless
            named in `columns`.
        columns
            The feature columns of a table; None for all that hold numbers.
        dtype
            "float32" or "float64"; None for float32 if X is no wider, else float64.
        block_bytes, block_rows
            Size of a block; None for a size that depends on the data alone.
        stage, missing
            See `read_parquet`.
        client
            Where passes run; None for the client in scope, else Dask's threads.

        Raises
        ------
        InputRefused
            If there is nothing in X that can be clustered.
        """
        check_options(dtype, block_bytes, block_rows, stage, missing)
        parts = parts_of_array(X, sample_weight, labels, columns, dtype, block_bytes, block_rows)
        return cls._from_parts(parts, stage, missing, client)

    @classmethod
    def from_dask(
        cls,
        X: Any,
        sample_weight: Any = None,
        *,
        labels: Sequence[Any] = (),
        columns: Sequence[str] | None = None,
        weight: str | None = None,
        dtype: str | None = None,
        stage: StageName = "auto",
        missing: MissingName = "raise",
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
        labels
            As for `from_array`; arrays or Dask collections, cut as X is.
        columns
            The feature columns of a DataFrame; None for all that hold numbers.
        weight
            The weight column of a DataFrame.
        dtype, stage, missing, client
            As for `from_array`.

        Raises
        ------
        InputRefused
            If there is nothing in X that can be clustered.
        """
        check_options(dtype, None, None, stage, missing)
        parts = parts_of_dask(X, sample_weight, labels, columns, weight, dtype)
        return cls._from_parts(parts, stage, missing, client)

    @classmethod
    def of_labels(
        cls,
        *labels: Any,
        sample_weight: Any = None,
        block_rows: int | None = None,
        stage: StageName = "auto",
        client: "Client | None" = None,
    ) -> Self:
        """Take labels alone, without features: `X` of each block is `(n_rows, 0)`.

        Parameters
        ----------
        labels
            At least one: arrays in memory or Dask collections `(n_samples,)`, those of Dask cut
            alike.
        sample_weight
            `(n_samples,)`; None for ones.
        block_rows
            Rows of a block of what lies in memory; None for a size that depends on the data alone.
        stage, client
            As for `from_array`.

        Raises
        ------
        InputRefused
            If a row has no label, or they differ in length.
        """
        check_options(None, None, block_rows, stage, "raise")
        return cls._from_parts(
            parts_of_labels(labels, sample_weight, block_rows), stage, "raise", client
        )

    @classmethod
    def _from_parts(
        cls, parts: Parts, stage: StageName, missing: MissingName, client: "Client | None"
    ) -> Self:
        engine = engine_for(client)
        parts = parts.with_missing(missing)
        n_features = parts.sources[0].n_features
        n_rows = None if parts.lengths is None else sum(parts.lengths)
        each = row_bytes(n_features, parts.dtype, True, len(parts.label_names))
        decoded = None if n_rows is None else n_rows * each
        if parts.place == ("client" if isinstance(engine, LocalEngine) else "cluster"):
            staging = where_they_lie(stage, parts.place, decoded, engine)
        else:
            staging = decide(stage, decoded, n_rows, engine)
            staging.tell()
        known = Known(part_leaves(parts, staging.stage))
        known.n_samples = n_rows if missing != "drop" else None
        return cls(
            known,
            engine,
            parts.columns,
            n_features,
            parts.dtype,
            staging,
            missing,
            label_names=parts.label_names,
            weighted=parts.weighted,
        ).released_with_us()

    @property
    def layout(self) -> Leaves:
        """What a pass walks."""
        return self.known.layout

    @property
    def parquet(self) -> ParquetPlan | None:
        """What is read, if the rows come from Parquet."""
        return self.known.parquet

    @property
    def steps(self) -> tuple[Step, ...]:
        """What every block goes through as it is read: filling, then scaling."""
        return tuple(step for step in (self.known.filling, self.scaling) if step is not None)

    @property
    def shape(self) -> tuple[int | float, int]:
        """`(n_samples, n_features)`; n_samples is NaN until a pass has counted it."""
        n_samples = self.known.n_samples
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
        return self.known.n_passes

    @property
    def rows_read(self) -> int:
        """Rows that passes have visited so far, wherever they lay, dropped ones included."""
        return self.known.rows_read

    @property
    def bytes_read(self) -> int:
        """Bytes read from the source so far, as stored."""
        return self.known.bytes_read

    @property
    def decoded_bytes(self) -> int | None:
        """Bytes of all rows in memory; None until they are counted."""
        if self.n_source_rows is None:
            return None
        weighted = self.parquet is None or self.parquet.weight is not None
        each = row_bytes(self.n_features, self.dtype, weighted, len(self.label_names))
        return self.n_source_rows * each

    def reduce(
        self,
        from_block: Callable[..., Any],
        *broadcast: Any,
        kind: str = "reduce",
        record: dict[str, Any] | None = None,
    ) -> Any:
        """Make one pass: merge `from_block(block, *broadcast)` of every block."""
        while True:
            with suppress(RowsChanged):
                return self.run([Reduce(kind, from_block, broadcast)], record)[0]

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
        BudgetSpent
            If the pass would go beyond a limit.
        RowsChanged
            If files had to be left out: what was computed before must be computed again.
        """
        self.prepare()
        return list(make_pass(self, tuple(requests), record).partials)

    def batches(
        self,
        batching: Batching,
        epoch: int,
        first_step: int = 0,
        cost: Mapping[str, Any] = MappingProxyType({}),
    ) -> Epoch:
        """Return the mini-batches of an epoch: all rows once, a few of several blocks at a step.

        Parameters
        ----------
        batching
            Rows of a step, blocks that it draws from, and the seed of the order.
        epoch
            Its number: each has an order of its own.
        first_step
            Where to begin in it.
        cost
            What the steps before have cost.
        """
        self.prepare()
        return Epoch(self, batching, epoch, first_step, cost)

    def prepare(self) -> list[dict[str, Any]]:
        """Make the passes that every other begins with, unless they were made already.

        One counts, and so numbers, the rows of parts of unknown length; one finds what missing
        values are filled with. Returns their records.
        """
        return prepare(self)

    def leave_out(self, bad_files: Sequence[tuple[str, str]], *, is_known: bool = False) -> None:
        """Go on without some files, each with the reason; none of their rows counts from now on.

        The user is told, unless that `is_known` already.

        Raises
        ------
        UnreadableFile
            If more files are left out than may be.
        """
        if not bad_files:
            return
        # each leaf that met a file names it; one reason is enough
        reasons = dict(bad_files)
        assert self.parquet is not None
        known = self.known
        plan = known.parquet = self.parquet.without(tuple(reasons.items()))
        for url, reason in () if is_known else reasons.items():
            reporter().note(f"left out: {redact(url)} ({reason})")
        self.close()
        known.layout = parquet_leaves(plan, known.cutting, self.staging.stage, known.sample)
        known.n_samples = None
        if not known.filling_is_given:
            known.filling = None
        known.kept_bytes = 0
        self.released_with_us()

    def identity(self) -> dict[str, Any]:
        """Return what names the input, as plain values: files, or content, and how it is read."""
        cutting = self.known.cutting
        named = {
            "columns": ",".join(self.feature_names or ()),
            "n_features": self.n_features,
            "dtype": self.dtype,
            "missing": self.missing,
            "block_bytes": cutting.block_bytes,
            "block_rows": cutting.block_rows,
            "sample": None if self.known.sample is None else repr(self.known.sample),
        }
        if self.parquet is None:
            return {**named, **self.layout.identity()}
        return {**named, **self.parquet.identity()}

    def scaled(self, scaling: AnyScaling | None) -> "Rows":
        """Return the same rows as seen through a scaling, which is applied as blocks are read."""
        return self if scaling is self.scaling else replace(self, scaling=scaling)

    def filled(self, filling: Filling) -> "Rows":
        """Return the same rows, with what they lack filled in so, if they are to be filled."""
        if self.missing != "mean":
            return self
        known = replace(self.known, filling=filling, filling_is_given=True)
        return replace(self, known=known)

    def subset(self, share: float) -> "Rows":
        """Return about a `share` of the rows: whole leaves, spread evenly over the data."""
        if not 0 < share <= 1:
            raise ArgumentError(f"share={share} should be above 0 and at most 1.")
        self.prepare()
        leaves, parts = self.layout.leaves, self.layout.parts
        chosen = spread(len(leaves), share)
        part = Leaves(
            tuple(leaves[i] for i in chosen), tuple(parts[i] for i in chosen), self.layout.n_rows
        )
        return replace(self, known=self.known.of_part(part))

    def sample(self, size: float, seed: int = 0) -> "Rows":
        """Return a sample of the rows, drawn by row number from row groups spread over the data.

        At least 16 row groups, or parts, and at least twice as many as the sample would fill are
        read; of these each row is taken with the same probability. The same seed takes the same
        rows from the same stored data.

        Parameters
        ----------
        size
            A share of the rows if it is a float up to 1; else about how many rows.
        seed
            Of the draws.

        Raises
        ------
        ArgumentError
            If it is neither.
        """
        return sampled(self, size, seed)

    def plan(self, what: HasDemand, *, measure: bool = False) -> Plan:
        """Say what fitting an estimator to these rows costs, before it is begun.

        Parameters
        ----------
        what
            The estimator, as in `rows.plan(KMeans(50))`.
        measure
            Whether to read and compute one block, and add the seconds that passes should take.

        Returns
        -------
        Plan
            Passes, bytes, requests, memory of a task, blocks, leaves, tasks, and where rows stay.

        Raises
        ------
        TooLarge
            If a task does not fit in the memory of the workers.
        """
        demand = what.demand(self.n_features, self.dtype)
        slots = self.engine.slots()
        check_fits(self, demand, slots)
        plan = plan_of(self, demand, slots)
        n_tasks = sum(slot.n_tasks for slot in slots)
        return measured(self, plan, demand, n_tasks) if measure else plan

    def limit(
        self,
        *,
        max_passes: int | None = None,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
    ) -> Self:
        """Limit what passes from now on may cost; the one that would go beyond is not begun.

        Parameters
        ----------
        max_passes
            Most passes.
        max_bytes
            Most bytes read from the source.
        max_seconds
            Most seconds from now, a pass being expected to take as long as the last one.

        Returns
        -------
        Rows
            These.

        Raises
        ------
        ArgumentError
            If a limit is not above zero.
        """
        self.known.budget = Budget.from_now(self.known, max_passes, max_bytes, max_seconds)
        return self

    def pilot_mean(self) -> Array:
        """Return the mean of the first rows, `(n_features,)` float64: a point within the data.

        Reads one leaf, the next ones while it has no rows. Not a pass.
        """
        return pilot_mean(self)

    def pilot(self, size: int, seed: int) -> PilotRows:
        """Return a few rows, drawn by weight from places that are spread over the data.

        Reads one row group of Parquet in a hundred, at least one; such stretches of what Dask has
        to compute; all that lies in memory. Not a pass. The same seed draws the same rows from the
        same stored data, however they are cut and wherever blocks are kept.

        Parameters
        ----------
        size
            Rows to draw; fewer where fewer are read.
        seed
            Of the draws.
        """
        return pilot_rows(self, size, seed)

    def compute(
        self, kind: str, function: Callable[[Any, Any], Any], items: Sequence[Any], shared: Any
    ) -> list[Any]:
        """Call `function(item, shared)` for every item, where passes run, side by side.

        Not a pass: no row is read.

        Parameters
        ----------
        kind
            What it is for, as progress shows it.
        function
            Gives the same wherever it runs, and has no side effects: it may be called again.
        items
            At least one; results are in their order.
        shared
            Sent once to each process that needs it.
        """
        reporter().began(kind, len(items), is_pass=False)
        return self.engine.map(function, items, shared, reporter().leaf_done)

    def gather(self, most_bytes: int, record: dict[str, Any] | None = None) -> Block:
        """Return all rows as one block, in one pass; `record` as in `run`.

        Raises
        ------
        TooLarge
            If they have more than `most_bytes`.
        """
        self.prepare()
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
            weakref.finalize(self.known, self.engine.release, owner).atexit = False
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
    dtype: str | None, block_bytes: int | None, block_rows: int | None, stage: str, missing: str
) -> None:
    """Raise `ArgumentError` if an option cannot be."""
    if dtype not in (None, "float32", "float64"):
        raise ArgumentError(f"dtype={dtype!r} should be 'float32' or 'float64'.")
    for name, value in (("block_bytes", block_bytes), ("block_rows", block_rows)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name}={value} should be at least 1.")
    if stage not in STAGE_NAMES:
        raise ArgumentError(f"stage={stage!r} should be 'auto', 'memory', 'disk' or 'none'.")
    if missing not in MISSING_NAMES:
        raise ArgumentError(f"missing={missing!r} should be 'raise', 'drop' or 'mean'.")


def _own_rows(block: Block) -> Array:
    return block.X
