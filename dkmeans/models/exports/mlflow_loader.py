"""What MLflow imports to load our models: no code is pickled, and none lies beside the model.

A model that we export names this module, and a folder in the format of `Model.save`.
"""

from typing import TYPE_CHECKING, Any

from dkmeans.models.model import Model

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """A model as MLflow calls it."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Any = None) -> "pd.DataFrame":
        """Return `label`, `cluster_id` and `distance` of each row, by the index of the rows.

        Raises
        ------
        FeaturesMismatch
            As `Model.assign`.
        """
        import pandas as pd

        found = self.model.assign(model_input)
        return pd.DataFrame(
            {
                "label": found.labels,
                "cluster_id": found.cluster_ids,
                "distance": found.distances.astype("float64"),
            },
            index=model_input.index if isinstance(model_input, pd.DataFrame) else None,
        )


def _load_pyfunc(path: str) -> Predictor:
    """Load a model for MLflow, every part checked against its hash."""
    return Predictor(Model.load(path))
