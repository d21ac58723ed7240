"""What a fit will cost, before it is begun: passes, bytes, memory of a task."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.settings import Settings
from dkmeans.kernels.nearest import TILE_CENTERS, TILE_ROWS
from dkmeans.rows.rows import Rows
from dkmeans.rows.store import MEMORY_SHARE


@dataclass(frozen=True)
class Cost:
    """An estimate from the footers and the settings alone."""

    files: int
    rows: int
    """Stored rows, before filters."""

    features: int
    blocks: int
    leaves: int
    """Tasks of a pass, merging apart."""

    source_bytes: int
    """Bytes that one pass over the source reads."""

    decoded_bytes: int
    staged: bool
    """Whether decoded blocks are kept in memory between passes."""

    most_passes: int
    """Passes if `max_iter` is reached and no cluster comes out empty."""

    most_bytes_read: int
    """Bytes read from the source by that many passes."""

    task_bytes: int
    """Peak memory of one task, above an idle worker, kept blocks apart."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


def cost_of(rows: Rows, settings: Settings, memory_bytes: int | None = None) -> Cost:
    """Estimate what `kmeans(rows, settings)` costs; reads nothing.

    `memory_bytes` is the memory of all workers together, where it is not that of the rows' engine.

    Raises
    ------
    TooFewRows
        If there are fewer rows than clusters.
    """
    check_enough(rows.n_source_rows or settings.n_clusters, 1.0, settings.n_clusters)
    plan = rows.parquet
    source_bytes = 0 if plan is None else plan.n_bytes
    passes = _most_passes(settings)
    decoded_bytes = rows.decoded_bytes or 0
    staged = rows.staged
    if memory_bytes is not None:
        staged = decoded_bytes <= MEMORY_SHARE * memory_bytes
    return Cost(
        files=0 if plan is None else len(plan.files),
        rows=rows.n_source_rows or 0,
        features=rows.n_features,
        blocks=rows.n_blocks,
        leaves=len(rows.layout.leaves),
        source_bytes=source_bytes,
        decoded_bytes=decoded_bytes,
        staged=staged,
        most_passes=passes,
        most_bytes_read=source_bytes * (1 if staged else passes),
        task_bytes=task_bytes(rows, settings),
    )


def task_bytes(rows: Rows, settings: Settings) -> int:
    """Return the peak bytes of a task: two blocks, their decoding, kernel scratch, two ledgers."""
    item = np.dtype(rows.dtype).itemsize
    d = rows.n_features
    k = settings.n_clusters
    if settings.init_name == "k-means||":
        # the last pass of seeding has all candidates as clusters
        k = max(k, 1 + round(settings.oversampling_factor * k) * settings.init_rounds)
    block_rows = rows.most_block_rows
    stored = 0 if rows.parquet is None else max(group.n_bytes for group in rows.parquet.row_groups)
    block = block_rows * d * item
    per_row = block_rows * (4 + item + 3 * 8)
    scratch = TILE_ROWS * (d + 1 + min(k, TILE_CENTERS)) * item
    centers = 2 * k * d * item
    ledgers = 3 * k * d * 8
    return 2 * block + stored + per_row + scratch + centers + ledgers


def _most_passes(settings: Settings) -> int:
    seeding = {"k-means||": settings.init_rounds + 1, "k-means++": 1}.get(settings.init_name, 0)
    first = settings.scale is not None or settings.init_name in ("k-means||", "random")
    return int(first) + seeding + settings.max_iter + 1
