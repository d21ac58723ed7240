"""Name the clusters of the model that an alias points to: a version of its own, and a move."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from dkmeans.errors import ArgumentError
from dkmeans.registry.moves import Move
from dkmeans.registry.registry import CHAMPION, Registry

_OF_A_RUN = "retrain"
"""What the provenance tells of the retrain that made a model, which a copy with names is not."""


def name_clusters(
    registry: Registry,
    names: Mapping[int, str | None],
    colors: Mapping[int, str | None] | None = None,
    *,
    alias: str = CHAMPION,
    reason: str = "names of clusters",
) -> Move:
    """Publish the model of an alias with other names and colors, and move the alias there.

    Made again, after a crash or a doubt, it ends the same.

    Parameters
    ----------
    registry
        Where the alias is.
    names, colors
        By cluster id, as for `Model.renamed`.
    alias
        Whose model is named.
    reason
        Why, kept with the move.

    Raises
    ------
    ArgumentError
        If nothing is named, or a cluster, name or color cannot be.
    AliasMoved
        If somebody else has moved the alias meanwhile.
    MissingInput
        If there is no such alias.
    """
    if not names and not colors:
        raise ArgumentError("no names and no colors are given; name a cluster by its id.")
    number = registry.resolve(alias)
    model = registry.load(number).renamed(names, colors=colors)
    kept = {key: value for key, value in model.provenance.items() if key != _OF_A_RUN}
    asked = json.dumps([number, sorted(names.items()), sorted((colors or {}).items())])
    version = registry.publish(
        replace(model, provenance=kept),
        run_id=f"names-{number}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}",
        parents=(number,),
    )
    return registry.move(alias, version, reason=reason, expected=number)
