"""Plan the reading of Parquet: from the footers alone, before any row is read.

Every file is checked here, and everything that is wrong with any is reported at once.
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dkmeans.errors import (
    ArgumentError,
    DkmeansError,
    SchemaMismatch,
    TooFewRows,
    UnreadableFile,
)
from dkmeans.models.columns import FeatureColumn, feature_names
from dkmeans.rows.features import Choice, choose, is_number
from dkmeans.rows.filters import Filter, columns_of, parse_filters, possible, without_partition
from dkmeans.rows.footers import caught, in_parallel, raise_all, summarize
from dkmeans.rows.parquet_checks import check_nulls, schema_problems, warn_of_ids, with_widths
from dkmeans.rows.values import MissingName
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile, list_parquet
from dkmeans.storage.parquet_file import read_footer

log = logging.getLogger(__name__)

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
        return n_features * np.dtype(self.dtype).itemsize + (8 if self.weight else 0)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that a pass reads."""
        return _columns_read(self.choice.features, self.weight, self.filters)

    def identity(self) -> dict[str, Any]:
        """Return what names the rows, as plain values, each file apart."""
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
        return hashlib.sha256(repr((parts, asked)).encode()).hexdigest()[:16]


def plan_parquet(
    url: str | Sequence[str],
    *,
    columns: Sequence[str] | None,
    filters: Any,
    weight: str | None,
    keys: Sequence[str],
    dtype: str,
    options: str,
    policy: BadData,
) -> ParquetPlan:
    """List the files, read their footers, and decide what a pass reads.

    Parameters are those of `read_parquet`; `options` is the reference of the storage options,
    `policy` what becomes of bad data.

    Raises
    ------
    InputRefused
        If anything is wrong with any file; all that is wrong is named.
    """
    files = list_parquet(url, options)
    partitions = _partition_types(files)
    parsed = parse_filters(filters)
    values = [_partition_values(file, partitions) for file in files]
    asked = [without_partition(parsed, value) for value in values]
    if all(left is None for left in asked):
        raise TooFewRows(f"no file at {_where(url)} passes the filters on its partition columns.")

    _check_partitions(files, partitions, columns_of(parsed) | set(columns or ()) | set(keys))
    skips = policy.on_bad_file == "skip"
    roles = [(name, "partition") for name in partitions] + [(key, "key") for key in keys]
    roles += [(weight, "weight")] if weight else []
    fits = partial(choose, columns=columns, roles=roles) if skips else None
    schema, first_file = _first_schema(files, partitions, options, fits)
    choice = choose(schema, columns, roles, first_file)
    for name, what in [*((key, "key") for key in keys), *(((weight, "weight"),) if weight else ())]:
        if name not in schema.names:
            raise SchemaMismatch(f"{what} column {name!r} is not in {first_file}.")
    _check_filter_columns(parsed, schema, first_file)
    if weight and not is_number(schema.field(weight).type):
        raise SchemaMismatch(
            f"weight column {weight!r} is {schema.field(weight).type}, not a number."
        )

    wanted = [column.name for column in choice.features] + list(keys)
    wanted += [name for name in columns_of(parsed) | ({weight} if weight else set()) if name]
    summary_of = partial(
        summarize,
        options=options,
        features=[column.name for column in choice.features],
        read=_columns_read(choice.features, weight, parsed),
    )
    summaries = in_parallel(summary_of, files, check=False)
    bad, good = _told_apart(files, summaries)
    bad += schema_problems(
        [files[i] for i in good],
        [summaries[i] for i in good],
        schema,
        set(wanted) - set(partitions),
        first_file,
    )
    unlike = {file.url for file, _ in bad}
    alike = [i for i in good if files[i].url not in unlike]
    features, others = with_widths(
        choice.features,
        [files[i] for i in alike],
        [summaries[i] for i in alike],
        policy.missing != "raise",
    )
    bad += others
    if not skips:
        raise_all([problem for _, problem in bad])
    skipped = dict(reversed([(file.url, str(problem)) for file, problem in bad]))
    policy.check(tuple(skipped.items()))
    for url, reason in skipped.items():
        log.warning("left out: %s (%s)", redact(url), reason)
    left_in = [i for i in good if files[i].url not in skipped]
    if not left_in:
        raise TooFewRows(f"none of the {len(files)} files at {_where(url)} can be read.")
    files = [files[i] for i in left_in]
    summaries = [summaries[i] for i in left_in]
    asked = [asked[i] for i in left_in]
    choice = replace(choice, features=features)
    whole = [i for i, left in enumerate(asked) if left == ()]
    if policy.missing == "raise":
        check_nulls([files[i] for i in whole], [summaries[i] for i in whole])
    if columns is None:
        warn_of_ids(choice, schema, files, summaries)

    row_groups: list[RowGroup] = []
    first_row = 0
    for file, summary, left in zip(files, summaries, asked, strict=True):
        for number, group in enumerate(summary.row_groups):
            if left is not None and group.n_rows and possible(left, dict(group.bounds)):
                row_groups.append(
                    RowGroup(
                        file,
                        number,
                        group.n_rows,
                        first_row,
                        group.leaf_columns,
                        group.n_bytes,
                        group.n_requests,
                        left,
                    )
                )
            first_row += group.n_rows
    if first_row == 0:
        raise TooFewRows(f"the files at {_where(url)} have no rows.")
    if not row_groups:
        raise TooFewRows(f"no row at {_where(url)} passes the filters.")
    log.info("%s", choice)
    return ParquetPlan(
        tuple(files),
        tuple(sum(group.n_rows for group in summary.row_groups) for summary in summaries),
        tuple(summary.footer_requests for summary in summaries),
        schema,
        choice,
        weight,
        tuple(keys),
        dtype,
        parsed,
        options,
        tuple(row_groups),
        policy,
        tuple(sorted(skipped.items())),
    )


def _told_apart(
    files: Sequence[StoredFile], summaries: Sequence[Any]
) -> tuple[list[tuple[StoredFile, DkmeansError]], list[int]]:
    """Files whose footer cannot be read, with the problem, and the numbers of the others."""
    lost = [one for one in summaries if isinstance(one, DkmeansError) and not _is_damage(one)]
    raise_all(lost)
    bad = [
        (file, one)
        for file, one in zip(files, summaries, strict=True)
        if isinstance(one, DkmeansError)
    ]
    return bad, [i for i, one in enumerate(summaries) if not isinstance(one, DkmeansError)]


def _is_damage(problem: DkmeansError) -> bool:
    return isinstance(problem, (UnreadableFile, SchemaMismatch))


def partition_value(file: StoredFile, schema: pa.Schema, name: str) -> pa.Scalar | None:
    """The value that the folders of `file` give a column; None if they do not name it."""
    pairs = dict(file.partition)
    if name not in pairs:
        return None
    return pa.scalar(pairs[name]).cast(schema.field(name).type)


def _columns_read(
    features: Sequence[FeatureColumn], weight: str | None, filters: Filter
) -> tuple[str, ...]:
    names = [column.name for column in features] + ([weight] if weight else [])
    return tuple(dict.fromkeys([*names, *sorted(columns_of(filters))]))


def _check_partitions(
    files: Sequence[StoredFile], partitions: Mapping[str, pa.DataType], asked: set[str]
) -> None:
    raise_all(
        [
            SchemaMismatch(f"partition column {name!r} is missing from {redact(file.url)}.")
            for file in files
            for name in sorted(asked & set(partitions))
            if name not in dict(file.partition)
        ]
    )


def _partition_types(files: Sequence[StoredFile]) -> dict[str, pa.DataType]:
    """Partition columns with their types: integers where every folder's value is one, else text."""
    values: dict[str, set[str | None]] = {}
    for file in files:
        for name, value in file.partition:
            values.setdefault(name, set()).add(value)
    return {
        name: pa.int64()
        if all(value is None or re.fullmatch(r"-?\d{1,18}", value) for value in found)
        else pa.string()
        for name, found in values.items()
    }


def _partition_values(file: StoredFile, types: dict[str, pa.DataType]) -> dict[str, Any]:
    return {
        name: int(value) if value is not None and types[name] == pa.int64() else value
        for name, value in file.partition
    }


def _first_schema(
    files: Sequence[StoredFile],
    partitions: dict[str, pa.DataType],
    options: str,
    fits: Callable[..., Any] | None,
) -> tuple[pa.Schema, str]:
    """The schema of the first file that can be read, and fits; the others are reported later."""
    found: list[tuple[pa.Schema, str]] = []
    for file in files:
        try:
            schema = read_footer(file, options).schema.to_arrow_schema()
        except UnreadableFile:
            continue
        fields = [field for field in schema if field.name not in partitions]
        fields += [pa.field(name, kind) for name, kind in partitions.items()]
        found.append((pa.schema(fields), redact(file.url)))
        if fits is None:
            return found[0]
        try:
            fits(found[-1][0], where=found[-1][1])
        except SchemaMismatch:
            continue
        return found[-1]
    if found:
        return found[0]
    raise_all(_problems_of(files, options))
    raise AssertionError


def _problems_of(files: Sequence[StoredFile], options: str) -> list[DkmeansError]:
    problems = in_parallel(partial(caught, read_footer, options=options), files, check=False)
    return [problem for problem in problems if isinstance(problem, DkmeansError)]


def _check_filter_columns(filters: Filter, schema: pa.Schema, where: str) -> None:
    for name in sorted(columns_of(filters)):
        if name not in schema.names:
            raise ArgumentError(f"filter column {name!r} is not in {where}.")


def _where(url: str | Sequence[str]) -> str:
    return redact(url) if isinstance(url, str) else f"{len(url)} paths"
