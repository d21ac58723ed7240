"""What a retrain would do: whether there is anything to do, whom it challenges, what it reads."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from dkmeans.algorithms.windows.gather import find_kept
from dkmeans.algorithms.windows.reading import Reading
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.jobs.challenge import Champion, job_rows
from dkmeans.jobs.dry_run import planned
from dkmeans.jobs.fitting import Window
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import settings_of, storage_options_of
from dkmeans.jobs.planning import plan_lines
from dkmeans.jobs.snapshot import earlier_of, snapshot_of
from dkmeans.jobs.windows import (
    accepted,
    coresets_of,
    new_partitions,
    partitions_of,
    reading_of,
    rows_to_judge,
)
from dkmeans.models.model import Model
from dkmeans.registry.registry import Registry
from dkmeans.registry.versions import Version
from dkmeans.rows.partitions import Partition
from dkmeans.rows.pilot import pilot_cost

_Lines = list[tuple[str, str]]


def plan_of_retrain(run: Resolved) -> tuple[dict[str, Any], _Lines]:
    """Return plain values, and lines for people. Reads footers and the champion; writes nothing.

    The costs of a fit that follows a champion are at most those of one from fresh centers, which
    are told here, and one or two passes more. Those of a window are all that fitting and judging
    may read.
    """
    job, settings = run.job, settings_of(run.job)
    assert job.registry is not None
    options = storage_options_of(job.data)
    registry = Registry(job.registry.place, options)
    number = registry.aliases().get(job.registry.name)
    champion = None if number is None else Champion(registry.load(number), number)
    versions = registry.versions()
    plan: dict[str, Any] = {"champion": number}
    who = "none yet: a first model" if number is None else f"version {number}"
    lines = [("champion", who)]
    if settings.window is None:
        with job_rows(run, champion, options) as rows:
            snapshot = snapshot_of(run, rows.identity())
        with planned(job) as (rows, cost):
            plan |= cost.to_dict()
            lines += plan_lines(cost, rows)
    else:
        parts = partitions_of(run, settings.window, options)
        snapshot = snapshot_of(run, [(one.name, one.fingerprint) for one in parts])
        served = {move.version for move in registry.moves(job.registry.name)}
        old = None if champion is None else champion.model
        more, about = _of_window(run, settings.window, old, versions, served)
        plan |= more
        lines += about
    earlier = earlier_of(versions, job.name)
    plan["unchanged"] = earlier is not None and earlier.snapshot == snapshot
    if plan["unchanged"] and earlier is not None:
        same = f"version {earlier.number} came of the same rows and parameters"
        lines.insert(1, ("rows", f"nothing new: {same}"))
    return plan, lines


def _of_window(
    run: Resolved,
    window: Window,
    champion: Model | None,
    versions: Sequence[Version],
    served: set[int],
) -> tuple[dict[str, Any], _Lines]:
    """Plan the reading of a window: of the partitions that are not kept, and of those to judge."""
    options, stage = storage_options_of(run.job.data), run.job.stage
    parts = accepted(run, partitions_of(run, window, options), versions, served)
    new = new_partitions(run, parts, champion, versions, served)
    store, reading = coresets_of(run, options), reading_of(run, champion, options)
    to_read = [one for one in parts if store is None or store.find(one, reading.name) is None]
    n_rows = n_bytes = n_looked_at = 0
    with ExitStack() as stack:
        for one in to_read:
            rows = stack.enter_context(reading.open(one, champion))
            n_rows += rows.n_source_rows or 0
            n_bytes += rows.known.next_bytes
            n_looked_at += 0 if champion is not None else pilot_cost(rows)[0]
        judged = rows_to_judge(run, parts, new, champion, options, "none")
        judged_bytes = stack.enter_context(judged).known.next_bytes
        judged_rows = judged.n_source_rows or 0
    # a coreset may take a second read, and judging a second pass; what is staged is not fetched
    most = 2 * (n_bytes + judged_bytes) + n_looked_at if stage == "none" else n_bytes + judged_bytes
    plan = {
        "partitions": [one.name for one in parts],
        "new_partitions": [one.name for one in new],
        "partitions_to_read": [one.name for one in to_read],
        "rows_to_read": n_rows,
        "bytes_to_read": n_bytes,
        "rows_to_judge": judged_rows,
        "most_passes": 4 if to_read else 2,
        "most_bytes_read": most,
    }
    lines = [
        ("window", f"{len(parts):,} partitions, {len(new):,} of them new"),
        (
            "source",
            f"{n_bytes / 1e6:,.1f} MB of {len(to_read):,} partitions that are not kept, "
            f"{n_rows:,} rows",
        ),
        ("judging", f"{judged_bytes / 1e6:,.1f} MB, {judged_rows:,} rows"),
        ("passes", f"at most {plan['most_passes']}, reading at most {most / 1e6:,.1f} MB"),
    ]
    limit = run.job.limits.max_bytes
    if limit is not None and n_bytes > limit:
        plan["over_limits"] = ["max_bytes"]
        lines.append(("limits", f"max_bytes={limit:g} is less than that: nothing will be read"))
    return plan, lines


def _is_kept(partition: Partition, reading: Reading, store: CoresetStore) -> bool:
    # most are found by what is listed; to be sure of the others takes their coresets
    return (
        store.find(partition, reading.name) is not None
        or find_kept(partition, reading, store) is not None
    )
