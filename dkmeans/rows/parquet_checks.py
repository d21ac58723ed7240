"""Checks that all files have the wanted columns, with types and values that can be clustered."""

import itertools
import math
import warnings
from collections.abc import Collection, Sequence

import pyarrow as pa

from dkmeans.errors import BadValues, DkmeansError, SchemaMismatch, SuspectColumn
from dkmeans.models.columns import FeatureColumn
from dkmeans.rows.features import Choice, is_list, is_number, looks_like_an_id
from dkmeans.rows.footers import FileSummary, raise_all
from dkmeans.rows.labels import kind_of_label, lacking_labels
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile


def schema_problems(
    files: Sequence[StoredFile],
    summaries: Sequence[FileSummary],
    first: pa.Schema,
    wanted: set[str],
    first_file: str,
    labels: Collection[str] = (),
) -> list[tuple[StoredFile, DkmeansError]]:
    """Find where a wanted column is not there once, of the kind that it has in the first file.

    Columns that are `labels` only may be text of any encoding.
    """
    problems: list[tuple[StoredFile, DkmeansError]] = []
    for file, summary in zip(files, summaries, strict=True):
        for name in sorted(wanted):
            count = summary.schema.names.count(name)
            if count != 1:
                what = "is missing from" if count == 0 else f"occurs {count} times in"
                problem = SchemaMismatch(f"column {name!r} {what} {redact(file.url)}.")
                problems.append((file, problem))
                continue
            here, there = summary.schema.field(name).type, first.field(name).type
            alike = _same_labels if name in labels else _interchangeable
            if here != there and not alike(here, there):
                problem = SchemaMismatch(
                    f"column {name!r} is {here} in {redact(file.url)} but {there} in {first_file}."
                )
                problems.append((file, problem))
    return problems


def _interchangeable(here: pa.DataType, there: pa.DataType) -> bool:
    if is_list(here) and is_list(there):
        return is_number(here.value_type) and is_number(there.value_type)
    return is_number(here) and is_number(there)


def _same_labels(here: pa.DataType, there: pa.DataType) -> bool:
    return kind_of_label(here) is not None and kind_of_label(here) == kind_of_label(there)


def with_widths(
    features: Sequence[FeatureColumn],
    files: Sequence[StoredFile],
    summaries: Sequence[FileSummary],
    may_lack: bool,
) -> tuple[tuple[FeatureColumn, ...], list[tuple[StoredFile, DkmeansError]]]:
    """The feature columns with the widths that the footers tell, and where those differ."""
    widths: dict[str, int] = {column.name: column.width or 0 for column in features}
    told = [one for summary in summaries for group in summary.row_groups for one in group.widths]
    # a missing list counts as one value: only where none is missing is the width exact
    for name, width, nulls in sorted(told, key=lambda one: (one[2], -one[1] if one[2] else 0)):
        if not widths.get(name):
            widths[name] = math.ceil(width) if nulls and may_lack else round(width)
    problems: list[tuple[StoredFile, DkmeansError]] = []
    for file, summary in zip(files, summaries, strict=True):
        for number, group in enumerate(summary.row_groups):
            for name, width, nulls in group.widths:
                if nulls and may_lack and width <= widths[name]:
                    continue
                if width != widths[name] and name in {column.name for column in features}:
                    problem = SchemaMismatch(
                        f"column {name!r} of {redact(file.url)} (row group {number}) has "
                        f"{width:g} values a row, not {widths[name]}; an embedding "
                        "column needs lists of one length without nulls."
                    )
                    problems.append((file, problem))
    return tuple(
        column if column.width is None else FeatureColumn(column.name, widths[column.name])
        for column in features
    ), problems


def check_nulls(
    files: Sequence[StoredFile],
    summaries: Sequence[FileSummary],
    features: Collection[str],
    labels: Collection[str],
) -> None:
    """Raise `BadValues` if statistics tell of nulls in feature or label columns."""
    raise_all(
        [
            BadValues(
                f"column {name!r} of {redact(file.url)} (row group {number}) has {count} nulls; "
                "pass missing='drop' or 'mean' (--missing), filter them out, or leave the column "
                "out."
                if name in features
                else lacking_labels(name, file.url, number, f"{count} nulls")
            )
            for file, summary in zip(files, summaries, strict=True)
            for number, group in enumerate(summary.row_groups)
            for name, count in group.nulls
            if name in features or name in labels
        ]
    )


def check_partition_labels(files: Sequence[StoredFile], labels: Collection[str]) -> None:
    """Raise `BadValues` if the folder of a file gives a label column no value."""
    raise_all(
        [
            BadValues(
                f"label column {name!r} of {redact(file.url)} is null, by the name of its folder; "
                "filter these rows out."
            )
            for file in files
            for name, value in file.partition
            if name in labels and value is None
        ]
    )


def warn_of_ids(
    choice: Choice,
    schema: pa.Schema,
    files: Sequence[StoredFile],
    summaries: Sequence[FileSummary],
) -> None:
    """Warn of integer columns that are named like identifiers, or count the rows."""
    n_rows = sum(group.n_rows for summary in summaries for group in summary.row_groups)
    for column in choice.features:
        kind = schema.field(column.name).type
        bounds = [
            dict(group.bounds).get(column.name)
            for summary in summaries
            for group in summary.row_groups
            if group.n_rows
        ]
        counts = (
            pa.types.is_integer(kind)
            and n_rows > 1000
            and all(bounds)
            and all(a[1] < b[0] for a, b in itertools.pairwise(bounds) if a and b)
            and bounds[-1][1] - bounds[0][0] + 1 == n_rows  # type: ignore[index]
        )
        if counts or looks_like_an_id(column.name, kind):
            warnings.warn(
                f"column {column.name!r} looks like an identifier and is clustered as a number; "
                f"pass keys=[{column.name!r}], or name the features in columns=.",
                SuspectColumn,
                stacklevel=4,
            )
