"""How a profile is shown: clusters in words, their leading features, tests, assumptions."""

from typing import TYPE_CHECKING

import numpy as np

from dkmeans.evaluation.profiles import words
from dkmeans.evaluation.shown import WIDTH, Section, brief, broken, decimals, name, number, share
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    from dkmeans.evaluation.profiles.parts import Examples
    from dkmeans.evaluation.profiles.result import Profile

_SHOWN_CLUSTERS = 30
_CLUSTERS_IN_FULL = 12
_SHOWN_FEATURES = 5
_FEWER_FEATURES = 3
_SHOWN_KEYS = 3
_FEATURES_OF_ONE = 40
_NUMBER_WIDTH = 10
_GAP = 3


def of_profile(profile: "Profile") -> tuple[Section, ...]:
    """Return the sections of a whole profile."""
    shown = _shown_clusters(profile)
    sections = [_clusters(profile, shown), _features(profile, shown)]
    if profile.representatives is not None:
        sections.append(
            _examples(profile, profile.representatives, "Rows nearest to the centers", shown)
        )
    if profile.boundary is not None:
        sections.append(_examples(profile, profile.boundary, "Rows between two clusters", shown))
    return (*sections, *profile.anova.sections(), *profile.assumptions.sections())


def of_cluster(profile: "Profile", label: int) -> tuple[Section, ...]:
    """Return the sections of one cluster."""
    order = np.argsort(profile.rank[label])[:_FEATURES_OF_ONE]
    columns, rows = _feature_table(profile, [(label, order)], with_cluster=False)
    cluster_id = int(profile.cluster_ids[label])
    called = profile.cluster_names.get(cluster_id)
    called = "" if called is None else f" ({name(called)})"
    title = f"Cluster {cluster_id}{called}: {profile.descriptions[label]}"
    sentences = _about_features(profile)
    if len(order) < profile.n_features:
        sentences += (
            f"Of {profile.n_features:,} features, the {len(order)} that set it apart most are "
            "shown; .to_frame() has all.",
        )
    return (Section(title, sentences, columns, rows),)


def _shown_clusters(profile: "Profile") -> Array:
    """All clusters, or the largest of many, in the order of their ids."""
    if profile.n_clusters <= _SHOWN_CLUSTERS:
        shown = np.arange(profile.n_clusters)
    else:
        shown = np.argsort(-profile.count, kind="stable")[:_SHOWN_CLUSTERS]
    return shown[np.argsort(profile.cluster_ids[shown], kind="stable")]


def _clusters(profile: "Profile", shown: Array) -> Section:
    total = profile.moments.total
    named = [profile.cluster_names.get(int(profile.cluster_ids[j])) for j in shown]
    has_names = any(named)
    rows = tuple(
        (
            str(profile.cluster_ids[j]),
            *((name(called or "-"),) if has_names else ()),
            number(profile.count[j]),
            share(profile.count[j], total),
            brief(profile.assumptions.spread[j]),
            profile.phrases[j] if profile.count[j] > 0 else "empty",
        )
        for j, called in zip(shown, named, strict=True)
    )
    sentences = [
        f"High and low: the cluster's mean is {words.HIGH:g} overall standard deviations or more "
        f"from the overall mean (very: {words.VERY_HIGH:g} or more). Spread: root mean squared "
        "distance to the center, where distances are measured."
    ]
    if len(shown) < profile.n_clusters:
        left = share(float(np.delete(profile.count, shown).sum()), total)
        sentences.insert(
            0,
            f"The {len(shown)} largest of {profile.n_clusters:,} clusters are shown; the rest, "
            f"with {left} of {profile.unit}, are in .clusters.",
        )
    size = f"total weight {number(total)}" if profile.weighted else f"{number(total)} rows"
    clusters = "1 cluster" if profile.n_clusters == 1 else f"{profile.n_clusters:,} clusters"
    features = "1 feature" if profile.n_features == 1 else f"{profile.n_features:,} features"
    title = f"Profile of {clusters}: {size}, {features}"
    heads = (
        "Cluster",
        *(("Name",) if has_names else ()),
        "Weight" if profile.weighted else "Rows",
        "Share",
        "Spread",
        "What sets it apart",
    )
    return Section(title, tuple(sentences), heads, rows)


def _features(profile: "Profile", shown: Array) -> Section:
    filled = [j for j in shown if profile.count[j] > 0]
    most = _SHOWN_FEATURES if len(filled) <= _CLUSTERS_IN_FULL else _FEWER_FEATURES
    wanted = [(j, np.argsort(profile.rank[j])[:most]) for j in filled]
    columns, rows = _feature_table(profile, wanted, with_cluster=True)
    sentences = _about_features(profile)
    if profile.n_features > most:
        sentences = (
            *sentences,
            f"Of {profile.n_features:,} features, the {most} that set a cluster apart most are "
            "shown; .describe(cluster_id) shows all of one cluster, .to_frame() all of all.",
        )
    return Section("The leading features of each cluster", sentences, columns, rows)


def _feature_table(
    profile: "Profile", wanted: list[tuple[int, Array]], with_cluster: bool
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    held = profile.quantiles
    low, median, high = (None,) * 3 if held is None else map(held.at, (0.05, 0.5, 0.95))
    rows = []
    for j, features in wanted:
        for place, i in enumerate(features):
            cells = [str(profile.cluster_ids[j]) if place == 0 else ""] if with_cluster else []
            cells += [
                name(profile.feature_names[i]),
                brief(profile.mean[j, i]),
                brief(profile.overall_mean[i]),
                decimals(profile.difference[j, i], 2, sign=True),
                brief(profile.std[j, i]),
            ]
            if median is not None:
                cells.append(brief(median[j, i]))
            if low is not None and high is not None:
                cells.append(f"{brief(low[j, i])} to {brief(high[j, i])}")
            rows.append(tuple(cells))
    heads = ["Cluster"] if with_cluster else []
    heads += ["Feature", "Mean", "Overall mean", "Difference", "Std"]
    heads += ["Median"] if median is not None else []
    heads += ["5% to 95%"] if low is not None and high is not None else []
    return tuple(heads), tuple(rows)


def _about_features(profile: "Profile") -> tuple[str, ...]:
    sentences = ["Difference: mean less overall mean, in overall standard deviations."]
    if profile.quantiles is not None:
        off, label, feature = profile.quantiles.uncertainty(profile.overall_std)
        if off > 0:
            sentences.append(
                f"Quantiles are off by at most {brief(off)} overall standard deviations, those of "
                f"{name(profile.feature_names[feature])} in cluster {profile.cluster_ids[label]}; "
                ".quantiles has the bounds of each."
            )
        else:
            sentences.append("Quantiles are exact.")
    return (" ".join(sentences),)


def _examples(profile: "Profile", examples: "Examples", title: str, shown: Array) -> Section:
    """Examples of the clusters shown, with the features that separate clusters most."""
    if not len(examples.labels):
        return Section(title, ("None: all rows are clearly nearer to their own center.",))
    # rows of files are known by their keys, others by their numbers
    names = dict(list(examples.keys.items())[:_SHOWN_KEYS])
    names = names or {"Row": examples.row_numbers.tolist()}
    has_next = profile.n_clusters > 1
    heads = ["Cluster", *map(name, names), *(["Next"] if has_next else []), "Distance"]
    heads += ["To next"] if has_next else []
    leading = profile.anova.order[: _fitting(profile, WIDTH - len(heads) * (_NUMBER_WIDTH + _GAP))]
    heads += [name(profile.feature_names[i]) for i in leading]
    rows = []
    for n, j in enumerate(examples.labels):
        if j not in shown:
            continue
        cells = [str(profile.cluster_ids[j]), *(name(str(one[n])) for one in names.values())]
        if has_next:
            cells.append(str(profile.cluster_ids[examples.second_labels[n]]))
        cells.append(brief(examples.distances[n]))
        if has_next:
            cells.append(brief(examples.second_distances[n]))
        rows.append((*cells, *(brief(examples.X[n, i]) for i in leading)))
    cut = []
    if len(shown) < profile.n_clusters:
        cut.append(f"the {len(shown)} largest clusters")
    if len(leading) < profile.n_features:
        cut.append("the features that separate the clusters most")
    sentences = (f"Only {' and '.join(cut)} are shown; .to_dict() has all.",) if cut else ()
    return Section(title, sentences, tuple(heads), tuple(rows))


def _fitting(profile: "Profile", width: int) -> int:
    """Number of features, those that separate the clusters most first, that fit into a table."""
    names = [name(profile.feature_names[i]) for i in profile.anova.order]
    widths = np.cumsum([max(_NUMBER_WIDTH, *map(len, broken(one))) + _GAP for one in names])
    return max(1, int((widths <= width).sum()))
