"""Models of jobs in registries: where a job reads one, and where it stores one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import AliasMoved
from dkmeans.jobs.load import Resolved
from dkmeans.models.model import Model
from dkmeans.registry.reference import locate
from dkmeans.registry.registry import Registry


@dataclass(frozen=True)
class Published:
    """A version that a job has published."""

    version: int
    alias: str
    points_to: int
    """The version that the alias points to now."""

    @property
    def is_first(self) -> bool:
        """Whether the alias points to it."""
        return self.version == self.points_to


def publish(
    run: Resolved,
    model: Model,
    storage_options: Mapping[str, Any],
    attachments: Mapping[str, bytes],
) -> Published:
    """Publish a trained model; an alias that is not there yet begins with it.

    An alias that is there is left alone: that is for a retrain, or for people. A run that has
    published before gets its version again.
    """
    place = run.job.registry
    assert place is not None
    registry = Registry(place.place, storage_options)
    run_id = str(model.provenance["run_id"])
    files = {"job.yaml": run.text.encode(), **attachments}
    version = registry.publish(model, run_id=run_id, attachments=files)
    points_to = registry.aliases().get(place.name)
    if points_to is None:
        reason = f"first version, trained by job {run.job.name} as of {run.as_of}"
        try:
            registry.move(place.name, version, reason=reason, expected=None)
        except AliasMoved:
            # somebody else was first
            points_to = registry.aliases()[place.name]
        else:
            points_to = version
    return Published(version, place.name, points_to)


@dataclass(frozen=True)
class Referred:
    """The model that a job reads."""

    model: Model
    name: str
    """What the job calls it."""

    version: int | None
    """In its registry; None if it is of none."""


def referred(run: Resolved, storage_options: Mapping[str, Any]) -> Referred:
    """Load the model that a predict is about.

    Raises
    ------
    MissingInput
        If there is none.
    ModelRefused
        If it is damaged.
    """
    name, place = run.job.model, run.job.registry
    if not isinstance(name, str):
        assert place is not None
        name = f"{place.place}@{place.name}"
    at = locate(name, storage_options)
    return Referred(Model.load(at.url, storage_options=storage_options), name, at.version)
