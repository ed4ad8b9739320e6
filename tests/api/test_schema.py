"""GET schema and docs: the document is sound, complete and true."""

import re

import jsonschema
import pytest

from orders.api.schema_views import openapi_document
from orders.api.urls import urlpatterns
from orders.codes import CODES
from orders.schemas.moments import MOMENT_PATTERN
from tests.api.conftest import Api, bracket, oco, order
from tests.support.market import set_phase

NOT_IN_IT = {"", "<path:rest>", "schema", "asyncapi", "docs"}


def operations() -> list[tuple[str, str, dict]]:
    return [
        (path, method.upper(), operation)
        for path, methods in openapi_document()["paths"].items()
        for method, operation in methods.items()
    ]


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_the_document_is_openapi_3_1():
    document = openapi_document()
    assert document["openapi"] == "3.1.0"
    assert {"apiKey", "session"} == set(document["components"]["securitySchemes"])
    for code in CODES:
        assert f"`{code}`" in document["info"]["description"]


def test_every_reference_leads_somewhere_and_nothing_is_left_over():
    document = openapi_document()
    schemas = document["components"]["schemas"]
    assert references(document) == {f"#/components/schemas/{name}" for name in schemas}
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        # Candles are the one plain list.
        assert schema["type"] == ("array" if name == "CandleList" else "object"), name


def methods_of(view):
    """The methods a route answers: those its viewset is mapped for, or its view has."""
    names = getattr(view, "actions", None) or [
        name for name in ("get", "post", "patch", "delete") if hasattr(view.cls, name)
    ]
    return {name.upper() for name in names if name != "head"}


def test_every_route_is_in_it_and_nothing_else():
    routes = {
        "/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern)): pattern.callback
        for pattern in urlpatterns
        if str(pattern.pattern) not in NOT_IN_IT
    }
    told = {}
    for path, method, _ in operations():
        told.setdefault(path, set()).add(method)
    assert told == {path: methods_of(view) for path, view in routes.items()}


def test_every_operation_says_what_it_is_what_it_takes_and_how_it_fails():
    seen = set()
    for path, method, operation in operations():
        where = f"{method} {path}"
        assert operation["summary"] and operation["operationId"] and operation["tags"], where
        seen.add(operation["operationId"])
        assert ("requestBody" in operation) == (method in ("POST", "PATCH")), where
        in_path = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), where
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses), where
        private = {} not in operation["security"]
        assert ("scope" in operation.get("description", "")) == private, where
        expected = {"400", "500"} | ({"401", "403"} if private else set())
        assert expected <= set(responses), where
        for status, response in responses.items():
            (media_type,) = response["content"]
            assert media_type == ("application/json" if status < "4" else "application/problem+json"), where
    assert len(seen) == len(operations())


def test_parameters_are_those_that_are_taken():
    (book,) = [operation for path, _, operation in operations() if path.endswith("/book")]
    assert {item["name"] for item in book["parameters"]} == {"symbol", "depth", "sequence"}
    (orders,) = [o for path, method, o in operations() if (path, method) == ("/api/v1/orders", "GET")]
    assert {item["name"] for item in orders["parameters"]} == {
        *("symbol", "status", "side", "client_order_id", "group_id", "cursor", "limit")
    }


def test_a_field_with_a_default_need_not_be_sent():
    schema = openapi_document()["components"]["schemas"]["PlaceOrder"]
    assert set(schema["required"]) == {"symbol", "side", "quantity"}
    assert schema["additionalProperties"] is False


def test_the_examples_are_what_the_schema_takes():
    document = openapi_document()
    for name, schema in document["components"]["schemas"].items():
        validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
        for example in schema.get("examples", ()):
            assert not list(validator.iter_errors(example)), (name, example)


def test_a_moment_is_documented_as_text():
    expires_at = openapi_document()["components"]["schemas"]["PlaceOrder"]["properties"]["expires_at"]
    assert expires_at["anyOf"][0] == {"type": "string", "format": "date-time", "pattern": MOMENT_PATTERN}


def check(answer_body: object, path: str, method: str, status: int) -> None:
    """The body is what the document promises for this answer."""
    document = openapi_document()
    (content,) = document["paths"][path][method.lower()]["responses"][str(status)]["content"].values()
    schema = {**content["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer_body)


def test_answers_are_as_promised(api: Api):
    placed = api.place("sell", "5", "100", client_order_id="a")
    api.place("buy", "2", "100", who="bob")
    order_path = "/api/v1/orders/{order_id}"
    check(placed, "/api/v1/orders", "POST", 201)
    check(api.post("orders", order("sell", "5", "100", client_order_id="a")).body, "/api/v1/orders", "POST", 200)
    check(api.post("orders", {}).body, "/api/v1/orders", "POST", 400)
    check(api.get("orders").body, "/api/v1/orders", "GET", 200)
    check(api.get(f"orders/{placed['id']}").body, order_path, "GET", 200)
    check(api.get("orders/1").body, order_path, "GET", 404)
    check(api.get(f"orders/{placed['id']}/events").body, order_path + "/events", "GET", 200)
    check(api.patch(f"orders/{placed['id']}", {"quantity": "4"}).body, order_path, "PATCH", 200)
    check(api.delete(f"orders/{placed['id']}").body, order_path, "DELETE", 200)
    check(api.delete("orders").body, "/api/v1/orders", "DELETE", 200)
    check(api.post("orders/batch", {"orders": [order("buy"), {}]}).body, "/api/v1/orders/batch", "POST", 200)
    for body in (bracket(), oco(stop_loss={"trail_percent": "1"}), {"time_in_force": "day", **order("sell")}):
        check(api.post("orders", body).body, "/api/v1/orders", "POST", 201)
        check(api.post("orders/validate", body).body, "/api/v1/orders/validate", "POST", 200)
    check(api.post("orders/validate", order("buy", "1", None)).body, "/api/v1/orders/validate", "POST", 200)
    check(api.post("orders", oco(stop="90.005")).body, "/api/v1/orders", "POST", 422)
    for seconds in (5, 0):
        check(api.post("cancel-after", {"seconds": seconds}).body, "/api/v1/cancel-after", "POST", 200)
    set_phase("auction", lasts_seconds=60)
    for path in (
        "time",
        "status",
        "instruments",
        "fills",
        "events",
        "snapshots",
        "orders",
        "account/limits",
        "account",
        "positions",
    ):
        check(api.get(path).body, f"/api/v1/{path}", "GET", 200)
    for path in ("", "/book", "/trades", "/candles", "/ticker"):
        check(api.get(f"instruments/ACME-USD{path}").body, "/api/v1/instruments/{symbol}" + path, "GET", 200)


@pytest.mark.django_db
def test_the_pages_are_for_everybody(client):
    answer = client.get("/api/v1/schema")
    assert answer.status_code == 200 and answer.json() == openapi_document()
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    html = page.content.decode()
    # Under the content policy nothing may run that is written into the page.
    assert not re.findall(r"<script(?![^>]*\bsrc=)", html)
    for source in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert source.startswith("/")
        assert client.get(source).status_code == 200, source
