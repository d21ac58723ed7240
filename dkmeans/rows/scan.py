"""A scan between two of its passes."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dkmeans.rows.requests import Scan

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows


class RunningScan:
    """A scan between two of its passes."""

    def __init__(
        self,
        rows: "Rows",
        step: Callable[..., Any],
        kind: str,
        broadcasts: tuple[tuple[Any, ...], ...],
    ) -> None:
        self._rows, self._step, self._kind, self._broadcasts = rows, step, kind, broadcasts
        self._name = f"scan-{uuid.uuid4().hex}"
        self.partial = self._run()
        """What the last pass gave."""

    def next(self, *broadcast: Any) -> Any:
        """Make another pass and return its partial."""
        self._broadcasts = (*self._broadcasts, broadcast)
        self.partial = self._run()
        return self.partial

    def _run(self) -> Any:
        return self._rows.run([Scan(self._kind, self._step, self._broadcasts, self._name)])[0]
