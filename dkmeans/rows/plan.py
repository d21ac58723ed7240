"""What a job will cost, before it is begun: passes, bytes, requests, memory, staging."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dkmeans.rows.demand import Demand
from dkmeans.rows.engine import Slot
from dkmeans.rows.leaf import Pass
from dkmeans.rows.pilot import pilot_cost
from dkmeans.rows.spans import count_tasks
from dkmeans.rows.task_memory import process_bytes, task_bytes

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows


@dataclass(frozen=True)
class Plan:
    """What a job will cost. Estimated from footers and settings alone, unless measured."""

    files: int
    skipped_files: int
    rows: int
    """Stored rows that passes visit, before filters."""

    features: int
    blocks: int
    leaves: int
    tasks: int
    """Tasks of the first pass: spans of leaves, and their joins. Later ones may need fewer."""

    source_bytes: int
    """Bytes that one pass over the source reads."""

    source_requests: int
    """Requests to the store that one pass over the source makes; 0 for local files."""

    decoded_bytes: int
    stage: str
    """"memory", "disk" or "none"."""

    stage_reason: str
    most_passes: int
    most_bytes_read: int
    """Bytes read from the source by that many passes."""

    most_requests: int
    local_bytes_read: int
    """Bytes read from local disks by that many passes."""

    local_bytes_written: int
    task_bytes: int
    """Peak memory of one task above an idle worker, kept blocks apart."""

    process_bytes: int
    """Memory that a worker takes once, whatever tasks it runs: compiled loops and their compiler.
    0 where blocks are small."""

    pass_seconds: float | None = None
    """Of one pass over the source, from one block read and timed; None if not measured."""

    staged_pass_seconds: float | None = None
    """Of one pass over kept blocks."""

    most_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan as people read it: names and what they are."""
        skipped = f", {self.skipped_files:,} left out" if self.skipped_files else ""
        requests = f" in {self.source_requests:,} requests" if self.source_requests else ""
        source = local = once = later = ""
        if self.files:
            source = f", reading at most {self.most_bytes_read / 1e6:,.1f} MB of the source"
        if self.local_bytes_read:
            local = (
                f"; local disks: {self.local_bytes_written / 1e6:,.1f} MB written, at most "
                f"{self.local_bytes_read / 1e6:,.1f} MB read"
            )
        if self.process_bytes:
            once = f", and {self.process_bytes / 1e6:,.0f} MB once a worker for compiled code"
        if self.staged_pass_seconds is not None:
            later = f", {self.staged_pass_seconds:,.1f} s later"
        task = f"{self.task_bytes / 1e6:,.1f} MB for one task, above an idle worker{once}"
        lines = [
            ("files", f"{self.files:,}{skipped}"),
            ("rows", f"{self.rows:,}"),
            ("features", f"{self.features}"),
            ("source", f"{self.source_bytes / 1e6:,.1f} MB{requests} a pass"),
            ("decoded", f"{self.decoded_bytes / 1e6:,.1f} MB"),
            ("stage", self.stage_reason),
            ("blocks", f"{self.blocks:,} in {self.leaves:,} leaves, {self.tasks:,} tasks a pass"),
            ("passes", f"at most {self.most_passes:,}{source}{local}"),
            ("memory", task),
        ]
        if self.most_seconds is not None:
            each = f"{self.pass_seconds:,.1f} s a pass{later}"
            lines.append(("seconds", f"{each}; at most {self.most_seconds:,.0f} s"))
        return [line for line in lines if self.files or line[0] not in ("files", "source")]

    def __str__(self) -> str:
        return "\n".join(f"{name:<9} {value}" for name, value in self.lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython would show the fields
        printer.text(str(self))


def plan_of(rows: "Rows", demand: Demand, slots: Sequence[Slot]) -> Plan:
    """See `Rows.plan`; tasks run in `slots`."""
    parquet = rows.parquet
    leaves = rows.layout.leaves
    n_rows = sum(leaf.n_source_rows or 0 for leaf in leaves)
    source_bytes = 0 if parquet is None else parquet.n_bytes
    source_requests = 0 if parquet is None else parquet.n_requests(len(slots))
    decoded = rows.decoded_bytes or 0
    stage = rows.staging.stage
    fills = rows.missing == "mean" and rows.known.filling is None
    n = _n_passes(demand) + int(rows.layout.n_rows is None) + int(fills)
    n += int(_is_spread(rows, demand))
    pilot_bytes, pilot_requests = _pilot(rows, demand) if stage == "none" else (0, 0)
    reads = n if stage == "none" else min(n, 1)
    on_disk = decoded if stage == "disk" else 0
    beside = 0
    if stage != "memory" and parquet is not None:
        beside = demand.n_state_passes * demand.state_bytes * n_rows
    if stage == "none" and parquet is not None:
        beside += demand.n_epochs * decoded
    return Plan(
        files=0 if parquet is None else len(parquet.files),
        skipped_files=0 if parquet is None else len(parquet.skipped),
        rows=n_rows,
        features=rows.n_features,
        blocks=rows.n_blocks,
        leaves=len(leaves),
        tasks=count_tasks(len(leaves), [slot.n_tasks for slot in slots]),
        source_bytes=source_bytes,
        source_requests=source_requests,
        decoded_bytes=decoded,
        stage=stage,
        stage_reason=str(rows.staging),
        most_passes=n,
        most_bytes_read=source_bytes * reads + pilot_bytes,
        most_requests=source_requests * reads + pilot_requests,
        local_bytes_read=on_disk * max(0, n - 1) + beside,
        local_bytes_written=on_disk * (1 + demand.n_scalings + int(fills)) + beside,
        task_bytes=task_bytes(rows, demand),
        process_bytes=process_bytes(rows, demand),
    )


def _n_passes(demand: Demand) -> int:
    later = 0 if demand.then is None else _n_passes(demand.then)
    return demand.n_passes + later


def _pilot(rows: "Rows", demand: Demand) -> tuple[int, int]:
    """Return the bytes and requests of looking at rows before the first pass."""
    if not demand.has_pilot:
        return 0, 0
    if _is_spread(rows, demand):
        return pilot_cost(rows)
    return rows.layout.leaves[0].source.first_bytes, 0


def _is_spread(rows: "Rows", demand: Demand) -> bool:
    most = demand.spread_above
    return most is not None and (rows.n_source_rows or 0) > most


def measured(rows: "Rows", plan: Plan, demand: Demand, n_tasks: int) -> Plan:
    """Read and compute the first block, three times, and add what passes should take.

    `n_tasks` is how many tasks run at a time.
    """
    leaf = rows.layout.leaves[0]
    leaf = replace(leaf, blocks=leaf.blocks[:1], owner=f"measure-{uuid.uuid4().hex}")
    shared = Pass((demand.probe,), rows.steps)

    def timed() -> float:
        start = time.perf_counter()
        rows.known.count_reading(
            rows.engine.run([leaf], [rows.layout.parts[0]], shared, lambda: None)
        )
        return time.perf_counter() - start

    # what a process compiles and imports once is no pass's
    timed()
    rows.engine.release(leaf.owner)
    seconds = timed(), timed()
    rows.engine.release(leaf.owner)
    share = plan.blocks / min(n_tasks, plan.blocks)
    first, later = seconds[0] * share, (seconds[1] if plan.stage != "none" else seconds[0]) * share
    return replace(
        plan,
        pass_seconds=first,
        staged_pass_seconds=later if plan.stage != "none" else None,
        most_seconds=first + later * (plan.most_passes - 1),
    )
