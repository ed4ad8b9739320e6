"""The OpenAPI document and the page that shows it; the AsyncAPI document."""

from functools import cache
from typing import Any

import orjson
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView

from orders.api.asyncapi import asyncapi_document
from orders.api.authentication import ApiKeyAuthentication, SessionAuthentication
from orders.api.base import ApiRequest, ApiView
from orders.api.schema import KeyScheme, SessionScheme
from orders.codes import CODES

_INTRODUCTION = """
Prices and quantities are decimal strings, both ways; times are RFC 3339 in UTC. Lists are pages:
`{{"results": […], "next": cursor}}`. Errors are `application/problem+json` with a `code` of this list; `outcome` says
what became of a command, and where it is `unknown`, the same request with the same `client_order_id` can be sent again.

Live data and orders also go over a WebSocket at `/ws/v1`: its messages are told by an AsyncAPI document,
[`/api/v1/asyncapi`](/api/v1/asyncapi).

| code | HTTP | means |
|---|---|---|
{codes}
"""


@cache
def openapi_document() -> dict[str, Any]:
    """The document as JSON values: it depends on nothing but the code."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    rows = (f"| `{code.name}` | {code.status} | {code.title} |" for code in CODES.values())
    document["info"]["description"] = _INTRODUCTION.strip().format(codes="\n".join(rows))
    schemes = document["components"].setdefault("securitySchemes", {})
    for scheme, target in ((KeyScheme, ApiKeyAuthentication), (SessionScheme, SessionAuthentication)):
        schemes[scheme.name] = scheme(target).get_security_definition(None)
    return document


class SchemaView(ApiView):
    """``GET /api/v1/schema``: OpenAPI 3.1."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def get(self, request: ApiRequest) -> HttpResponse:
        return HttpResponse(orjson.dumps(openapi_document()), content_type="application/json")


class AsyncApiView(ApiView):
    """``GET /api/v1/asyncapi``: AsyncAPI 3.0, of the WebSocket."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def get(self, request: ApiRequest) -> HttpResponse:
        return HttpResponse(orjson.dumps(asyncapi_document()), content_type="application/json")


class DocsView(SpectacularSwaggerSplitView):
    """``GET /api/v1/docs``: Swagger UI from our own static files, its script apart because of the content policy."""

    authentication_classes = ()
    permission_classes = ()
    schema = None
    url_name = "api-schema"
