"""Bars: sizes of clusters, shares then and now, and how far features have drifted."""

from markupsafe import Markup

from dkmeans.evaluation.charts.drift import DriftFigures
from dkmeans.evaluation.charts.sizes import Sizes
from dkmeans.evaluation.shown import brief, share
from dkmeans.plots.drawing import count
from dkmeans.reports.drawing.elements import fitted, line, picture, tag, text, width_of
from dkmeans.reports.drawing.scales import Scale

_STEP = 24.0


def sizes(chart: Sizes, width: float) -> Markup:
    """Draw how many rows each cluster has."""
    rows = [
        (one.text, weight, part, f"c{one.label}", one.label)
        for one, weight, part in zip(chart.clusters, chart.weights.tolist(), chart.shares.tolist())
    ]
    if chart.n_others:
        others = f"{chart.n_others:,} others"
        part = chart.others_weight / (chart.total or 1.0)
        rows.append((others, chart.others_weight, part, "rest", -1))
    left, room = _names([row[0] for row in rows], width)
    texts = [f"{count(weight)} · {share(part, 1.0)}" for _, weight, part, _, _ in rows]
    right = width - max(map(width_of, texts)) - 8
    across = Scale(0.0, max(chart.weights.tolist(), default=1.0) or 1.0, left, right)
    parts = []
    for i, (said, weight, _, kind, label) in enumerate(rows):
        y = i * _STEP
        # all others together would be a bar of another kind
        weight = 0.0 if label < 0 else weight
        bar = tag(
            "rect",
            x=left,
            y=y + 4,
            width=max(across(weight) - left, 0.0 if label < 0 else 0.5),
            height=_STEP - 8,
            rx=2,
            class_=f"fill {kind}",
            data_tip=f"{said}: {texts[i]} of the {chart.unit}",
        )
        mine = [
            text(left - 8, y + 16, fitted(said, room), class_="tick", text_anchor="end"),
            bar,
            text(across(weight) + 6, y + 16, texts[i], class_="tick"),
        ]
        parts.append(tag("g", *mine, data_c=None if label < 0 else label))
    return picture(parts, width, len(rows) * _STEP + 2, "Rows of each cluster")


def shares(chart: DriftFigures, width: float) -> Markup:
    """Draw the share of each cluster in the baseline and now."""
    left, room = _names([one.text for one in chart.clusters], width)
    right = width - 96
    most = max([*chart.base_shares.tolist(), *chart.shares.tolist(), 1e-9])
    across = Scale(0.0, most, left, right)
    parts = []
    for i, (one, was, now) in enumerate(
        zip(chart.clusters, chart.base_shares.tolist(), chart.shares.tolist())
    ):
        y = i * 30.0
        said = f"{share(was, 1.0)} → {share(now, 1.0)}"
        whole = f"{one.text}: {said} of the rows"
        parts.append(
            tag(
                "g",
                text(left - 8, y + 18, fitted(one.text, room), class_="tick", text_anchor="end"),
                tag("rect", x=left, y=y + 4, width=max(across(was) - left, 0.5), height=9,
                    class_="fill was", data_tip=whole),
                tag("rect", x=left, y=y + 14, width=max(across(now) - left, 0.5), height=9,
                    class_=f"fill c{one.label}", data_tip=whole),
                text(max(across(was), across(now)) + 6, y + 18, said, class_="tick"),
                data_c=one.label,
            )
        )  # fmt: skip
    return picture(
        parts, width, len(chart.clusters) * 30.0 + 2, "Share of each cluster, before and now"
    )


def psi(chart: DriftFigures, width: float) -> Markup:
    """Draw the stability index of features, and its threshold."""
    left, room = _names(list(chart.features), width)
    right = width - 56
    values = chart.psi.tolist()
    threshold = chart.psi_threshold
    across = Scale(0.0, max([*values, threshold * 1.1, 1e-9]), left, right)
    bottom = len(values) * _STEP + 2
    parts = []
    for i, (said, value, drifts) in enumerate(
        zip(chart.features, values, chart.psi_drifts.tolist())
    ):
        y = i * _STEP
        parts += [
            text(left - 8, y + 16, fitted(said, room), class_="tick", text_anchor="end"),
            tag("rect", x=left, y=y + 4, width=max(across(value) - left, 0.5), height=_STEP - 8,
                rx=2, class_="fill bad" if drifts else "fill was",
                data_tip=f"{said}: {brief(value)}"),
            text(across(value) + 6, y + 16, brief(value), class_="tick"),
        ]  # fmt: skip
    at = across(threshold)
    said = f"threshold {threshold:g}"
    half = width_of(said) / 2
    parts.append(line(at, 0, at, bottom, "mark"))
    parts.append(
        text(min(at, width - half - 2), bottom + 16, said, class_="tick", text_anchor="middle")
    )
    return picture(
        parts, width, bottom + 24, "Population stability index of the features that differ most"
    )


def _names(said: list[str], width: float) -> tuple[float, float]:
    """Where bars begin, and the room of the names to their left."""
    room = min(max(map(width_of, said), default=0.0), 0.34 * width)
    return room + 10, room + 1
