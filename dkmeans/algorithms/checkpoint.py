"""A fit between two passes, stored so that it can go on anywhere with the same bits.

A few arrays of the size of the centers: what has been found so far. Of fits from a coreset, or by
mini-batches, the rows that were drawn are among it, which go with the checkpoint when the fit is
done. Going on needs the same input, settings and versions, which are compared one by one; workers,
memory and staging may be others.
"""

import hashlib
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.carried import Carried
from dkmeans.algorithms.coreset.pilot import Pilot, Unread
from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.algorithms.drive import RunState
from dkmeans.algorithms.held_out import Held
from dkmeans.algorithms.lloyd import Fit, LloydState
from dkmeans.algorithms.minibatch_state import MiniBatchState
from dkmeans.algorithms.seeding import Drawn
from dkmeans.algorithms.settings import Settings
from dkmeans.algorithms.stream import Stream
from dkmeans.cluster.preflight import versions_here
from dkmeans.errors import MissingInput, StaleCheckpoint
from dkmeans.kernels.block import Block
from dkmeans.models.filling import Filling
from dkmeans.models.scaling import Normalization, Scaling
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows.rows import Rows
from dkmeans.rows.state import RowsState
from dkmeans.storage.atomic import remove_unfinished
from dkmeans.storage.filesystem import absolute, join, redact
from dkmeans.storage.objects import exists, remove
from dkmeans.storage.snapshot import read_snapshot, write_snapshot

_S = TypeVar("_S", bound=Settings)

FILE = "checkpoint.zip"
_FORMAT = 3


@dataclass(frozen=True, eq=False)
class Saved:
    """What a checkpoint holds."""

    identity: dict[str, Any]
    """What going on needs to find the same."""

    run_id: str
    seed: int
    rows: RowsState
    begun: Begun
    format: int = _FORMAT


_TYPES = {
    kind.__name__: kind
    for kind in (
        Saved, RowsState, Begun, Wanted, Scaling, Normalization, Filling, RunState, Drawn,
        Unread, Pilot, Coreset, LloydState, Carried, Fit, ClusterSums, Stream, Held, Block,
        MiniBatchState,
    )
}  # fmt: skip


class Checkpoint:
    """A place for the state of one fit.

    Parameters
    ----------
    url
        A folder, on any fsspec URL; it need not be there yet.
    rows
        The input, before any pass.
    settings
        What the fit was asked for.

    Raises
    ------
    StaleCheckpoint
        If the checkpoint that lies there belongs to other input, settings or versions; the first
        difference is named.
    """

    def __init__(self, url: str, rows: Rows, settings: Settings) -> None:
        self._url = join(absolute(url), FILE)
        self._options = "" if rows.parquet is None else rows.parquet.options
        self._rows = rows
        self._identity = _identity(rows, settings)
        self._run_id = uuid.uuid4().hex
        self._seed = settings.seed
        self.saved: Saved | None = None
        """What lies there."""

        if exists(self._url, self._options):
            self.saved = read_checkpoint(url, self._options)
            difference = _difference(self.saved.identity, self._identity)
            if difference is not None:
                raise StaleCheckpoint(
                    f"the checkpoint at {redact(url)} belongs to another job: {difference}; go on "
                    "with the same, or remove the checkpoint to start afresh."
                )
            self._run_id, self._seed = self.saved.run_id, self.saved.seed

    @property
    def run_id(self) -> str:
        """Names the fit, however often it is interrupted."""
        return self._run_id

    def settings(self, settings: _S) -> _S:
        """Return the settings with the seed of the fit that was begun."""
        return replace(settings, seed=self._seed)

    def write(self, begun: Begun) -> None:
        """Store where the fit is, in one step."""
        saved = Saved(self._identity, self._run_id, self._seed, RowsState.of(self._rows), begun)
        write_snapshot(self._url, saved, self._options)


def read_checkpoint(url: str, options: str) -> Saved:
    """Read the checkpoint in the folder at `url`."""
    where = join(absolute(url), FILE)
    saved = read_snapshot(where, _TYPES, options)
    if not isinstance(saved, Saved) or saved.format != _FORMAT:
        raise StaleCheckpoint(
            f"{redact(where)} was written by another version of dkmeans; remove it."
        )
    return saved


def run_id_at(url: str, options: str) -> str | None:
    """Return the run that the checkpoint at `url` belongs to; None if there is none."""
    try:
        return read_checkpoint(url, options).run_id
    except MissingInput:
        return None


def remove_checkpoint(url: str, options: str) -> None:
    """Remove the checkpoint at `url`, if there is one."""
    remove(join(absolute(url), FILE), options)
    remove_unfinished(absolute(url), options)


def _identity(rows: Rows, settings: Settings) -> dict[str, Any]:
    asked = asdict(settings)
    del asked["fresh_seed"]
    if settings.fresh_seed:
        asked["seed"] = None
    if not isinstance(settings.init, str):
        asked["init"] = hashlib.sha256(np.asarray(settings.init, np.float64).tobytes()).hexdigest()
    return {
        "version of": {text.split()[0]: text.split()[1] for text in versions_here()},
        "parameter": {key: _plain(value) for key, value in asked.items()},
        "input": rows.identity(),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _difference(then: Any, now: Any, name: str = "") -> str | None:
    """Name the first thing that is not what it was; None if nothing is."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*then, *now)):
            found = _difference(then.get(key), now.get(key), f"{name} {key}".strip())
            if found is not None:
                return found
        return None
    if then == now:
        return None
    if then is None:
        return f"{name} is new ({now})"
    if now is None:
        return f"{name} is gone (it was {then})"
    return f"{name} was {then}, is {now}"
