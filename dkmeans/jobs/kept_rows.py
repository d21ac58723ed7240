"""Where rows of the data are kept that a model was made of, and how they are removed.

Models hold centers, weights, moments and histograms; so do sweeps, exports and reports, and records
of runs hold less. Rows are in the coresets of partitions, in checkpoints of fits from a coreset and
of mini-batches, and in blocks that processes keep on their disks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dkmeans.algorithms.checkpoint import remove_checkpoint
from dkmeans.algorithms.windows.forgetting import Forgotten, forget_keys
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import MissingInput
from dkmeans.jobs import records
from dkmeans.models.model import Model
from dkmeans.registry.registry import Registry
from dkmeans.rows.key_search import Keys
from dkmeans.storage.filesystem import join, redact, remember
from dkmeans.storage.objects import names_at

ELSEWHERE = (
    "checkpoints of fits that were given one by --checkpoint, until the fit is done",
    "blocks on the disks of other machines (dkmeans-blocks-* in their temporary folders): the next "
    "process there, or the next start of a Dask worker, removes those of dead ones",
    "examples of rows in what profiles have printed or saved (--examples), and in notebooks",
)
"""Where rows may lie that nobody can find from a model."""


@dataclass(frozen=True)
class KeptRows:
    """What the job of a model says of where rows are kept."""

    coresets: str | None
    """The store of coresets; None if there is none."""

    partitions: tuple[str, ...]
    """Names of the partitions that the model was made of."""

    checkpoint: str | None
    """The folder of checkpoints; None if there is none."""

    job: str | None
    """The name of the job; None if the model does not know one."""

    outputs: tuple[str, ...]
    """What the job has written row by row, a phrase each: results, which are not removed."""

    @classmethod
    def of(cls, model: Model) -> "KeptRows":
        """Look at the job that is stored with a model."""
        told = model.provenance.get("job")
        told = told if isinstance(told, Mapping) else {}
        try:
            job = yaml.safe_load(str(told.get("text", "")))
        except yaml.YAMLError:
            job = None
        window = model.provenance.get("window")
        known = window["partitions"] if isinstance(window, Mapping) else []
        names = tuple(str(one["name"]) for one in known)
        name = told.get("name")
        clusters = _at(job, "output", "clusters")
        keys = _at(job, "data", "keys") or ()
        with_keys = f", with {', '.join(map(str, keys))}" if keys else ""
        outputs = (f"the cluster of each row at {clusters}{with_keys}",) if clusters else ()
        return cls(
            _at(job, "model", "window", "coresets"),
            names,
            _at(job, "checkpoint"),
            None if name is None else str(name),
            outputs,
        )

    def checkpoints(self, options: str) -> list[str]:
        """Return the checkpoints that runs of the job have left."""
        if self.checkpoint is None or self.job is None:
            return []
        named = re.compile(rf"{re.escape(self.job)}-[0-9a-f]{{16}}")
        folders = [
            join(self.checkpoint, name)
            for name in sorted(names_at(self.checkpoint, options))
            if named.fullmatch(name)
        ]
        return [url for url in folders if names_at(url, options)]


@dataclass(frozen=True)
class Removed:
    """What was removed of the rows of a model, or would be."""

    coresets: str | None
    n_rows: int
    """Of coresets."""

    partitions: tuple[str, ...]
    checkpoints: tuple[str, ...]
    outputs: tuple[str, ...]
    """What is still there, as it is a result."""

    found: Forgotten | None
    """What was found of keys, if some were named."""

    is_dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            **({} if self.found is None else self.found.to_dict()),
            "rows": self.n_rows,
            "partitions": list(self.partitions),
            "coresets": None if self.coresets is None else redact(self.coresets),
            "checkpoints": [redact(one) for one in self.checkpoints],
            "left": [*self.outputs, *ELSEWHERE],
            "dry_run": self.is_dry_run,
        }


def forget_model(
    model: Model,
    keys: Keys | None = None,
    *,
    dry_run: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Removed:
    """Remove the stored rows that a model was made of, as far as its job tells where they are.

    Coresets of the partitions that it was made of, and checkpoints that runs of its job have left.
    A partition that was written anew since counts as the same.

    Parameters
    ----------
    model
        The model.
    keys
        Remove of all coresets in the store those that may hold these; None for those of the model.
    dry_run
        Only tell what would go.
    storage_options
        For the store of every URL.

    Raises
    ------
    ArgumentError
        As `forget_keys`.
    OutputExists
        If something else lies where the coresets were.
    """
    options, kept = remember(storage_options), KeptRows.of(model)
    found, n_rows = None, 0
    names: tuple[str, ...] = ()
    if kept.coresets is not None:
        store = CoresetStore(kept.coresets, storage_options)
        if keys is not None:
            found = forget_keys(store, keys, dry_run=dry_run, storage_options=storage_options)
            n_rows, names = found.n_rows, found.partitions
        else:
            n_rows, names = _forget(store, kept.partitions, dry_run)
    checkpoints = tuple(kept.checkpoints(options))
    if not dry_run:
        for url in checkpoints:
            remove_checkpoint(url, options)
    return Removed(kept.coresets, n_rows, names, checkpoints, kept.outputs, found, dry_run)


def model_of_run(
    registry: Registry, url: str, run_id: str, storage_options: Mapping[str, Any] | None = None
) -> Model:
    """Load the model that a run has published, by the name of the run or of its publishing.

    Raises
    ------
    MissingInput
        If there is none.
    """
    versions = registry.versions()
    number = next((one.number for one in versions if one.run_id == run_id), None)
    if number is None and records.RUN_ID.fullmatch(run_id):
        attempts = records.attempts(url, run_id, remember(storage_options))
        told = [one.model_version for one in attempts if one.model_version is not None]
        number = told[-1] if told else None
    if number is None:
        raise MissingInput(
            f"run {run_id!r} has published no version in {redact(url)}; name the coresets, which "
            "its job has at model.window.coresets."
        )
    return registry.load(number)


def _forget(
    store: CoresetStore, partitions: tuple[str, ...], dry_run: bool
) -> tuple[int, tuple[str, ...]]:
    own = [one for one in store.entries if one.name in partitions]
    names = tuple(sorted({one.name for one in own}))
    n_rows = sum(one.coreset_rows for one in own)
    if not dry_run:
        store.forget(names)
        store.tidy()
    return n_rows, names


def _at(value: Any, *names: str) -> Any:
    """What lies below some names; None if nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
