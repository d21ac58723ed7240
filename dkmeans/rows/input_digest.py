"""Names the rows that a model was fitted on, to know them again."""

import hashlib
import json

import numpy as np

from dkmeans.rows.rows import Rows


def input_digest(rows: Rows) -> str | None:
    """Return a name of the rows and of how they are read: equal for the same rows.

    None where content cannot be named: Dask collections, whose graphs may compute anything.
    """
    if rows.parquet is None and not all(_in_memory(part) for part in rows.layout.parts):
        return None
    named = json.dumps(rows.identity(), sort_keys=True, default=repr)
    return hashlib.sha256(named.encode()).hexdigest()


def _in_memory(part: object) -> bool:
    """Whether a part is an array, with weights and labels, that lies here."""
    return isinstance(part, tuple) and isinstance(part[0], np.ndarray)
