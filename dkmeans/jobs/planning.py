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
    """Return a plan as a user reads it: names and what they are, the features by name."""
    assert rows.parquet is not None
    chosen = {"features": f"{cost.features} ({rows.parquet.choice})"}
    return [(name, chosen.get(name, value)) for name, value in cost.lines()]
