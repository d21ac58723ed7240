"""The OpenAPI document: what schemathesis makes of it is never a failure of the service."""

import json

import hypothesis
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.specs.openapi.checks import positive_data_acceptance

from dkmeans.models.columns import FeatureColumn
from dkmeans.service.arrow_rows import STREAM
from dkmeans.service.tokens import Tokens
from tests.service.stands import a_model, a_service, ask

COLUMNS = (FeatureColumn("age"), FeatureColumn("taste", 2))
TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MODEL = a_model(3, 3, columns=COLUMNS, missing="mean", cluster_names={10: "owls"})
SERVICE = a_service(MODEL, tokens=Tokens(token=TOKEN))
OPEN = a_service(MODEL)
"""Without tokens: what is sent without them is refused, whatever else is wrong with it."""


def found_document(service=SERVICE):
    return ask(service, "/openapi.json", method="GET", headers=BEARER).json


@schemathesis.serializer(STREAM)
def as_bytes(context, value):
    """Text or bytes that are no Arrow."""
    return str(value).encode("utf-8", "replace")


schema = schemathesis.openapi.from_dict(found_document(OPEN))


async def asgi(scope, receive, send):
    """The service, and a lifespan that the test client asks for."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await OPEN(scope, receive, send)


schema.app = asgi


@schema.parametrize()
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
)
def test_every_answer_is_one_that_the_document_has(case):
    answer = case.call()
    # how large a number may be depends on centers and scale, which a schema cannot tell
    case.validate_response(answer, excluded_checks=[positive_data_acceptance])


def validator(service=SERVICE):
    document = found_document(service)
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    return jsonschema.Draft202012Validator(body["schema"]), body["examples"]


@pytest.mark.parametrize(
    ("row", "is_good"),
    [
        ([1, 2, 3], True), ([1, None, True], True), ({"age": 1, "taste": [1, 2]}, True),
        ({}, True), ({"taste": None, "customer": "c1"}, True), ([1, 2], False),
        ([1, 2, "3"], False), ({"age": "1"}, False), ({"taste": [1]}, False), ({"a": 1}, False),
        (None, False), ([[1, 2, 3]], False),
    ],
)  # fmt: skip
def test_the_document_says_exactly_what_is_taken(row, is_good):
    body = {"rows": [row]}
    assert validator()[0].is_valid(body) == is_good
    assert (ask(SERVICE, "/predict", body, headers=BEARER).status == 200) == is_good


@pytest.mark.parametrize("columns", [COLUMNS, None])
def test_examples_are_answered(columns):
    service = a_service(a_model(3, 3, columns=columns, named=False))
    valid, examples = validator(service)
    assert set(examples) == ({"by name", "by position"} if columns else {"by position"})
    for example in examples.values():
        valid.validate(example["value"])
        found = ask(service, "/predict", example["value"]).json
        # they are centers
        assert found["cluster_ids"] == [10, 11]
        assert max(found["distances"]) < 1e-3


def test_all_paths_and_errors_are_told_and_tokens_where_there_are_any():
    document = found_document()
    assert document["openapi"] == "3.1.0"
    assert list(document["paths"]) == [
        "/predict", "/distances", "/model", "/metrics", "/healthz", "/readyz"
    ]  # fmt: skip
    posted = document["paths"]["/predict"]["post"]
    assert set(posted["responses"]) == {
        "200", "400", "401", "405", "406", "408", "413", "415", "422", "429", "500", "503"
    }  # fmt: skip
    assert STREAM in posted["requestBody"]["content"]
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "security" not in found_document(a_service())


def test_a_wide_model_has_a_short_document():
    service = a_service(a_model(2, 3000))
    document = found_document(service)
    kinds = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "properties" not in kinds["schema"]["properties"]["rows"]["items"]["anyOf"][1]
    row = {f"f{i}": 0.5 for i in range(3000)}
    assert ask(service, "/predict", {"rows": [row]}).status == 200
    assert len(json.dumps(document)) < 500_000
