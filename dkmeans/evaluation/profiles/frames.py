"""A profile as DataFrames and as plain values."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.shown import plain

if TYPE_CHECKING:
    import pandas as pd

    from dkmeans.evaluation.profiles.result import Profile


def clusters(profile: "Profile") -> "pd.DataFrame":
    """Return one row per cluster."""
    import pandas as pd

    names = [profile.cluster_names.get(one) for one in profile.cluster_ids.tolist()]
    return pd.DataFrame(
        {
            "cluster_id": profile.cluster_ids,
            # None where there is no name: a column of text would have NaN
            "cluster_name": pd.Series(names, dtype=object),
            "count": profile.count,
            "share": profile.share,
            "spread": profile.assumptions.spread,
            "elongation": profile.assumptions.shape.elongation,
            "description": list(profile.descriptions),
        }
    )


def statistics(profile: "Profile") -> "pd.DataFrame":
    """Return one row per cluster and feature, in the order of both."""
    import pandas as pd

    k, d = profile.mean.shape
    columns: dict[str, Any] = {
        "cluster_id": np.repeat(profile.cluster_ids, d),
        "feature": list(profile.feature_names) * k,
        "count": np.repeat(profile.count, d),
        "share": np.repeat(profile.share, d),
        "mean": profile.mean.ravel(),
        "std": profile.std.ravel(),
        "min": profile.minimum.ravel(),
    }
    if profile.quantiles is not None:
        for i, quantile in enumerate(profile.quantiles.names):
            columns[quantile] = profile.quantiles.value[:, :, i].ravel()
    return pd.DataFrame(
        columns
        | {
            "max": profile.maximum.ravel(),
            "overall_mean": np.tile(profile.overall_mean, k),
            "overall_std": np.tile(profile.overall_std, k),
            "difference": profile.difference.ravel(),
            "rank": profile.rank.ravel(),
        }
    )


def as_dict(profile: "Profile") -> dict[str, Any]:
    """Return all of it but comparisons of pairs as plain values; infinities and NaN as None."""
    parts: dict[str, Any] = {
        "feature_names": list(profile.feature_names),
        "weighted": profile.weighted,
        "clusters": [plain(dict(row)) for row in clusters(profile).to_dict("records")],
        "statistics": [plain(dict(row)) for row in statistics(profile).to_dict("records")],
        "anova": profile.anova.to_dict(),
        "assumptions": profile.assumptions.to_dict(),
    }
    held, histogram = profile.quantiles, profile.histogram
    parts["quantiles"] = None if held is None else plain(vars(held))
    parts["histogram"] = None if histogram is None else histogram.to_dict()
    for part in ("representatives", "boundary"):
        examples = getattr(profile, part)
        parts[part] = (
            None
            if examples is None
            else examples.columns(profile.feature_names, profile.cluster_ids)
        )
    return parts
