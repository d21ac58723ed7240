"""What scikit-learn's converged fits reach: kept in a file, since they take hours."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import Timing

Fit = Callable[[int], dict[str, Any]]
"""Fits with a seed; returns at least `inertia` and `seconds`."""


def digest(X: np.ndarray) -> int:
    """A checksum of rows, the same for any order of them that leaves equal columns."""
    return zlib.crc32(np.ascontiguousarray(np.sort(X, axis=0)))


class References:
    """A JSON file of what fits with several seeds have found.

    Each fit is written as it ends, so that what is interrupted goes on from there. Other processes
    may write other entries meanwhile.

    Parameters
    ----------
    path
        The file; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def known(self, name: str, of: int) -> dict[int, dict[str, Any]]:
        """Return what is known of a case, by seed; nothing where its rows had another digest."""
        entry = self._read().get(name, {})
        if entry.get("digest") != of:
            return {}
        return {int(seed): found for seed, found in entry["seeds"].items()}

    def complete(self, name: str, of: int, n_seeds: int, fit: Fit) -> None:
        """Fit with the seeds that are not known yet.

        Parameters
        ----------
        name
            Of the case.
        of
            The digest of its rows.
        n_seeds
            Seeds are 0 and so on.
        fit
            What is done for each.
        """
        for seed in range(n_seeds):
            if seed not in self.known(name, of):
                self._keep(name, of, seed, fit(seed))

    def _read(self) -> dict[str, Any]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def _keep(self, name: str, of: int, seed: int, found: dict[str, Any]) -> None:
        entries = self._read()
        entry = entries.get(name, {})
        if entry.get("digest") != of:
            entry = {"digest": of, "seeds": {}}
        entry["seeds"][str(seed)] = found
        entries[name] = entry
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        beside.write_text(json.dumps(entries, indent=1) + "\n")
        beside.replace(self._path)


def timing_of(known: dict[int, dict[str, Any]], what: str) -> Timing:
    """Return one figure of all seeds."""
    return Timing(tuple(found[what] for found in known.values()))
