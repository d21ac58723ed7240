"""The tables of a report: clusters, centers, tests, checks, rows, and what became of clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dkmeans.evaluation.charts.centers import Centers
from dkmeans.evaluation.charts.clusters import ChartCluster, Faces
from dkmeans.evaluation.profiles.anova import Anova
from dkmeans.evaluation.profiles.parts import Examples
from dkmeans.evaluation.shown import brief, decimals, plain, probability, share
from dkmeans.plots.drawing import count
from dkmeans.reports.colors import level_of
from dkmeans.reports.findings import Findings
from dkmeans.reports.parts import Cell, Table, figure_cell

_MOST_TESTED = 30
_MOST_OF_ROWS = 8
_LONGEST_KEY = 60
_LEAST_OVERLAP = 0.01


@dataclass(frozen=True)
class Heat:
    """Centers as colored cells: a feature a row, a cluster a column."""

    clusters: tuple[ChartCluster, ...]
    features: tuple[str, ...]
    levels: tuple[tuple[int | None, ...], ...]
    """Shade of each cell; None where there is no z-score."""

    shown: tuple[tuple[str, ...], ...]
    tips: tuple[tuple[str, ...], ...]
    unit: str
    notes: tuple[str, ...]


def heat(chart: Centers) -> Heat:
    """Return the z-scores of centers as colored cells."""
    z, values = chart.z.T, chart.values.T
    known = ~np.isnan(z)
    return Heat(
        chart.clusters,
        chart.features,
        tuple(
            tuple(level_of(v) if ok else None for v, ok in zip(row, oks))
            for row, oks in zip(z.tolist(), known.tolist())
        ),
        tuple(tuple(decimals(v, 1, sign=True) for v in row) for row in z.tolist()),
        tuple(
            tuple(
                f"{one.text}, {name}: mean {brief(value)}"
                for one, value in zip(chart.clusters, row)
            )
            for name, row in zip(chart.features, values.tolist())
        ),
        chart.unit,
        chart.notes,
    )


def clusters(found: Findings, means: dict[int, float]) -> Table:
    """All clusters: rows, width, silhouette, and what sets them apart."""
    profile, model = found.profile, found.model
    faces = Faces.of(model)
    total = float(profile.count.sum())
    rows = []
    for label in np.argsort(-profile.count, kind="stable").tolist():
        one, weight = faces.cluster(label), float(profile.count[label])
        width = float(profile.assumptions.spread[label])
        rows.append(
            (
                Cell(_full(one), one.cluster_id, label),
                figure_cell(weight, count(weight)),
                figure_cell(weight, share(weight, total)),
                figure_cell(width),
                *(
                    (figure_cell(means.get(label, float("nan")),
                                 decimals(means.get(label), 2)),)
                    if means
                    else ()
                ),
                Cell(profile.phrases[label] if weight > 0 else "empty: no rows"),
            )
        )  # fmt: skip
    columns = ("Cluster", "Rows", "Share", "Width", *(("Silhouette",) if means else ()))
    numeric = (False, *(True for _ in columns[1:]), False)
    return Table("All clusters, the largest first", (*columns, "What sets it apart"),
                 tuple(rows), numeric)  # fmt: skip


def anova(found: Anova) -> Table:
    """The features by their effect."""
    shown = found.order[:_MOST_TESTED].tolist()
    has_remarks = any(found.reasons[i] for i in shown)
    rows = tuple(
        (
            Cell(found.feature_names[i], i),
            figure_cell(float(found.eta_squared[i]), decimals(found.eta_squared[i], 3)),
            figure_cell(float(found.f[i])),
            figure_cell(float(found.p_value[i]), probability(found.p_value[i])),
            *((Cell(found.reasons[i]),) if has_remarks else ()),
        )
        for i in shown
    )
    columns = ("Feature", "Eta squared", "F", "p", *(("Remark",) if has_remarks else ()))
    caption = "How far each feature separates the clusters"
    if len(rows) < len(found.feature_names):
        caption += f": the {len(rows)} of largest effect, of {len(found.feature_names):,}"
    return Table(caption, columns, rows, (False, True, True, True, False))


def examples(
    found: Findings,
    rows: Examples,
    shown: tuple[ChartCluster, ...],
    leading: tuple[int, ...],
    caption: str,
) -> Table:
    """Rows of the data, with their keys and some of their features."""
    profile, model = found.profile, found.model
    faces = Faces.of(model)
    chosen = leading[:_MOST_OF_ROWS]
    labels = {one.label for one in shown}
    has_second = bool((rows.second_labels >= 0).any())
    cells = []
    for i in np.lexsort((rows.distances, model.cluster_ids[rows.labels])).tolist():
        label = int(rows.labels[i])
        if label not in labels:
            continue
        one, second = faces.cluster(label), int(rows.second_labels[i])
        cells.append(
            (
                Cell(one.text, one.cluster_id, label),
                *((Cell(_key(values[i])) for values in rows.keys.values()) if rows.keys else
                  (figure_cell(int(rows.row_numbers[i]), f"{int(rows.row_numbers[i]):,}"),)),
                figure_cell(float(rows.distances[i])),
                *((Cell(faces.cluster(second).text, second, second) if second >= 0 else Cell("-"),)
                  if has_second else ()),
                *(figure_cell(float(rows.X[i, j])) for j in chosen),
            )
        )  # fmt: skip
    keys = tuple(rows.keys) or ("Row",)
    columns = ("Cluster", *keys, "Distance", *(("Next cluster",) if has_second else ()))
    names = tuple(profile.feature_names[j] for j in chosen)
    numeric = (
        False,
        *(not rows.keys for _ in keys),
        True,
        *((False,) if has_second else ()),
        *(True for _ in names),
    )
    if len(chosen) < profile.n_features:
        caption += f" ({len(chosen)} features of {profile.n_features:,}, and "
        caption += "all keys)" if rows.keys else "row numbers)"
    return Table(caption, (*columns, *names), tuple(cells), numeric)


def fates(found: Findings) -> Table:
    """What became of the clusters of the other model, in the ids of both."""
    lineage, model, other = found.lineage, found.model, found.against
    assert lineage is not None
    assert other is not None
    table, faces = lineage.table, Faces.of(model)
    old_faces = Faces.of(other)
    kept = {one.new_label: one for one in lineage.kept}
    rows = []
    for label in np.argsort(model.cluster_ids, kind="stable").tolist():
        one = faces.cluster(label)
        heir = kept.get(label)
        continues = "new" if heir is None else f"continues {old_faces.cluster(heir.old_label).text}"
        overlap = None if heir is None else heir.overlap
        rows.append(
            (
                Cell(one.text, one.cluster_id, label),
                Cell(continues),
                figure_cell(overlap, "-" if overlap is None else share(overlap, 1.0)),
                Cell("" if table is None else _from(table.weight[:, label], old_faces)),
            )
        )
    for dead in lineage.deaths:
        one = old_faces.cluster(dead.old_label)
        went = "" if table is None else _from(table.weight[dead.old_label], faces)
        rows.append(
            (Cell(f"(before: {one.text})", one.cluster_id), Cell("gone"), figure_cell(None, "-"),
             Cell(f"now in {went}" if went else ""))
        )  # fmt: skip
    columns = ("Cluster", "What became of it", "Overlap", "Its rows were in")
    return Table("Clusters before and after", columns, tuple(rows), (False, False, True, False))


def told_splits(found: Findings) -> list[str]:
    """Say which clusters were split or merged, in the ids of both models."""
    lineage, model, other = found.lineage, found.model, found.against
    assert lineage is not None
    assert other is not None
    new = dict(zip(lineage.new_ids.tolist(), map(Faces.of(model).cluster, range(model.n_clusters))))
    old = {int(one): Faces.of(other).cluster(i) for i, one in enumerate(other.cluster_ids.tolist())}
    said = []
    for split in lineage.splits:
        parts = ", ".join(
            f"{new[part.cluster_id].text} ({share(part.share_of_old, 1.0)} of its rows)"
            for part in split.parts
        )
        said.append(f"Cluster {old[split.cluster_id].text} was split into clusters {parts}.")
    for merge in lineage.merges:
        parts = ", ".join(old[part.cluster_id].text for part in merge.parts)
        said.append(f"Clusters {parts} were merged into cluster {new[merge.cluster_id].text}.")
    return said


def _from(weights: Any, faces: Faces) -> str:
    total = float(weights.sum())
    if not total > 0:
        return ""
    order = np.argsort(-weights, kind="stable")[:3]
    return ", ".join(
        f"{faces.cluster(i).text} ({share(float(weights[i]), total)})"
        for i in order.tolist()
        if weights[i] >= _LEAST_OVERLAP * total
    )


def _full(one: ChartCluster) -> str:
    return str(one.cluster_id) if one.name is None else f"{one.cluster_id} {one.name}"


def _key(value: Any) -> str:
    said = str(plain(value))
    return said if len(said) <= _LONGEST_KEY else f"{said[: _LONGEST_KEY - 1]}…"
