"""Where the leaves of a cluster live: the workers that keep their blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed.protocol.pickle import dumps

from dkmeans.rows.leaf import Home, Leaf


@dataclass
class Homes:
    """Where leaves ran last."""

    of_leaf: dict[tuple[str, int], Home] = field(default_factory=dict)
    """By owner and number."""

    workers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Those that were there when an owner's last pass began."""

    packed: dict[tuple[str, int, int], tuple[tuple[Leaf, ...], bytes]] = field(default_factory=dict)
    """Leaves as they travel, by owner, number of the first one and how many they are."""

    def pack(self, leaves: tuple[Leaf, ...]) -> bytes:
        """Pickle leaves, once for all passes: the scheduler would do so again for each."""
        if any(leaf.draw is not None for leaf in leaves):
            # those of a step never come again
            return bytes(dumps(leaves))
        key = leaves[0].owner, leaves[0].number, len(leaves)
        known, packed = self.packed.get(key, ((), b""))
        if len(known) != len(leaves) or any(a is not b for a, b in zip(known, leaves)):
            packed = bytes(dumps(leaves))
            self.packed[key] = leaves, packed
        return packed

    def forget(self, owner: str) -> None:
        """Forget the leaves of an owner."""
        self.packed = {key: packed for key, packed in self.packed.items() if key[0] != owner}
        self.of_leaf = {key: home for key, home in self.of_leaf.items() if key[0] != owner}
        self.workers.pop(owner, None)


def balanced(leaves: Sequence[Leaf], homes: Homes, workers: Mapping[str, Any]) -> dict[int, Home]:
    """Return where leaves should run: where they were, but for those that a newcomer takes over.

    A worker that was not there in the pass before gets its share, by threads, from the fullest
    ones, and reads the blocks once. Leaves that were nowhere are dealt out in one run for each
    worker, so that few tasks walk them; there others may take them over.
    """
    owner = leaves[0].owner
    wanted = {
        leaf.number: home
        for leaf in leaves
        if (home := homes.of_leaf.get((owner, leaf.number))) is not None and home.worker in workers
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
