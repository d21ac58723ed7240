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
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import ArgumentError, TooFewRows
from dkmeans.models.model import Model
from dkmeans.rows.partitions import Partition
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits

_ENOUGH = 0.5
"""Which part of the rows that a partition should have in a window is enough, if they are kept."""


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
) -> Gathered:
    """Return the coresets of some partitions; those that are not kept are read, and kept.

    A partition is to have as many rows as is its share of the rows of the window, of those that a
    coreset of the window would have, at least as many as if all partitions had the same. Drawn
    apart, partition by partition, they are never worse than the same number drawn from all. A
    coreset that was drawn for a larger window, and has less than half of that, is drawn anew.

    Each is kept as soon as it is there: who is interrupted goes on with the next one.
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
        sizes = sizes_of(n_rows, settings.n_coreset_rows, 2 * settings.n_clusters)
        for partition in present:
            part = kept.get(partition.name)
            if part is not None and _is_too_small(part, sizes[partition.name]):
                reporter().note(
                    f"the coreset of {partition.name} was drawn for a larger window; the partition "
                    "is read again"
                )
                del kept[partition.name]
                open_again(partition)
        history: list[Record] = []
        parts: dict[str, PartitionCoreset] = {}
        for partition in present:
            name = partition.name
            if name in kept:
                parts[name] = kept[name]
                continue
            asked = _asked(settings, partition, sizes[name])
            rows = opened[name]
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


def sizes_of(n_rows: dict[str, int], size: int, least: int) -> dict[str, int]:
    """Return how many rows the coreset of each partition of a window should have.

    Parameters
    ----------
    n_rows
        Of each partition, by name.
    size
        Rows that a coreset of the window would have.
    least
        Fewest rows of any.
    """
    total = sum(n_rows.values())
    return {
        name: max(least, -(-size // len(n_rows)), -(-size * n // max(1, total)))
        for name, n in n_rows.items()
    }


def _kept(
    partitions: Sequence[Partition], reading: Reading, store: CoresetStore
) -> dict[str, PartitionCoreset]:
    found = {}
    for partition in partitions:
        entry = store.find(partition, reading.name)
        part = None if entry is None else store.load(entry)
        if part is not None:
            found[partition.name] = part
    return found


def _is_too_small(part: PartitionCoreset, size: int) -> bool:
    return not part.coreset.is_everything and part.size < _ENOUGH * size


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
