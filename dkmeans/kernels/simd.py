"""Score rows against centers, and add them up, at the speed of the processor's vector units.

Two loops over strips of rows, compiled by Numba. Their inner parts are small intrinsics written as
LLVM IR on vectors of fixed length, which LLVM lowers to those that the processor has: tested for
AVX-512, AVX2 and SSE2; the sizes for NEON are chosen by its registers, and not tried yet. `plain`
has the same loops without vectors: it says what these compute, and takes their place where they do
not compile.

Intrinsics and the loops that call them stay in one file: Numba's cache looks at the file of the
loops alone to tell whether what it keeps is out of date.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from dkmeans.kernels.block import Array

_features = config.CPU_FEATURES
if _features is None:
    _features = binding.get_host_cpu_features().flatten()
_VECTOR_BYTES = 64 if "+avx512f" in _features else 32 if "+avx" in _features else 16

# as many sums as there are registers for: 32, but 16 before AVX-512
_VECTORS = 4 if "+neon" in _features else 2
"""Vectors of rows in the register tile."""

PANEL = 8 if _VECTOR_BYTES == 64 else 6
"""Centers in the register tile."""

DOUBLES = 8 if _VECTOR_BYTES == 64 else 4
"""Rows and features that are measured at a time, in float64."""

FEW_CENTERS, FEW_FEATURES = (8, 6) if _VECTOR_BYTES == 64 else (0, 0)
"""How many are few: all centers' values of a feature lie in a vector, and so does all that a row
adds. Only AVX-512 looks values up in a vector."""

_MOST_FEATURES = 256
"""Products are added up over so many features at a time: what stays in the innermost cache, and
loses few digits."""

_MOST_PANELS = 64
"""Panels whose unfinished scores are held while there are more features to come."""

_TILE_BYTES, _MOST_STRIPS = 2**12, 8
"""Rows of a tile, which are all scored before they are measured."""

_AHEAD = 4
"""Strips that are fetched ahead of the one that is packed."""

_I1, _I32, _I64, _F64 = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.DoubleType()


def width(itemsize: int) -> int:
    """Rows of a strip, for rows of 4 or 8 bytes a value."""
    return _VECTORS * _VECTOR_BYTES // itemsize


class _Emitter:
    """LLVM IR on pointers and vectors, a line a thought."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder, self.signature = builder, signature
        self._arrays = {
            number: context.make_array(kind)(context, builder, args[number])
            for number, kind in enumerate(signature.args)
            if isinstance(kind, types.Array)
        }

    def pointer(self, number: int, *offsets: Any) -> Any:
        """The data of an array argument, some elements on."""
        return self.at(self._arrays[number].data, *offsets)

    def stride(self, number: int, itemsize: int) -> Any:
        """Elements from one row of a matrix argument to the next."""
        n_bytes = cgutils.unpack_tuple(self.builder, self._arrays[number].strides, 2)[0]
        return self.builder.sdiv(n_bytes, ir.Constant(_I64, itemsize))

    def shape(self, number: int) -> Any:
        """Rows and columns of a matrix argument."""
        return cgutils.unpack_tuple(self.builder, self._arrays[number].shape, 2)

    def entry(self, number: int, r: int, label: Any, copies: tuple[Any, Any]) -> Any:
        """Where a row of a table begins: the entry for a label, its copy for the r-th row."""
        label = self.builder.sext(self.builder.load(label), _I64)
        length = self.shape(number)[1]
        n_copies, apart = copies
        copy = self.builder.and_(self.integer(r), self.plus(n_copies, -1))
        return self.pointer(number, self.times(label, length), self.times(copy, apart))

    def at(self, pointer: Any, *offsets: Any) -> Any:
        for offset in offsets:
            pointer = self.builder.gep(pointer, [self.integer(offset)])
        return pointer

    def integer(self, value: Any) -> Any:
        return ir.Constant(_I64, value) if isinstance(value, int) else value

    def plus(self, a: Any, b: Any) -> Any:
        return self.builder.add(a, self.integer(b))

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, self.integer(b))

    def splat(self, scalar: Any, vector: Any) -> Any:
        """A vector with one value in all lanes."""
        nothing = ir.Constant(vector, ir.Undefined)
        lanes = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, nothing, lanes)

    def load(self, pointer: Any, vector: Any, itemsize: int) -> Any:
        return self.builder.load(self.builder.bitcast(pointer, vector.as_pointer()), align=itemsize)

    def store(self, value: Any, pointer: Any, itemsize: int) -> None:
        pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        self.builder.store(value, pointer, align=itemsize)

    def slots(self, kind: Any, value: Any, *shape: int) -> Any:
        """Variables in nested lists, which LLVM turns into registers."""
        if shape:
            return [self.slots(kind, value, *shape[1:]) for _ in range(shape[0])]
        slot = cgutils.alloca_once(self.builder, kind)
        self.builder.store(value, slot)
        return slot

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        kind = a.type
        # fused wherever the processor can
        name = f"llvm.fmuladd.v{kind.count}f{32 if kind.element == ir.FloatType() else 64}"
        of_type = ir.FunctionType(kind, [kind] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, of_type, name)
        return self.builder.call(function, [a, b, c])

    def prefetch(self, pointer: Any) -> None:
        byte = ir.IntType(8).as_pointer()
        of_type = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, of_type, "llvm.prefetch.p0")
        # for reading, into the second cache, as data
        how = [ir.Constant(_I32, value) for value in (0, 2, 1)]
        self.builder.call(function, [self.builder.bitcast(pointer, byte), *how])

    def shuffled(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(
            a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
        )

    def zipped(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Even lanes of two vectors, one by one in turns; and odd lanes."""
        n = a.type.count
        even = [lane for i in range(0, n, 2) for lane in (i, n + i)]
        return self.shuffled(a, b, even), self.shuffled(a, b, [lane + 1 for lane in even])

    def parted(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Even pairs of lanes, first all of `a`, then all of `b`; and odd pairs."""
        even = [lane for i in range(0, 2 * a.type.count, 4) for lane in (i, i + 1)]
        return self.shuffled(a, b, even), self.shuffled(a, b, [lane + 2 for lane in even])

    def transposed(self, rows: Sequence[Any]) -> list[Any]:
        """Transpose n vectors of n lanes, n a power of two, by what processors do in one go."""
        columns, half, join = {0: rows}, 1, self.zipped
        while half < len(rows):
            halves: dict[int, Sequence[Any]] = {}
            for column, vectors in columns.items():
                pairs = [join(a, b) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
                halves[column], halves[column + half] = zip(*pairs, strict=True)
            columns, half, join = halves, 2 * half, self.parted
        return [columns[column][0] for column in range(len(rows))]

    def transposed_half(self, columns: Sequence[Any]) -> list[Any]:
        """Transpose 4 vectors of 8 lanes to 8 of 4 lanes."""
        rows: list[Any] = [None] * 8
        first, second = self.zipped(*columns[:2]), self.zipped(*columns[2:])
        for odd, (a, b) in enumerate(zip(first, second, strict=True)):
            for even in (0, 2):
                lanes = [lane + even for i in (0, 4) for lane in (i, i + 1, i + 8, i + 9)]
                joined = self.shuffled(a, b, lanes)
                for i in (0, 4):
                    rows[i + even + odd] = self.shuffled(joined, joined, [i, i + 1, i + 2, i + 3])
        return rows

    def looked_up(self, values: Any, places: Any) -> Any:
        """Values of a vector of 8 float64 by their places; AVX-512 only."""
        kind, name = values.type, "llvm.x86.avx512.permvar.df.512"
        of_type = ir.FunctionType(kind, [kind, places.type])
        function = cgutils.get_or_insert_function(self.builder.module, of_type, name)
        return self.builder.call(function, [values, places])

    def totals(self, rows: Sequence[Any]) -> Any:
        """Add up the lanes of each of n vectors of n lanes, n a power of two, to a lane of one."""
        join = self.zipped
        while len(rows) > 1:
            pairs = zip(rows[::2], rows[1::2], strict=True)
            rows = [self.builder.fadd(*join(a, b)) for a, b in pairs]
            join = self.parted
        return rows[0]


def _scalar(array: Any) -> tuple[Any, int]:
    """The LLVM type of an array's elements, and their bytes."""
    itemsize = array.dtype.bitwidth // 8
    return (ir.FloatType() if itemsize == 4 else _F64), itemsize


@intrinsic
def _pack(
    typing: Any, XT: Any, first: Any, n_features: Any, shift: Any, moved: Any, raw: Any, at: Any
) -> Any:
    """Write a strip of rows feature by feature, moved and as it is; fetch one that comes soon."""
    n = types.intp
    signature = types.void(XT, n, n, shift, moved, raw, n)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _Emitter(context, builder, signature, args)
        scalar, itemsize = _scalar(XT)
        vector = ir.VectorType(scalar, _VECTOR_BYTES // itemsize)
        stride = to.stride(0, itemsize)
        with cgutils.for_range(builder, args[2]) as loop:
            t = loop.index
            by = to.splat(builder.load(to.pointer(3, t)), vector)
            feature = to.times(t, width(itemsize))
            for r in range(0, width(itemsize), vector.count):
                x = to.pointer(0, args[1], to.times(t, stride), r)
                values = to.load(x, vector, itemsize)
                to.store(values, to.pointer(5, args[6], feature, r), itemsize)
                to.store(builder.fsub(values, by), to.pointer(4, feature, r), itemsize)
                to.prefetch(to.at(x, _AHEAD * width(itemsize)))
        return context.get_dummy_value()

    return signature, emit


def _scoring(n_best: int) -> Any:
    """Make the intrinsic that finds the `n_best` lowest scores of each row of a strip."""

    @intrinsic
    def score(
        typing: Any,
        strip: Any,
        n_features: Any,
        t0: Any,
        t1: Any,
        panels: Any,
        norms: Any,
        p0: Any,
        p1: Any,
        unfinished: Any,
        scores: Any,
        labels: Any,
        at: Any,
    ) -> Any:
        """Score a strip against panels p0 to p1, over features t0 to t1.

        A register tile, of AVX-512 8 centers x 2 vectors of rows, is added up over the features:

                        rows 0 .. 15        rows 16 .. 31
            center 0    added[0][0]         added[0][1]
            ...
            center 7    added[7][0]         added[7][1]

        Each feature costs two loads of rows, 8 broadcasts of a center's value, and 16 fused
        multiply-adds. The best scores so far, and whose they are, stay in registers, too.
        """
        n = types.intp
        signature = types.void(strip, n, n, n, panels, norms, n, n, unfinished, scores, labels, n)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = _Emitter(context, builder, signature, args)
            scalar, itemsize = _scalar(strip)
            vector = ir.VectorType(scalar, _VECTOR_BYTES // itemsize)
            numbers = ir.VectorType(_I32, vector.count)
            tile = [(q, r) for q in range(PANEL) for r in range(_VECTORS)]
            n_features, t0, t1, p0, p1, at = (args[i] for i in (1, 2, 3, 6, 7, 11))
            from_start = builder.icmp_signed("==", t0, to.integer(0))
            to_end = builder.icmp_signed("==", t1, n_features)
            zero = ir.Constant(vector, [0.0] * vector.count)
            added = to.slots(vector, zero, PANEL, _VECTORS)
            best = to.slots(vector, zero, n_best, _VECTORS)
            whose = to.slots(numbers, ir.Constant(numbers, [0] * vector.count), n_best, _VECTORS)
            places = [(b, r) for b in range(n_best) for r in range(_VECTORS)]
            from_nothing = builder.and_(from_start, builder.icmp_signed("==", p0, to.integer(0)))
            for b, r in places:
                place = (b * _VECTORS + r) * vector.count
                so_far = to.load(to.pointer(9, place), vector, itemsize)
                infinite = ir.Constant(vector, [float("inf")] * vector.count)
                builder.store(builder.select(from_nothing, infinite, so_far), best[b][r])
                so_far = to.load(to.pointer(10, at, place), numbers, 4)
                first_one = ir.Constant(numbers, [0] * vector.count)
                builder.store(builder.select(from_nothing, first_one, so_far), whose[b][r])
            with cgutils.for_range_slice(builder, p0, p1, to.integer(1)) as (p, _):
                for q, r in tile:
                    norm = builder.load(to.pointer(5, to.times(p, PANEL), q))
                    norm = builder.select(from_start, norm, ir.Constant(scalar, 0.0))
                    builder.store(to.splat(norm, vector), added[q][r])
                panel = to.pointer(4, to.times(to.times(p, n_features), PANEL))
                with cgutils.for_range_slice(builder, t0, t1, to.integer(1)) as (t, _):
                    row = to.pointer(0, to.times(t, width(itemsize)))
                    rows = [
                        to.load(to.at(row, r * vector.count), vector, itemsize)
                        for r in range(_VECTORS)
                    ]
                    for q in range(PANEL):
                        center = to.at(panel, to.times(t, PANEL), q)
                        center = to.splat(builder.load(center), vector)
                        for r in range(_VECTORS):
                            sum_ = to.multiply_add(center, rows[r], builder.load(added[q][r]))
                            builder.store(sum_, added[q][r])
                held = to.pointer(8, to.times(builder.sub(p, p0), PANEL * width(itemsize)))
                place = {(q, r): to.at(held, (q * _VECTORS + r) * vector.count) for q, r in tile}
                with builder.if_then(builder.not_(from_start)):
                    for q, r in tile:
                        before = to.load(place[q, r], vector, itemsize)
                        builder.store(builder.fadd(builder.load(added[q][r]), before), added[q][r])
                with builder.if_else(to_end) as (finished, more_to_come):
                    with finished:
                        for q, r in tile:
                            number = builder.trunc(to.plus(to.times(p, PANEL), q), _I32)
                            number, value = to.splat(number, numbers), builder.load(added[q][r])
                            displaced = ir.Constant(ir.VectorType(_I1, vector.count), None)
                            for b in range(n_best):
                                so_far, his = builder.load(best[b][r]), builder.load(whose[b][r])
                                # not less or equal: ties go to the lowest index
                                less = builder.fcmp_ordered("<", value, so_far)
                                less = displaced = builder.or_(less, displaced)
                                builder.store(builder.select(less, value, so_far), best[b][r])
                                builder.store(builder.select(less, number, his), whose[b][r])
                                value = builder.select(less, so_far, value)
                                number = builder.select(less, his, number)
                    with more_to_come:
                        for q, r in tile:
                            to.store(builder.load(added[q][r]), place[q, r], itemsize)
            for b, r in places:
                place = (b * _VECTORS + r) * vector.count
                to.store(builder.load(best[b][r]), to.pointer(9, place), itemsize)
                to.store(builder.load(whose[b][r]), to.pointer(10, at, place), 4)
            return context.get_dummy_value()

        return signature, emit

    return score


_best_of_strip = _scoring(1)
_two_best_of_strip = _scoring(2)


def _rows(to: _Emitter, array: int, at: Any, t: Any) -> list[Any]:
    """Turn `DOUBLES` rows of a strip row-major, `DOUBLES` features from t on, and widen them."""
    scalar, itemsize = _scalar(to.signature.args[array])
    narrow, wide = ir.VectorType(scalar, DOUBLES), ir.VectorType(_F64, DOUBLES)
    square = to.pointer(array, at, to.times(t, width(itemsize)))
    columns = [
        to.load(to.at(square, q * width(itemsize)), narrow, itemsize) for q in range(DOUBLES)
    ]
    if itemsize == 4:
        columns = [to.builder.fpext(column, wide) for column in columns]
    return to.transposed(columns)


@intrinsic
def _measure(
    typing: Any,
    raw: Any,
    first: Any,
    n_features: Any,
    labels: Any,
    labels_at: Any,
    centers: Any,
    sq_distances: Any,
    at: Any,
) -> Any:
    """Take the squared distances of a few rows to the centers of their labels."""
    n = types.intp
    signature = types.void(raw, n, n, labels, n, centers, sq_distances, n)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _Emitter(context, builder, signature, args)
        wide = ir.VectorType(_F64, DOUBLES)
        _, length = to.shape(5)
        starts = []
        for r in range(DOUBLES):
            label = builder.sext(builder.load(to.pointer(3, args[4], r)), _I64)
            starts.append(to.pointer(5, to.times(label, length)))
        far = to.slots(wide, ir.Constant(wide, [0.0] * DOUBLES), DOUBLES)
        nothing, step = to.integer(0), to.integer(DOUBLES)
        with cgutils.for_range_slice(builder, nothing, args[2], step) as (t, _):
            for r, row in enumerate(_rows(to, 0, args[1], t)):
                off = builder.fsub(row, to.load(to.at(starts[r], t), wide, 8))
                builder.store(to.multiply_add(off, off, builder.load(far[r])), far[r])
        totals = to.totals([builder.load(of_row) for of_row in far])
        to.store(totals, to.pointer(6, args[7]), 8)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _keep_nearer(
    typing: Any,
    found: Any,
    at: Any,
    measured: Any,
    first_label: Any,
    labels: Any,
    sq_distances: Any,
    b: Any,
    row: Any,
) -> Any:
    """Put what is nearer into row b of the labels and squared distances, of a few rows."""
    n = types.intp
    signature = types.void(found, n, measured, n, labels, sq_distances, n, n)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _Emitter(context, builder, signature, args)
        scalar, itemsize = _scalar(sq_distances)
        narrow, numbers = ir.VectorType(scalar, DOUBLES), ir.VectorType(_I32, DOUBLES)
        far = to.load(to.pointer(2), ir.VectorType(_F64, DOUBLES), 8)
        far = builder.fptrunc(far, narrow) if itemsize == 4 else far
        first = to.splat(builder.trunc(args[3], _I32), numbers)
        label = builder.add(to.load(to.pointer(0, args[1]), numbers, 4), first)
        far_at = to.pointer(5, to.times(args[6], to.stride(5, itemsize)), args[7])
        label_at = to.pointer(4, to.times(args[6], to.stride(4, 4)), args[7])
        so_far = to.load(far_at, narrow, itemsize)
        nearer = builder.fcmp_ordered("<", far, so_far)
        to.store(builder.select(nearer, far, so_far), far_at, itemsize)
        to.store(builder.select(nearer, label, to.load(label_at, numbers, 4)), label_at, 4)
        return context.get_dummy_value()

    return signature, emit


def _adding(n_squares: int, measures: bool) -> Any:
    """Make the intrinsic that adds up a few rows, over `n_squares` * `DOUBLES` features."""

    @intrinsic
    def add(
        typing: Any,
        raw: Any,
        first: Any,
        t: Any,
        labels: Any,
        at: Any,
        table: Any,
        n_copies: Any,
        apart: Any,
        origin: Any,
        share: Any,
    ) -> Any:
        """Add rows to the table's entries for their labels, after measuring them if asked."""
        n = types.intp
        signature = types.void(raw, n, n, labels, n, table, n, n, origin, share)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = _Emitter(context, builder, signature, args)
            wide = ir.VectorType(_F64, DOUBLES)
            t, at = args[2], args[4]
            features = [to.plus(t, DOUBLES * i) for i in range(n_squares)]
            rows = zip(*(_rows(to, 0, args[1], feature) for feature in features), strict=True)
            origins = [to.load(to.pointer(8, feature), wide, 8) for feature in features]
            # the weight of a row counts once
            zeros = to.slots(wide, ir.Constant(wide, [0.0] * DOUBLES))
            zeros = builder.bitcast(zeros, _F64.as_pointer())
            is_first = builder.icmp_signed("==", t, to.integer(0))
            counted = builder.select(is_first, to.pointer(9, at), zeros)
            for r, row in enumerate(rows):
                entry = to.entry(5, r, to.pointer(3, at, r), (args[6], args[7]))
                weight = to.splat(builder.load(to.pointer(9, at, r)), wide)
                far = to.load(entry, wide, 8) if measures else None
                for i, square in enumerate(row):
                    sums = to.at(entry, features[i])
                    if measures:
                        center = to.at(sums, features[i], 2 * DOUBLES)
                        off = builder.fsub(square, to.load(center, wide, 8))
                        far = to.multiply_add(builder.fmul(off, weight), off, far)
                        sums = to.at(center, DOUBLES)
                    moved = builder.fsub(square, origins[i])
                    to.store(to.multiply_add(moved, weight, to.load(sums, wide, 8)), sums, 8)
                if measures:
                    to.store(far, entry, 8)
                    entry = to.at(entry, DOUBLES)
                    counts = builder.load(to.at(counted, r))
                    builder.store(builder.fadd(builder.load(entry), counts), entry)
            return context.get_dummy_value()

        return signature, emit

    return add


_add = _adding(1, False)
_measure_and_add = _adding(1, True)
_measure_and_add_two = _adding(2, True)


def _adding_few(n_features: int) -> Any:
    """Make the intrinsic that adds up a few rows of few features, near few centers."""

    @intrinsic
    def add(
        typing: Any,
        raw: Any,
        first: Any,
        labels: Any,
        at: Any,
        centers: Any,
        table: Any,
        n_copies: Any,
        apart: Any,
        origin: Any,
        share: Any,
    ) -> Any:
        """Add rows to the table's entries for their labels.

        A vector holds one feature of all centers, and is looked up by the labels; what a row adds,
        its features, weight and weighted squared distance, is one vector, too.
        """
        n = types.intp
        signature = types.void(raw, n, labels, n, centers, table, n, n, origin, share)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if not FEW_FEATURES:
                return context.get_dummy_value()
            to = _Emitter(context, builder, signature, args)
            scalar, itemsize = _scalar(raw)
            narrow, wide = ir.VectorType(scalar, DOUBLES), ir.VectorType(_F64, DOUBLES)
            labels_here = to.load(to.pointer(2, args[3]), ir.VectorType(_I32, DOUBLES), 4)
            labels_here = builder.zext(labels_here, ir.VectorType(_I64, DOUBLES))
            weight = to.load(to.pointer(9, args[3]), wide, 8)
            columns, far = [], ir.Constant(wide, [0.0] * DOUBLES)
            for t in range(n_features):
                x = to.load(to.pointer(0, args[1], t * width(itemsize)), narrow, itemsize)
                x = builder.fpext(x, wide) if itemsize == 4 else x
                center = to.looked_up(to.load(to.pointer(4, t * DOUBLES), wide, 8), labels_here)
                off = builder.fsub(x, center)
                far = to.multiply_add(off, off, far)
                moved_by = to.splat(builder.load(to.pointer(8, t)), wide)
                columns.append(builder.fmul(builder.fsub(x, moved_by), weight))
            columns += [weight, builder.fmul(far, weight)]
            turn = to.transposed_half if len(columns) < DOUBLES else to.transposed
            for r, row in enumerate(turn(columns)):
                entry = to.entry(5, r, to.pointer(2, args[3], r), (args[6], args[7]))
                to.store(builder.fadd(to.load(entry, row.type, 8), row), entry, 8)
            return context.get_dummy_value()

        return signature, emit

    return add


_add_two_features = _adding_few(2)
_add_few_features = _adding_few(6)


def assign(
    XT: Array,
    shift: Array,
    panels: Array,
    norms: Array,
    table: Array,
    n_copies: int,
    n_best: int,
    own: Array,
    first_label: int,
    labels: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    columns: Array,
) -> None:
    """Find the nearest centers of rows, and what the rows contribute to them.

    What is not wanted is an array of no elements. For panels, norms and table see `tables`.

    Parameters
    ----------
    XT
        `(n_features, n_rows)` float32 or float64, rows contiguous; a multiple of `width` rows.
    shift, panels, norms
        As `fill_panels` writes them.
    table, n_copies
        Entries, and how many there are of each center: to add to, as copies tell. A power of two,
        `DOUBLES` at most; 0 to measure only.
    n_best
        1, or 2.
    own
        `(n_rows,)` int32: with `n_best` 2, the center to leave out for each row.
    first_label
        The label of the first center.
    labels, sq_distances
        `(n_wanted, n_rows)` int32 and of the rows' dtype: nearest centers so far; brought up to
        date where new ones are nearer.
    weight
        `(n_rows,)` float64; ones if not given.
    origin
        `(n_padded,)` float64: what sums are measured from.
    columns
        `(FEW_FEATURES * DOUBLES,)` float64, if `table` is for few: centers feature by feature.
    """
    n_features, n_rows = XT.shape
    n_strip = _VECTORS * _VECTOR_BYTES // XT.itemsize
    n_panels = norms.size // PANEL
    n_padded = -(-n_features // DOUBLES) * DOUBLES
    n_tile = n_strip * max(1, min(_MOST_STRIPS, _TILE_BYTES // (n_strip * n_padded * XT.itemsize)))
    strip, raw = np.empty(n_strip * n_features, XT.dtype), np.zeros(n_tile * n_padded, XT.dtype)
    unfinished = np.empty(n_strip * PANEL * min(_MOST_PANELS, n_panels), XT.dtype)
    scores, found = np.empty(n_best * n_strip, XT.dtype), np.empty(n_best * n_tile, np.int32)
    apart = table.size // max(n_copies, 1)
    share, measured = np.ones(n_tile), np.empty(DOUBLES)
    for start in range(0, n_rows, n_tile):
        n = min(n_tile, n_rows - start)
        for i in range(0, n, n_strip):
            _pack(XT, start + i, n_features, shift, strip, raw, i * n_padded)
            if n_best == 1 and n_features <= _MOST_FEATURES:
                # LLVM sees that no scores are left unfinished
                _best_of_strip(
                    strip, n_features, 0, n_features, panels, norms, 0, n_panels,
                    unfinished, scores, found, i,
                )  # fmt: skip
            else:
                for p0 in range(0, n_panels, _MOST_PANELS):
                    p1 = min(p0 + _MOST_PANELS, n_panels)
                    for t0 in range(0, n_features, _MOST_FEATURES):
                        t1 = min(t0 + _MOST_FEATURES, n_features)
                        if n_best == 1:
                            _best_of_strip(
                                strip, n_features, t0, t1, panels, norms, p0, p1,
                                unfinished, scores, found, i,
                            )  # fmt: skip
                        else:
                            _two_best_of_strip(
                                strip, n_features, t0, t1, panels, norms, p0, p1,
                                unfinished, scores, found, 2 * i,
                            )  # fmt: skip
            if own.size:
                for row in range(i, i + n_strip):
                    if found[i + row] == own[start + row]:
                        found[i + row] = found[i + row + n_strip]
        if weight.size:
            share[:n] = weight[start : start + n]
        if n_copies and columns.size:
            for i in range(0, n, DOUBLES):
                first = i // n_strip * n_strip * n_padded + i % n_strip
                if n_features <= 2:
                    _add_two_features(
                        raw, first, found, i, columns, table, n_copies, apart, origin, share
                    )
                else:
                    _add_few_features(
                        raw, first, found, i, columns, table, n_copies, apart, origin, share
                    )
        elif n_copies:
            for i in range(0, n, DOUBLES):
                first = i // n_strip * n_strip * n_padded + i % n_strip
                for t in range(0, n_features - DOUBLES, 2 * DOUBLES):
                    _measure_and_add_two(
                        raw, first, t, found, i, table, n_copies, apart, origin, share
                    )
                if n_padded % (2 * DOUBLES):
                    t = n_padded - DOUBLES
                    _measure_and_add(raw, first, t, found, i, table, n_copies, apart, origin, share)
        for b in range(len(labels)):
            for i in range(0, n, n_strip):
                first, place = i * n_padded, n_best * i + b * n_strip
                for j in range(0, n_strip, DOUBLES):
                    _measure(raw, first + j, n_features, found, place + j, table, measured, 0)
                    _keep_nearer(
                        found, place + j, measured, first_label, labels, sq_distances, b,
                        start + i + j,
                    )  # fmt: skip


def measure(
    XT: Array,
    labels: Array,
    table: Array,
    n_copies: int,
    sq_distances: Array,
    weight: Array,
    origin: Array,
) -> None:
    """Take squared distances of rows to the centers of their labels, or add rows up by label.

    Parameters
    ----------
    XT
        `(n_features, n_rows)` float32 or float64, rows contiguous; a multiple of `width` rows.
    labels
        `(n_rows,)` int32.
    table, n_copies, origin
        As `assign` takes them, but entries to add to hold sums only.
    sq_distances
        `(n_rows,)` float64: written to.
    weight
        `(n_rows,)` float64; ones if of no elements.
    """
    n_features, n_rows = XT.shape
    n_strip = _VECTORS * _VECTOR_BYTES // XT.itemsize
    n_padded = -(-n_features // DOUBLES) * DOUBLES
    unmoved = np.zeros(n_features, XT.dtype)
    strip, raw = np.empty(n_strip * n_features, XT.dtype), np.zeros(n_strip * n_padded, XT.dtype)
    share, apart = np.ones(n_strip), table.size // max(n_copies, 1)
    for start in range(0, n_rows, n_strip):
        _pack(XT, start, n_features, unmoved, strip, raw, 0)
        if weight.size:
            share[:] = weight[start : start + n_strip]
        here = labels[start:]
        for i in range(0, n_strip, DOUBLES):
            if n_copies:
                for t in range(0, n_features, DOUBLES):
                    _add(raw, i, t, here, i, table, n_copies, apart, origin, share)
            else:
                _measure(raw, i, n_features, labels, start + i, table, sq_distances, start + i)
