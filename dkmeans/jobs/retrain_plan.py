"""What a retrain would do: whether there is anything to do, whom it challenges, what it reads."""

from typing import Any

from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.jobs.challenge import Champion, job_rows, partitions_of
from dkmeans.jobs.dry_run import planned
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import settings_of, storage_options_of
from dkmeans.jobs.planning import plan_lines
from dkmeans.jobs.snapshot import earlier_of, snapshot_of
from dkmeans.registry.registry import Registry


def plan_of_retrain(run: Resolved) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return plain values, and lines for people. Reads footers and the champion; writes nothing.

    The costs of a fit that follows a champion are at most those of one from fresh centers, which
    are told here, and one or two passes more.
    """
    job, settings = run.job, settings_of(run.job)
    assert job.registry is not None
    options = storage_options_of(job.data)
    registry = Registry(job.registry.place, options)
    number = registry.aliases().get(job.registry.name)
    champion = None if number is None else Champion(registry.load(number), number)
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
        kept: set[tuple[str, str]] = set()
        if settings.window.coresets is not None:
            store = CoresetStore(settings.window.coresets, options)
            kept = {(one.name, one.partition) for one in store.entries}
        new = [one for one in parts if (one.name, one.fingerprint) not in kept]
        plan["partitions"] = [one.name for one in parts]
        plan["new_partitions"] = [one.name for one in new]
        plan["new_bytes"] = sum(one.n_bytes for one in new)
        lines += [
            ("window", f"{len(parts):,} partitions, {len(new):,} of them new"),
            ("source", f"{plan['new_bytes'] / 1e6:,.1f} MB of new partitions"),
        ]
    earlier = earlier_of(registry.versions(), job.name)
    plan["unchanged"] = earlier is not None and earlier.snapshot == snapshot
    if plan["unchanged"] and earlier is not None:
        same = f"version {earlier.number} came of the same rows and parameters"
        lines.insert(1, ("rows", f"nothing new: {same}"))
    return plan, lines
