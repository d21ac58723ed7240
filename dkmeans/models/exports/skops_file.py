"""A model as a file of skops: scikit-learn's Pipeline without pickle.

Whoever loads it needs scikit-learn, of about the version that wrote it, and skops; not dkmeans:
`skops.io.load(path, trusted=["numpy.dtype"])`. `pipeline.predict` gives labels,
`pipeline[-1].cluster_ids_` their cluster ids, and `pipeline.transform` distances to all centers, in
scaled units.
"""

from pathlib import Path

from dkmeans.models.exports.check import check_same, sample_rows
from dkmeans.models.exports.packages import installed, needed
from dkmeans.models.exports.scikit_learn import to_sklearn
from dkmeans.models.model import Model

TRUSTED = ("numpy.dtype",)
"""Types that loading must be told to trust, beyond those that skops trusts by itself: a model that
fills missing values has a dtype; the others need none."""


def write_skops(model: Model, path: Path) -> str:
    """Write a model to a local file, load it as users do, and return what has loaded it.

    Raises
    ------
    ExportRefused
        If what was loaded gives other labels or distances than the model.
    ArgumentError
        If skops is not installed.
    """
    skops = needed("skops.io", "skops")
    skops.dump(to_sklearn(model), path)
    pipeline = skops.load(path, trusted=list(TRUSTED))
    X = sample_rows(model)
    labels, distances = pipeline.predict(X), pipeline.transform(X).min(axis=1)
    by = f"{installed('skops')} and {installed('scikit-learn')}"
    check_same(model, X, labels, distances, f"the Pipeline, loaded by {by},")
    return by
