"""What is wrong with a column: read once more, for the whole of its row group."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from dkmeans.models.columns import FeatureColumn, feature_names, fill_from_arrow, numbers_from_arrow
from dkmeans.rows.filters import arrow_mask, passing
from dkmeans.rows.labels import count_lacking, lacking_labels
from dkmeans.rows.parquet_plan import RowGroup
from dkmeans.rows.row_group_stream import RowGroupStream, place_of
from dkmeans.storage.filesystem import redact


class ReadsRowGroups(Protocol):
    """What reads the row groups of a leaf: its source."""

    @property
    def features(self) -> tuple[FeatureColumn, ...]:
        """The feature columns."""
        ...

    def stream(self, group: RowGroup) -> RowGroupStream:
        """Open a row group for reading the columns that make a block."""
        ...


def lacking_diagnosis(source: ReadsRowGroups, group: RowGroup, name: str) -> str:
    """Say how many rows of a row group have no label, after filters."""
    nulls = n_nan = 0
    for batch in _batches(source, group):
        more = count_lacking(batch.column(name))
        nulls, n_nan = nulls + more[0], n_nan + more[1]
    found = [f"{n} {what}" for n, what in ((nulls, "nulls"), (n_nan, "NaN")) if n]
    return lacking_labels(name, group.file.url, group.number, " and ".join(found))


def diagnosis(
    source: ReadsRowGroups, feature: str, groups: Sequence[RowGroup], largest: float | None
) -> str:
    """Say what is wrong with a feature, or with weights if `largest` is None, and where."""
    columns = feature_names(source.features)
    for group in groups:
        counts = {
            "nulls": 0,
            "NaN": 0,
            "infinite values": 0,
            "negative values": 0,
            "huge values": 0,
        }
        for batch in _batches(source, group):
            if largest is None:
                values = numbers_from_arrow(batch.column(feature)).astype(float)
                nulls = batch.column(feature).null_count
                counts["negative values"] += int((values < 0).sum())
            else:
                matrix = np.empty((batch.num_rows, len(columns)))
                fill_from_arrow(matrix, batch, source.features)
                values = matrix[:, columns.index(feature)]
                name = feature if feature in batch.column_names else feature.rpartition("[")[0]
                nulls = batch.column(name).null_count
                counts["huge values"] += int((np.abs(values) > largest).sum()) - int(
                    np.isinf(values).sum()
                )
            counts["nulls"] += nulls
            counts["NaN"] += int(np.isnan(values).sum()) - nulls
            counts["infinite values"] += int(np.isinf(values).sum())
        found = [f"{count} {what}" for what, count in counts.items() if count > 0]
        if found:
            what = "weight column" if largest is None else "column"
            remedy = "filter these rows out, or leave the column out"
            if counts["huge values"] > 0:
                remedy = "use dtype='float64', or scale the column first"
            elif largest is not None and not counts["infinite values"]:
                remedy = f"pass missing='drop' or 'mean' (--missing), {remedy}"
            return (
                f"{what} {feature!r} of {redact(group.file.url)} (row group {group.number}) "
                f"has {' and '.join(found)}; {remedy}."
            )
    return f"column {feature!r} of {place_of(groups[0])} has values that cannot be used."


def _batches(source: ReadsRowGroups, group: RowGroup) -> Iterator[pa.Table]:
    """The rows of a row group that pass its filters."""
    stream = source.stream(group)
    for batch in stream.rows(0, group.n_rows):
        if group.filters:
            yield batch.filter(arrow_mask(passing(group.filters, batch)))
        else:
            yield batch
    stream.close()
