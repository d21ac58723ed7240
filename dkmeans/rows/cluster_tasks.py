"""What tasks of a pass do on a cluster's workers, with what has travelled there."""

from collections.abc import Sequence
from typing import Any

from dkmeans.rows.leaf import Leaf, LeafResult, Pass
from dkmeans.rows.packed import Packed, unpacked
from dkmeans.rows.spans import Span, run_span
from dkmeans.rows.stretch import Lacking, Stretch, join
from dkmeans.rows.walk import merge_results, run_leaf


def walk_span(span: Packed, shared: Packed | Pass, parts: Sequence[Any]) -> Stretch | Lacking:
    """Answer all requests of a pass for a span that has travelled."""
    return run_span(unpacked(span), unpacked(shared), parts)


def walk_leaf(leaf: Leaf, shared: Packed | Pass, part: Any) -> LeafResult:
    """Answer all requests of a pass for a leaf."""
    return run_leaf(leaf, unpacked(shared), part)


def gather_alone(span: Span, of_leaves: list[list[LeafResult]]) -> Stretch | Lacking:
    """Put together what the blocks of some leaves gave one by one."""
    results = [merge_results(of_blocks) for of_blocks in of_leaves]
    missing = tuple(number for result in results for number in result.missing)
    if missing:
        return Lacking(missing)
    found = [Stretch.of_leaf(i, result) for i, result in enumerate(results, span.first)]
    return join(found, span.n_leaves)
