"""`set_output` for transformers whose results may be lazy.

scikit-learn's own would compute what is lazy to put it into a container.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from sklearn import get_config
from sklearn.base import TransformerMixin

from dkmeans.errors import ArgumentError
from dkmeans.rows.reading import is_lazy


class TransformerInKind(TransformerMixin):
    """A transformer that gives back the kind of X, or the container that `set_output` names."""

    transform: Callable[..., Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(auto_wrap_output_keys=None, **options)
        if "transform" in vars(cls):
            cls.transform = _contained(vars(cls)["transform"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` and `fit_transform` return.

        Parameters
        ----------
        transform
            "pandas": a DataFrame, a lazy one of Dask for lazy input. "default": the kind that X is.
            None leaves the choice as it is. Without one, scikit-learn's global setting holds.

        Raises
        ------
        ArgumentError
            If it is another one.
        """
        if transform is not None:
            _check_container(transform)
            # the name under which scikit-learn's clone looks for it
            self._sklearn_output_config = {"transform": transform}
        return self


def _contained(transform: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(transform)
    def transform_into_container(self: Any, X: Any, *args: Any, **options: Any) -> Any:
        chosen = getattr(self, "_sklearn_output_config", {})
        container = chosen.get("transform", get_config()["transform_output"])
        _check_container(container)
        result = transform(self, X, *args, **options)
        if container == "default" or hasattr(result, "columns"):
            return result
        names = self.get_feature_names_out().tolist()
        if is_lazy(result):
            from dask.dataframe import from_dask_array

            return from_dask_array(result, columns=names)
        import pandas as pd

        return pd.DataFrame(result, columns=names)

    return transform_into_container


def _check_container(name: str) -> None:
    if name not in ("default", "pandas"):
        raise ArgumentError(f"set_output(transform={name!r}) should be 'default' or 'pandas'.")
