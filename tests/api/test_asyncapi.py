"""GET asyncapi: the document is sound and complete, its examples are messages, and the committed copy is the same."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from orders.api.asyncapi import CLIENT_MESSAGES, asyncapi_document
from orders.schemas import socket
from orders.schemas.closing import CLOSE_CODES
from orders.schemas.examples import EXAMPLES
from orders.schemas.replies import ANSWERS, SERVER_MESSAGES
from tests.support import messages
from tests.test_docs import script

MODELS = (*CLIENT_MESSAGES, *SERVER_MESSAGES)
OPERATIONS = asyncapi_document()["operations"]


def references(value: Any) -> Iterator[str]:
    """Every ``$ref`` in a document."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(reference: str) -> Any:
    """What a ``$ref`` leads to. Raises ``KeyError`` where it leads nowhere."""
    root, *path = reference.split("/")
    assert root == "#"
    found: Any = asyncapi_document()
    for name in path:
        found = found[name]
    return found


def examples(models: tuple[type, ...]) -> list[Any]:
    return [pytest.param(model, example, id=model.__name__) for model in models for example in EXAMPLES[model.__name__]]


def test_the_document_is_asyncapi_3():
    document = asyncapi_document()
    assert document["asyncapi"] == "3.0.0"
    assert set(document) == {
        *("asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components")
    }
    for server in document["servers"].values():
        assert server["host"] == "{host}" and set(server["variables"]) == {"host"}
    (channel,) = document["channels"].values()
    assert channel["address"] == "/ws/v1"
    for code, meaning in CLOSE_CODES.items():
        assert f"| {code} | {meaning} |" in channel["description"]


def test_every_reference_leads_somewhere_and_nothing_is_left_over():
    told = set(references(asyncapi_document()))
    for reference in told:
        resolve(reference)
    components = asyncapi_document()["components"]
    for kind in ("schemas", "messages", "securitySchemes"):
        assert {f"#/components/{kind}/{name}" for name in components[kind]} <= told
    for schema in components["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)
        assert "prefixItems" not in json.dumps(schema), "draft 7 has no such word"


def test_every_message_is_of_the_channel_and_of_an_operation():
    document = asyncapi_document()
    names = {model.__name__ for model in MODELS}
    assert len(names) == len(MODELS), "models are told apart by their names"
    assert names == set(document["components"]["messages"]) == set(document["channels"]["socket"]["messages"])
    used = {reference.rpartition("/")[2] for reference in references(OPERATIONS) if "/socket/messages/" in reference}
    assert used == names


def test_the_models_of_clients_are_those_that_are_taken():
    taken = {*socket._BY_OP.values(), *(model for models in socket._BY_CHANNEL.values() for model in models.values())}
    assert set(CLIENT_MESSAGES) == taken


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_name_messages_and_answers(name):
    operation = OPERATIONS[name]
    messages = [resolve(item["$ref"]) for item in operation["messages"]]
    assert messages and resolve(operation["channel"]["$ref"])["address"] == "/ws/v1"
    if operation["action"] == "send":
        assert "reply" not in operation
        assert ("security" in operation) == (name in ("executionsTold", "positionsTold"))
        return
    (message,) = (resolve(item["$ref"]) for item in messages)
    (op,) = {example["payload"]["op"] for example in message["examples"]}
    answers = [item["$ref"].rpartition("/")[2] for item in operation["reply"]["messages"]]
    assert answers == [model.__name__ for model in ANSWERS[op]]
    private = op in socket.ORDER_ENTRY or name in ("subscribeExecutions", "subscribePositions")
    assert ("security" in operation) == private == ("scope" in operation.get("description", ""))
    assert operation["summary"]


@pytest.mark.parametrize(("model", "example"), examples(CLIENT_MESSAGES))
def test_examples_of_clients_are_taken(model, example):
    assert type(socket.parse_message(example)) is model


@pytest.mark.parametrize(("model", "example"), examples(SERVER_MESSAGES))
def test_examples_of_the_server_are_messages_of_their_model(model, example):
    assert type(messages.read(json.dumps(example))) is model


@pytest.mark.parametrize(("model", "example"), examples(MODELS))
def test_the_schemas_take_the_examples_and_miss_what_is_left_out(model, example):
    document = asyncapi_document()
    message = document["components"]["messages"][model.__name__]
    assert example in [item["payload"] for item in message["examples"]]
    schema = {**message["payload"], "components": document["components"]}
    validator = jsonschema.Draft7Validator(schema)
    assert list(validator.iter_errors(example)) == []
    # What clients send is fixed; what they get may have more one day.
    more = list(validator.iter_errors({**example, "surprise": 1}))
    assert bool(more) == (model in CLIENT_MESSAGES)
    for name in example:
        if name in resolve(message["payload"]["$ref"]).get("required", ()):
            less = {key: value for key, value in example.items() if key != name}
            assert list(validator.iter_errors(less)) != [], name


def test_examples_are_of_messages_only():
    assert set(EXAMPLES) == {model.__name__ for model in MODELS}


def test_the_committed_document_is_the_one_that_is_served():
    made = script("make_asyncapi")
    assert made.PATH.read_text() == made.page(), "make docs"


def test_it_is_for_everybody(client, db):
    answer = client.get("/api/v1/asyncapi")
    assert answer.status_code == 200 and answer["Content-Type"] == "application/json"
    assert answer.json() == asyncapi_document()
    assert "/api/v1/asyncapi" in client.get("/api/v1/schema").json()["info"]["description"]


@pytest.mark.parametrize(
    "frame",
    [
        {"channel": "weather", "type": "update"},
        {"op": "pong", "id": 1},
        {"op": "pong", "id": 1, "time": "2026-11-22T17:30:52Z"},
        {"op": "ack", "id": 1, "ok": True, "problem": None},
        {**EXAMPLES["BookUpdate"][0], "bids": [["1e2", "1.000", 1]]},
        {**EXAMPLES["CancelResult"][0], "order": {**EXAMPLES["CancelResult"][0]["order"], "surprise": 1}},
    ],
    ids=str,
)
def test_a_message_that_no_model_tells_of_is_found(frame):
    with pytest.raises((AssertionError, ValueError)):
        messages.read(json.dumps(frame))
