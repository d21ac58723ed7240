"""What a job would read and need, from the footers alone, before any worker is started."""

from collections.abc import Callable
from dataclasses import replace

from dkmeans.algorithms.checks import check_enough
from dkmeans.cluster.chosen import local_workers
from dkmeans.cluster.connect import worker_bytes
from dkmeans.rows.demand import HasDemand
from dkmeans.rows.engine import IDLE_WORKER_BYTES, Slot
from dkmeans.rows.plan import Plan, measured, plan_of
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import Room, StageName, decide
from dkmeans.rows.task_memory import check_fits


def sampled(rows: Rows, size: float | None, n_clusters: int) -> Rows:
    """Return the rows that a fit is about: all, or a sample; checked to be enough of them."""
    if rows.n_source_rows is not None:
        check_enough(rows.n_source_rows, 1.0, n_clusters)
    return rows if size is None else rows.sample(size)


def plan_for_workers(
    rows: Rows,
    asking: Callable[[Rows], HasDemand],
    stage: StageName,
    slots: tuple[Slot, ...],
    *,
    measure: bool = False,
) -> tuple[Rows, Plan]:
    """Plan for workers that are not there yet.

    Parameters
    ----------
    rows
        Opened in this process, with `stage="none"`.
    asking
        Returns what is to be fitted, given the rows as the workers would keep them.
    stage
        Where decoded rows are to stay.
    slots
        Of the workers, from `slots_of`.
    measure
        Whether to read and time a block.

    Returns
    -------
    rows, plan
        The rows as the workers would keep them, and what the fit would cost.
    """
    memory = sum(slot.free_bytes for slot in slots)
    room = _Planned(Room(memory, rows.engine.room().disk_bytes))
    staging = decide(stage, rows.decoded_bytes, rows.n_source_rows, room)
    rows = replace(rows, staging=staging)
    demand = asking(rows).demand(rows.n_features, rows.dtype)
    check_fits(rows, demand, slots)
    plan = plan_of(rows, demand, slots)
    if measure:
        plan = measured(rows, plan, demand, sum(slot.n_tasks for slot in slots))
    return rows, plan


def slots_of(rows: Rows, n_workers: int | None, memory: str | None) -> tuple[Slot, ...]:
    """Return where tasks of local workers will run; None stands for what they are by default."""
    n_workers, size = local_workers(n_workers, memory)
    if n_workers == 0:
        return rows.engine.slots()
    free = max(0, worker_bytes(size) - IDLE_WORKER_BYTES)
    return tuple(Slot(f"worker {i}", 1, free) for i in range(n_workers))


class _Planned:
    """The room that workers will have once they are started."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def room(self) -> Room:
        """Return it."""
        return self._room


def plan_lines(cost: Plan, rows: Rows) -> list[tuple[str, str]]:
    """Return a plan as a user reads it: names and what they are."""
    assert rows.parquet is not None
    skipped = f", {cost.skipped_files:,} left out" if cost.skipped_files else ""
    requests = f" in {cost.source_requests:,} requests" if cost.source_requests else ""
    local = ""
    if cost.local_bytes_read:
        local = (
            f"; local disks: {cost.local_bytes_written / 1e6:,.1f} MB written, at most "
            f"{cost.local_bytes_read / 1e6:,.1f} MB read"
        )
    once = ""
    if cost.process_bytes:
        once = f", and {cost.process_bytes / 1e6:,.0f} MB once a worker for compiled code"
    lines = [
        ("files", f"{cost.files:,}{skipped}"),
        ("rows", f"{cost.rows:,}"),
        ("features", f"{cost.features} ({rows.parquet.choice})"),
        ("source", f"{cost.source_bytes / 1e6:,.1f} MB{requests} a pass"),
        ("decoded", f"{cost.decoded_bytes / 1e6:,.1f} MB"),
        ("stage", cost.stage_reason),
        ("blocks", f"{cost.blocks:,} in {cost.leaves:,} leaves, {cost.tasks:,} tasks a pass"),
        (
            "passes",
            f"at most {cost.most_passes:,}, reading at most {cost.most_bytes_read / 1e6:,.1f} MB "
            f"of the source{local}",
        ),
        ("memory", f"{cost.task_bytes / 1e6:,.1f} MB for one task, above an idle worker{once}"),
    ]
    if cost.most_seconds is not None:
        later = (
            "" if cost.staged_pass_seconds is None else f", {cost.staged_pass_seconds:,.1f} s later"
        )
        lines.append(
            (
                "seconds",
                f"{cost.pass_seconds:,.1f} s a pass{later}; at most {cost.most_seconds:,.0f} s",
            )
        )
    return lines
