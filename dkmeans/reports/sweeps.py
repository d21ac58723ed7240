"""The sweep that a model was fitted in."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dkmeans.errors import InputRefused
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.storage.filesystem import absolute

_MODEL_OF_SWEEP = re.compile(r"(.+)/k=[1-9]\d*/*")


def chosen_sweep(
    sweep: str | None, model: Any, storage_options: Mapping[str, Any] | None = None
) -> Sweep | None:
    """Load the sweep that is asked for, else the one that a model at `URL/k=12` is part of.

    None if there is none, or what lies around the model is no whole sweep.
    """
    if sweep is not None:
        return Sweep.load(sweep, storage_options=storage_options)
    place = _MODEL_OF_SWEEP.fullmatch(absolute(model)) if isinstance(model, str) else None
    if place is not None:
        with suppress(InputRefused):
            return Sweep.load(place[1], storage_options=storage_options)
    return None
