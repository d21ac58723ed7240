"""The page: what its template is given, and the file that comes of it."""

import base64
import datetime
import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.centers import Centers
from dkmeans.evaluation.charts.clusters import ChartCluster, Faces
from dkmeans.evaluation.charts.convergence import Convergence
from dkmeans.evaluation.charts.drift import DriftFigures
from dkmeans.evaluation.charts.flow import Flow
from dkmeans.evaluation.charts.map2d import Map2D
from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.evaluation.charts.sizes import Sizes
from dkmeans.evaluation.profiles.anova import CIRCULAR
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.reports import about, figures, tables
from dkmeans.reports.about import Named
from dkmeans.reports.cards import cards, compared
from dkmeans.reports.colors import DARK, LIGHT, on_dark, on_light, shades
from dkmeans.reports.findings import Findings
from dkmeans.reports.parts import Figure, Table, figure_cell, table_of
from dkmeans.reports.words import judged, summary

_FOLDER = "templates"

_ROUNDING = 1e-12
"""Figures of drift below it are nothing."""


@dataclass(frozen=True)
class Asked:
    """What a report is to show."""

    rows_shown: bool
    model: Named
    against: Named
    sweep: Sweep | None
    title: str | None


def rendered(found: Findings, asked: Asked) -> str:
    """Return the page."""
    style, script = _style(found), _part("report.js")
    environment = _environment()
    context = _context(found, asked)
    policy = (
        "default-src 'none'; img-src data:; "
        f"style-src '{_hashed(style)}'; script-src '{_hashed(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("report.html").render(
        **context, policy=policy, style=Markup(style), script=Markup(script)
    )


def _context(found: Findings, asked: Asked) -> dict[str, Any]:
    model, profile = found.model, found.profile
    faces = Faces(model.cluster_ids, profile.count, model.cluster_names, model.cluster_colors)
    shown, notes = faces.chosen(None)
    everywhere = None
    # of one cluster there are none
    with suppress(ArgumentError):
        everywhere = Silhouettes.of(found.samples, most_clusters=model.n_clusters)
    means = {} if everywhere is None else _means(everywhere)
    knives = None if everywhere is None else _only(everywhere, shown, notes)
    centers = Centers.of(profile, model=model)
    in_order = tuple(np.argsort(-np.nan_to_num(profile.anova.eta_squared), kind="stable").tolist())
    fit = _of_fit(found, asked)
    plane = None
    if found.samples.for_map is not None and len(found.samples.for_map.X):
        plane = Map2D.of(found.samples)
    examples = _examples(found, asked, shown, in_order)
    return {
        "title": asked.title or about.title_of(found),
        "subtitle": (
            f"{about.model_named(model, asked.model)}, on {about.source_named(found.source)}"
        ),
        "written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": version("dkmeans"),
        "summary": summary(found, knives),
        "facts": [
            ("The model", about.facts_of_model(found, asked.model)),
            ("The rows of this report", about.facts_of_rows(found)),
        ],
        "sizes": figures.sizes(Sizes.of(profile, model=model)),
        "clusters": tables.clusters(found, means),
        "metrics": judged(found.evaluation, knives),
        "undefined": list(found.evaluation.undefined.items()),
        "knives": None if knives is None else figures.silhouettes(knives),
        "fit": fit,
        "heat": tables.heat(centers),
        "map": None if plane is None else figures.map2d(plane, rows_shown=asked.rows_shown),
        "cards": cards(found, shown, means, rows_shown=asked.rows_shown),
        "shown_notes": notes,
        "compared": _told(compared(found, shown)) if len(shown) > 1 else None,
        "map_rows": _map_rows(plane, asked),
        "anova": tables.anova(profile.anova) if model.n_clusters > 1 else None,
        "circular": CIRCULAR,
        "findings": profile.assumptions.findings,
        "examples": examples,
        "rows_shown": asked.rows_shown,
        "drift": _drift(found),
        "lineage": _lineage(found, asked),
        "n_passes": found.n_passes,
        "unit": profile.unit,
        "legend": shown,
        "z_levels": range(-8, 9),
    }


def _only(
    knives: Silhouettes, shown: tuple[ChartCluster, ...], notes: tuple[str, ...]
) -> Silhouettes:
    """Silhouettes of the clusters that are shown, of which some may have no rows."""
    labels = {one.label for one in shown}
    kept = [i for i, one in enumerate(knives.clusters) if one.label in labels]
    return replace(
        knives,
        clusters=tuple(knives.clusters[i] for i in kept),
        values=tuple(knives.values[i] for i in kept),
        shares=tuple(knives.shares[i] for i in kept),
        weights=knives.weights[kept],
        means=knives.means[kept],
        negative=knives.negative[kept],
        notes=(*notes, *knives.notes),
    )


def _means(knives: Silhouettes) -> dict[int, float]:
    return {one.label: float(mean) for one, mean in zip(knives.clusters, knives.means.tolist())}


def _of_fit(found: Findings, asked: Asked) -> list[Figure]:
    out = []
    if found.model.provenance.get("history"):
        curve = figures.convergence(Convergence.of(found.model))
        out += [] if curve is None else [curve]
    if asked.sweep is not None:
        out += figures.of_sweep(asked.sweep, found.model.n_clusters)
    return out


def _examples(
    found: Findings, asked: Asked, shown: tuple[ChartCluster, ...], leading: tuple[int, ...]
) -> list[Table]:
    if not asked.rows_shown:
        return []
    out = []
    for rows, caption in (
        (found.profile.representatives, "Rows nearest to the centers"),
        (found.profile.boundary, "Rows between two clusters"),
    ):
        if rows is not None and len(rows.labels):
            table = tables.examples(found, rows, shown, leading, caption)
            out += [table] if table.rows else []
    return out


def _drift(found: Findings) -> dict[str, Any] | None:
    if found.drift is None:
        return None
    chart = DriftFigures.of(found.drift, model=found.model)
    rows = [
        (
            one.title, one.subject, 0.0 if abs(one.value) < _ROUNDING else one.value, one.threshold,
            figure_cell(float(one.n_drifting), f"{one.n_drifting:,} of {one.n_checked:,}"),
        )
        for one in chart.checks
    ]  # fmt: skip
    columns = ("What is compared", "Worst in", "Value", "Threshold", "Drift in")
    caption = "Each figure where it is the worst"
    return {
        "verdict": {"drift": "Drift", "no drift": "No drift"}.get(chart.verdict, "Too few rows"),
        "kind": {"drift": "weak", "no drift": "good"}.get(chart.verdict, "compare"),
        "reasons": chart.reasons,
        "base_rows": chart.base_rows,
        "table": table_of(caption, columns, rows, n_texts=2),
        "figures": figures.drifted(chart),
    }


def _lineage(found: Findings, asked: Asked) -> dict[str, Any] | None:
    lineage, other = found.lineage, found.against
    if lineage is None or other is None:
        return None
    shown = None
    if lineage.table is not None and lineage.table.total > 0:
        chart = Flow.of(lineage, champion=other, challenger=found.model)
        # the whole report calls clusters as its model does
        own, before = Faces.of(found.model), Faces.of(other)
        chart = replace(
            chart,
            new=tuple(own.cluster(one.label) for one in chart.new),
            old=tuple(before.cluster(one.label) for one in chart.old),
        )
        shown = figures.flow(chart, {one.old_label: one.new_label for one in lineage.kept})
    return {
        "other": about.model_named(other, asked.against),
        "table": tables.fates(found),
        "said": tables.told_splits(found),
        "figure": shown,
    }


def _map_rows(plane: Map2D | None, asked: Asked) -> Markup | None:
    """The source row number of each dot, cluster by cluster as the map has them."""
    if plane is None or not asked.rows_shown:
        return None
    rows = {
        str(i): plane.row_numbers[plane.point_clusters == i].tolist()
        for i in range(-1, len(plane.clusters))
    }
    return _told(rows)


def _told(value: Any) -> Markup:
    """Write JSON that ends no element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    for c in "<>&'":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return Markup(text)


def _style(found: Findings) -> str:
    """The style sheet, with the colors of clusters and of z-scores in it."""
    faces = Faces.of(found.model)
    colors = [(label, faces.cluster(label).color) for label in range(found.model.n_clusters)]
    light = [f".c{label}{{--c:{on_light(color)}}}" for label, color in colors]
    dark = [
        f".c{label}{{--c:{on_dark(color)}}}"
        for label, color in colors
        if on_dark(color) != on_light(color)
    ]
    heat = [
        "".join(
            f".z{level}{{background:{ground};color:{ink}}}"
            for level, (ground, ink) in shades(paper).items()
        )
        for paper in (LIGHT, DARK)
    ]
    return (
        f"{_part('report.css')}\n{''.join(light)}{heat[0]}\n"
        f"@media screen and (prefers-color-scheme:dark){{{''.join(dark)}{heat[1]}}}\n"
    )


def _hashed(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _part(name: str) -> str:
    return files("dkmeans.reports").joinpath(_FOLDER, name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(text: str) -> Markup:
    """Escape a text, and let it break after underscores, dots, slashes and hyphens."""
    parts = (part for part in re.findall(r"[^_./-]*[_./-]*", text) if part)
    return Markup("<wbr>").join(parts)
