"""Where the leaves of a cluster live: the workers that keep their blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dkmeans.rows.leaf import Home, Leaf
from dkmeans.rows.packed import Packed
from dkmeans.rows.spans import Span


@dataclass
class Homes:
    """Where leaves ran last."""

    of_leaf: dict[str, dict[int, Home]] = field(default_factory=dict)
    """By owner, and number."""

    workers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Those that were there when an owner's last pass began."""

    packed: dict[tuple[str, int, int], tuple[Span, Packed]] = field(default_factory=dict)
    """Spans as they travel, by owner, number of the first leaf and how many they are."""

    def pack(self, span: Span) -> Packed:
        """Pack a span, once for all passes."""
        leaves = span.leaves
        if any(leaf.draw is not None for leaf in leaves):
            # those of a step never come again
            return Packed.of(span)
        key = leaves[0].owner, leaves[0].number, len(leaves)
        known, packed = self.packed.get(key, (None, None))
        if known is None or packed is None or not _are_one(known, span):
            packed = Packed.of(span)
            self.packed[key] = span, packed
        return packed

    def forget(self, owner: str) -> None:
        """Forget the leaves of an owner."""
        self.packed = {key: packed for key, packed in self.packed.items() if key[0] != owner}
        self.of_leaf.pop(owner, None)
        self.workers.pop(owner, None)


def _are_one(a: Span, b: Span) -> bool:
    """Whether two spans, of as many leaves, are of the same ones, at the same place of a pass."""
    same_place = a.first == b.first and a.n_leaves == b.n_leaves
    return same_place and all(one is other for one, other in zip(a.leaves, b.leaves, strict=True))


def balanced(leaves: Sequence[Leaf], homes: Homes, workers: Mapping[str, Any]) -> dict[int, Home]:
    """Return where leaves should run: where they were, but for those that a newcomer takes over.

    A worker that was not there in the pass before gets its share, by threads, from the fullest
    ones, and reads the blocks once. Leaves that were nowhere are dealt out in one run for each
    worker, so that few tasks walk them; there others may take them over.
    """
    owner = leaves[0].owner
    known = homes.of_leaf.get(owner, {})
    wanted = {
        leaf.number: home
        for leaf in leaves
        if (home := known.get(leaf.number)) is not None and home.worker in workers
    }
    of_worker: dict[str, list[int]] = {worker: [] for worker in workers}
    for number, home in wanted.items():
        of_worker[home.worker].append(number)
    threads = {worker: int(what["nthreads"]) for worker, what in workers.items()}
    newcomers = set(workers) - homes.workers.get(owner, frozenset(workers))
    for worker in sorted(newcomers):
        share = len(wanted) * threads[worker] // sum(threads.values())
        while len(of_worker[worker]) < share:
            fullest = max(sorted(workers), key=lambda one: len(of_worker[one]) / threads[one])
            number = of_worker[fullest].pop()
            of_worker[worker].append(number)
            wanted[number] = Home(worker, complete=False)
    homes.workers[owner] = frozenset(workers)
    new = [leaf.number for leaf in leaves if leaf.number not in wanted]
    start, dealt = 0, 0
    for worker, n_threads in threads.items():
        dealt += n_threads
        stop = len(new) * dealt // sum(threads.values())
        wanted |= dict.fromkeys(new[start:stop], Home(worker, complete=False))
        start = stop
    return wanted
