"""Every error keeps its kind, sentence and exit code on its way back from a worker."""

import copy
import inspect
import pickle

import pytest

from dkmeans import errors
from dkmeans.errors import DkmeansError, DkmeansWarning

EXIT_CODES = {
    "DkmeansError": 1,
    "ArgumentError": 2,
    "JobRefused": 2,
    "OutputExists": 2,
    "ExportRefused": 1,
    "StoreUnfit": 2,
    "WorkersUnfit": 2,
    "InputRefused": 3,
    "MissingInput": 3,
    "UnreadableFile": 3,
    "InputChanged": 3,
    "StaleCheckpoint": 3,
    "SchemaMismatch": 3,
    "UnsupportedType": 3,
    "BadValues": 3,
    "TooFewRows": 3,
    "ModelRefused": 3,
    "FeaturesMismatch": 3,
    "TooLarge": 3,
    "DriftFound": 6,
    "ClusterUnreachable": 7,
    "ClusterLost": 7,
    "AliasMoved": 7,
    "JobRunning": 8,
    "LockLost": 7,
    "StoreUnreachable": 7,
    "BudgetSpent": 7,
    "GateRefused": 5,
}

SENTENCE = (
    "column 'größe' of s3://lake/a b.parquet (row group 3) has 41 nulls; pass missing=\"drop\"."
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DkmeansError)
]
WARNINGS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DkmeansWarning)
]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def raise_one(kind):
    raise kind(SENTENCE)


def test_exit_codes_are_the_documented_ones():
    assert {kind.__name__: kind.exit_code for kind in KINDS} == EXIT_CODES


@every_kind
def test_pickling_keeps_kind_sentence_and_exit_code(kind):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(kind(SENTENCE), protocol))
        assert type(back) is kind
        assert str(back) == SENTENCE
        assert back.exit_code == EXIT_CODES[kind.__name__]
    assert str(copy.copy(kind(SENTENCE))) == SENTENCE


@every_kind
def test_raised_on_a_worker_it_arrives_as_it_was(kind, client):
    future = client.submit(raise_one, kind, pure=False)
    with pytest.raises(kind) as caught:
        future.result(timeout=60)
    assert type(caught.value) is kind
    assert str(caught.value) == SENTENCE
    assert caught.value.exit_code == EXIT_CODES[kind.__name__]


@pytest.mark.parametrize("kind", WARNINGS, ids=lambda kind: kind.__name__)
def test_warnings_survive_pickling_and_can_be_silenced_as_one_kind(kind):
    back = pickle.loads(pickle.dumps(kind(SENTENCE)))
    assert type(back) is kind
    assert str(back) == SENTENCE
    assert isinstance(back, UserWarning)


def test_argument_and_input_errors_are_value_errors_as_in_scikit_learn():
    refused = [kind for kind in KINDS if kind.exit_code in (2, 3)]
    values = {kind.__name__ for kind in refused if issubclass(kind, ValueError)}
    assert values == {kind.__name__ for kind in refused} - {"WorkersUnfit"}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.MissingInput, FileNotFoundError),
        (errors.TooLarge, MemoryError),
        (errors.UnsupportedType, TypeError),
        (errors.ClusterUnreachable, ConnectionError),
        (errors.StoreUnreachable, OSError),
    ],
)
def test_habits_of_catching_builtin_errors_work(kind, builtin):
    with pytest.raises(builtin, match="größe"):
        raise_one(kind)


def test_a_wrong_argument_gives_a_value_error_with_the_rule():
    from dkmeans import KMeans

    with pytest.raises(ValueError, match="n_clusters=0") as caught:
        KMeans(n_clusters=0).fit([[0.0], [1.0]])
    assert isinstance(caught.value, errors.ArgumentError)
    assert caught.value.exit_code == 2
