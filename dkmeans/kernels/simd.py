"""Score rows against centers, and add them up, at the speed of the processor's vector units.

Two loops over strips of rows, compiled by Numba. Their inner parts are small intrinsics written as
LLVM IR on vectors of fixed length, which LLVM lowers to those that the processor has: tested for
AVX-512, AVX2 and SSE2; the sizes for NEON are chosen by its registers, and not tried yet. `plain`
has the same loops without vectors: it says what these compute, and takes their place where they do
not compile.

Intrinsics and the loops that call them stay in one file: Numba's cache looks at the file of the
loops alone to tell whether what it keeps is out of date.
"""

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

_MOST_FEATURES = 256
"""Products are added up over so many features at a time: what stays in the innermost cache, and
loses few digits."""

_MOST_PANELS = 64
"""Panels whose unfinished scores are held while there are more features to come."""

_AHEAD = 4
"""Strips that are fetched ahead of the one that is packed."""

_I1, _I32, _I64, _F64 = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.DoubleType()


def width(itemsize: int) -> int:
    """Rows of a strip, for rows of 4 or 8 bytes a value."""
    return _VECTORS * _VECTOR_BYTES // itemsize


class _Emitter:
    """LLVM IR on pointers and vectors, a line a thought."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
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

    def transposed(self, rows: Any) -> list[Any]:
        """Transpose n vectors of n lanes, n a power of two."""
        n, half = len(rows), 1
        while half < n:
            swapped = list(rows)
            for i in (i for i in range(n) if not i & half):
                upper = [j if not j & half else n + (j ^ half) for j in range(n)]
                lower = [j | half if not j & half else n + j for j in range(n)]
                for to, lanes in ((i, upper), (i | half, lower)):
                    mask = ir.Constant(ir.VectorType(_I32, n), lanes)
                    swapped[to] = self.builder.shuffle_vector(rows[i], rows[i | half], mask)
            rows, half = swapped, 2 * half
        return list(rows)


def _scalar(array: Any) -> tuple[Any, int]:
    """The LLVM type of an array's elements, and their bytes."""
    itemsize = array.dtype.bitwidth // 8
    return (ir.FloatType() if itemsize == 4 else _F64), itemsize


@intrinsic
def _pack(typing: Any, XT: Any, first: Any, shift: Any, n_features: Any, strip: Any) -> Any:
    """Write a strip of moved rows to `strip`, feature by feature, and fetch one that comes soon."""
    signature = types.void(XT, types.intp, shift, types.intp, strip)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _Emitter(context, builder, signature, args)
        scalar, itemsize = _scalar(XT)
        vector = ir.VectorType(scalar, _VECTOR_BYTES // itemsize)
        stride = to.stride(0, itemsize)
        with cgutils.for_range(builder, args[3]) as loop:
            t = loop.index
            moved_by = to.splat(builder.load(to.pointer(2, t)), vector)
            for r in range(0, width(itemsize), vector.count):
                x = to.pointer(0, args[1], to.times(t, stride), r)
                moved = builder.fsub(to.load(x, vector, itemsize), moved_by)
                to.store(moved, to.pointer(4, to.times(t, width(itemsize)), r), itemsize)
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
        signature = types.void(strip, n, n, n, panels, norms, n, n, unfinished, scores, labels)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = _Emitter(context, builder, signature, args)
            scalar, itemsize = _scalar(strip)
            vector = ir.VectorType(scalar, _VECTOR_BYTES // itemsize)
            numbers = ir.VectorType(_I32, vector.count)
            tile = [(q, r) for q in range(PANEL) for r in range(_VECTORS)]
            n_features, t0, t1, p0, p1 = (args[i] for i in (1, 2, 3, 6, 7))
            from_start = builder.icmp_signed("==", t0, to.integer(0))
            to_end = builder.icmp_signed("==", t1, n_features)
            zero = ir.Constant(vector, [0.0] * vector.count)
            added = to.slots(vector, zero, PANEL, _VECTORS)
            best = to.slots(vector, zero, n_best, _VECTORS)
            whose = to.slots(numbers, ir.Constant(numbers, [0] * vector.count), n_best, _VECTORS)
            places = [(b, r) for b in range(n_best) for r in range(_VECTORS)]
            from_nothing = builder.and_(from_start, builder.icmp_signed("==", p0, to.integer(0)))
            for b, r in places:
                at = (b * _VECTORS + r) * vector.count
                so_far = to.load(to.pointer(9, at), vector, itemsize)
                infinite = ir.Constant(vector, [float("inf")] * vector.count)
                builder.store(builder.select(from_nothing, infinite, so_far), best[b][r])
                so_far = to.load(to.pointer(10, at), numbers, 4)
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
                at = (b * _VECTORS + r) * vector.count
                to.store(builder.load(best[b][r]), to.pointer(9, at), itemsize)
                to.store(builder.load(whose[b][r]), to.pointer(10, at), 4)
            return context.get_dummy_value()

        return signature, emit

    return score


_best_of_strip = _scoring(1)
_two_best_of_strip = _scoring(2)


def _measuring(adds: bool) -> Any:
    """Make the intrinsic that measures a few rows, and adds them up if asked."""

    @intrinsic
    def measure(
        typing: Any,
        XT: Any,
        first: Any,
        n_features: Any,
        labels: Any,
        at: Any,
        centers: Any,
        origin: Any,
        weight: Any,
        sums: Any,
        totals: Any,
        sq_distances: Any,
    ) -> Any:
        """Take squared distances to the centers of `labels[at:]`; add to their sums and totals.

        Rows are turned row-major in registers, a square of rows x features at a time, and widened
        to float64 there.
        """
        n = types.intp
        signature = types.void(
            XT, n, n, labels, n, centers, origin, weight, sums, totals, sq_distances
        )

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = _Emitter(context, builder, signature, args)
            scalar, itemsize = _scalar(XT)
            narrow, wide = ir.VectorType(scalar, DOUBLES), ir.VectorType(_F64, DOUBLES)
            few = range(DOUBLES)
            first, n_features, at = args[1], args[2], args[4]
            stride = to.stride(0, itemsize)
            n_padded = to.times(
                builder.sdiv(to.plus(n_features, DOUBLES - 1), to.integer(DOUBLES)), DOUBLES
            )
            labels_here = [builder.sext(builder.load(to.pointer(3, at, r)), _I64) for r in few]
            starts = [to.times(label, n_padded) for label in labels_here]
            zeros = to.slots(narrow, ir.Constant(narrow, [0.0] * DOUBLES))
            zeros = builder.bitcast(zeros, scalar.as_pointer())
            far = to.slots(wide, ir.Constant(wide, [0.0] * DOUBLES), DOUBLES)
            step = to.integer(DOUBLES)
            with cgutils.for_range_slice(builder, to.integer(0), n_features, step) as (t, _):
                columns = []
                for q in few:
                    feature = to.plus(t, q)
                    x = to.pointer(0, first, to.times(feature, stride))
                    exists = builder.icmp_signed("<", feature, n_features)
                    x = to.load(builder.select(exists, x, zeros), narrow, itemsize)
                    columns.append(x if itemsize == 8 else builder.fpext(x, wide))
                origin_here = to.load(to.pointer(6, t), wide, 8)
                for r, row in enumerate(to.transposed(columns)):
                    center = to.load(to.pointer(5, starts[r], t), wide, 8)
                    off = builder.fsub(row, center)
                    builder.store(to.multiply_add(off, off, builder.load(far[r])), far[r])
                    if adds:
                        share = to.splat(builder.load(to.pointer(7, at, r)), wide)
                        sums_here = to.pointer(8, starts[r], t)
                        moved = builder.fsub(row, origin_here)
                        to.store(
                            to.multiply_add(moved, share, to.load(sums_here, wide, 8)), sums_here, 8
                        )
            lanes = to.transposed([builder.load(of_row) for of_row in far])
            while len(lanes) > 1:
                lanes = [builder.fadd(a, b) for a, b in zip(lanes[::2], lanes[1::2], strict=True)]
            to.store(lanes[0], to.pointer(10, at), 8)
            if adds:
                shares = to.load(to.pointer(7, at), wide, 8)
                weighted = builder.fmul(shares, lanes[0])
                pair = ir.VectorType(_F64, 2)
                for r, label in enumerate(labels_here):
                    lane = ir.Constant(_I32, r)
                    both = ir.Constant(pair, ir.Undefined)
                    for place, of_rows in enumerate((shares, weighted)):
                        one = builder.extract_element(of_rows, lane)
                        both = builder.insert_element(both, one, ir.Constant(_I32, place))
                    so_far = to.pointer(9, to.times(label, 2))
                    to.store(builder.fadd(to.load(so_far, pair, 8), both), so_far, 8)
            return context.get_dummy_value()

        return signature, emit

    return measure


_measure = _measuring(False)
_measure_and_add = _measuring(True)


def assign(
    XT: Array,
    shift: Array,
    panels: Array,
    norms: Array,
    centers: Array,
    n_best: int,
    own: Array,
    first_label: int,
    labels: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    sums: Array,
    totals: Array,
) -> None:
    """Find the nearest centers of rows, and what the rows contribute to them.

    What is not wanted is an array of no elements.

    Parameters
    ----------
    XT
        `(n_features, n_rows)` float32 or float64, rows contiguous; a multiple of `width` rows.
    shift
        `(n_features,)` of the rows' dtype: what rows are moved by before they are scored.
    panels
        Flat, of the rows' dtype: -2 times the moved centers, `(n_panels, n_features, PANEL)`.
    norms
        `(n_panels * PANEL,)` of the rows' dtype: squared norms of the moved centers, and offsets;
        infinite for those that fill up the last panel.
    centers
        `(n_centers, n_padded)` float64: the centers, features padded by zeros to a
        multiple of `DOUBLES`.
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
    sums, totals
        `(n_centers, n_padded)` and `(n_centers, 2)` float64: added to; weighted sums of the rows
        nearest to each center, and their weights and weighted squared distances.
    """
    n_features, n_rows = XT.shape
    n_strip = _VECTORS * _VECTOR_BYTES // XT.itemsize
    n_panels = norms.size // PANEL
    strip = np.empty(n_strip * n_features, XT.dtype)
    unfinished = np.empty(n_strip * PANEL * min(_MOST_PANELS, n_panels), XT.dtype)
    scores, found = np.empty(n_best * n_strip, XT.dtype), np.empty(n_best * n_strip, np.int32)
    share, measured = np.ones(n_strip), np.empty(n_strip)
    for start in range(0, n_rows, n_strip):
        _pack(XT, start, shift, n_features, strip)
        for p0 in range(0, n_panels, _MOST_PANELS):
            p1 = min(p0 + _MOST_PANELS, n_panels)
            for t0 in range(0, n_features, _MOST_FEATURES):
                t1 = min(t0 + _MOST_FEATURES, n_features)
                if n_best == 1:
                    _best_of_strip(
                        strip, n_features, t0, t1, panels, norms, p0, p1,
                        unfinished, scores, found,
                    )  # fmt: skip
                else:
                    _two_best_of_strip(
                        strip, n_features, t0, t1, panels, norms, p0, p1,
                        unfinished, scores, found,
                    )  # fmt: skip
        if own.size:
            for i in range(n_strip):
                if found[i] == own[start + i]:
                    found[i] = found[n_strip + i]
        if weight.size:
            share[:] = weight[start : start + n_strip]
        for b in range(max(len(labels), 1)):
            for i in range(0, n_strip, DOUBLES):
                if sums.size:
                    _measure_and_add(
                        XT, start + i, n_features, found, i, centers, origin, share, sums,
                        totals, measured,
                    )  # fmt: skip
                else:
                    _measure(
                        XT, start + i, n_features, found[b * n_strip :], i, centers, origin,
                        share, sums, totals, measured,
                    )  # fmt: skip
            if labels.size:
                for i in range(n_strip):
                    scores[i] = measured[i]
                    if scores[i] < sq_distances[b, start + i]:
                        sq_distances[b, start + i] = scores[i]
                        labels[b, start + i] = found[b * n_strip + i] + first_label


def measure(
    XT: Array,
    labels: Array,
    centers: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    sums: Array,
) -> None:
    """Take squared distances of rows to the centers of their labels, and add rows up by label.

    Parameters
    ----------
    XT
        `(n_features, n_rows)` float32 or float64, rows contiguous; a multiple of `width` rows.
    labels
        `(n_rows,)` int32.
    centers
        `(n_centers, n_padded)` float64.
    sq_distances
        `(n_rows,)` float64: written to.
    weight
        `(n_rows,)` float64; ones if of no elements.
    origin
        `(n_padded,)` float64: what sums are measured from.
    sums
        `(n_centers, n_padded)` float64: added to, unless of no elements.
    """
    n_features, n_rows = XT.shape
    share = np.ones(DOUBLES)
    totals = np.zeros((len(sums), 2))
    for start in range(0, n_rows, DOUBLES):
        if not sums.size:
            _measure(
                XT, start, n_features, labels, start, centers, origin, share, sums, totals,
                sq_distances,
            )  # fmt: skip
            continue
        if weight.size:
            share[:] = weight[start : start + DOUBLES]
        _measure_and_add(
            XT, start, n_features, labels[start:], 0, centers, origin, share, sums, totals,
            sq_distances[start:],
        )  # fmt: skip
