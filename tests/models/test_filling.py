"""What missing values are filled with: by hand, in models, on disk, and in scikit-learn's form."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer

from dkmeans.errors import BadValues, FeaturesMismatch, ModelRefused
from dkmeans.kernels.block import Block
from dkmeans.models.files import model_id
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import SCALES
from dkmeans.partials.present_sums import PresentSums
from tests.models.test_model import NAMES, make_model

VALUES = np.array([0.5, -2.0, 40.0])


def filled_model(**options: object) -> Model:
    return dataclasses.replace(make_model(**options), filling=Filling(VALUES))


def gaps(dtype: str = "float64", n: int = 400) -> np.ndarray:
    """Rows about the range of the model, a third of their values missing."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(n, 3)) * [1.0, 5.0, 30.0] + VALUES
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    assert np.isnan(X).all(axis=1).any()
    return X.astype(dtype)


def by_hand(X: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(X), VALUES.astype(X.dtype), X)


def sums(X: object, weight: object = None) -> PresentSums:
    X = np.asfortranarray(X, np.float64)
    return PresentSums.from_block(Block(X, ((0, len(X)),), weight), X.shape[1])


# on its own


def test_the_values_are_the_means_of_what_is_there() -> None:
    X = [[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]]
    assert Filling.from_sums(sums(X)).values.tolist() == [2.0, 6.0]
    weighted = Filling.from_sums(sums(X, np.array([3.0, 1.0, 0.0])))
    assert weighted.values.tolist() == [1.5, 5.0]


def test_the_values_are_simple_imputers() -> None:
    X = gaps()
    imputer = SimpleImputer(strategy="mean").fit(X)
    np.testing.assert_allclose(Filling.from_sums(sums(X)).values, imputer.statistics_, rtol=1e-13)


@pytest.mark.parametrize("weight", [None, [0.0, 1.0]])
def test_a_feature_without_values_is_named(weight: list | None) -> None:
    X = [[1.0, 2.0 if weight else np.nan], [3.0, np.nan]]
    partial = sums(X, None if weight is None else np.array(weight))
    with pytest.raises(BadValues) as caught:
        Filling.from_sums(partial, ("height", "width"))
    assert str(caught.value) == ("column 'width' has no values to fill others with; leave it out.")
    with pytest.raises(BadValues, match="column number 1 has no values"):
        Filling.from_sums(partial)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_transform_replaces_nan_and_nothing_else(dtype: str, order: str) -> None:
    X = np.array(gaps(dtype), order=order)
    before = X.copy()
    out = Filling(VALUES).transform(X)
    np.testing.assert_array_equal(out, by_hand(X), strict=True)
    assert out.flags.f_contiguous
    np.testing.assert_array_equal(X, before)


def test_rows_without_gaps_come_back_as_they_are() -> None:
    X = np.asfortranarray(np.ones((5, 3)))
    assert Filling(VALUES).transform(X) is X
    assert Filling(VALUES).transform(X[:0]).shape == (0, 3)


def test_the_name_tells_fillings_apart() -> None:
    one, same, other = (Filling(np.array(v)) for v in ([1.0, 2.0], [1.0, 2.0], [1.0, 2.5]))
    assert one.name == same.name != other.name
    assert pickle.loads(pickle.dumps(one)).name == one.name


# in a model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [None, *SCALES])
def test_a_model_predicts_rows_with_gaps_as_the_filled_rows(dtype: str, scale: str | None) -> None:
    model, X = filled_model(names=None, dtype=dtype, scale=scale), gaps(dtype)
    plain = make_model(names=None, dtype=dtype, scale=scale)
    filled = by_hand(X)
    assert len(np.unique(plain.predict(filled))) > 1
    np.testing.assert_array_equal(model.predict(X), plain.predict(filled))
    np.testing.assert_array_equal(model.transform(X), plain.transform(filled))
    assert model.score(X) == plain.score(filled)
    np.testing.assert_array_equal(model.assign(X).distances, plain.assign(filled).distances)


def test_frames_and_tables_may_have_nulls() -> None:
    model, X = filled_model(), gaps()
    expected = make_model().predict(by_hand(X))
    frame = pd.DataFrame(X, columns=list(NAMES))
    np.testing.assert_array_equal(model.predict(frame), expected)
    nullable = frame.astype("Float64")
    assert nullable.isna().to_numpy().sum() == np.isnan(X).sum()
    np.testing.assert_array_equal(model.predict(nullable), expected)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    assert table.column(0).null_count
    np.testing.assert_array_equal(model.predict(table), expected)


def test_a_model_without_filling_refuses_gaps_and_all_refuse_infinity() -> None:
    X = gaps()
    with pytest.raises(FeaturesMismatch, match="values that are null, NaN or infinite"):
        make_model(names=None).predict(X)
    X[[3, 5], 1] = np.inf, -np.inf
    with pytest.raises(FeaturesMismatch, match="X has 2 values that are infinite; remove them"):
        filled_model(names=None).predict(X)


# on disk


@pytest.mark.parametrize("scale", [None, "standard"])
def test_a_saved_filling_comes_back(tmp_path, scale: str | None) -> None:
    model = filled_model(scale=scale)
    model.save(str(tmp_path / "m"))
    again = Model.load(str(tmp_path / "m"))
    assert again.filling is not None
    np.testing.assert_array_equal(again.filling.values, VALUES, strict=True)
    np.testing.assert_array_equal(again.predict(gaps()), model.predict(gaps()))
    plain = make_model(scale=scale)
    plain.save(str(tmp_path / "m"), overwrite=True)
    assert Model.load(str(tmp_path / "m")).filling is None
    assert not list((tmp_path / "m").glob("filling-*"))


def test_a_filling_makes_another_model() -> None:
    plain, one = make_model(), filled_model()
    other = dataclasses.replace(one, filling=Filling(VALUES + 1))
    assert len({model_id(plain), model_id(one), model_id(other)}) == 3
    assert model_id(one) == model_id(filled_model())


def test_a_damaged_filling_is_refused(tmp_path) -> None:
    filled_model().save(str(tmp_path / "m"))
    (part,) = (tmp_path / "m").glob("filling-*.npy")
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)
    with pytest.raises(ModelRefused, match=f"{part.name} has changed since it was saved"):
        Model.load(str(tmp_path / "m"))


@pytest.mark.parametrize("values", [[1.0, np.nan, 2.0], [1.0, np.inf, 2.0], [1.0, 2.0]])
def test_a_filling_that_cannot_be_is_refused(tmp_path, values: list) -> None:
    model = dataclasses.replace(make_model(), filling=Filling(np.array(values)))
    model.save(str(tmp_path / "m"))
    with pytest.raises(ModelRefused, match=r"should hold finite float64 of shape \(3,\)"):
        Model.load(str(tmp_path / "m"))


# in scikit-learn's form


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
def test_the_pipeline_fills_before_it_scales(dtype: str, scale: str | None) -> None:
    model, X = filled_model(names=None, dtype=dtype, scale=scale), gaps(dtype)
    pipeline = model.to_sklearn()
    expected = model.predict(X)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(pipeline.predict(X), expected)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(X), expected)
    steps = [name for name, _ in pipeline.steps]
    assert ("scale" in steps) == (scale is not None)
    if scale is not None:
        assert steps.index("fill") < steps.index("scale")


def test_the_pipeline_takes_frames_with_gaps() -> None:
    model, X = filled_model(), gaps()
    frame = pd.DataFrame(X, columns=list(NAMES))
    np.testing.assert_array_equal(model.to_sklearn().predict(frame), model.predict(frame))
