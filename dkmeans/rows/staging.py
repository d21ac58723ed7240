"""Whether decoded blocks are kept between passes."""

from typing import Literal

import numpy as np

from dkmeans.rows.engine import Engine
from dkmeans.rows.progress import reporter
from dkmeans.rows.store import MEMORY_SHARE

StageName = Literal["auto", "memory", "none"]
_NAMES = ("auto", "memory", "none")


def keeps_blocks(stage: StageName, decoded_bytes: int | None, engine: Engine) -> bool:
    """Whether to keep decoded blocks in memory between passes."""
    if stage != "auto":
        return stage == "memory"
    room = int(MEMORY_SHARE * engine.memory_bytes())
    if decoded_bytes is None:
        return True
    fits = decoded_bytes <= room
    reporter().note(
        f"stage: {'memory' if fits else 'none'} (decoded rows {decoded_bytes / 1e6:,.0f} MB, "
        f"half of the memory {room / 1e6:,.0f} MB)"
    )
    return fits


def row_bytes(n_features: int, dtype: str, weighted: bool) -> int:
    """Return the bytes of a decoded row."""
    return n_features * np.dtype(dtype).itemsize + (8 if weighted else 0)
