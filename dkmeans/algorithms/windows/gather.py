"""The coresets of the partitions of a window: those that are kept, and new ones for the others."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from dkmeans.algorithms.demand import demand_of
from dkmeans.algorithms.drive import Record
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.partition import PartitionCoreset, draw
from dkmeans.algorithms.windows.reading import Reading
from dkmeans.algorithms.windows.sizes import is_enough, least_sizes, size_to_draw
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import ArgumentError, TooFewRows
from dkmeans.models.model import Model
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.partitions import Partition
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits


@dataclass(frozen=True, eq=False)
class Gathered:
    """Coresets of partitions, in their order."""

    partitions: tuple[Partition, ...]
    """Those that have rows."""

    parts: dict[str, PartitionCoreset]
    """By name."""

    read: tuple[str, ...]
    """Names of those whose rows were read."""

    history: tuple[Record, ...]
    """Of what was read."""

    rows_read: int
    bytes_read: int


def gather(
    partitions: Sequence[Partition],
    reading: Reading,
    settings: KMeansSettings,
    champion: Model | None,
    store: CoresetStore | None,
    allowance: Allowance,
) -> Gathered:
    """Return the coresets of some partitions; those that are not kept are read, and kept.

    Of each many rows are drawn, and kept: a coreset cannot grow, and what a partition is worth
    differs from window to window. One that was drawn for a window of many more partitions, and has
    less than half of the least that it should have, is drawn anew.

    Each is kept as soon as it is there: who is interrupted goes on with the next one.

    Raises
    ------
    BudgetSpent
        If it would cost more than is allowed; where the partitions that are new have more bytes
        than that, before the first of them is read.
    """
    _check_names(partitions)
    kept = {} if store is None else _kept(partitions, reading, store)
    with ExitStack() as stack:
        opened: dict[str, Rows] = {}

        def open_again(partition: Partition) -> bool:
            try:
                rows = reading.open(partition, champion)
            except TooFewRows as error:
                reporter().note(f"partition {partition.name} is left out: {error}")
                return False
            opened[partition.name] = stack.enter_context(rows)
            return True

        present = [
            partition for partition in partitions if partition.name in kept or open_again(partition)
        ]
        if not present:
            raise TooFewRows(f"none of the {len(partitions)} partitions has rows.")
        n_rows = {name: part.n_source_rows for name, part in kept.items()}
        n_rows |= {name: rows.n_source_rows or 0 for name, rows in opened.items()}
        size = settings.n_coreset_rows
        least = least_sizes(n_rows, size, 2 * settings.n_clusters)
        for partition in present:
            part = kept.get(partition.name)
            if part is not None and _is_too_small(part, least[partition.name]):
                reporter().note(
                    f"the coreset of {partition.name} was drawn for a larger window; the partition "
                    "is read again"
                )
                del kept[partition.name]
                open_again(partition)
        if opened:
            n_bytes = sum(rows.known.next_bytes for rows in opened.values())
            allowance.check(n_bytes, f"{len(opened)} new partitions")
        history: list[Record] = []
        parts: dict[str, PartitionCoreset] = {}
        for partition in present:
            name = partition.name
            if name in kept:
                parts[name] = kept[name]
                continue
            wanted = size_to_draw(n_rows[name], len(present), size, least[name])
            asked = _asked(settings, partition, wanted)
            rows = allowance.limit(opened[name])
            check_fits(rows, demand_of(asked, rows.n_features, rows.dtype), rows.engine.slots())
            parts[name], records = draw(rows, asked, champion)
            history += [{**record, "partition": name} for record in records]
            rows.close()
            if store is not None:
                store.put(partition, reading.name, parts[name])
    return Gathered(
        tuple(present),
        parts,
        tuple(opened),
        tuple(history),
        sum(rows.rows_read for rows in opened.values()),
        sum(rows.bytes_read for rows in opened.values()),
    )


def _kept(
    partitions: Sequence[Partition], reading: Reading, store: CoresetStore
) -> dict[str, PartitionCoreset]:
    found = {one.name: find_kept(one, reading, store) for one in partitions}
    return {name: part for name, part in found.items() if part is not None}


def find_kept(
    partition: Partition, reading: Reading, store: CoresetStore
) -> PartitionCoreset | None:
    """Return the coreset of a partition whose rows are read so; None if none is kept.

    One that was drawn before columns were named will do, if these are its own.
    """
    entry = store.find(partition, reading.name)
    part = None if entry is None else store.load(entry)
    if part is not None or reading.columns is None:
        return part
    entry = store.find(partition, reading.name_of_all)
    part = None if entry is None else store.load(entry)
    if part is None or part.columns is None:
        return None
    return part if tuple(one.name for one in part.columns) == reading.columns else None


def _is_too_small(part: PartitionCoreset, size: int) -> bool:
    return not part.coreset.is_everything and not is_enough(part.size, size)


def _asked(settings: KMeansSettings, partition: Partition, size: int) -> KMeansSettings:
    """Return what is asked of one partition, with a seed of its own.

    Rows of partitions have the same numbers: from one seed, they would be drawn alike.
    """
    named = hashlib.sha256(f"{settings.seed}/{partition.name}".encode())
    seed = int.from_bytes(named.digest()[:7], "big")
    return replace(settings, seed=seed, coreset_size=size)


def _check_names(partitions: Sequence[Partition]) -> None:
    if not partitions:
        raise ArgumentError("partitions=[] has no partition; give some, from list_partitions.")
    names = [partition.name for partition in partitions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(f"partition {twice} is given twice; give each once.")
