"""Where decoded blocks are kept between passes, decided from the plan and what is free."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from dkmeans.rows.leaf import Stage
from dkmeans.rows.progress import reporter
from dkmeans.rows.store import MEMORY_SHARE

StageName = Literal["auto", "memory", "disk", "none"]
STAGE_NAMES = ("auto", "memory", "disk", "none")

STATE_BYTES = 8
"""Bytes of a row's state beside its block while k-means|| seeds: distance and nearest candidate."""

LABEL_BYTES = 4
"""Bytes of a row's label: a code."""


@dataclass(frozen=True)
class Room:
    """What all workers together have free."""

    memory_bytes: int
    disk_bytes: int
    """On local disks, a reserve for others left out; a disk that workers share counts once."""


class HasRoom(Protocol):
    """What knows the room there is: an engine."""

    def room(self) -> Room:
        """Return what is free now."""
        ...


@dataclass(frozen=True)
class Staging:
    """A decision, and the numbers that it was made from."""

    stage: Stage
    asked: StageName
    decoded_bytes: int | None
    """Bytes of all rows in memory; None if they are not counted yet."""

    room: Room | None
    """None if it was not asked for."""

    why: str = "as asked"
    """The reason, where it is not the room."""

    def tell(self) -> None:
        """Report the decision, if it was ours."""
        if self.room is not None:
            reporter().note(f"stage: {self}")

    def __str__(self) -> str:
        if self.room is None:
            return f"{self.stage} ({self.why})"
        decoded = "?" if self.decoded_bytes is None else f"{self.decoded_bytes / 1e6:,.0f} MB"
        return (
            f"{self.stage} (decoded rows {decoded}; half of the free memory "
            f"{MEMORY_SHARE * self.room.memory_bytes / 1e6:,.0f} MB; free local disk "
            f"{self.room.disk_bytes / 1e6:,.0f} MB)"
        )


def decide(
    asked: StageName, decoded_bytes: int | None, n_rows: int | None, where: HasRoom
) -> Staging:
    """Decide where to keep decoded blocks.

    "auto" is memory if the rows fit in half of what is free there, else disk if they fit there,
    else none. Rows that are not counted yet go to the disk if that has more room.
    """
    if asked != "auto":
        return Staging(asked, asked, decoded_bytes, None)
    room = where.room()
    in_memory = MEMORY_SHARE * room.memory_bytes
    if decoded_bytes is None:
        stage: Stage = "disk" if room.disk_bytes > in_memory else "memory"
    elif decoded_bytes <= in_memory:
        stage = "memory"
    elif decoded_bytes + STATE_BYTES * (n_rows or 0) <= room.disk_bytes:
        stage = "disk"
    else:
        stage = "none"
    return Staging(stage, asked, decoded_bytes, room)


def where_they_lie(
    asked: StageName, place: str, decoded_bytes: int | None, where: HasRoom
) -> Staging:
    """Decide for rows that lie in memory already, where tasks want them.

    Arrays of the client lie row by row mostly, and kernels want them feature by feature: they are
    turned, checked and scaled once, if another copy fits in half of what is free. Arrays that are
    feature-major already are kept without a copy. Chunks on a cluster are left as they lie.
    """
    if asked in ("auto", "memory") and place == "client" and decoded_bytes is not None:
        room = where.room()
        if decoded_bytes <= MEMORY_SHARE * room.memory_bytes:
            why = "the rows lie in memory, and are kept feature by feature"
            return Staging("memory", asked, decoded_bytes, None, why)
    return Staging("none", "none", None, None, "the rows lie in memory already")


def row_bytes(n_features: int, dtype: str, weighted: bool, n_labels: int = 0) -> int:
    """Return the bytes of a decoded row."""
    return n_features * np.dtype(dtype).itemsize + (8 if weighted else 0) + LABEL_BYTES * n_labels
