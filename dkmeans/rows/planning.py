"""Plan the reading of Parquet: from the footers alone, before any row is read.

Every file is checked here, and everything that is wrong with any is reported at once.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from dkmeans.errors import (
    ArgumentError,
    DkmeansError,
    SchemaMismatch,
    TooFewRows,
    UnreadableFile,
)
from dkmeans.rows.features import choose, is_number
from dkmeans.rows.filters import Filter, columns_of, parse_filters, possible, without_partition
from dkmeans.rows.footers import caught, in_parallel, raise_all, summarize
from dkmeans.rows.labels import check_label_type
from dkmeans.rows.parquet_checks import (
    check_nulls,
    check_partition_labels,
    schema_problems,
    warn_of_ids,
    with_widths,
)
from dkmeans.rows.parquet_plan import BadData, ParquetPlan, RowGroup, columns_read
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile, list_parquet
from dkmeans.storage.parquet_file import FOOTER_BYTES_KEPT, read_footer

log = logging.getLogger(__name__)


def plan_parquet(
    url: str | Sequence[str],
    *,
    columns: Sequence[str] | None,
    filters: Any,
    weight: str | None,
    keys: Sequence[str],
    labels: Sequence[str],
    dtype: str,
    options: str,
    policy: BadData,
    pinned: Sequence[StoredFile] = (),
) -> ParquetPlan:
    """List the files, read their footers, and decide what a pass reads.

    Parameters are those of `read_parquet`; `options` is the reference of the storage options,
    `policy` what becomes of bad data. Files that are `pinned` already are not listed again.

    Raises
    ------
    InputRefused
        If anything is wrong with any file; all that is wrong is named.
    """
    files = list(pinned) or list_parquet(url, options)
    partitions = partition_types(files)
    parsed = parse_filters(filters)
    values = [partition_values(file, partitions) for file in files]
    asked = [without_partition(parsed, value) for value in values]
    if all(left is None for left in asked):
        raise TooFewRows(f"no file at {_where(url)} passes the filters on its partition columns.")

    asked_of_folders = columns_of(parsed) | {*(columns or ()), *keys, *labels}
    _check_partitions(files, partitions, asked_of_folders)
    skips = policy.on_bad_file == "skip"
    roles = [(name, "partition") for name in partitions] + [(key, "key") for key in keys]
    roles += [(weight, "weight")] if weight else []
    roles += [(name, "label") for name in labels]
    fits = partial(choose, columns=columns, roles=roles) if skips else None
    schema, first_file = _first_schema(files, partitions, options, fits)
    choice = choose(schema, columns, roles, first_file)
    for name, what in roles:
        if name not in schema.names:
            raise SchemaMismatch(f"{what} column {name!r} is not in {first_file}.")
        # of a name that occurs twice, the check of all files tells
        if what == "label" and schema.names.count(name) == 1:
            check_label_type(name, schema.field(name).type, first_file)
    _check_filter_columns(parsed, schema, first_file)
    if weight and not is_number(schema.field(weight).type):
        raise SchemaMismatch(
            f"weight column {weight!r} is {schema.field(weight).type}, not a number."
        )

    wanted = [column.name for column in choice.features] + list(keys)
    wanted += [name for name in columns_of(parsed) | ({weight} if weight else set()) if name]
    # what is more than a label must be so everywhere
    only_labels = set(labels) - set(wanted)
    wanted += labels
    summary_of = partial(
        summarize,
        options=options,
        nulls_in={column.name for column in choice.features} | set(labels),
        read=columns_read(choice.features, weight, parsed, labels),
    )
    summaries = in_parallel(summary_of, files, check=False)
    bad, good = _told_apart(files, summaries)
    bad += schema_problems(
        [files[i] for i in good],
        [summaries[i] for i in good],
        schema,
        set(wanted) - set(partitions),
        first_file,
        only_labels,
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
    skipped: dict[str, str] = {}
    for file, problem in bad:
        skipped.setdefault(file.url, str(problem))
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
    must_be = {column.name for column in features} if policy.missing == "raise" else set()
    check_nulls([files[i] for i in whole], [summaries[i] for i in whole], must_be, labels)
    read = [file for file, left in zip(files, asked, strict=True) if left is not None]
    check_partition_labels(read, labels)
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
        max(
            max(summary.footer_bytes for summary in summaries),
            min(sum(summary.footer_bytes for summary in summaries), FOOTER_BYTES_KEPT),
        ),
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
        tuple(labels),
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


def partition_types(files: Sequence[StoredFile]) -> dict[str, pa.DataType]:
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


def partition_values(file: StoredFile, types: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """Values of the partition columns of a file, as filters compare them."""
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
