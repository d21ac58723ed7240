"""How a lineage is shown: clusters before and after, and what happened to them, in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkmeans.evaluation.shown import Section, brief, cluster, decimals, name, number, share

if TYPE_CHECKING:
    from dkmeans.evaluation.lineage.fates import Part
    from dkmeans.evaluation.lineage.result import Lineage

_SHOWN_CLUSTERS = 30
_SHOWN_CHANGES = 20
_SHOWN_PARTS = 4


@dataclass(frozen=True)
class Line:
    """One cluster, before and after. What is not known, or is not there, is None."""

    old_id: int | None
    new_id: int | None
    cluster_name: str | None

    fate: str
    """"kept", "new" or "gone"."""

    old_share: float | None
    """Of all rows, under the old model."""

    new_share: float | None
    """Of all rows, under the new model."""

    stays: float | None
    """Share of its old rows that stay in it."""

    overlap: float | None
    """Jaccard index of its old and its new rows."""

    shift: float | None
    """How far its center has moved, in the scaled units of the old model."""

    @property
    def cluster_id(self) -> int:
        """Its number, before, after, or both."""
        either = self.old_id if self.new_id is None else self.new_id
        assert either is not None
        return either


def of_lineage(lineage: "Lineage") -> tuple[Section, ...]:
    """Return the sections of a lineage."""
    lines, shown = lineage.lines, _shown(lineage)
    named = any(line.cluster_name for line in shown)
    has_rows = lineage.table is not None
    heads = ["Before", "After", *(["Name"] if named else [])]
    heads += ["Share before", "Share after", "Stays", "Overlap"] if has_rows else []
    rows = []
    for line in shown:
        cells = ["-" if one is None else str(one) for one in (line.old_id, line.new_id)]
        cells += [name(line.cluster_name or "-")] if named else []
        if has_rows:
            parts = (line.old_share, line.new_share, line.stays)
            cells += ["-" if one is None else share(one, 1.0) for one in parts]
            cells.append(decimals(line.overlap, 2))
        rows.append((*cells, brief(line.shift)))
    n_old, n_new = len(lineage.old_ids), len(lineage.new_ids)
    clusters = "1 cluster" if n_old == 1 else f"{n_old:,} clusters"
    counts = (
        f"{len(lineage.kept):,} kept, {len(lineage.births):,} new, {len(lineage.deaths):,} gone"
    )
    sentences = [_churn(lineage)]
    if len(shown) < len(lines):
        sentences.append(
            f"The {len(shown)} of {len(lines):,} clusters that changed most are shown; to_frame() "
            "has all."
        )
    changes = _changes(lineage)
    sentences += changes[:_SHOWN_CHANGES]
    if len(changes) > _SHOWN_CHANGES:
        sentences.append(f"{len(changes) - _SHOWN_CHANGES:,} more changes: to_dict() has all.")
    title = f"{clusters} before, {n_new:,} after: {counts}"
    return (Section(title, tuple(sentences), (*heads, "Shift"), tuple(rows)),)


def _shown(lineage: "Lineage") -> list[Line]:
    """All clusters, or of many those that are new or gone or overlap least, in the same order."""
    lines = list(lineage.lines)
    if len(lines) <= _SHOWN_CLUSTERS:
        return lines

    def likeness(i: int) -> float:
        line = lines[i]
        if line.fate != "kept":
            return -1.0
        return 1.0 if line.overlap is None else line.overlap

    chosen = sorted(range(len(lines)), key=likeness)[:_SHOWN_CLUSTERS]
    return [lines[i] for i in sorted(chosen)]


def _churn(lineage: "Lineage") -> str:
    shift = "Shift: of the center, in the scaled units of the old model."
    if lineage.table is None:
        return f"Matched by centers alone: churn, splits and merges are not known. {shift}"
    if lineage.churn is None:
        return f"The rows have no weight: clusters were matched by centers alone. {shift}"
    overlap = "Overlap: Jaccard index of the rows before and after."
    of = "rows" if lineage.unit == "rows" else "the weight"
    return (
        f"Churn: {share(lineage.churn, 1.0)} of {of} change"
        f"{'' if lineage.unit == 'rows' else 's'} the cluster id "
        f"({number(lineage.n_rows)} rows). {overlap} {shift}"
    )


def _changes(lineage: "Lineage") -> list[str]:
    """What happened, in a sentence each: splits, merges, and births and deaths besides."""
    unit = lineage.unit
    said: list[str] = []
    told_new, told_gone = set[int](), set[int]()
    for split in lineage.splits:
        told_new |= {part.cluster_id for part in split.parts}
        parts = _listed(
            [
                f"{share(part.share_of_old, 1.0)} of its {unit} are in {part.cluster_id}"
                for part in split.parts
            ]
        )
        keeps = "none keeps its id" if split.kept_by is None else f"{split.kept_by} keeps its id"
        if split.kept_by is None:
            told_gone.add(split.cluster_id)
        said.append(f"Cluster {_called(lineage, split.cluster_id)} was split: {parts}; {keeps}.")
    for merge in lineage.merges:
        told_gone |= {part.cluster_id for part in merge.parts}
        told_new.add(merge.cluster_id)
        whole = _listed([_called(lineage, part.cluster_id) for part in merge.parts])
        parts = _listed(
            [f"{share(part.share_of_old, 1.0)} of {part.cluster_id}" for part in merge.parts]
        )
        into = merge.cluster_id
        kept = "a new id" if merge.kept_from is None else "which keeps its id"
        said.append(f"Clusters {whole} were merged into {into}, {kept}: {parts} are in it.")
    for birth in lineage.births:
        if birth.cluster_id not in told_new:
            found = _where(birth.parts, [part.share_of_new for part in birth.parts], "were", unit)
            said.append(f"Cluster {birth.cluster_id} is new{found or _no_rows(lineage)}.")
    for death in lineage.deaths:
        if death.cluster_id not in told_gone:
            found = _where(death.parts, [part.share_of_old for part in death.parts], "are", unit)
            called = _called(lineage, death.cluster_id)
            said.append(f"Cluster {called} is gone{found or _no_rows(lineage)}.")
    return said


def _where(parts: "tuple[Part, ...]", shares: list[float], verb: str, unit: str) -> str:
    if not parts:
        return ""
    told = [
        f"{share(one, 1.0)} {'of its ' + unit + ' ' if i == 0 else ''}{verb} in {part.cluster_id}"
        for i, (part, one) in enumerate(zip(parts, shares, strict=True))
    ]
    return f": {_listed(told)}"


def _no_rows(lineage: "Lineage") -> str:
    return "" if lineage.table is None else " and has no rows here"


def _called(lineage: "Lineage", cluster_id: int) -> str:
    return cluster(cluster_id, lineage.cluster_names)


def _listed(said: list[str]) -> str:
    if len(said) > _SHOWN_PARTS:
        return f"{', '.join(said[:_SHOWN_PARTS])} and {len(said) - _SHOWN_PARTS} more"
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]
