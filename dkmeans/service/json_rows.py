"""Rows from JSON, as `{"rows": [{"age": 31, "income": 52000}, [40, 61000]]}`.

Most bodies are decoded at once into what the model's columns ask for. Whatever does not fit is
walked through value by value, which finds the same rows, or the first thing that is wrong.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.service.limits import Limits, check_size
from dkmeans.service.refusals import Refusal, did_you_mean, shown, unfit

_Value = float | bool | None
_UNSAFE = re.compile(r'[\\"\x00-\x1f]')
_AT_ONCE_BYTES = 64 * 1024
_AT_ONCE_VALUES = 2**20
"""Longer bodies, or of more values, are decoded in pieces, so that other threads run in between."""

_PIECE_ROWS = 256
_NOT_JSON = re.compile(rb"(NaN|Infinity|None|True|False|undefined)|'")
_PLACE = re.compile(r"\(byte (\d+)\)$")
_any = msgspec.json.Decoder(float_hook=float)


class _RawBody(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[msgspec.Raw]


_raw = msgspec.json.Decoder(_RawBody)


class JsonRows:
    """Reads rows for one model.

    Parameters
    ----------
    model
        The model.
    limits
        What a request may cost.
    ignores_extra
        Whether objects may have members that are no columns of the model.
    """

    def __init__(self, model: Model, limits: Limits, ignores_extra: bool = False) -> None:
        self._columns, self._n_features = model.columns, model.n_features
        self._limits, self._ignores_extra = limits, ignores_extra
        self._names = [] if model.columns is None else [column.name for column in model.columns]
        keys = model.provenance.get("keys") or []
        self._features = model.feature_names or tuple(map(str, range(model.n_features)))
        self._keys = [str(name) for name in keys if name not in self._names]
        self._body, self._rows = self._decoders()

    def read(self, body: bytes) -> Array:
        """Return the rows of a body, `(n_rows, n_features)` float64, NaN where they lack values.

        Raises
        ------
        Refusal
            If the body is no JSON, or other JSON than rows of the model.
        """
        try:
            # a row may be as short as {} and a comma, and takes as much memory as others
            most_values = len(body) // 3 * self._n_features
            if len(body) <= _AT_ONCE_BYTES and most_values <= _AT_ONCE_VALUES:
                rows = self._body.decode(body).rows
                return self._matrix(rows) if rows else self._none()
            return self._in_pieces(body)
        except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
            return self._walk(body)

    def _none(self) -> Array:
        return np.empty((0, self._n_features))

    def _in_pieces(self, body: bytes) -> Array:
        raw = _raw.decode(body).rows
        self._check_size(len(raw))
        out = np.empty((len(raw), self._n_features))
        for start in range(0, len(raw), _PIECE_ROWS):
            piece = raw[start : start + _PIECE_ROWS]
            out[start : start + len(piece)] = self._matrix(
                self._rows.decode(b"[" + b",".join(piece) + b"]")
            )
        return out

    def _matrix(self, rows: list[Any]) -> Array:
        """Rows as they were decoded. Of another length than the model's: a ValueError."""
        self._check_size(len(rows))
        out = np.array([row if type(row) is list else self._in_order(row) for row in rows], float)
        if out.shape != (len(rows), self._n_features):
            raise ValueError
        return out

    def _in_order(self, row: Any) -> Sequence[Any]:
        values: tuple[Any, ...] = msgspec.structs.astuple(row)[: len(self._names)]
        if len(values) == self._n_features and not self._has_lists:
            return values
        flat: list[Any] = []
        for column, value in zip(self._columns or (), values, strict=True):
            if column.width is None:
                flat.append(value)
            elif value is None:
                flat += [None] * column.width
            elif len(value) != column.width:
                raise ValueError
            else:
                flat += value
        return flat

    @property
    def _has_lists(self) -> bool:
        return any(column.width is not None for column in self._columns or ())

    def _decoders(self) -> tuple["msgspec.json.Decoder[Any]", "msgspec.json.Decoder[Any]"]:
        """Of a whole body, and of a list of rows."""
        row: Any = list[_Value]
        # other names have no struct; rows that are objects of them are walked through
        if self._columns is not None and not any(map(_UNSAFE.search, [*self._names, *self._keys])):
            names = [*self._names, *self._keys]
            kinds: list[Any] = [
                _Value if column.width is None else list[_Value] | None for column in self._columns
            ] + [Any] * len(self._keys)
            fields = [(f"c{i}", kind, None) for i, kind in enumerate(kinds)]
            row |= msgspec.defstruct(
                "Row",
                fields,
                rename={f"c{i}": name for i, name in enumerate(names)},
                forbid_unknown_fields=not self._ignores_extra,
            )
        rows: Any = list[row]
        body = msgspec.defstruct("Body", [("rows", rows)], forbid_unknown_fields=True)
        return msgspec.json.Decoder(body), msgspec.json.Decoder(rows)

    def _walk(self, body: bytes) -> Array:
        try:
            whole = _any.decode(body)
        except RecursionError:
            raise unfit("too_deep", "the body is nested too deep: rows are objects or lists of "
                        "numbers.") from None  # fmt: skip
        except (msgspec.DecodeError, ValueError) as error:
            raise _not_json(body, error) from None
        if not isinstance(whole, dict):
            raise unfit("no_rows", f'the body is {shown(whole)}; send {{"rows": [...]}}.')
        others = [name for name in whole if name != "rows"]
        near = did_you_mean(others[0], ["rows"]) if others else ""
        if others and ("rows" in whole or near):
            name = shown(others[0])
            raise unfit(
                "unknown_member",
                f"the body has a member {name} beside 'rows'; leave it out."
                if "rows" in whole
                else f"the body has a member {name}{near}, and lacks 'rows'.",
            )
        if not isinstance(whole.get("rows"), list):
            what = f"has 'rows': {shown(whole['rows'])}" if "rows" in whole else "lacks 'rows'"
            raise unfit(
                "no_rows",
                f'the body {what}; send {{"rows": [...]}}, with an object or a list of numbers for '
                "each row.",
            )
        rows = whole["rows"]
        self._check_size(len(rows))
        out = np.empty((len(rows), self._n_features))
        for i, row in enumerate(rows):
            out[i] = list(self._values(row, i))
        return out

    def _values(self, row: Any, i: int) -> Iterator[float]:
        """The features of a row."""
        if isinstance(row, list):
            if len(row) != self._n_features:
                raise unfit(
                    "wrong_length",
                    f"row {i} has {len(row)} values; the model has {self._n_features} features.",
                    row=i,
                )
            for name, value in zip(self._features, row, strict=True):
                yield _number(value, i, name)
            return
        if not isinstance(row, dict):
            raise unfit("not_a_row", f"row {i} is {shown(row)}; it should be an object or a list "
                        "of numbers.", row=i)  # fmt: skip
        if self._columns is None:
            raise unfit(
                "no_names",
                f"row {i} is an object, but the model was fitted on rows without column names; "
                f"send lists of {self._n_features} numbers.",
                row=i,
            )
        self._check_names(row, i)
        for column in self._columns:
            value = row.get(column.name)
            if column.width is None:
                yield _number(value, i, column.name)
            elif value is None:
                yield from [math.nan] * column.width
            elif not isinstance(value, list) or len(value) != column.width:
                what = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
                raise unfit(
                    "wrong_length",
                    f"row {i}, column {column.name!r} is {what}; it should be a list of "
                    f"{column.width} numbers.",
                    row=i,
                    column=column.name,
                )
            else:
                for name, one in zip(column.features, value, strict=True):
                    yield _number(one, i, name)

    def _check_names(self, row: dict[str, Any], i: int) -> None:
        if len(row) > self._limits.columns:
            raise unfit("too_many_columns", f"row {i} has {len(row)} members; at most "
                        f"{self._limits.columns} are read.", row=i)  # fmt: skip
        if self._ignores_extra:
            return
        unknown = row.keys() - set(self._names) - set(self._keys)
        if unknown:
            name = min(unknown)
            raise unfit(
                "unknown_column",
                f"row {i} has a column {shown(name)} that the model does not know"
                f"{did_you_mean(name, self._names)}; leave it out, or call with ?extra=ignore.",
                row=i,
                column=name[:200],
            )

    def _check_size(self, n_rows: int) -> None:
        # a value takes two bytes, unless it is absent, which takes none
        check_size(n_rows, self._n_features, self._limits.rows, self._limits.json_bytes)


def _number(value: Any, row: int, column: str) -> float:
    if value is None:
        return math.nan
    where = "row {}, column {!r}".format
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise out_of_range(where(row, column), shown(value) if isinstance(value, int) else
                               "the number", row, column)  # fmt: skip
        return number
    remedy = "write the number without quotes" if isinstance(value, str) else "send a number"
    raise unfit("not_a_number", f"{where(row, column)} is {shown(value)}, which is no number; "
                f"{remedy}.", row=row, column=column)  # fmt: skip


def out_of_range(where: str, what: str, row: int, column: str) -> Refusal:
    """Return the refusal of a number that the model's type does not hold."""
    return unfit("out_of_range", f"{where}: {what} is too large for the model; send a smaller "
                 "number, or null if it is unknown.", row=row, column=column)  # fmt: skip


def _not_json(body: bytes, error: Exception) -> Refusal:
    if "out of range" in str(error):
        return unfit("out_of_range", "the body has a number of too many digits; send smaller ones.")
    place = _PLACE.search(str(error))
    start = max(0, int(place[1]) - 2) if place else 0
    found = _NOT_JSON.search(body[start : start + 16])
    remedy = ""
    if found and found[1] in (b"NaN", b"Infinity"):
        remedy = f" JSON has no {found[1].decode()}: send null for a value that is missing."
    elif found:
        remedy = f' {found[0].decode()} is not JSON: numbers, null, true, false and "text" are.'
    return Refusal(400, "invalid_json", f"the body is not JSON: {_one_line(error)}.{remedy}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]
