"""What a pass over Parquet files reads: files, row groups, columns, and the policy of bad data."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dkmeans.errors import (
    TooFewRows,
    UnreadableFile,
)
from dkmeans.models.columns import FeatureColumn, feature_names
from dkmeans.rows.features import Choice
from dkmeans.rows.filters import Filter, columns_of
from dkmeans.rows.staging import row_bytes
from dkmeans.rows.values import MissingName
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile

OnBadFile = Literal["raise", "skip"]


@dataclass(frozen=True)
class RowGroup:
    """One row group that a pass reads."""

    file: StoredFile
    number: int
    """Its place in the file."""

    n_rows: int
    first_row: int
    """Source row number of its first row."""

    leaf_columns: tuple[int, ...]
    """Numbers of the Parquet columns that are read."""

    n_bytes: int
    """Bytes of their column chunks, as stored."""

    n_requests: int
    """Requests that fetch them; 0 for a local file."""

    filters: Filter
    """What its rows must pass."""


@dataclass(frozen=True)
class BadData:
    """What becomes of files that cannot be read, and of rows that lack a value."""

    missing: MissingName = "raise"
    on_bad_file: OnBadFile = "raise"
    max_bad_files: int | None = None
    """Most files to leave out; None for any number."""

    def check(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Raise `UnreadableFile` if more files are left out than may be."""
        if self.max_bad_files is not None and len(skipped) > self.max_bad_files:
            shown = "; ".join(reason for _, reason in skipped[:10])
            raise UnreadableFile(
                f"{len(skipped)} files cannot be read, more than max_bad_files="
                f"{self.max_bad_files}: {shown}"
            )


@dataclass(frozen=True, eq=False)
class ParquetPlan:
    """What a pass over Parquet files reads."""

    files: tuple[StoredFile, ...]
    file_rows: tuple[int, ...]
    """Rows of each file, by its footer."""

    footer_requests: tuple[int, ...]
    """Requests that fetch the footer of each file; 0 for local files."""

    footer_bytes: int
    """Of the footers that a process keeps at a time, as stored."""

    schema: pa.Schema
    """Of the first file, its partition columns added."""

    choice: Choice
    weight: str | None
    keys: tuple[str, ...]
    dtype: str
    filters: Filter
    options: str
    """Reference of the storage options."""

    row_groups: tuple[RowGroup, ...]
    """Those that can hold rows that pass the filters, in order; none is empty."""

    policy: "BadData"
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that were left out because they cannot be read, each with the reason."""

    labels: tuple[str, ...] = ()
    """Columns that come along as labels."""

    def without(self, bad_files: Sequence[tuple[str, str]]) -> "ParquetPlan":
        """Return the plan without some files. The rows of the others keep their numbers.

        Raises
        ------
        UnreadableFile
            If more are left out than `max_bad_files`.
        TooFewRows
            If no file is left.
        """
        skipped = (*self.skipped, *bad_files)
        self.policy.check(skipped)
        urls = {url for url, _ in skipped}
        left = [i for i, file in enumerate(self.files) if file.url not in urls]
        row_groups = tuple(group for group in self.row_groups if group.file.url not in urls)
        if not row_groups:
            raise TooFewRows(f"no file is left: all {len(skipped)} that hold rows cannot be read.")
        return replace(
            self,
            files=tuple(self.files[i] for i in left),
            file_rows=tuple(self.file_rows[i] for i in left),
            footer_requests=tuple(self.footer_requests[i] for i in left),
            row_groups=row_groups,
            skipped=skipped,
        )

    @property
    def on_bad_file(self) -> str:
        """What becomes of files that cannot be read: "raise" or "skip"."""
        return self.policy.on_bad_file

    @property
    def n_rows(self) -> int:
        """Rows of all files, before filters."""
        return sum(self.file_rows)

    @property
    def n_bytes(self) -> int:
        """Bytes that one pass reads from the source."""
        return sum(group.n_bytes for group in self.row_groups)

    def n_requests(self, n_processes: int) -> int:
        """Requests that one pass makes at most, in so many processes; 0 for local files.

        A footer is read by every process that reads row groups of its file.
        """
        groups = Counter(group.file.url for group in self.row_groups)
        footers = sum(
            n * min(groups[file.url], n_processes)
            for file, n in zip(self.files, self.footer_requests, strict=True)
        )
        return footers + sum(group.n_requests for group in self.row_groups)

    @property
    def row_bytes(self) -> int:
        """Bytes of a decoded row."""
        n_features = len(feature_names(self.choice.features))
        return row_bytes(n_features, self.dtype, bool(self.weight), len(self.labels))

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that a pass reads."""
        return columns_read(self.choice.features, self.weight, self.filters, self.labels)

    def identity(self) -> dict[str, Any]:
        """Return what names the rows, as plain values, each file apart; labels name nothing."""
        return {
            "weight": self.weight,
            "filters": repr(self.filters),
            "file": {
                redact(file.url): f"{file.size} bytes, version {file.version}, {n_rows} rows"
                for file, n_rows in zip(self.files, self.file_rows, strict=True)
            },
        }

    @property
    def fingerprint(self) -> str:
        """Names the rows, and what of them is read."""
        parts = [(file.url, file.size, file.version) for file in self.files]
        asked = (self.choice.features, self.weight, self.filters, self.dtype, self.policy.missing)
        # rows without labels are named as ever
        named = (parts, asked, self.labels) if self.labels else (parts, asked)
        return hashlib.sha256(repr(named).encode()).hexdigest()[:16]


def partition_value(file: StoredFile, schema: pa.Schema, name: str) -> pa.Scalar | None:
    """The value that the folders of `file` give a column; None if they do not name it."""
    pairs = dict(file.partition)
    if name not in pairs:
        return None
    kind, value = schema.field(name).type, pairs[name]
    if value is None:
        return pa.nulls(1, kind)[0]
    # pa.scalar would import pandas, which workers have no use for
    if pa.types.is_integer(kind):
        number = pa.py_buffer(np.array([int(value)], np.int64))
        return pa.Array.from_buffers(pa.int64(), 1, [None, number])[0]
    text = value.encode()
    ends = pa.py_buffer(np.array([0, len(text)], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(text)])[0]


def columns_read(
    features: Sequence[FeatureColumn],
    weight: str | None,
    filters: Filter,
    labels: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the columns that blocks are made from, and those that filters look at."""
    names = [column.name for column in features] + ([weight] if weight else [])
    return tuple(dict.fromkeys([*names, *sorted(columns_of(filters)), *labels]))
