"""What figures mean, in sentences for people who do not know them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.evaluation.evaluation import Evaluation
from dkmeans.evaluation.metrics import METRICS
from dkmeans.evaluation.shown import decimals, number, percent, share
from dkmeans.reports.findings import Findings

Verdict = Literal["good", "fair", "weak", "compare"]

SILHOUETTES: tuple[tuple[float, Verdict, str], ...] = (
    (0.71, "good", "a strong structure: clusters lie well apart"),
    (0.51, "good", "a reasonable structure"),
    (0.26, "fair", "a weak structure: clusters overlap, and may be artificial"),
    (-1.0, "weak", "no substantial structure: clusters cut up what hangs together"),
)
"""Mean silhouettes from which on structure is called so [1]_.

References
----------
.. [1] L. Kaufman, P. J. Rousseeuw, "Finding Groups in Data", Wiley, 1990, table 4 of chapter 2.
"""

_MEANINGS = {
    "inertia": "Squared distances of all rows to their centers, added up. It falls with every "
    "cluster more, and depends on units: compare it for the same rows and number of clusters only.",
    "calinski_harabasz": "Variance between clusters over that within. More is better; it has no "
    "scale of its own, and compares models of the same rows.",
    "davies_bouldin": "How wide clusters are for their distance, each with the one it is most "
    "easily mistaken for. Less is better: well below 1 clusters are apart, above they overlap.",
    "silhouette_squared": "The silhouette by squared distances, of all rows. It is higher than "
    "that by distances where clusters are apart: compare it only with others of its kind.",
    "silhouette_simplified": "The silhouette by distances to centers instead of rows, of all rows. "
    "It is kind to k-means: compare it only with others of its kind.",
}


@dataclass(frozen=True)
class Judged:
    """A metric, what it is, and what it says of this model."""

    title: str
    value: float
    shown: str
    meaning: str
    verdict: Verdict
    """"compare" where a value alone says nothing good or bad."""


def judged_silhouette(mean: float) -> tuple[Verdict, str]:
    """Return what a mean silhouette is called."""
    for least, verdict, said in SILHOUETTES:
        if mean >= least - 0.005:
            return verdict, said
    return "weak", SILHOUETTES[-1][2]


def judged(evaluation: Evaluation, silhouettes: Silhouettes | None) -> list[Judged]:
    """Return all metrics that are defined, with what they mean."""
    titles = {metric.name: metric.title for metric in METRICS}
    out = []
    if silhouettes is not None:
        mean = silhouettes.mean
        verdict, called = judged_silhouette(mean)
        shown = decimals(mean, 3)
        if not silhouettes.is_all:
            shown += f" ({decimals(silhouettes.low, 3)} to {decimals(silhouettes.high, 3)})"
        sampled = "" if silhouettes.is_all else f" From {silhouettes.n_sampled:,} sampled rows, "
        sampled += "" if silhouettes.is_all else "with the 95 % interval."
        out.append(
            Judged(
                titles["silhouette"],
                mean,
                shown,
                "How much nearer rows are to rows of their own cluster than to those of the next: "
                f"1 is far apart, 0 on the border, below 0 misplaced. This is {called}.{sampled}",
                verdict,
            )
        )
    for name, figure in evaluation.figures.items():
        value = figure.value
        meaning = _MEANINGS.get(name, "")
        shown = number(value)
        if name == "explained_share":
            shown = percent(value)
            meaning = (
                f"Clusters take away {shown} of the squared distances to the mean of all rows. "
                "It grows with every cluster more: compare it for the same number of clusters."
            )
        elif name == "davies_bouldin" or name.startswith("silhouette"):
            shown = decimals(value, 3)
        out.append(Judged(titles[name], value, shown, meaning, "compare"))
    return out


def summary(found: Findings, silhouettes: Silhouettes | None) -> list[str]:
    """Say in a few sentences what was found."""
    model, profile = found.model, found.profile
    said = [_shape(found)]
    if silhouettes is not None:
        _, called = judged_silhouette(silhouettes.mean)
        explained = found.evaluation.figures.get("explained_share")
        share_of = (
            ""
            if explained is None
            else (f" The clusters explain {percent(explained.value)} of the variation of the rows.")
        )
        said.append(
            f"The mean silhouette of {decimals(silhouettes.mean, 2)} means {called}.{share_of}"
        )
    if model.n_clusters > 1:
        eta = np.nan_to_num(profile.anova.eta_squared)
        leading = [profile.feature_names[j] for j in np.argsort(-eta, kind="stable")[:3]]
        said.append(f"What tells clusters apart the most: {_listed(leading)}.")
    strong = [one.check.lower() for one in profile.assumptions.findings if one.verdict == "strong"]
    if strong:
        said.append(
            f"k-means takes some things for granted that these data do not have: {_listed(strong)} "
            "(see the checks below)."
        )
    if found.drift is not None and found.drift.is_drift:
        said.append("The rows have drifted from those that the model was fitted to.")
    return said


def _shape(found: Findings) -> str:
    model, profile = found.model, found.profile
    k, weights = model.n_clusters, profile.count
    n = found.evaluation.n_rows
    head = (
        f"{k:,} cluster{'s' if k != 1 else ''} of {n:,} row{'s' if n != 1 else ''} by "
        f"{model.n_features:,} feature{'s' if model.n_features != 1 else ''}"
    )
    total = float(weights.sum())
    if k < 2 or not total > 0:
        return f"{head}."
    filled = np.flatnonzero(weights > 0)
    large, small = filled[weights[filled].argmax()], filled[weights[filled].argmin()]
    unit = profile.unit
    said = (
        f"{head}: the largest, {called(found, int(large))}, has "
        f"{share(float(weights[large]), total)} of {unit}, the smallest, "
        f"{called(found, int(small))}, {share(float(weights[small]), total)}."
    )
    empty = k - len(filled)
    return f"{said} {empty:,} {'is' if empty == 1 else 'are'} empty." if empty else said


def called(found: Findings, label: int) -> str:
    """Return the id of a cluster, and its name if it has one."""
    cluster_id = int(found.model.cluster_ids[label])
    name = found.model.cluster_names.get(cluster_id)
    return f"cluster {cluster_id}" if name is None else f"cluster {cluster_id} “{name}”"


def _listed(said: list[str]) -> str:
    return said[0] if len(said) < 2 else f"{', '.join(said[:-1])} and {said[-1]}"
