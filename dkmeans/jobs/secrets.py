"""Values that are never shown: they stand in the job, or in the environment of whoever runs it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.problems import HIDDEN


@dataclass(frozen=True)
class Env:
    """A reference to a variable of the environment, looked up when it is needed."""

    name: str

    def value(self, path: str) -> str:
        """Return what it stands for; `path` is the key that refers to it.

        Raises
        ------
        ArgumentError
            If there is no such variable.
        """
        try:
            return os.environ[self.name]
        except KeyError:
            raise ArgumentError(
                f"{path} refers to the environment variable {self.name}, which is not set; set it "
                "where the job runs."
            ) from None


def revealed(value: Any, path: str) -> Any:
    """Return a value with what its references to the environment stand for.

    Raises
    ------
    ArgumentError
        If a variable is not set.
    """
    if isinstance(value, Env):
        return value.value(path)
    if isinstance(value, Mapping):
        return {key: revealed(one, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, tuple):
        return [revealed(one, path) for one in value]
    return value


def hidden(value: Any) -> Any:
    """Return a value as it may be shown: keys, and references to the environment."""
    if isinstance(value, Env):
        return {"env": value.name}
    if isinstance(value, Mapping):
        return {key: hidden(one) for key, one in value.items()}
    return HIDDEN
