"""How the rows of partitions are read: the same for all partitions of a window."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.models.arrays import wrong_width
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.rows.parquet_plan import OnBadFile
from dkmeans.rows.partitions import Partition
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.values import MissingName


@dataclass(frozen=True)
class Reading:
    """What `read_parquet` is told of every partition."""

    columns: tuple[str, ...] | None
    weight: str | None
    dtype: str
    missing: MissingName
    on_bad_file: OnBadFile
    filling: Filling | None
    """What missing values are replaced by, with `missing="mean"`."""

    stage: StageName
    storage_options: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def of(
        cls,
        champion: Model | None,
        columns: Sequence[str] | None,
        weight: str | None,
        dtype: str | None,
        missing: MissingName,
        on_bad_file: OnBadFile,
        stage: StageName,
        storage_options: Mapping[str, Any] | None,
    ) -> "Reading":
        """Read as a champion wants it, if there is one.

        Raises
        ------
        ArgumentError
            If missing values cannot be filled in.
        FeaturesMismatch
            If the champion has other columns than are named.
        """
        if columns is not None:
            columns = tuple(columns)
        filling = None if champion is None else champion.filling
        if champion is not None:
            dtype = dtype or champion.dtype
            own = None if champion.columns is None else tuple(one.name for one in champion.columns)
            if own is not None and columns not in (None, own):
                raise FeaturesMismatch(
                    f"columns={list(columns or ())!r} are not those of the champion, "
                    f"{list(own)!r}; leave them out, or fit without a champion."
                )
            columns = own if columns is None else columns
        if filling is not None:
            missing = "mean"
        elif missing == "mean":
            raise ArgumentError(
                "missing='mean' needs a champion that tells the means: those of a window are known "
                "only when all of it is read; use missing='drop'."
            )
        return cls(
            columns, weight, dtype or "float32", missing, on_bad_file, filling, stage,
            storage_options,
        )  # fmt: skip

    def open(self, partition: Partition, champion: Model | None) -> Rows:
        """Plan the reading of a partition, with the features of the champion if there is one.

        Raises
        ------
        InputRefused
            If it cannot be read so.
        """
        rows = read_parquet(
            partition,
            self.columns,
            weight=self.weight,
            dtype=self.dtype,
            storage_options=self.storage_options,
            stage=self.stage,
            missing=self.missing,
            on_bad_file=self.on_bad_file,
        )
        if champion is not None and rows.n_features != champion.n_features:
            raise FeaturesMismatch(wrong_width(rows.n_features, champion.n_features))
        return rows if self.filling is None else rows.filled(self.filling)

    @property
    def name(self) -> str:
        """Names how rows are read."""
        return self._named(self.columns)

    @property
    def name_of_all(self) -> str:
        """Names the same, of all columns that hold numbers: those of a first fit without names."""
        return self._named(None)

    def _named(self, columns: tuple[str, ...] | None) -> str:
        filled = None if self.filling is None else self.filling.name
        asked = (columns, self.weight, self.dtype, self.missing, filled)
        return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
