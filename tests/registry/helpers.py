"""What tests of registries share."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dkmeans.models.model import Model
from dkmeans.registry.records import _digest
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model


def fill(registry: Registry, n: int) -> None:
    """Publish versions 1 to n, of models whose seeds are their numbers, by runs of that name."""
    for number in range(1, n + 1):
        assert registry.publish(make_model(seed=number), run_id=f"run {number}") == number


def is_of_seed(model: Model, seed: int) -> bool:
    return np.array_equal(model.scaled_centers, make_model(seed=seed).scaled_centers)


def forge(path: Path, change: Callable[[dict], object]) -> None:
    """Change a record and put its hash right again, as somebody with bad intentions would."""
    body = json.loads(path.read_text())
    change(body)
    body["sha256"] = _digest(body)
    path.write_text(json.dumps(body))
