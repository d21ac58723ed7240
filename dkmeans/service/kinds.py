"""What the service asks of its parts."""

from typing import Any, Protocol

from dkmeans.kernels.block import Array
from dkmeans.models.model import Assignment, Model


class ServedModel(Protocol):
    """A model that is served, and where it comes from. Never changes."""

    @property
    def model(self) -> Model:
        """The model."""
        ...

    @property
    def name(self) -> str:
        """What the user called it, without credentials."""
        ...

    @property
    def version(self) -> int | None:
        """Its version; None if it is not of a registry."""
        ...

    @property
    def registry(self) -> str | None:
        """The URL of the registry; None if it is not of one."""
        ...

    @property
    def loaded_at(self) -> float:
        """When it was loaded, in seconds since 1970."""
        ...


class Models(Protocol):
    """Knows which model is served now."""

    @property
    def served(self) -> Any:
        """The `ServedModel` of now, asked for once a request; None until the first is loaded."""
        ...

    @property
    def problem(self) -> str | None:
        """What keeps a newer model from being served; None if nothing does."""
        ...

    def start(self) -> Any:
        """Load the first model, and begin to follow where it comes from."""
        ...

    def stop(self) -> None:
        """Follow it no longer."""
        ...


class Figures(Protocol):
    """Counts what is answered. Thread-safe."""

    def begun(self) -> None:
        """Count a request that has come; `ended` follows."""
        ...

    def ended(self) -> None:
        """Count it off again."""
        ...

    def failed(self, kind: str) -> None:
        """Count an error by its kind, a word of ours."""
        ...

    def refuse(self, reason: str) -> None:
        """Count a request that was sent away before it was looked at, by a word for why."""
        ...

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer, whatever it was."""
        ...

    def predicted(self, served: Any, X: Array | None, assignment: Assignment) -> None:
        """Count the clusters of rows: in the units of the data, NaN where values were missing.

        `X` is `(n_rows, n_features)` and belongs to nobody else. None where it is not at hand.
        """
        ...

    def exposition(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        ...
